"""From a server's refusal to an error: which class, the server's message, what to do next.

For HTTP responses and for errors inside a stream of status 200; `socket_errors` has exceptions of
sockets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple, cast
from urllib.parse import urljoin

from .. import errors
from ..errors import MAX_BODY, EasyLLMError
from .auth import redact
from .context_overflow import reports_overflow
from .headers import public_headers, request_id_in
from .models import URL, is_dedicated, is_hugging_face, parse_url, public_url
from .retries import RETRIED_STATUSES

_PHRASES: Mapping[int, str] = {status: status.phrase for status in HTTPStatus}

_BY_STATUS: dict[int, type[EasyLLMError]] = {
    401: errors.AuthenticationError,
    402: errors.PermissionDeniedError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    408: errors.TimeoutError,
    410: errors.NotFoundError,
    424: errors.GenerationError,
    425: errors.ServerError,
    429: errors.RateLimitError,
}

_BY_TYPE: dict[str, type[EasyLLMError]] = {
    "authentication_error": errors.AuthenticationError,
    "badrequesterror": errors.BadRequestError,
    "generation": errors.GenerationError,
    "incomplete_generation": errors.GenerationError,
    "invalid_request_error": errors.BadRequestError,
    "not_found_error": errors.NotFoundError,
    "rate_limit_error": errors.RateLimitError,
    "rate_limit_exceeded": errors.RateLimitError,
    "server_error": errors.ServerError,
    "validation": errors.BadRequestError,
}

_ADVICE: dict[type[EasyLLMError], str] = {
    errors.BadRequestError: "Change the request as the server says: it will refuse it again.",
    errors.ContextOverflowError: "Shorten the messages or ask for fewer tokens (max_tokens).",
    errors.EndpointPausedError: "Resume the endpoint on https://endpoints.huggingface.co or with "
    "huggingface_hub's get_inference_endpoint(...).resume().",
    errors.GenerationError: "The server's log has the reason.",
    errors.ModelLoadingError: "Set wait_for_model to the seconds a cold start may take, "
    "more than now if it is set.",
    errors.ModelOverloadedError: "Lower max_concurrency or raise max_retries.",
    errors.NotFoundError: "Check model and base_url.",
    errors.PermissionDeniedError: "Check that the token's permissions cover this model.",
    errors.RateLimitError: "Wait, lower max_concurrency, or raise max_retries.",
    errors.ServerError: "The fault is the server's: try again later, or see its log.",
    errors.TimeoutError: "Raise timeout, or try again later.",
}
_TOO_LARGE = "Send less at once: a shorter prompt, or smaller images."
_PAY = "Add credits or payment at https://huggingface.co/settings/billing, or set provider."
_SIGN_IN = "Check the token at https://huggingface.co/settings/tokens, or set HF_TOKEN or api_key."
# Another server has nothing to do with the Hub's tokens and bills.
_OWN_KEY = "Set api_key to a key of this server, or check the one that is set."
_OWN_BILL = "Add credits to the account of the key."
_OWN_RIGHTS = "Check that api_key is set, and that its permissions cover this model."

# 500 and 503: some servers wrap the tokenizer's own refusal, gateways one of another server.
_OVERFLOW_STATUSES = frozenset({400, 413, 422, 500, 503})
# llama.cpp calls it a failure of its own (500).
_NO_VISION = re.compile(r"\b(?:audio|image|video) input is not supported", re.IGNORECASE)
_LOADING = re.compile(r"\bloading\b|\bis starting\b|\bscaled to zero\b", re.IGNORECASE)
_OVERLOADED = re.compile(r"\boverloaded\b", re.IGNORECASE)
# TGI's OpenAI-style streams say 422 of every failure: only the message tells.
_TGI_OVERLOADED = re.compile(r"^Model is overloaded")
_TGI_FAILED = re.compile(r"^(?:Request failed during|Incomplete) generation")
_PAUSED = re.compile(r"endpoint is paused", re.IGNORECASE)


def error_from_response(
    status: int, headers: Mapping[str, str], body: bytes, url: str, *, token_absent: str = ""
) -> EasyLLMError:
    """Translate a response that is no success; the error holds no secret that is known here."""
    message = parse_error_body(body)
    address = parse_url(url)
    kind = _classify(status, message, dedicated=is_dedicated(address.host))
    phrase = _PHRASES.get(status, "(no known status)")
    advice = _advice(kind, status, address, token_absent=token_absent)
    where = headers.get("location")
    if where and 300 <= status < 400:
        with suppress(ValueError):  # it is not a valid address
            where = redact(public_url(urljoin(url, where)), LONGEST)
            advice = f"It points to {where}: use that address as base_url."
    said = "." if message.short.rstrip(".").lower() == phrase.lower() else message.quoted(body)
    request_id = request_id_in(headers)
    seconds = retry_after_seconds(headers.get("retry-after"))
    if seconds is None and issubclass(kind, errors.ModelLoadingError):
        seconds = message.estimated_time
    error = kind(
        f"{address.authority} answered {status} {phrase}{said} {advice}".strip(),
        status_code=status,
        url=redact(public_url(url)),
        request_id=redact(request_id, LONGEST) if request_id else request_id,
        body=_beginning(body),
        headers=public_headers(headers),
        retry_after=seconds,
    )
    # Whether the same request may succeed later; a used-up quota does not come back.
    exhausted = "insufficient_quota" in {message.code, message.kind}
    if error.is_retryable and (exhausted or status not in RETRIED_STATUSES | {424}):
        error.is_retryable = False
    return error


def error_from_event(payload: bytes, url: str) -> EasyLLMError:
    """Translate an error object that came inside a successful answer.

    It is `{"error": ..., "error_type": ...}`,
    `{"error": {"message": ..., "code" or "type" or "http_status_code": ...}}`, or text.
    """
    message = parse_error_body(payload)
    status = message.status
    kind = _special(status or 400, message) or _BY_TYPE.get(
        message.kind, _BY_TYPE.get(message.code)
    )
    if kind is None and status is None and message.says(_OVERLOADED):
        kind = errors.ModelOverloadedError
    if kind is None:
        kind = _classify(status, message) if status else errors.GenerationError
    address = parse_url(url)
    advice = _advice(kind, status, address)
    return kind(
        f"{address.authority} failed while answering{message.quoted(payload)} {advice}".strip(),
        status_code=status,
        url=redact(public_url(url)),
        body=_beginning(payload),
    )


def with_advice(error: EasyLLMError, advice: str) -> None:
    """Replace the advice for language models in an error made here."""
    message = error.message
    for usual in (_TOO_LARGE, _ADVICE.get(type(error), "")):
        message = message.removesuffix(usual)
    error.message = f"{message.rstrip()} {advice}"
    error.args = (error.message,)


def retry_after_seconds(value: str | None) -> float | None:
    """Read a `Retry-After` header: seconds, or an HTTP date; None if it makes no sense."""
    if not value:
        return None
    value = value[:100]
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    # nan and inf parse as numbers too
    return max(seconds, 0.0) if -_MAX_SECONDS < seconds < _MAX_SECONDS else None


def _readable(body: bytes) -> str:
    # A character has four bytes at most; a secret may go on behind the last one that is shown.
    return redact(body[: 8 * MAX_WORDS].decode("utf-8", "replace"), MAX_WORDS)


def _beginning(body: bytes) -> str:
    text = _readable(body)
    return text if len(text) <= MAX_BODY else f"{text[:MAX_BODY]}… ({len(body):,} bytes)"


def _seconds_until(date: str) -> float:
    from datetime import UTC, datetime  # noqa: PLC0415 - a rare form
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        moment = parsedate_to_datetime(date)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return (moment - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):  # a time zone may be beyond all bounds
        return float("nan")


def _classify(
    status: int, message: ServerMessage, *, dedicated: bool = False
) -> type[EasyLLMError]:
    known = _special(status, message, dedicated=dedicated) or _BY_STATUS.get(status)
    if known or status >= 500:
        return known or errors.ServerError
    return errors.BadRequestError if status >= 400 else errors.ProtocolError


def _special(
    status: int, message: ServerMessage, *, dedicated: bool = False
) -> type[EasyLLMError] | None:
    if message.says(_PAUSED):
        return errors.EndpointPausedError
    if message.kind == "overloaded" or (status in {429, 503} and message.says(_OVERLOADED)):
        return errors.ModelOverloadedError
    if status == 422 and message.says(_TGI_OVERLOADED):
        return errors.ModelOverloadedError
    if status == 422 and message.says(_TGI_FAILED):
        return errors.GenerationError
    if refused := _refused(status, message):
        return refused
    if status == 503 and (message.estimated_time is not None or message.says(_LOADING)):
        return errors.ModelLoadingError
    if status in {502, 503} and dedicated:
        return errors.ModelLoadingError
    return None


def _refused(status: int, message: ServerMessage) -> type[EasyLLMError] | None:
    """Return the class if the request is at fault, whatever the status says."""
    labels = message.kind, message.code
    if status in _OVERFLOW_STATUSES and reports_overflow(message.text, labels):
        return errors.ContextOverflowError
    if status == 500 and message.says(_NO_VISION):
        return errors.BadRequestError
    return None


def _advice(
    kind: type[EasyLLMError], status: int | None, address: URL, *, token_absent: str = ""
) -> str:
    if status in {401, 403} and token_absent:
        return token_absent
    if status == 413:
        return _TOO_LARGE
    if is_hugging_face(address):
        found = {401: _SIGN_IN, 402: _PAY}.get(status or 0)
    else:
        found = {401: _OWN_KEY, 402: _OWN_BILL, 403: _OWN_RIGHTS}.get(status or 0)
    return found or _ADVICE.get(kind, "")


LONGEST = 300
"""Characters of the server's message that an error quotes; `EasyLLMError.body` has more."""

MAX_WORDS = 16 * 1024
"""Characters of a server's message that are read: to classify an error, and to quote it."""

MAX_JSON = 1024 * 1024
"""Bytes of a body that is parsed as JSON; a longer one is read as plain text."""

_NO_JSON = object()

_MAX_ITEMS = 100
"""Messages that are read of a list of them."""

_MAX_DEPTH = 8
"""How deep messages are searched for in one another."""

_MAX_SECONDS = 1e9
"""Above it, a time that a server names makes no sense."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ServerMessage(NamedTuple):
    """What a server says about a failure."""

    text: str = ""
    kind: str = ""  # `error_type` or `type`, in lower case
    code: str = ""  # in lower case
    param: str = ""  # the part of the request that it is about, in lower case
    status: int | None = None  # an HTTP status that the body names
    estimated_time: float | None = None  # seconds until a model that is loading is ready

    @property
    def short(self) -> str:
        # A terminal would act on control characters.
        line = " ".join(_CONTROL.sub(" ", self.text).split())
        return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"

    def quoted(self, body: bytes) -> str:
        """The end of a sentence that quotes it; of a long one its beginning, and the length."""
        text = self.short
        if not text:
            return "."
        if text.endswith("…"):
            return f": {text} (an answer of {len(body):,} bytes)."
        return f": {text}" if text.endswith((".", "!", "?")) else f": {text}."

    def says(self, pattern: re.Pattern[str]) -> bool:
        return bool(pattern.search(f"{self.text} {self.kind} {self.code}"))


def parse_error_body(body: bytes) -> ServerMessage:
    """Read a failure's body: HTML, plain text, or JSON in one of the servers' shapes.

    These are `{"error": "..."}`, `{"error": {...}}`, `{"message": ...}` and `{"detail": ...}`.
    """
    value = _json(body)
    if value is _NO_JSON:
        return ServerMessage(_plain(_readable(body)))
    if not isinstance(value, Mapping):
        return ServerMessage(_words(_sentence(value)))
    inner = value.get("error")
    error: Mapping[str, object] = inner if isinstance(inner, Mapping) else {}
    return ServerMessage(
        text=_words(_text_of(value, error)),
        kind=_label(value.get("error_type") or _first(error, value, "type")),
        code=_label(_first(error, value, "code")),
        param=_label(_first(error, value, "param")),
        status=_status(_first(error, value, "http_status_code", "status_code", "code", "status")),
        estimated_time=_seconds(value.get("estimated_time")),
    )


def _json(body: bytes) -> object:
    """The value of a JSON text; `_NO_JSON` if it is none, or too long."""
    import orjson  # noqa: PLC0415 - a success never needs it here

    if len(body) > MAX_JSON:
        return _NO_JSON
    try:
        return cast("object", orjson.loads(body.decode("utf-8", "replace")))
    except orjson.JSONDecodeError:
        return _NO_JSON


def _words(text: str) -> str:
    # Once more: JSON may spell a secret in another way.
    return redact(text, MAX_WORDS)


def _text_of(value: Mapping[str, object], error: Mapping[str, object]) -> str:
    if error:
        said = _sentence(error.get("message") or error.get("detail") or dict(error))
        more = error.get("metadata")
        raw = more.get("raw") if isinstance(more, Mapping) else None
        # Some gateways say only that the provider failed, and quote it here.
        return f"{said}: {raw}" if isinstance(raw, str) else said
    for name in ("error", "message", "msg", "detail", "errors", "error_description"):
        if text := value.get(name):
            return _sentence(text)
    result = value.get("base_resp")
    if isinstance(result, Mapping) and result.get("status_msg"):
        return _sentence(result["status_msg"])
    return _sentence(dict(value)) if value else ""


def _first(error: Mapping[str, object], value: Mapping[str, object], *names: str) -> object:
    for name in names:
        for source in (error, value):
            if source.get(name) is not None:
                return source[name]
    return None


def _sentence(value: object, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        inner = value[:_MAX_ITEMS] if depth < _MAX_DEPTH else ()
        return "; ".join(_sentence(item, depth + 1) for item in inner)
    if isinstance(value, Mapping) and "msg" in value:
        # FastAPI's validation errors: where, and what is wrong there
        path = value.get("loc")
        where = ".".join(map(_shown, path[:_MAX_ITEMS])) if isinstance(path, list) else ""
        return f"{where}: {_shown(value['msg'])}" if where else _shown(value["msg"])
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        for name in ("message", "detail", "error"):
            if said := value.get(name):
                return _sentence(said, depth + 1)
    return "" if value is None else _shown(value)


def _shown(value: object) -> str:
    try:
        return str(value)
    except RecursionError:  # nested deeper than Python can write
        return "…"


_PAGE = re.compile(r"\s*<(?:!doctype|html|head|body)", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")


def _plain(text: str) -> str:
    """Plain text as it is; of a proxy's HTML page the title."""
    if not _PAGE.match(text):
        return text
    title = _TITLE.search(text)
    return title[1] if title else _TAG.sub(" ", text)


def _label(value: object) -> str:
    return str(value)[:LONGEST].lower() if isinstance(value, str | int | float) else ""


def _status(value: object) -> int | None:
    if isinstance(value, str) and len(value) == 3 and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None


def _seconds(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value < _MAX_SECONDS else None
