"""Text to tokens, and tokens of a byte-level vocabulary back to text, one at a time."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._extra import needs_extra

with needs_extra():
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenText:
    """A token of an encoded text, with its position in characters."""

    id: int
    text: str  # whole characters, even where it has some of their bytes only
    start: int
    stop: int


def encoded(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> list[TokenText]:
    """Return a text's tokens; half a surrogate pair counts as "?"."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    encoding = tokenizer.encode(text, add_special_tokens=add_special_tokens)
    return [
        TokenText(token, text[start:stop], start, stop)
        for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True)
    ]


def token_bytes(vocabulary: Mapping[str, int], special: Sequence[int]) -> list[bytes]:
    """Return the bytes of each token of a byte-level vocabulary, by id.

    The special tokens, given by their ids, are spelled as plain text.
    """
    byte_of = {char: byte for byte, char in enumerate(_spellings())}
    table = [b""] * (max(vocabulary.values()) + 1)
    for token, index in vocabulary.items():
        plain = index in special
        table[index] = token.encode() if plain else bytes(byte_of[each] for each in token)
    return table


class Detokenizer:
    """Turns the tokens of one answer into text, each character once it is whole.

    The texts joined are the text of all tokens. Invalid bytes become U+FFFD; a character that is
    still incomplete when the answer ends is left out.
    """

    def __init__(self, table: Sequence[bytes]) -> None:
        self._table = table
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        return self._decoder.decode(self._table[token])


def _spellings() -> list[str]:
    """Return the character that spells each byte in GPT-2's byte-level vocabularies.

    Bytes that print in Latin-1 spell themselves; the others take characters from U+0100 on.
    """
    printing = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printing else next(others)) for byte in range(256)]
