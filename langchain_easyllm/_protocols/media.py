"""Images, sounds and films in an answer, in the shapes in which servers send them.

OpenAI's answers have `audio` beside the content (`id`, `data`, `transcript`; streamed in pieces),
gateways `images` (parts of type `image_url`), and models that answer in several kinds of content
put such parts into the content itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from contextlib import suppress

from .events import Media

_Json = Mapping[str, object]
_KINDS = {"image_url": "image", "audio_url": "audio", "video_url": "video"}


def media_parts(message: _Json) -> tuple[_Json, ...]:
    """Return the parts of a message, or of a piece of one, that hold media."""
    content, images, audio = message.get("content"), message.get("images"), message.get("audio")
    if not (images or audio or isinstance(content, list)):
        return ()
    listed = [*_items(content), *_items(images)]
    found = [part for part in listed if part.get("type") in _KINDS]
    if isinstance(audio, Mapping):
        found.append({"type": "audio", "audio": audio})
    return tuple(found)


def _items(value: object) -> Iterable[_Json]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else ()


class MediaReader:
    """Numbers an answer's media, and puts together what is streamed in pieces."""

    def __init__(self) -> None:
        self._count = 0
        self._sound: _Sound | None = None

    def feed(self, parts: Iterable[_Json]) -> tuple[Media, ...]:
        """Take parts; return the media that are whole."""
        found = []
        for part in parts:
            audio = part.get("audio")
            if isinstance(audio, Mapping):
                self._sound = self._sound or _Sound()
                self._sound.feed(audio)
            elif (media := _by_url(part, self._count)) is not None:
                self._count += 1
                found.append(media)
        return tuple(found)

    def close(self) -> tuple[Media, ...]:
        """Return what is whole only now that nothing more comes."""
        sound, self._sound = self._sound, None
        media = sound.close(self._count) if sound else None
        return (media,) if media else ()


def _by_url(part: _Json, number: int) -> Media | None:
    name = str(part["type"])
    inner = part.get(name)
    url = inner.get("url") if isinstance(inner, Mapping) else inner
    if not isinstance(url, str) or not url:
        return None
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime = head[len("data:") : -len(";base64")] or None
        return Media(_KINDS[name], number, base64=data, mime_type=mime)
    return Media(_KINDS[name], number, url=url)


class _Sound:
    def __init__(self) -> None:
        self._data = bytearray()
        self._transcript = ""
        self._named: dict[str, str] = {}

    def feed(self, audio: _Json) -> None:
        # Each piece is base64 of its own: put together they would not be.
        with suppress(binascii.Error, ValueError):
            self._data += base64.b64decode(_text(audio, "data"))
        self._transcript += _text(audio, "transcript")
        for key in ("id", "format"):
            if value := _text(audio, key):
                self._named[key] = value

    def close(self, number: int) -> Media | None:
        if not (self._data or self._transcript):
            return None
        kind = self._named.get("format")
        return Media(
            "audio",
            number,
            base64=base64.b64encode(self._data).decode("ascii") if self._data else None,
            mime_type=f"audio/{kind}" if kind else None,
            id=self._named.get("id"),
            transcript=self._transcript or None,
        )


def _text(value: _Json, key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
