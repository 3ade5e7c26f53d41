"""Callback handlers for `config={"callbacks": [...]}`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from ._progress import is_watched, open_bar

if TYPE_CHECKING:
    from ._progress import Bar

__all__ = ["ProgressBar"]


class ProgressBar(BaseCallbackHandler):
    """A progress bar for `batch`, `abatch` and their relatives.

        from langchain_easyllm.callbacks import ProgressBar

        llm.batch(questions, config={"callbacks": [ProgressBar(total=len(questions))]})

    It counts whole runs: of a chain or an agent not each step. A chain's `batch` ends all of its
    runs together, so the finished calls of models are shown, too. Failed runs are counted as done,
    and their number is shown. The bar is tqdm's, or rich's, or a line of text, whichever is
    installed; in a notebook it is a widget if ipywidgets is installed.

    The bar closes when `total` runs have ended, and the next run opens a new one. Where fewer may
    end, or without `total`, use it as a context manager, or call `close`.

    Args:
        total: How many runs there will be. Default None: only the number of runs is shown.
        description: A text before the bar.
        shown: Whether to show it. Default None: in a terminal or a notebook.
    """

    run_inline = True  # on an event loop, too: a count takes microseconds

    def __init__(
        self, total: int | None = None, *, description: str = "", shown: bool | None = None
    ) -> None:
        self.total = total
        self.description = description
        self.shown = shown
        # Reentrant: the collector may close a stream, and end its run, within any step of this.
        self._lock = threading.RLock()
        self._running: dict[UUID, bool] = {}  # whether each is a run to count
        self._bar: Bar | None = None
        self._done = self._failed = self._model_calls = 0

    def close(self) -> None:
        """Close the bar, if one is open; the next run opens another."""
        with self._lock:
            bar, self._bar = self._bar, None
            self._done = self._failed = self._model_calls = 0
            self._running.clear()
        if bar is not None:
            bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, run_id: UUID, parent_run_id: UUID | None) -> None:
        with self._lock:
            self._running[run_id] = parent_run_id not in self._running
            shown = is_watched() if self.shown is None else self.shown
            if shown and self._bar is None:
                self._bar = open_bar(self.total, "runs", self.description)

    def _end(self, run_id: UUID, *, failed: bool = False, model: bool = False) -> None:
        with self._lock:
            counts = self._running.pop(run_id, None)
            if counts is None:  # it began before the bar was closed
                return
            self._model_calls += model and not counts
            self._done += counts
            self._failed += counts and failed
            if self._bar is not None:
                notes = [f"{self._failed:,} failed"] if self._failed else []
                notes += [f"{self._model_calls:,} model calls"] if self._model_calls else []
                self._bar.note(", ".join(notes))
                self._bar.update(int(counts))
            if self._done == self.total:
                self.close()

    def on_chain_start(
        self, *_: Any, run_id: UUID, parent_run_id: UUID | None = None, **__: Any
    ) -> None:
        """Note that a run begins."""
        self._begin(run_id, parent_run_id)

    on_llm_start = on_chat_model_start = on_retriever_start = on_tool_start = on_chain_start

    def on_chain_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Count a run that has ended."""
        self._end(run_id)

    on_retriever_end = on_tool_end = on_chain_end

    def on_llm_end(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Count a model's answer."""
        self._end(run_id, model=True)

    def on_chain_error(self, *_: Any, run_id: UUID, **__: Any) -> None:
        """Count a run that has failed."""
        self._end(run_id, failed=True)

    on_llm_error = on_retriever_error = on_tool_error = on_chain_error
