"""LangChain's content blocks as the parts of a chat message that OpenAI-style servers take.

`image_url`, `input_audio` and `file` are OpenAI's, `audio_url` and `video_url` vLLM's and SGLang's.
A block that another provider added to an earlier answer says nothing to this model and is left out;
one that a caller wrote and that cannot be sent is an error.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..errors import ConfigurationError
from ..prompts.content import (
    BlockError,
    block_type,
    has_text,
    nearest_type,
    prompt_text,
    text_of_block,
)

Part: TypeAlias = dict[str, object]
Block: TypeAlias = Mapping[str, Any]

# Parts of the protocol itself: each holds its data under the key of its type.
_PARTS = frozenset({"image_url", "input_audio", "audio_url", "video_url", "video", "file"})
# Blocks that only an answer has: reasoning goes back by a field of its own, calls by tool_calls.
_OF_ANSWERS = frozenset(
    {
        *("reasoning", "thinking", "redacted_thinking"),
        *("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call"),
        *("server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use"),
        *("citation", "non_standard", "refusal"),
    }
)
_WRITE = "use text, text-plain, image, audio, video or file blocks."

# The first bytes of files whose type they tell with certainty.
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
}
_AUDIO_FORMATS = {
    **dict.fromkeys(("wav", "wave", "vnd.wave"), "wav"),
    **dict.fromkeys(("mpeg", "mpeg3", "mp3", "mpg"), "mp3"),
}


def to_part(block: str | Block, index: int, *, of_answer: bool) -> Part | None:
    """Convert a block of message `index`; None for one that says nothing to this model.

    Raises:
        ConfigurationError: If it is not a block of an answer and cannot be sent.
    """
    if isinstance(block, str):
        return {"type": "text", "text": block}
    try:
        return _part(block, of_answer=of_answer)
    except BlockError as problem:
        if of_answer and isinstance(block.get("type"), str):
            return None
        kind = block_type(block)
        raise ConfigurationError(
            f"Message {index} holds a block of type {kind!r:.50} that {problem}"
        ) from None


def to_text(block: str | Block, index: int, *, of_answer: bool) -> str:
    """Convert a block for a text api; one that says nothing to this model is an empty text.

    Raises:
        ConfigurationError: If it is not text, and would be lost.
    """
    if isinstance(block, str):
        return block
    problem = ", and an LLM takes text only: use EasyLLMChat with api='chat'."
    try:
        text = prompt_text(block, of_answer=of_answer)
    except BlockError as error:
        text, problem = None, f" that {error}"
    if text is None:
        kind = block_type(block)
        near = nearest_type(kind)
        if near and near.startswith("text"):
            problem = f" that is not known: did you mean {near!r}?"
        raise ConfigurationError(f"Message {index} holds a block of type {kind!r:.50}{problem}")
    return text


def _part(block: Block, *, of_answer: bool) -> Part | None:
    kind = block_type(block)
    if has_text(block):
        return {"type": "text", "text": text_of_block(block)}
    if of_answer and (part := _said(kind, block)):
        return part
    if kind in _PARTS and kind in block:
        return _as_it_is(kind, block)
    convert = _MEDIA.get(kind or "")
    if convert is None:
        raise BlockError(_unknown(kind))
    return convert(_standard(block))


def _said(kind: str | None, block: Block) -> Part | None:
    """Return what an answer said in other words than text: why it refused, or by voice."""
    if kind == "non_standard" and isinstance(inner := block.get("value"), Mapping):
        kind, block = block_type(inner), inner  # how streams of version v3 hold a refusal
    if kind == "refusal" and isinstance(block.get("refusal"), str):
        return {"type": "refusal", "refusal": block["refusal"]}
    extras = block.get("extras")
    transcript = extras.get("transcript") if isinstance(extras, Mapping) else None
    spoken = kind == "audio" and isinstance(transcript, str)
    return {"type": "text", "text": transcript} if spoken else None


def _unknown(kind: str | None) -> str:
    if kind in _OF_ANSWERS:
        return f"only an AIMessage can hold: {_WRITE}"
    near = nearest_type(kind)
    return f"is not known: did you mean {near!r}?" if near else f"is not known: {_WRITE}"


def _as_it_is(kind: str, block: Block) -> Part:
    inner = block[kind]
    if kind.endswith("_url"):
        url = inner.get("url") if isinstance(inner, Mapping) else inner
        if not isinstance(url, str) or not url:
            raise BlockError("has no address: give it as {'url': ...}.")
        return dict(block) if isinstance(inner, Mapping) else {"type": kind, kind: {"url": url}}
    if kind != "video" and not isinstance(inner, Mapping):
        raise BlockError(f"has no data: give a dict under {kind!r}.")
    return dict(block)


def _standard(block: Block) -> Block:
    """Return a media block with its data under `url`, `base64` or `file_id`.

    Blocks of langchain-core before version 1 have a `source_type`, those of Anthropic a `source`.
    """
    source = block.get("source")
    if isinstance(source, Mapping):
        named = {"base64": source.get("data"), "mime_type": source.get("media_type")}
        return {**block, **source, **named, "type": block["type"]}
    older = {"base64": "data", "id": "id"}.get(str(block.get("source_type")))
    if older is not None:
        return {**block, ("file_id" if older == "id" else "base64"): block.get(older)}
    return block


def _text(block: Block, key: str) -> str:
    value = block.get(key)
    return value if isinstance(value, str) else ""


def _data_url(block: Block) -> str:
    """Return the URL of a block's data, or an empty string where it has none."""
    url, data = _text(block, "url"), _text(block, "base64")
    if url or not data or data.startswith("data:"):
        return url or data
    return f"data:{_mime_type(block)};base64,{data}"


def _mime_type(block: Block) -> str:
    given = _text(block, "mime_type") or _sniffed(_text(block, "base64"))
    if not given:
        raise BlockError("has no mime_type, and its data do not tell: give it one.")
    return given


def _sniffed(data: str) -> str:
    try:
        head = base64.b64decode(data[:32])
    except (binascii.Error, ValueError):
        return ""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def _url_part(kind: str, block: Block, **more: object) -> Part:
    url = _data_url(block)
    if not url and _text(block, "file_id"):
        raise BlockError(
            "names a file by its id in a provider's store: give its url, or its data as base64."
        )
    if not url:
        raise BlockError("has no data: give it a url, or base64 and mime_type.")
    return {"type": kind, kind: {"url": url, **more}}


def _image(block: Block) -> Part:
    extras = block.get("extras")
    detail = block.get("detail") or (extras.get("detail") if isinstance(extras, Mapping) else None)
    return _url_part("image_url", block, **({"detail": detail} if detail else {}))


def _audio(block: Block) -> Part:
    data = _text(block, "base64")
    if not data or data.startswith("data:") or _text(block, "url"):
        return _url_part("audio_url", block)
    subtype = _mime_type(block).partition(";")[0].rpartition("/")[2].lower().removeprefix("x-")
    known = _AUDIO_FORMATS.get(subtype, subtype)
    return {"type": "input_audio", "input_audio": {"data": data, "format": known}}


def _video(block: Block) -> Part:
    return _url_part("video_url", block)


def _file(block: Block) -> Part:
    """Convert a file: one whose type has a part of its own becomes that part."""
    url, data = _text(block, "url"), _text(block, "base64")
    declared = _text(block, "mime_type") or _sniffed(data)
    convert = _MEDIA.get(declared.partition("/")[0])
    if convert is not None and (url or data):
        return convert(block)
    named = _text(block, "file_id")
    if named and not (url or data):
        return {"type": "file", "file": {"file_id": named}}
    if url and not url.startswith("data:"):
        raise BlockError(
            "gives its address, and servers fetch no files: give its data as base64, or its text."
        )
    if not (url or data):
        raise BlockError("has no data: give it base64 and mime_type, or a file_id.")
    file = {"file_data": _data_url(block), "filename": _filename(block, declared)}
    return {"type": "file", "file": file}


def _filename(block: Block, mime_type: str) -> str:
    """Return a file's name: servers require one."""
    for holder in (block, block.get("extras"), block.get("metadata")):
        name = holder.get("filename") or holder.get("name") if isinstance(holder, Mapping) else None
        if isinstance(name, str) and name:
            return name
    return f"file{mimetypes.guess_extension(mime_type) or ''}"


_MEDIA: Mapping[str, Callable[[Block], Part]] = {
    "image": _image,
    "audio": _audio,
    "video": _video,
    "file": _file,
    "document": _file,
}
