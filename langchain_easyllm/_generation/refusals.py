"""What a call does when a server refuses a key that the caller did not give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import orjson

from .._http.context_overflow import own_words
from .._http.error_mapping import parse_error_body
from .._http.models import RetryPolicy
from .._protocols.openai import SHORTEST
from .._servers.profile import GenerationApi
from .._servers.session import ServerSession
from ..errors import BadRequestError, ContextOverflowError, EasyLLMError, GenerationError
from .optional_keys import (
    DEFAULT_LIMIT,
    DETAILS,
    MAX_COMPLETION_TOKENS,
    MAX_NEW_TOKENS,
    MAX_TOKENS,
    PARALLEL_CALLS,
    STREAM_OPTIONS,
)
from .prepare import PreparedRequest
from .request import GenerationRequest


class RefusedKeys:
    """What the server refuses of what the caller did not ask for, as one call finds it out.

    Any words will do that name a key: the request is sent without it once. Later calls leave it out
    when an answer has come without it; if the request is refused all the same, the key was not the
    reason.
    """

    __slots__ = ("_known", "_session", "request")

    def __init__(self, request: GenerationRequest, session: ServerSession) -> None:
        self.request = request  # as it is to be prepared
        self._session = session
        self._known: dict[tuple[str, GenerationApi], set[str]] | None = None

    def learn(self, prepared: PreparedRequest, error: EasyLLMError, policy: RetryPolicy) -> bool:
        """Whether the request is to be prepared anew, without the keys that an error names."""
        if not _is_refusal(error):
            return False
        named = prepared.model, prepared.protocol_request.api
        found = self.request.left_out.get(named, frozenset())
        keys = _refused(prepared, self.request, error) - found
        if not keys:
            return False
        policy.call_budget().replace(error)
        left_out = {**self.request.left_out, named: found | keys}
        self.request = replace(self.request, left_out=left_out)
        self._known = self._session.capabilities.refused_keys  # another server's are others
        return True

    def remember(self, prepared: PreparedRequest) -> None:
        """Let later calls know what an answer has come without."""
        if self._known is None:
            return
        named = prepared.model, prepared.protocol_request.api
        keys = self.request.left_out.get(named, frozenset()) - {DEFAULT_LIMIT}
        if keys:
            self._known.setdefault(named, set()).update(keys)  # threads may do it side by side


def _is_refusal(error: EasyLLMError) -> bool:
    # What is reported inside an answer may not say what kind of failure it is.
    if isinstance(error, ContextOverflowError):
        return not error.partial
    refused = isinstance(error, BadRequestError | GenerationError) and not error.partial
    return refused and error.status_code in {None, 400, 422}


def _refused(
    prepared: PreparedRequest, request: GenerationRequest, error: EasyLLMError
) -> frozenset[str]:
    """Return the keys that an error names, of those that were sent and are not the caller's."""
    if isinstance(error, ContextOverflowError):
        return frozenset({DEFAULT_LIMIT}) if _limit_is_ours(prepared, request) else frozenset()
    body = error.body or error.message
    message = parse_error_body(body.encode())
    # Some name the key beside their words only.
    text = f"{own_words(message.text)} {message.param!r} {own_words(body)}"
    keys = {key for key in _optional(prepared, request) if _names(text, key)}
    if not _names(text, MAX_COMPLETION_TOKENS):
        keys.discard(MAX_TOKENS)  # there is no other way to send it
    return frozenset(keys & _sent(prepared).keys()) if keys else frozenset()


def _limit_is_ours(prepared: PreparedRequest, request: GenerationRequest) -> bool:
    """Whether a request has a limit that the caller did not give, and that may be the reason."""
    limits = {MAX_TOKENS, MAX_COMPLETION_TOKENS, MAX_NEW_TOKENS}
    given = request.params.get(MAX_TOKENS) is not None
    if given or not limits.isdisjoint(_with_inner(request.extra)):
        return False
    sent = _sent(prepared)
    found = [value for key in limits if isinstance(value := sent.get(key), int)]
    return bool(found) and max(found) > SHORTEST


def _optional(prepared: PreparedRequest, request: GenerationRequest) -> frozenset[str]:
    """Return the keys that the request may have and that the caller did not give."""
    api, fields, params = prepared.protocol_request.api, prepared.fields, request.params
    keys = {fields[name] for name in request.defaults.keys() - params if name in fields}
    keys |= {DETAILS} if api is GenerationApi.GENERATE else {STREAM_OPTIONS}
    if prepared.method == "function_calling":
        keys.add(PARALLEL_CALLS)
    given = [name for name, value in params.items() if value is not None]
    keys -= {fields.get(name) or request.unchecked.get(name, name) for name in given}
    if api is not GenerationApi.GENERATE:
        keys.add(MAX_TOKENS)  # which goes by another name: it is not dropped
    return frozenset(keys - _with_inner(request.extra).keys())


def _sent(prepared: PreparedRequest) -> Mapping[str, object]:
    body: object = orjson.loads(prepared.request.body or b"{}")
    return _with_inner(cast("Mapping[str, object]", body))


def _with_inner(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return a body with the keys of TGI's parameters among its own."""
    parameters = body.get("parameters")
    return {**body, **parameters} if isinstance(parameters, Mapping) else body


# Other spellings of a key, in lower case: the only one in it, and what programs in Go call it.
_ALSO_NAMED = {STREAM_OPTIONS: ("include_usage", "streamoptions")}


def _names(text: str, key: str) -> bool:
    # One of them is a word of the language: it has to stand as a key.
    before, after = (r"['\"`.]", r"['\"`.:\]]") if key == DETAILS else (r"(?<!\w)", r"(?!\w)")
    words = "|".join(map(re.escape, (key, *_ALSO_NAMED.get(key, ()))))
    return re.search(f"{before}(?:{words}){after}", text) is not None
