"""Texts on their way into a request: checked first, then JSON one by one.

A batch's size in bytes has to be known before it is sent, so each text is encoded once and bodies
are put together from the parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType

import orjson

from .._servers.profile import CLIENT_SIDE
from ..errors import ConfigurationError, EasyLLMError

to_json = orjson.dumps
"""Encode one checked text."""

Pair = tuple[str, str]
"""Two texts that are scored against each other."""

SHOWN = 40
"""Characters of a text that an error quotes."""


def check_texts(
    texts: Sequence[object],
    what: str = "Text",
    first: int = 0,
    errors: dict[int, EasyLLMError] | None = None,
) -> list[str]:
    """Return texts that can be sent; with `errors`, others are empty, and their errors put there.

    Its keys are positions in `texts`; `first` is the position of the first one for the caller.
    """
    check_several(texts)
    checked: list[str] = []
    for position, text in enumerate(texts):
        if type(text) is str and text and text.isascii():  # nearly all, at nearly no cost
            checked.append(text)
            continue
        try:
            checked.append(check_text(text, f"{what} {first + position}"))
        except ConfigurationError as error:
            error.index = first + position
            if errors is None:
                raise
            errors[position] = error
            checked.append("")
    return checked


def check_several(
    given: object,
    kinds: type | UnionType = Iterable,
    what: str = "text",
    one: type | UnionType = str | bytes,
) -> None:
    """Refuse a single text, or document, where several are wanted."""
    if isinstance(given, one) or not isinstance(given, kinds):
        raise ConfigurationError(
            f"A list of {what}s is wanted, not one {type(given).__name__}: write [{what}]."
        )


def check_text(text: object, name: str) -> str:
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


def beginning(text: str | Pair) -> str:
    """Return how a text, or each of two, begins, for an error."""
    if isinstance(text, tuple):
        return " and ".join(map(beginning, text))
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


@dataclass(slots=True)
class BatchBody:
    """A JSON body that is put around the texts of each batch."""

    _head: bytes = field(init=False, repr=False)
    _tail: bytes = field(init=False, repr=False)

    @property
    def overhead(self) -> int:
        """Bytes of a body without any text."""
        return len(self._head) + len(self._tail)

    def body(self, texts: bytes) -> bytes:
        """Return the body for one batch of texts, already JSON, with commas between them."""
        return self._head + texts + self._tail


# Values that change nothing: they need no name on the server.
_OFF: Mapping[str, tuple[object, ...]] = {
    "truncate": (False,),
    "truncation_direction": ("right",),
    "raw_scores": (False,),
}


def translate_fields(
    params: Mapping[str, object], table: Mapping[str, str]
) -> tuple[dict[str, object], str | None]:
    """Return neutral fields under a server's names, and the first that it cannot express."""
    out: dict[str, object] = {}
    for name, value in params.items():
        key = table.get(name)
        if value is None or (key == CLIENT_SIDE and value is True):
            continue
        if key is None or key == CLIENT_SIDE:
            if value not in _OFF.get(name, ()):
                return out, name
        elif key == "truncate_prompt_tokens":
            out.update({key: -1} if value else {})  # vLLM: to as many tokens as the model takes
        elif key == "use_activation":
            # vLLM; before version 0.12 by the other name. It ignores a key that it does not know.
            out.update({key: not value, "activation": not value})
        else:
            out[key] = str(value).capitalize() if key == "truncation_direction" else value
    return out, None


def body_parts(key: str, rest: Mapping[str, object]) -> tuple[bytes, bytes]:
    """Return what comes before and after the texts in a JSON body."""
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


def check_pairs(given: Sequence[object]) -> list[Pair]:
    """Return pairs of texts, once all of them can be sent."""
    check_several(given, what="pair")
    checked: list[Pair] = []
    for index, pair in enumerate(given):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ConfigurationError(
                f"Pair {index} is {pair!r:.50}, no pair: write (query, document)."
            )
        first, second = pair
        checked.append(
            (
                check_text(first, f"The first text of pair {index}"),
                check_text(second, f"The second text of pair {index}"),
            )
        )
    return checked


def prepare_texts(
    texts: Sequence[str],
    prompt: str,
    first: int = 0,
    errors: dict[int, EasyLLMError] | None = None,
) -> list[str]:
    """Return documents as they are sent, once all of them can be; see `check_texts`."""
    checked = check_texts(texts, first=first, errors=errors)
    if not prompt:
        return checked
    check_text(prompt, "document_prompt")
    return [prompt + text for text in checked]


_USAGE = re.compile(rb'"usage"\s*:\s*\{[^{}]*?"(?:prompt|total)_tokens"\s*:\s*(\d{1,15})\b')
_ENDS = 1000
"""Bytes at either end of a body in which a usage is looked for: between them are the results."""


def read_tokens(headers: Mapping[str, str], body: bytes) -> int | None:
    """Return how many tokens the texts of a request had, if the server says so.

    TEI says it in a header, OpenAI's protocol in `usage` (its API reference, "Create embeddings").
    """
    header = headers.get("x-compute-tokens", "")
    if header.isascii() and header.isdecimal() and len(header) < 16:
        return int(header)
    found = _USAGE.search(body[-_ENDS:]) or _USAGE.search(body[:_ENDS])
    return (int(found[1]) or None) if found else None
