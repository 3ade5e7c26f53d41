"""The progress bar for batches: what it counts, and what it is drawn with."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.runnables import Runnable, RunnableLambda

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings, _progress, callbacks
from langchain_easyllm.callbacks import ProgressBar
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve


class Drawn:
    """Stands for a bar, and notes what is drawn."""

    made: list[Drawn]

    def __init__(self, total: int | None, unit: str, description: str) -> None:
        self.given = (total, unit, description)
        self.steps: list[int] = []
        self.notes = ""
        self.closed = 0
        Drawn.made.append(self)

    def update(self, count: int) -> None:
        self.steps.append(count)

    def note(self, text: str) -> None:
        self.notes = text

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Drawn]:
    Drawn.made = []
    monkeypatch.setattr(callbacks, "open_bar", Drawn)
    return Drawn.made


@pytest.fixture
def model(fake_server: FakeServer) -> EasyLLMChat:
    serve(fake_server, "vllm", ["Hi"])
    return EasyLLMChat(base_url=fake_server.url, model="tiny", api="chat", max_retries=0)


def run(how: str, runnable: Runnable[Any, Any], bar: ProgressBar, count: int, **more: Any) -> None:
    inputs, config = ["Hello"] * count, {"callbacks": [bar], "max_concurrency": 4}

    async def completed() -> None:
        async for _ in runnable.abatch_as_completed(inputs, config, **more):
            pass

    if how == "batch":
        runnable.batch(inputs, config, **more)
    elif how == "abatch":
        asyncio.run(runnable.abatch(inputs, config, **more))
    elif how == "batch_as_completed":
        list(runnable.batch_as_completed(inputs, config, **more))
    else:
        asyncio.run(completed())


HOW = pytest.mark.parametrize(
    "how", ["batch", "abatch", "batch_as_completed", "abatch_as_completed"]
)


@HOW
def test_each_run_of_a_batch_is_counted(how: str, model: EasyLLMChat, drawn: list[Drawn]) -> None:
    bar = ProgressBar(total=8, description="Questions", shown=True)
    for _ in range(2):  # the second batch has a bar of its own
        run(how, model, bar, 8)
    for one in drawn:
        assert one.given == (8, "runs", "Questions")
        assert (sum(one.steps), one.notes, one.closed) == (8, "", 1)
    assert len(drawn) == 2


@HOW
def test_the_steps_of_a_chain_are_not(how: str, model: EasyLLMChat, drawn: list[Drawn]) -> None:
    chain = RunnableLambda(lambda text: text) | model | (lambda message: message.text)
    run(how, chain, ProgressBar(total=3, shown=True), 3)
    [one] = drawn
    assert (sum(one.steps), one.notes, one.closed) == (3, "3 model calls", 1)


@HOW
def test_failed_runs_are_counted_and_shown(
    how: str, model: EasyLLMChat, fake_server: FakeServer, drawn: list[Drawn]
) -> None:
    good = fake_server._routes["POST", "/v1/chat/completions"].answers[0]
    fake_server.on("POST", "/v1/chat/completions", Reply(b"no", status=400), good)
    run(how, model, ProgressBar(total=4, shown=True), 4, return_exceptions=True)
    [one] = drawn
    assert (sum(one.steps), one.notes, one.closed) == (4, "1 failed", 1)


def test_a_bar_within_a_chain_counts_what_it_sees(model: EasyLLMChat, drawn: list[Drawn]) -> None:
    bar = ProgressBar(shown=True)
    outer = RunnableLambda(lambda text: text) | model.with_config(callbacks=[bar])
    with bar:
        outer.batch(["a", "b"])
        [one] = drawn
        assert (sum(one.steps), one.closed) == (2, 0)
    assert one.closed == 1


def test_a_batch_that_ends_early_is_closed_by_the_context(
    model: EasyLLMChat, fake_server: FakeServer, drawn: list[Drawn]
) -> None:
    fake_server.on("POST", "/v1/chat/completions", Reply(b"no", status=400))
    with pytest.raises(Exception, match="400"), ProgressBar(total=9, shown=True) as bar:
        run("batch", model, bar, 1)
    [one] = drawn
    assert (one.steps, one.closed) == ([1], 1)


def test_threads_lose_no_run(drawn: list[Drawn]) -> None:
    bar = ProgressBar(total=2000, shown=True)

    def call() -> None:
        for _ in range(500):
            run_id = uuid4()
            bar.on_chain_start({}, {}, run_id=run_id)
            bar.on_chain_end({}, run_id=run_id)

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [one] = drawn
    assert (sum(one.steps), one.closed) == (2000, 1)
    assert not bar._running


def test_nothing_is_shown_where_nobody_watches(
    model: EasyLLMChat, drawn: list[Drawn], capfd: pytest.CaptureFixture[str]
) -> None:
    run("batch", model, ProgressBar(total=2), 2)
    assert drawn == []
    assert capfd.readouterr().err == ""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Hide libraries."""

    def hide(*names: str) -> None:
        for name in [*sys.modules]:
            if name.partition(".")[0] in names:
                monkeypatch.delitem(sys.modules, name)
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)
        real = _progress.find_spec
        monkeypatch.setattr(
            _progress, "find_spec", lambda name: None if name in names else real(name)
        )

    return hide


@pytest.mark.parametrize(
    ("hidden", "shows"),
    [
        ((), ("3/3", " runs/s", "1 failed")),
        (("tqdm",), ("3/3", "runs", "1 failed")),
        (("tqdm", "rich"), ("Questions: 3/3 runs, 1 failed\n",)),
    ],
)
def test_it_is_drawn_with_what_is_installed(
    without: Any,
    capsys: pytest.CaptureFixture[str],
    hidden: tuple[str, ...],
    shows: tuple[str, ...],
) -> None:
    without(*hidden)
    bar = ProgressBar(total=3, description="Questions", shown=True)
    ids = [uuid4() for _ in range(3)]
    for run_id in ids:
        bar.on_chat_model_start({}, [], run_id=run_id)
    bar.on_llm_error(ValueError(), run_id=ids[0])
    for run_id in ids[1:]:
        bar.on_llm_end(None, run_id=run_id)
    shown = capsys.readouterr().err
    assert "Questions" in shown
    for text in shows:
        assert text in shown


def test_a_notebook_without_widgets_has_a_bar_of_text_and_no_warning(
    without: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without("ipywidgets")
    shell = types.SimpleNamespace(kernel=object())
    ipython = types.SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    bar = ProgressBar(total=1)
    run_id = uuid4()
    bar.on_llm_start({}, [], run_id=run_id)
    bar.on_llm_end(None, run_id=run_id)
    assert "1/1" in capsys.readouterr().err


def test_embeddings_say_what_to_install_for_their_bar(
    without: Any, fake_server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_server.on("POST", "/v1/embeddings", Reply({"data": [{"index": 0, "embedding": [1.0]}]}))
    model = EasyLLMEmbeddings(
        base_url=fake_server.url, model="m", api="embeddings", show_progress=True
    )
    model.embed_documents(["text"])
    assert "1/1" in capsys.readouterr().err
    without("tqdm", "rich")
    with pytest.raises(ConfigurationError, match=r'tqdm.*pip install "langchain-easyllm\[embed'):
        model.embed_documents(["text"])


def test_a_closed_stderr_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar(total=2, shown=True) as bar:
        assert RunnableLambda(str).batch([1], {"callbacks": [bar]}) == ["1"]
