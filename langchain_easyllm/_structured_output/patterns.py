r"""Regular expressions of JSON schemas (ECMA 262), matched in time linear in the text.

Python's `re` lacks parts of their syntax (`\p{L}`), reads others differently (`\d`, `$`), and may
take exponential time while it holds the interpreter. The expressions are translated for the engine
of pydantic-core, which does neither. It has no backreferences and no look-around: of these, only
lookaheads at the very start (`^(?=...)(?!...)`) are translated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

_MAX_LENGTH = 20_000
_MAX_COUNT = 100_000


class UnreadablePatternError(ValueError):
    """What keeps a pattern from being checked."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, and how much work it is for each character of a text."""

    parts: tuple[tuple[SchemaValidator, bool], ...]  # each has to match, or must not
    size: int
    problem: str = ""  # why it cannot be checked

    def found_in(self, text: str) -> bool:
        """Whether some part of a text matches. Only for patterns without a problem."""
        if not text.isascii():
            text = _SURROGATE.sub("\ufffd", text)
        return all(part.isinstance_python(text) is wanted for part, wanted in self.parts)


@lru_cache(maxsize=512)
def read_pattern(pattern: str) -> Pattern:
    try:
        translated = _Translator(pattern).translate()
        parts = tuple((_compile(text), wanted) for text, wanted in translated.parts)
    except UnreadablePatternError as error:
        return Pattern((), 0, str(error))
    return Pattern(parts, translated.size)


def _compile(pattern: str) -> SchemaValidator:
    try:
        schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")
        return SchemaValidator(schema)
    except SchemaError as error:
        problem = str(error).strip().rpartition("\n")[2].removeprefix("error: ").strip()
        raise UnreadablePatternError(problem) from None


_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TOKEN = re.compile(
    r"""(?P<escape>\\(?:u\{[0-9a-fA-F]{1,6}\}|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
            |u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|[pP](?:\{[\w=]{1,60}\}|[A-Z])|[\s\S]))
      |(?P<open>\((?:\?(?:P?<[A-Za-z_$][\w$]*>|<?[=!]|[a-zA-Z\-]*:|i\)|[\s\S]))?)
      |(?P<repeat>(?:[*+?]|\{\d{1,9}(?:,\d{0,9})?\})[?+]?)
      |(?P<char>[\s\S])""",
    re.VERBOSE,
)
# ECMA's sets are of ASCII, but for white space.
_SPACE = r"\t\n\x0B\f\r\x20\u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}\u{205F}\u{3000}"
_SPACE += r"\u{FEFF}"
_SETS = {"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACE}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_ASSERTIONS = {"b": r"(?-u:\b)", "B": r"(?-u:\B)"}
_ANY = r"[^\n\r\u{2028}\u{2029}]"
_POSIX = re.compile(r"\[:\^?[a-z]{4,6}:\]")


@dataclass(slots=True)
class _Group:
    parts: list[str] = field(default_factory=list)
    size: int = 0
    last: int | None = None  # the size of what a quantifier would repeat
    wanted: bool | None = None  # of a lookahead: whether it has to match


@dataclass(slots=True)
class _Translated:
    parts: list[tuple[str, bool]]
    size: int


class _Translator:
    """Translates one pattern, token by token."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > _MAX_LENGTH:
            raise UnreadablePatternError("it is too long")
        self._pattern = pattern
        self._at = 0
        self._groups = [_Group()]
        self._ahead: list[tuple[str, bool]] = []
        self._alternates = False  # whether there is a `|` outside of every group
        self._is_chain = True  # whether it has no `|`, and no group is repeated
        self._ranges = 0  # how many quantifiers take more than one count

    def translate(self) -> _Translated:
        while self._at < len(self._pattern):
            found = _TOKEN.match(self._pattern, self._at)
            assert found is not None  # noqa: S101 - the last alternative takes any character
            kind, piece = str(found.lastgroup), found[0]
            self._at = found.end()
            getattr(self, f"_{kind}")(piece)
        if len(self._groups) > 1:
            raise UnreadablePatternError("a group is not closed")
        (group,) = self._groups
        if self._ahead and self._alternates:
            raise UnreadablePatternError("look-around is not supported")
        is_simple = self._is_chain and self._ranges <= 1 and self._pattern.startswith("^")
        # Such a pattern can be at few places at once, however often its part is repeated.
        size = min(group.size, len(self._pattern)) if is_simple else group.size
        return _Translated([("".join(group.parts), True), *self._ahead], size)

    def _add(self, text: str, size: int, *, repeats: bool = True) -> None:
        group = self._groups[-1]
        group.parts.append(text)
        group.size += size
        group.last = size if repeats else None

    def _escape(self, piece: str) -> None:
        name = piece[1]
        if name in _ASSERTIONS:
            self._add(_ASSERTIONS[name], 1, repeats=False)
        elif name in "AZz" and len(piece) == 2:  # not ECMA's, but nobody means the letter
            self._add(r"\A" if name == "A" else r"\z", 1, repeats=False)
        elif name.lower() in _SETS:
            self._add(f"[{'^' if name.isupper() else ''}{_SETS[name.lower()]}]", 2)
        elif name in "pP" and len(piece) > 2:
            self._add(piece, 4)
        else:
            self._add(_literal(self._code(piece)), 1)

    def _code(self, piece: str) -> int:
        """Return the character that an escape stands for."""
        name, rest = piece[1], piece[2:]
        if name in _CONTROLS and not rest:
            return _CONTROLS[name]
        if name == "c" and rest:
            return ord(rest) % 32
        if name in "ux" and len(rest) == 10:  # a surrogate pair
            return 0x10000 + ((int(rest[:4], 16) & 0x3FF) << 10) + (int(rest[-4:], 16) & 0x3FF)
        if name in "ux" and rest:
            return int(rest.strip("{}"), 16)
        if name == "0" and not self._pattern[self._at : self._at + 1].isdigit():
            return 0
        if name.isascii() and name.isalnum():
            raise UnreadablePatternError(
                "backreferences are not supported"
                if name.isdigit() or name == "k"
                else f"the escape {piece!r} is not known"
            )
        return ord(name)

    def _open(self, piece: str) -> None:
        if piece in ("(?=", "(?!") and len(self._groups) == 1 and self._groups[0].parts in _STARTS:
            self._groups.append(_Group(wanted=piece == "(?="))
        elif piece in ("(?=", "(?!", "(?<=", "(?<!"):
            raise UnreadablePatternError("look-around is not supported")
        elif piece == "(?i)" and not self._groups[0].parts:
            self._add(piece, 0, repeats=False)
        elif piece in ("(", "(?:", "(?i:") or (piece[-1] == ">" and piece != "(?>"):
            self._groups.append(_Group(["(?i:" if piece == "(?i:" else "(?:"]))
        else:
            raise UnreadablePatternError(f"the group {piece!r} is not known")

    def _repeat(self, piece: str) -> None:
        group = self._groups[-1]
        if group.last is None or piece[-1] == "+" != piece:
            raise UnreadablePatternError(f"the quantifier {piece!r} is not known here")
        self._is_chain = self._is_chain and not group.parts[-1].startswith("(")
        self._ranges += piece[0] != "{" or "," in piece
        if piece[0] == "{":
            least, _, most = piece.rstrip("?").strip("{}").partition(",")
            count = max(int(most or least), int(least), 1)
            group.size += group.last * (count - 1)
            if group.size > _MAX_COUNT:
                raise UnreadablePatternError("its repetitions are too many")
        group.parts.append(piece)
        group.last = None

    def _char(self, piece: str) -> None:
        group = self._groups[-1]
        if piece == ")":
            self._close()
        elif piece == "[":
            text = self._class()
            self._add(text, 2)
        elif piece == ".":
            self._add(_ANY, 2)
        elif piece == "|":
            self._alternates = self._alternates or len(self._groups) == 1
            self._is_chain = False
            self._add(piece, 0, repeats=False)
        elif piece in "^$":
            self._add(piece, 1, repeats=False)
        elif piece == "\\" or (piece == "{" and self._pattern.startswith(",", self._at)):
            raise UnreadablePatternError(
                f"{self._pattern[self._at - 1 :][:10]!r} is not known here"
            )
        else:
            self._add(_literal(ord(piece)), 1)
        if group.size > _MAX_COUNT:
            raise UnreadablePatternError("it is too long")

    def _close(self) -> None:
        if len(self._groups) == 1:
            raise UnreadablePatternError("a group is closed that is not open")
        closed = self._groups.pop()
        text = "".join(closed.parts)
        if closed.wanted is None:
            self._add(text + ")", closed.size + 1)
        else:
            flags = "(?i)" if "(?i)" in self._groups[0].parts else ""
            self._ahead.append((rf"{flags}\A(?:{text})", closed.wanted))
            self._groups[-1].size += closed.size

    def _class(self) -> str:
        """Translate what follows `[`, up to its `]`."""
        negated = self._pattern.startswith("^", self._at)
        self._at += negated
        if self._pattern.startswith("]", self._at):
            raise UnreadablePatternError("an empty set of characters is read in several ways")
        parts: list[str] = []
        while not self._pattern.startswith("]", self._at):
            first = self._member()
            if isinstance(first, int) and re.match(r"-[^\]]", self._pattern[self._at :][:2]):
                self._at += 1
                last = self._member()
                if isinstance(last, int):
                    parts.append(f"{_literal(first)}-{_literal(last)}")
                    continue
                parts += [_literal(first), _literal(ord("-")), last]  # as ECMA's Annex B
            else:
                parts.append(_literal(first) if isinstance(first, int) else first)
        self._at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _member(self) -> int | str:
        """Return the next character of a set, or a set inside it."""
        if posix := _POSIX.match(self._pattern, self._at):
            self._at = posix.end()
            return posix[0]
        found = _TOKEN.match(self._pattern, self._at)
        if found is None:
            raise UnreadablePatternError("a set of characters is not closed")
        if found.lastgroup != "escape":
            self._at += 1
            return ord(self._pattern[self._at - 1])
        self._at = found.end()
        name = found[0][1]
        if name.lower() in _SETS:
            return _SETS[name] if name.islower() else f"[^{_SETS[name.lower()]}]"
        if name in "pP" and len(found[0]) > 2:
            return found[0]
        return 8 if name == "b" else self._code(found[0])


_STARTS = (["^"], ["(?i)", "^"])


def _literal(code: int) -> str:
    if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        raise UnreadablePatternError("half of a surrogate pair is no character")
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\x{{{code:X}}}"
