"""What a response of status 200 holds beside the answer that its protocol describes."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from .._http.error_mapping import error_from_event
from .._http.headers import public_headers
from .._http.metrics import count_tokens
from .._http.models import parse_url, public_url
from .._http.sse import SSEDecoder, is_event_stream, is_json_lines
from .._protocols.events import Delta, Failure, Usage
from .._servers.profile import GenerationApi
from ..errors import EasyLLMError, GenerationError

# Where the time of an answer went (TGI), who gave it (Inference Providers), and what their
# operators know it by.
KEPT_HEADERS = frozenset(
    {
        *("x-compute-type", "x-compute-time", "x-compute-characters", "x-total-time"),
        *("x-validation-time", "x-queue-time", "x-inference-time", "x-time-per-token"),
        *("x-prompt-tokens", "x-generated-tokens"),
        *("x-request-id", "x-inference-provider", "inference-id"),
    }
)


def events_of(body: bytes) -> list[bytes] | None:
    """Return the events of an event stream that came where a whole answer was requested."""
    if not (is_event_stream(body) or is_json_lines(body)):
        return None
    decoder = SSEDecoder()
    return [*decoder.feed(body), *decoder.close()]


def error_of(failure: Failure, url: str) -> EasyLLMError:
    """Return the error for what a server reports inside an answer."""
    if failure.finish_reason is None:
        error = error_from_event(failure.payload, url)
        error.partial = failure.text or None
        return error
    return GenerationError(
        f"{parse_url(url).authority} broke the answer off (finish reason "
        f"{failure.finish_reason!r}). Ask again; the server's log may have the reason.",
        url=public_url(url),
        body=failure.payload.decode("utf-8", "replace"),
        partial=failure.text or None,
    )


def note_model(end: Delta, model: str, api: GenerationApi) -> None:
    """Name the model of an answer whose protocol has no place for it."""
    if api is GenerationApi.GENERATE and end.model is None:
        end.model = model or None


def note_headers(
    end: Delta, headers: Mapping[str, str], api: GenerationApi, *, every: bool = False
) -> None:
    """Add to an answer what its response's headers tell; with `every`, all that are no secret."""
    found = KEPT_HEADERS & headers.keys()
    if not (found or every):
        return
    kept = public_headers(headers) if every else {name: headers[name] for name in sorted(found)}
    provider = headers.get("x-inference-provider")
    named = {"provider": provider} if provider else {}
    end.extra = {**named, **(end.extra or {}), "headers": kept}
    if api is GenerationApi.GENERATE:
        # `/generate` counts the prompt's tokens nowhere else: in its details, an encoder-decoder
        # model's prompt is the one token that the decoder begins with.
        read, written = _count(kept, "x-prompt-tokens"), _count(kept, "x-generated-tokens")
        if read is not None and written is not None:
            end.usage = Usage(read, written, read + written)


def note_timing(end: Delta, started: float, first: float | None = None) -> None:
    """Add how long an answer took from the call's begin, and to its first piece (`monotonic`)."""
    timing = {} if first is None else {"time_to_first_token": first - started}
    timing["duration"] = monotonic() - started
    end.extra = {**(end.extra or {}), "timing": timing}


def count_answer(url: str, usage: Usage | None, first_token: float | None = None) -> None:
    """Count an answer among its server's: tokens, and seconds to the first piece of a stream."""
    if usage is not None:
        count_tokens(url, usage.input_tokens, usage.output_tokens, first_token)
    elif first_token is not None:
        count_tokens(url, 0, 0, first_token)


def note_first_of(before: Delta, end: Delta) -> None:
    """Let an answer of two requests have begun with the first one's first piece."""
    first, whole = ((one.extra or {}).get("timing") for one in (before, end))
    if isinstance(first, dict) and isinstance(whole, dict) and "time_to_first_token" in first:
        whole["time_to_first_token"] = first["time_to_first_token"]


def _count(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
