"""Keeps control tokens in message content from becoming control tokens of the prompt.

A token is broken by one space: `<|im_end|>` becomes `< |im_end|>`, `[INST]` becomes `[ INST]`, and
where a turn is opened by words, `ASSISTANT:` becomes `ASSISTANT :`. A space stays visible, no
tokenizer's normaliser removes it, and inside the token no `strip` reaches it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property

__all__ = ["ControlTokens"]


class ControlTokens:
    r"""The control tokens of one template.

    Args:
        tokens: Texts that act as control tokens. One that begins with a newline is a role's name at
            the start of a line, as in `"\nUser:"`. Texts of one character cannot be broken and
            are left alone.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        self.tokens = tuple(sorted({t for t in tokens if len(t) > 1}, key=lambda t: (-len(t), t)))
        self._hints = tuple({t if t[0].isalnum() or t[0].isspace() else t[0] for t in self.tokens})
        self.has_line_tokens = any(token[0] == "\n" for token in self.tokens)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(_trie_pattern(self.tokens))

    def find(self, text: str, *, at_line_start: bool = False) -> str | None:
        """Find the first control token in a text.

        Args:
            text: Message content.
            at_line_start: Whether the template puts the text at the start of a line.

        Returns:
            The token, or None.
        """
        if at_line_start:
            text = "\n" + text
        # One memchr per leading character settles nearly every real conversation.
        if not any(hint in text for hint in self._hints):
            return None
        found = self._pattern.search(text)
        return found.group() if found else None

    def found_in_any(self, texts: Sequence[str]) -> bool:
        """Whether any of the texts holds a control token, in one scan of them all."""
        return self.find("\n".join(texts), at_line_start=True) is not None

    def escape(self, text: str, *, at_line_start: bool = False) -> str:
        """Break every control token in a text.

        Args:
            text: Message content.
            at_line_start: Whether the template puts the text at the start of a line.

        Returns:
            The text with one space inside each token; the same text where there is none.
        """
        if at_line_start and self.has_line_tokens:
            return self.escape("\n" + text)[1:]
        token, position = self.find(text), 0
        # Each round breaks all of one token and begins where it stood, so that the rounds are as
        # many as there are different tokens and the text before is never searched again.
        while token is not None:
            position = text.index(token, position)
            text = text.replace(token, _broken(token))
            found = self._pattern.search(text, position)
            token = found.group() if found else None
        return text


def _broken(token: str) -> str:
    at = len(token) - 1 if token.endswith(":") else 1
    return f"{token[:at]} {token[at:]}"


def _trie_pattern(tokens: Sequence[str]) -> str:
    """Build a pattern that looks at each character of hostile text about once."""
    if not tokens:
        return "(?!)"
    if "" in tokens:  # a shorter token ends here: it is all that has to be found
        return ""
    branches: dict[str, list[str]] = {}
    for token in tokens:
        branches.setdefault(token[0], []).append(token[1:])
    parts = [re.escape(first) + _trie_pattern(rest) for first, rest in sorted(branches.items())]
    return parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
