"""The content blocks of messages as text."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from .._nearest import nearest

_MEDIA = frozenset(
    {"image", "image_url", "audio", "audio_url", "input_audio", "video", "video_url"}
)
MEDIA = _MEDIA | {"file"}
"""Types of blocks that hold something else than text."""

# `input_text` and `output_text` are those of OpenAI's Responses API.
_TEXT = frozenset({"text", "input_text", "output_text"})
_DATA = ("base64", "url", "file_id", "source", "source_type")  # where such a block has its data
# That of a file has no address: to a model it is text.
_FILE_DATA = ("base64", "file_id")


def block_type(block: Mapping[str, object]) -> str | None:
    """Return a block's type; one that is no text at all as it is written."""
    kind = block.get("type")
    return kind if kind is None or isinstance(kind, str) else repr(kind)


_KNOWN = ("text", "text-plain", "image", "image_url", "audio", "input_audio", "video", "file")
# What other APIs call the same.
_ALSO_CALLED = {
    "document": "file",
    "input_file": "file",
    "input_image": "image",
    "media": "image",
    "text_plain": "text-plain",
}


def nearest_type(kind: str | None) -> str | None:
    """Return the type of block that an unknown one probably means; None for a known one."""
    if kind is None or kind in _KNOWN:
        return None
    near = nearest(kind, _KNOWN)
    return _ALSO_CALLED.get(kind) or next(iter(near), None)


class BlockError(ValueError):
    """Why a block cannot be sent and what to do, as the rest of a sentence about the block."""


def has_text(block: Mapping[str, object]) -> bool:
    """Return whether a block is text, in any of the forms that langchain-core has for it."""
    kind = block_type(block)
    if (
        kind == "text-plain"
        or kind in _TEXT
        or (kind is None and isinstance(block.get("text"), str))
    ):
        return True
    if kind not in ("file", "document"):
        return False
    source = block.get("source")
    if isinstance(source, Mapping):
        return source.get("type") == "text"
    if block.get("source_type") == "text":
        return True
    here = _has(block, ("text", "base64", "data")) or str(block.get("url")).startswith("data:")
    return here and str(block.get("mime_type") or _type_in_url(block)).startswith("text/")


def _type_in_url(block: Mapping[str, object]) -> str:
    return str(block.get("url")).removeprefix("data:")


def prompt_text(block: Mapping[str, object], *, of_answer: bool) -> str | None:
    """Return what a prompt says of a block, or None where that would lose something.

    Of an answer, only text is said: what its provider added says nothing to another model.

    Raises:
        BlockError: As `text_of_block`.
    """
    if has_text(block):
        return text_of_block(block)
    kind = block.get("type")
    if not of_answer or not isinstance(kind, str) or kind in MEDIA:
        return None
    return str(block.get("refusal") or "") if kind == "refusal" else ""


def text_of_block(block: Mapping[str, object]) -> str:
    """Return the text of a block for which `has_text`, with the title and context of a document.

    Raises:
        BlockError: If its text is somewhere else, or is not UTF-8.
    """
    parts = [block.get("title"), block.get("context"), _text_in(block)]
    return "\n".join([part for part in parts if part and isinstance(part, str)])


def _text_in(block: Mapping[str, object]) -> str:
    source = block.get("source")  # Anthropic's, of a document that is plain text
    text = source.get("data") if isinstance(source, Mapping) else block.get("text")
    if isinstance(text, str):
        return text
    url, data = block.get("url"), block.get("base64") or block.get("data")
    if isinstance(url, str) and url.startswith("data:"):
        head, _, data = url.partition(",")
        if not head.endswith(";base64"):
            return _decoded(unquote_to_bytes(data))
    if isinstance(data, str):
        try:
            return _decoded(base64.b64decode(data))
        except ValueError:
            raise BlockError("is not base64 of UTF-8 text: give its text.") from None
    if _has(block, ("url", "file_id", "source_type")):
        raise BlockError("gives no text but where it is: read it, and give its text.")
    if text is not None:
        raise BlockError("has a text that is not a string: write it as one.")
    if block_type(block) == "text-plain":
        raise BlockError("has no text: give it one.")
    return ""


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BlockError("is not UTF-8 text: give its text.") from None


def join_texts(texts: Iterable[str]) -> str:
    """Join texts that stand apart, with a line break unless there is white space already."""
    joined: list[str] = []
    for text in filter(None, texts):
        if joined and not (joined[-1][-1].isspace() or text[0].isspace()):
            joined.append("\n")
        joined.append(text)
    return "".join(joined)


def join_answer(texts: Iterable[str], blocks: Iterable[object]) -> str:
    """Join the texts of an answer's blocks: pieces of it go on, and documents stand apart."""
    pieces, before = [""], False
    for text, block in zip(texts, blocks, strict=True):
        kind = block.get("type") if isinstance(block, Mapping) else None
        apart = kind in ("text-plain", "file", "document")
        if text and (apart or before):
            pieces.append("")
        pieces[-1] += text
        before = apart if text else before
    return join_texts(pieces)


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
