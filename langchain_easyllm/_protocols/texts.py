"""Texts on their way into a request: checked first, then JSON one by one.

A batch's size in bytes has to be known before it is sent, so each text is encoded once and bodies
are put together from the pieces.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import UnionType

import orjson

from ..errors import ConfigurationError

__all__ = ["beginning", "body_parts", "check_several", "check_text", "check_texts", "to_json"]


to_json = orjson.dumps
"""Encode one checked text."""

SHOWN = 40
"""Characters of a text that an error quotes."""


def check_texts(texts: Sequence[object], what: str = "Text", first: int = 0) -> list[str]:
    """Return texts as a list once all of them can be sent.

    Args:
        texts: What the caller gave.
        what: What an error calls one of them.
        first: The index of the first.

    Raises:
        ConfigurationError: For an empty text, one that is no string, or half a surrogate pair.
    """
    check_several(texts)
    checked: list[str] = []
    for index, text in enumerate(texts, first):
        if type(text) is str and text and text.isascii():  # nearly all, at nearly no cost
            checked.append(text)
        else:
            checked.append(check_text(text, f"{what} {index}"))
    return checked


def check_several(
    given: object,
    kinds: type | UnionType = Iterable,
    what: str = "text",
    one: type | UnionType = str | bytes,
) -> None:
    """Refuse a single text, or document, where several are wanted.

    Args:
        given: What the caller gave.
        kinds: What may hold several.
        what: What an error calls a single one.
        one: What can be iterated over and is a single one all the same.

    Raises:
        ConfigurationError: If it is a single one, or of none of these kinds.
    """
    if isinstance(given, one) or not isinstance(given, kinds):
        raise ConfigurationError(
            f"A list of {what}s is wanted, not one {type(given).__name__}: write [{what}]."
        )


def check_text(text: object, name: str) -> str:
    """Return a text once it can be sent.

    Args:
        text: What the caller gave.
        name: What an error calls it.

    Raises:
        ConfigurationError: If it is empty, no string, or holds half a surrogate pair.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"{name} is no string but {type(text).__name__}: pass a str.")
    if not text:
        raise ConfigurationError(
            f"{name} is empty, which has no meaning to a model, and servers refuse it: give it "
            "words or leave it out."
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{name} holds half a surrogate pair at character {error.start}: remove it by "
            "text.encode('utf-8', 'replace').decode()."
        ) from error
    return str(text)


def beginning(text: str) -> str:
    """Return how a text begins, for an error."""
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


def body_parts(key: str, rest: Mapping[str, object]) -> tuple[bytes, bytes]:
    """Return what comes before and after the texts in a JSON body.

    Args:
        key: The name of the list of texts.
        rest: All other keys of the body.

    Raises:
        ConfigurationError: If the rest names the texts again, or cannot be written as JSON.
    """
    if key in rest:
        raise ConfigurationError(f"model_kwargs has {key!r}, which holds the texts: leave it out.")
    try:
        tail = orjson.dumps(rest, option=orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The request cannot be written as JSON ({error}): model_kwargs may hold plain values, "
            "lists and dicts only."
        ) from error
    comma = b"," if rest else b""
    return b'{"' + key.encode() + b'":[', b"]" + comma + tail[1:]
