"""The arguments of one tool call, put together from the fragments in which a server streams them.

A fragment is a piece of text and no value: `null` may be the middle of an object. The text of all
of them is one JSON object, and what servers put around it is not part of it: white space, an empty
object before the real one, the same object once more after it, a special token of the model. An
object that was encoded twice is a JSON string that holds it, `null` is no arguments. Where each
fragment repeats all before it, the last one is the object.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from .._tool_formats.call_syntax import parse_arguments, unwrap_json

_OUTSIDE = re.compile(r'["{}\[\]]')
_INSIDE = re.compile(r'["\\]')
_EMPTY = re.compile(r"\{\s*\}")
_EMPTY_BEFORE = re.compile(r"(?:\{\s*\}\s*)+(?=\{)")
_UNDECIDED = re.compile(r"\{\s*(?:\}\s*)?\Z")
_LONGEST_UNDECIDED = 200
_SPECIAL_TOKEN = re.compile(r"<[|｜][^<>\s]{1,40}[|｜]>|</s>")
_SPACE = re.compile(r"\s*")


class _ObjectScan:
    """Finds where a JSON object ends, in a text that comes in fragments."""

    __slots__ = ("_depth", "_escaped", "in_string")

    def __init__(self) -> None:
        self._depth = 0
        self.in_string = False
        self._escaped = False

    def end(self, text: str, at: int = 0) -> int | None:
        """Go on with the next fragment; return where in it the object ends, if it does."""
        if self._escaped and at < len(text):
            at, self._escaped = at + 1, False
        while match := (_INSIDE if self.in_string else _OUTSIDE).search(text, at):
            mark, at = match[0], match.end()
            if mark == '"':
                self.in_string = not self.in_string
            elif mark == "\\":
                self._escaped = at == len(text)
                at += 1
            elif mark in "{[":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    return at
        return None


class _Stage(Enum):
    START = auto()  # nothing yet, or what may be an empty object before the real one
    OBJECT = auto()  # inside the object
    AFTER = auto()  # behind it
    OTHER = auto()  # no object: an encoded one, `null`, or nothing that can be read


class ArgumentBuffer:
    """Takes fragments and tells what can be handed on, so that all of it together is one object."""

    def __init__(self) -> None:
        self._state = _Stage.START
        self._scan = _ObjectScan()
        self._raw: list[str] = []
        self._handed: list[str] = []
        self._held: list[str] = []  # neither handed on nor dropped
        self._size = 0  # characters that were handed on
        # Fragments inside the object that each repeat all before it and go on: whether they are
        # all of it so far, or an object in the object that begins alike, the end shows.
        self._repeating: list[str] = []
        self._latest = ""  # the last of them
        self._latest_is_whole = False

    @property
    def raw(self) -> str:
        """All that came."""
        return "".join(self._raw)

    @property
    def begun(self) -> bool:
        """Whether anything but white space came."""
        return self._state is not _Stage.START or any(self._held)

    @property
    def empty_object(self) -> bool:
        """Whether an empty object is all that came, which the real one may follow."""
        held = "".join(self._held) if self._state is _Stage.START else ""
        return bool(_EMPTY.match(held))

    @property
    def complete(self) -> bool:
        """Whether an object came to its end."""
        if self._repeating:
            return self._latest_is_whole
        if self._state is _Stage.OTHER:
            begun = self._held[0]
            return begun[0] == "{" or (begun[0] == '"' and not self._scan.in_string)
        return self._state is _Stage.AFTER or self.empty_object

    @property
    def text(self) -> str:
        """The arguments as they are to be read, now that nothing more comes."""
        return "".join(self._handed) + self._rest()

    def feed(self, fragment: str) -> str:
        """Take the next fragment and return what can be handed on."""
        self._raw.append(fragment)
        if self._state is _Stage.OBJECT:
            if self._repeats(fragment):
                return ""
            if self._repeating:
                fragment = "".join(self._repeating) + fragment
                self._repeating.clear()
        elif self._state is _Stage.START:
            held = "".join(self._held)
            # No object begins with two braces: this fragment repeats the one before.
            again = held.rstrip() == "{" and fragment.lstrip()[:1] == "{"
            fragment = self._start(fragment if again else held + fragment)
        else:
            self._held.append(fragment)
            if self._state is _Stage.OTHER:
                self._scan.end(fragment)
            return ""
        if not fragment:
            return ""
        end = self._scan.end(fragment)
        if end is not None:
            self._state = _Stage.AFTER
            self._held = [fragment[end:]]
            fragment = fragment[:end]
        self._handed.append(fragment)
        self._size += len(fragment)
        return fragment

    def close(self) -> str:
        """Return what is still to be handed on, now that nothing more comes."""
        rest = self._rest()
        self._held, self._repeating = [], []
        self._handed.append(rest)
        return rest

    def _start(self, text: str) -> str:
        """Return the object's beginning, without what may stand before it; "" while undecided."""
        text = text.lstrip()  # langchain-core takes white space for broken JSON
        if before := _EMPTY_BEFORE.match(text):
            text = text[before.end() :]
        self._held = [text]
        if not text or (len(text) <= _LONGEST_UNDECIDED and _UNDECIDED.match(text)):
            return ""
        if text[0] != "{" or _EMPTY.match(text):
            self._state = _Stage.OTHER
            self._scan.end(text)
            return ""
        self._state, self._held = _Stage.OBJECT, []
        return text

    def _repeats(self, fragment: str) -> bool:
        """Whether a fragment is to be held, as it repeats all before it."""
        if self._repeating:
            before = self._latest
            held = not fragment.strip() or fragment.lstrip().startswith(before)
        elif len(fragment) > self._size:  # so that a long object is not put together each time
            held = fragment.lstrip().startswith("".join(self._handed))
        else:
            return False
        if held:
            self._repeating.append(fragment)
            if latest := fragment.lstrip():
                self._latest, whole = latest, latest.rstrip().endswith("}")
                self._latest_is_whole = whole and parse_arguments(latest) is not None
        return held

    def _rest(self) -> str:
        if self._repeating:
            rest, begun = "".join(self._repeating), "".join(self._handed)
            if self._latest_is_whole and parse_arguments(begun + rest) is None:
                return self._latest[len(begun) :]
            return rest
        held = "".join(self._held)
        if self._state is _Stage.AFTER:
            return "" if _adds_nothing(held, 0, "".join(self._handed)) else held
        return _settled(held) if self._state is _Stage.OTHER else held.rstrip()


def settle_arguments(text: str) -> str:
    """Return the arguments of a call that came in one piece, as they are to be read."""
    if text.startswith("{") and parse_arguments(text) is not None:
        return text
    buffer = ArgumentBuffer()
    buffer.feed(text)
    return buffer.text


def _settled(text: str) -> str:
    if text.strip() == "null":
        return ""
    if text.startswith('"'):
        inner = unwrap_json(text)
        return text if inner is None or parse_arguments(inner) is None else inner
    empty = _EMPTY.match(text)
    return empty[0] if empty and _adds_nothing(text, empty.end(), empty[0]) else text


def _adds_nothing(text: str, at: int, arguments: str) -> bool:
    """Whether all that follows a whole object is that object again, or no arguments at all."""
    known: object = None
    while True:
        at = _end(_SPACE, text, at)
        if at == len(text):
            return True
        after = _end(_SPECIAL_TOKEN, text, at)
        if after == at:
            after = _end(_EMPTY, text, at)
        if after == at:
            if text[at] != "{":
                return False
            end = _ObjectScan().end(text, at)
            if end is None:  # cut off in the middle of it
                return arguments.startswith(text[at:])
            known = parse_arguments(arguments) if known is None else known
            if known is None or parse_arguments(text[at:end]) != known:
                return False
            after = end
        at = after


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
