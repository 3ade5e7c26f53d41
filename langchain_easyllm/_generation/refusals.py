"""What a call does when a server refuses a key that the caller did not give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import orjson

from .._http.context_overflow import own_words
from .._http.error_mapping import parse_error_body
from .._http.models import RetryPolicy
from .._servers.profile import GenerationApi
from .._servers.session import ServerSession
from ..errors import BadRequestError, ContextOverflowError, EasyLLMError, GenerationError
from .optional_keys import (
    DETAILS,
    MAX_COMPLETION_TOKENS,
    MAX_TOKENS,
    PARALLEL_CALLS,
    STREAM_OPTIONS,
)
from .prepare import PreparedRequest
from .request import GenerationRequest


class RefusedKeys:
    """The optional keys that the server refuses, as one call finds them out.

    Any words will do that name a key: the request is sent without it once. If it is refused all the
    same, the key was not the reason, and later calls send it again.
    """

    __slots__ = ("_failed", "_found", "_request", "_session")

    def __init__(self, request: GenerationRequest, session: ServerSession) -> None:
        self._request = request
        self._session = session
        self._found: dict[tuple[str, GenerationApi], frozenset[str]] | None = None
        self._failed = False

    def learn(self, prepared: PreparedRequest, error: EasyLLMError, policy: RetryPolicy) -> bool:
        """Whether the request is to be prepared anew, without the keys that an error names."""
        if self._failed or not _is_refusal(error):
            return False
        keys = _refused(prepared, self._request, error)
        if not keys:
            return False
        policy.call_budget().replace(error)
        named = prepared.model, prepared.protocol_request.api
        known = self._session.capabilities.refused_keys
        known[named] = known.get(named, frozenset()) | keys
        self._found = self._found or {}
        self._found[named] = self._found.get(named, frozenset()) | keys
        return True

    def forget(self, error: EasyLLMError) -> None:
        """Forget what the call has found if it fails for another reason."""
        self._failed = True
        if not self._found or not _is_refusal(error):
            return
        known = self._session.capabilities.refused_keys
        for named, keys in self._found.items():
            known[named] = known.get(named, frozenset()) - keys


def _is_refusal(error: EasyLLMError) -> bool:
    # What is reported inside an answer may not say what kind of failure it is.
    refused = isinstance(error, BadRequestError | GenerationError)
    return refused and error.status_code in {None, 400, 422}


def _refused(
    prepared: PreparedRequest, request: GenerationRequest, error: EasyLLMError
) -> frozenset[str]:
    """Return the keys that an error names, of those that were sent and are not the caller's."""
    if isinstance(error, ContextOverflowError):
        return frozenset()
    message = parse_error_body((error.body or error.message).encode())
    text = f"{own_words(message.text)} {message.param!r}"
    keys = {key for key in _optional(prepared, request) if _names(text, key)}
    if not _names(text, MAX_COMPLETION_TOKENS):
        keys.discard(MAX_TOKENS)  # there is no other way to send it
    return frozenset(keys & _sent(prepared)) if keys else frozenset()


def _optional(prepared: PreparedRequest, request: GenerationRequest) -> frozenset[str]:
    """Return the keys that the request may have and that the caller did not give."""
    sent = prepared.protocol_request
    fields = prepared.fields
    keys = {fields[name] for name in request.defaults.keys() - request.params if name in fields}
    if sent.api is GenerationApi.GENERATE:
        keys.add(DETAILS)
    else:
        keys |= {STREAM_OPTIONS, MAX_TOKENS}
    if prepared.method == "function_calling":
        keys.add(PARALLEL_CALLS)
    return frozenset(keys - _with_inner(request.extra))


def _sent(prepared: PreparedRequest) -> frozenset[str]:
    body: object = orjson.loads(prepared.request.body or b"{}")
    return _with_inner(cast("Mapping[str, object]", body))


def _with_inner(body: Mapping[str, object]) -> frozenset[str]:
    """Return the keys of a body, those of TGI's parameters among them."""
    parameters = body.get("parameters")
    inner = parameters.keys() if isinstance(parameters, Mapping) else ()
    return frozenset({*body, *inner})


def _names(text: str, key: str) -> bool:
    # One of them is a word of the language: it has to stand as a key.
    before, after = (r"['\"`.]", r"['\"`.:\]]") if key == DETAILS else (r"(?<!\w)", r"(?!\w)")
    return re.search(f"{before}{re.escape(key)}{after}", text) is not None
