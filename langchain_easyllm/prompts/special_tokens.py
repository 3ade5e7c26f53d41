"""Keeps special tokens in message content from becoming special tokens of the prompt.

A token is broken by one space: `<|im_end|>` becomes `< |im_end|>`, `[INST]` becomes `[ INST]`, and
where words open a message, `ASSISTANT:` becomes `ASSISTANT :`. A space stays visible, no
tokenizer's normaliser removes it, and inside the token no `strip` reaches it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import zip_longest


class SpecialTokens:
    r"""The special tokens of one template.

    One that begins with a newline is a role's name at the start of a line, as in `"\nUser:"`. Texts
    of one character cannot be broken and are left alone.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(sorted({t for t in tokens if len(t) > 1}, key=lambda t: (-len(t), t)))
        self._broken = [(_core(t), t, _broken(t), _overlaps_itself(t)) for t in self.tokens]
        self._hints = tuple({_hint(token) for token in self.tokens})
        self._has_line_tokens = any(token[0] == "\n" for token in self.tokens)

    def find(self, text: str, *, at_line_start: bool = False) -> str | None:
        if at_line_start:
            text = "\n" + text
        if not self._may_hold(text):
            return None
        found = [(text.find(token), token) for token in self.tokens if token in text]
        return min(found)[1] if found else None

    def escape(self, text: str, *, at_line_start: bool = False) -> str:
        if at_line_start and self._has_line_tokens:
            return self.escape("\n" + text)[1:]
        if not self._may_hold(text):
            return text
        # One pass for each token takes a third of what one regex for all takes on hostile text. A
        # broken token is never made whole by breaking another one.
        for core, token, broken, overlaps_itself in self._broken:
            if core in text:
                text = text.replace(token, broken)
                while overlaps_itself and token in text:
                    text = text.replace(token, broken)
        return text

    def escape_all(
        self, texts: list[str], roles: Sequence[str] = (), roles_at_line_start: Container[str] = ()
    ) -> list[str]:
        """Put a space into every special token of a conversation's texts.

        Returns the very same list where none of them can hold a token.
        """
        # One search in all of them settles nearly every real conversation, and one pass over all of
        # them most others: no token spans a NUL, and few texts hold one.
        if self._has_line_tokens:
            if not self._may_hold("\n" + "\n".join(texts)):
                return texts
        else:
            joined = "\0".join(texts)
            if not self._may_hold(joined):
                return texts
            escaped = self.escape(joined).split("\0")
            if len(escaped) == len(texts):
                return escaped
        pairs = zip_longest(texts, roles)
        return [
            self.escape(text, at_line_start=role in roles_at_line_start) for text, role in pairs
        ]

    def _may_hold(self, text: str) -> bool:
        return any(hint in text for hint in self._hints)


def _hint(token: str) -> str:
    """Choose what to search first: a character that prose seldom has, or the whole token."""
    return token if token[0].isalnum() or token[0].isspace() else token[0]


def _core(token: str) -> str:
    """Choose the part that a search finds absent fastest: it skips a run of `<` by its length."""
    core = token.strip("<|>[]/#｜ \n")
    return core if len(core) > 2 else token.lstrip("<|[/")


def _broken(token: str) -> str:
    at = len(token) - 1 if token.endswith(":") else 1
    return f"{token[:at]} {token[at:]}"


def _overlaps_itself(token: str) -> bool:
    return any(token.startswith(token[at:]) for at in range(1, len(token)))
