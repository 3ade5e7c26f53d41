"""The content blocks of messages as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

_MEDIA = frozenset(
    {"image", "image_url", "audio", "audio_url", "input_audio", "video", "video_url"}
)
_DATA = ("base64", "url", "file_id", "source", "source_type")  # where such a block has its data
# That of a file has no address: to a model it is text.
_FILE_DATA = ("base64", "file_id")


def block_type(block: Mapping[str, object]) -> str | None:
    """Return a block's type; one that is no text at all as it is written."""
    kind = block.get("type")
    return kind if kind is None or isinstance(kind, str) else repr(kind)


def join_texts(texts: Iterable[str]) -> str:
    """Join texts that stand apart, with a line break unless there is white space already."""
    joined: list[str] = []
    for text in filter(None, texts):
        if joined and not (joined[-1][-1].isspace() or text[0].isspace()):
            joined.append("\n")
        joined.append(text)
    return "".join(joined)


def result_content(content: object) -> object:
    """Return a tool's result as text blocks and media.

    A list of strings is the JSON that the tool returned, and so is a dict with a `type` of the
    tool's own.
    """
    if not isinstance(content, list):
        return content
    if all(isinstance(block, str) for block in content):
        return dump_block(content)
    return [block if _is_block(block) else dump_block(block) for block in content]


def _is_block(block: object) -> bool:
    if not isinstance(block, Mapping):
        return isinstance(block, str)
    kind = block_type(block)
    if kind == "text":
        return isinstance(block.get("text"), str)
    if kind == "file":
        embedded = block.get("source_type") in ("base64", "id", "text")
        return embedded or isinstance(block.get("file"), Mapping) or _has(block, _FILE_DATA)
    return kind in _MEDIA and (kind in block or _has(block, _DATA))


def _has(block: Mapping[str, object], keys: Iterable[str]) -> bool:
    return any(key in block for key in keys)


def dump_block(value: object) -> str:
    """Write a block, or a list of texts, as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)
