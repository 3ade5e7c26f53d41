"""Stop sequences, cut exactly however the text is split."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..errors import ConfigurationError


def merge_stops(*groups: object) -> tuple[str, ...]:
    """Join groups of stop sequences, without repeats, in order."""
    merged: dict[str, None] = {}
    for group in groups:
        if not isinstance(group, Iterable | None) or isinstance(group, Mapping):
            raise ConfigurationError(f"stop is {group!r}: give a string or a list of strings.")
        for stop in (group,) if isinstance(group, str) else group or ():
            if not isinstance(stop, str) or not stop:
                raise ConfigurationError(
                    f"stop holds {stop!r}: a stop sequence is a string of one character or more."
                )
            merged[stop] = None
    return tuple(merged)


@dataclass(slots=True)
class StopPolicy:
    """Where the stop sequences of one answer act."""

    sent: tuple[str, ...] = ()  # those that the server is given
    enforced: tuple[str, ...] = ()  # those that the answer's text is cut at here
    complete: bool = True  # whether the server was sent all, and ends where the answer does


def stop_policy(
    caller: tuple[str, ...],
    template: tuple[str, ...],
    *,
    limit: int | None,  # the maximum number that the server takes
    hidden: bool,
    reads_calls: bool,  # whether tool calls are read from the text
) -> StopPolicy:
    """Decide where the stop sequences of the caller, and of template and tool-call format, act.

    `hidden`: a part of the answer is not text, as hidden reasoning and the arguments of a call are.
    The caller's stop sequences must not end it, and so are not sent.
    """
    every = merge_stops(caller, template)
    wanted = template if hidden else every
    sent = wanted if limit is None else wanted[:limit]
    return StopPolicy(
        sent=sent,
        enforced=caller if reads_calls else every,
        complete=len(sent) == len(every),
    )


_STOPS = r"\bstop(?:_|\b)"
_MOST = r"(?:at most|up to|more than|only|maximum(?: (?:length|number|of|is))*|limit(?: of| is)?)"
_LIMIT = re.compile(
    rf"{_STOPS}.{{0,160}}?\b{_MOST}\s+(\d{{1,3}})\b"
    rf"|\b{_MOST}\s+(\d{{1,3}})\s+(?:\w+\s+){{0,2}}?['`\"]?{_STOPS}",
    re.IGNORECASE | re.DOTALL,
)


def stop_limit(refusal: str, given: int) -> int | None:
    """Return how many stop sequences a server takes, where it refuses the number given."""
    found = _LIMIT.search(refusal)
    limit = int(found[1] or found[2]) if found else 0
    return limit if 0 < limit < given else None


class StopCutter:
    """Passes text on until the first stop sequence.

    The text ends where the leftmost stop sequence begins. Text that may still turn out to be the
    beginning of one is held back: never more than the longest stop sequence, less one character.
    """

    __slots__ = ("_by_first", "_first", "_held", "found", "idle")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self.found = False
        self.idle = not stops
        self._held = ""
        self._by_first: dict[str, list[str]] = {}
        for stop in stops:
            self._by_first.setdefault(stop[0], []).append(stop)
        # Most text holds no character that begins a stop: one scan in C passes it on.
        self._first = re.compile("[" + re.escape("".join(self._by_first)) + "]") if stops else None

    def feed(self, text: str) -> str:
        if self.found:
            return ""
        if self._first is None:
            return text
        if self._held:
            text = self._held + text
            self._held = ""
        for match in self._first.finditer(text):
            start = match.start()
            left = len(text) - start
            for stop in self._by_first[match[0]]:
                if text.startswith(stop, start):
                    self.found = True
                    return text[:start]
            for stop in self._by_first[match[0]]:
                if left < len(stop) and stop.startswith(text[start:]):
                    self._held = text[start:]
                    return text[:start]
        return text

    def close(self) -> str:
        """Return the text still held back, now that nothing more comes."""
        text, self._held = self._held, ""
        if self._first is None or self.found:
            return text
        starts = [i for stops in self._by_first.values() for s in stops if (i := text.find(s)) >= 0]
        if starts:
            self.found = True
            return text[: min(starts)]
        return text
