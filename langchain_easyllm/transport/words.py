"""What a server says about its failure, whichever way it says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Words", "read_words"]

LONGEST = 300
"""Characters of the server's words that a message quotes; `EasyLLMError.body` has more."""


class Words(NamedTuple):
    """A server's account of a failure.

    Args:
        text: Its words.
        kind: Its name for the kind of failure, in lower case (`error_type`, `type`).
        code: Its code, in lower case.
        status: An HTTP status that the body names.
        estimated_time: Seconds until a loading model is expected to be ready.
    """

    text: str = ""
    kind: str = ""
    code: str = ""
    status: int | None = None
    estimated_time: float | None = None

    @property
    def short(self) -> str:
        """The words in one line of bounded length."""
        line = " ".join(self.text.split())
        return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def read_words(body: str) -> Words:
    """Read a failure's body.

    Args:
        body: JSON in one of the servers' shapes (`{"error": "..."}`, `{"error": {...}}`,
            `{"message": ...}`, `{"detail": ...}`), HTML, or plain text.
    """
    import orjson  # noqa: PLC0415 - a success never needs it here

    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Words(_plain(body))
    if not isinstance(value, Mapping):
        return Words(_sentence(value))
    inner = value.get("error")
    error: Mapping[str, object] = inner if isinstance(inner, Mapping) else {}
    code = _first(error, value, "code")
    return Words(
        text=_text_of(value, error),
        kind=str(value.get("error_type") or _first(error, value, "type") or "").lower(),
        code=str(code or "").lower(),
        status=_status(_first(error, value, "http_status_code", "status_code", "code", "status")),
        estimated_time=_seconds(value.get("estimated_time")),
    )


def _text_of(value: Mapping[str, object], error: Mapping[str, object]) -> str:
    if error:
        return _sentence(error.get("message") or error.get("detail") or dict(error))
    for name in ("error", "message", "detail", "errors", "error_description"):
        if said := value.get(name):
            return _sentence(said)
    return _sentence(dict(value)) if value else ""


def _first(error: Mapping[str, object], value: Mapping[str, object], *names: str) -> object:
    for name in names:
        for place in (error, value):
            if place.get(name) is not None:
                return place[name]
    return None


def _sentence(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(_sentence(item) for item in value)
    if isinstance(value, Mapping) and "msg" in value:
        # FastAPI's validation errors: where, and what is wrong there
        place = value.get("loc")
        where = ".".join(str(part) for part in place) if isinstance(place, list) else ""
        return f"{where}: {value['msg']}" if where else str(value["msg"])
    if isinstance(value, Mapping) and isinstance(value.get("message"), str):
        return str(value["message"])
    return "" if value is None else str(value)


def _plain(text: str) -> str:
    """Plain text as it is; of a proxy's HTML page the title."""
    if not re.match(r"\s*<(?:!doctype|html|head|body)", text, re.IGNORECASE):
        return text
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return title[1] if title else re.sub(r"<[^>]*>", " ", text)


def _status(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
