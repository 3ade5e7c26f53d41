"""Answers of the language model: whole ones, and their text as it is generated."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from .engine import Engine
from .language_model import Token
from .plan import Plan


@dataclass(frozen=True, slots=True)
class Finished:
    """A whole answer; the times are in seconds.

    The first is that of the prompt and the first token, the second that of the others.
    """

    plan: Plan
    tokens: Sequence[Token]
    prompt_time: float = 0.0
    answer_time: float = 0.0

    @property
    def text(self) -> str:
        """A stop sequence that ended the answer is part of its text, as with TGI."""
        return "".join(token.text for token in self.tokens if not token.special)

    @property
    def reason(self) -> str:
        return self.tokens[-1].finish_reason or "length"

    @property
    def likelihood(self) -> float:
        return sum(token.logprob for token in self.tokens) / len(self.tokens)


async def finish(engine: Engine, plan: Plan) -> Finished:
    watch = Stopwatch()
    tokens: list[Token] = []
    async with aclosing(engine.tokens(plan)) as generated:
        async for token in generated:
            tokens.append(token)
            watch.note()
    return Finished(plan, tokens, watch.prompt_time, watch.answer_time)


class Stopwatch:
    """Measures an answer: until its first token, and from there to its last."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._first: float | None = None
        self._last = self._start

    def note(self) -> None:
        """Note that a token came."""
        self._last = time.perf_counter()
        if self._first is None:
            self._first = self._last

    @property
    def prompt_time(self) -> float:
        return (self._last if self._first is None else self._first) - self._start

    @property
    def answer_time(self) -> float:
        return 0.0 if self._first is None else self._last - self._first


@dataclass(frozen=True, slots=True)
class Piece:
    """The next part of an answer, as servers stream it that never show a stop sequence."""

    text: str
    tokens: tuple[Token, ...]  # that it was made of
    finish_reason: str | None = None  # `stop` or `length`, of the last piece
    stop: str | None = None  # the stop sequence that ended the answer


async def pieces(
    engine: Engine, plan: Plan, watch: Stopwatch | None = None
) -> AsyncIterator[Piece]:
    """Yield an answer without the stop sequence that ends it, and without its special tokens.

    What may be the beginning of a stop sequence is held back. To a prompt without a single token
    there is nothing to say.
    """
    if not plan.prompt:
        yield Piece("", (), "length")
        return
    held, tokens, ends = "", list[Token](), engine.language.eos_ids
    async with aclosing(engine.tokens(plan)) as generated:
        async for token in generated:
            if watch:
                watch.note()
            tokens.append(token)
            held += "" if token.special else token.text
            if token.finish_reason:
                text, stop = _cut(held, plan.stop)
                # One that ends with the last token that it may have is not cut short.
                cut = token.finish_reason == "length" and token.id not in ends and stop is None
                reason = "length" if cut else "stop"
                yield Piece(text, tuple(tokens), reason, stop)
                return
            safe = len(held) - _beginning(held, plan.stop)
            if safe:
                yield Piece(held[:safe], tuple(tokens))
                held = held[safe:]
                tokens.clear()


async def whole(engine: Engine, plan: Plan, watch: Stopwatch | None = None) -> Piece:
    """Return a whole answer as one piece."""
    parts = [piece async for piece in pieces(engine, plan, watch)]
    text = "".join(part.text for part in parts)
    tokens = tuple(token for part in parts for token in part.tokens)
    return Piece(text, tokens, parts[-1].finish_reason, parts[-1].stop)


def _cut(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    found = [(text.index(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    start, stop = min(found)
    return text[:start], stop


def _beginning(text: str, stops: Sequence[str]) -> int:
    """Return the length of the longest end of a text that begins a stop sequence."""
    longest = min(max(map(len, stops), default=1) - 1, len(text))
    for length in range(longest, 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
