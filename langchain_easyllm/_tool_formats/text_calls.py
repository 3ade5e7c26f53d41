"""An answer's text as it is read where it may hold tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._protocols.stop_sequences import StopCutter
from .final_answer import FinalAnswer
from .parser import Part, ToolTextReader

__all__ = ["TextCalls", "TextTools"]


@dataclass(frozen=True, slots=True)
class TextTools:
    """How an answer's text may hold tool calls.

    Attributes:
        conventions: Names of `call_forms.LEADS`.
        tools: The tools that are offered, in OpenAI's shape.
        prompted: Whether the prompt asked for calls in this form.
        opening: What the prompt begins the answer with.
        ends: Stop sequences of the template and the convention; nothing after them is a call.
    """

    conventions: tuple[str, ...]
    tools: tuple[Mapping[str, object], ...]
    prompted: bool = False
    opening: str = ""
    ends: tuple[str, ...] = ()


class TextCalls:
    """Reads one answer's text.

    Args:
        spec: How it may hold calls.
    """

    def __init__(self, spec: TextTools) -> None:
        self._cutter = StopCutter(spec.ends)
        self._reader = ToolTextReader(spec.conventions, spec.tools, prompted=spec.prompted)
        self._reader.feed(spec.opening)  # the text in it is ours
        react = spec.prompted and "react" in spec.conventions
        self._final = FinalAnswer() if react else None

    @property
    def over(self) -> bool:
        """Whether a stop sequence of the convention was met."""
        return self._cutter.found

    def feed(self, text: str) -> list[Part]:
        """Take the next piece and return what is decided: text, thinking, and calls."""
        parts = self._reader.feed(self._cutter.feed(text))
        return parts if self._final is None else self._final.feed(parts)

    def close(self) -> list[Part]:
        """Return the rest, now that nothing more comes."""
        parts = [*self._reader.feed(self._cutter.close()), *self._reader.close()]
        return parts if self._final is None else [*self._final.feed(parts), *self._final.close()]
