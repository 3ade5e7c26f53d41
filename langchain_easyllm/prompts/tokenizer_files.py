"""What a model's tokenizer puts before a text, by the files that transformers writes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

from ..errors import PromptError

# The file may have many megabytes of vocabulary, which comes after this key.
_POST_PROCESSOR = re.compile(r'"post_processor"\s*:\s*')
_DEPTH = 8  # how deep post-processors are looked for in one another


def adds_bos(
    bos: str, config: Mapping[str, object], read: Callable[[str], str | None]
) -> bool | None:
    """Return whether a tokenizer adds its BOS to a text; None if the files do not say it.

    Args:
        bos: The token.
        config: The content of `tokenizer_config.json`, whose setting replaces the post-processor.
        read: Returns the text of a file, or None if there is none.
    """
    setting = config.get("add_bos_token")
    if isinstance(setting, bool):
        return setting
    try:
        text = read("tokenizer.json")
    except PromptError:  # it decides about one token only
        return None
    found = _POST_PROCESSOR.search(text) if text else None
    if text is None or found is None:
        return None
    try:
        processor, _ = json.JSONDecoder().raw_decode(text, found.end())
    except (ValueError, RecursionError):
        return None
    return bos in _tokens_before(processor)


def _tokens_before(processor: object, depth: int = 0) -> Iterator[object]:
    """Yield the tokens that a post-processor puts before a single text."""
    if not isinstance(processor, Mapping) or depth > _DEPTH:
        return
    inner = processor.get("processors")
    for one in inner if isinstance(inner, list) else ():
        yield from _tokens_before(one, depth + 1)
    first = processor.get("cls")  # of the two processors that are made for one kind of model
    if isinstance(first, list) and first:
        yield first[0]
    single = processor.get("single")
    for piece in single if isinstance(single, list) else ():
        token = piece.get("SpecialToken") if isinstance(piece, Mapping) else None
        if not isinstance(token, Mapping):
            return
        yield token.get("id")
