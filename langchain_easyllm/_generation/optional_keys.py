"""Keys of a body that nobody asked for, and that a request can do without or under another name.

They make an answer better, or are a client's defaults. None of them is a key that the caller gave.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from .request import GenerationRequest

MAX_TOKENS = "max_tokens"
MAX_COMPLETION_TOKENS = "max_completion_tokens"
"""What newer models have in place of `max_tokens`."""

MAX_NEW_TOKENS = "max_new_tokens"
"""What `/generate` has in place of `max_tokens`."""

STREAM_OPTIONS = "stream_options"
PARALLEL_CALLS = "parallel_tool_calls"
DETAILS = "details"

DEFAULT_LIMIT = "(default limit)"
"""No key: a limit of ours for which the prompt leaves no room, under any key."""


def leave_out(
    keys: Collection[str],
    request: GenerationRequest,
    fields: Mapping[str, str],
    method: str | None,
) -> GenerationRequest:
    """Return a request without these keys; `fields` are the protocol's names of the fields."""
    params, extra, default_limit = request.params, request.extra, request.default_limit
    if MAX_TOKENS in keys:
        default_limit = MAX_COMPLETION_TOKENS
        if params.get(MAX_TOKENS) is not None:
            extra = {MAX_COMPLETION_TOKENS: params[MAX_TOKENS], **extra}
            params = {name: value for name, value in params.items() if name != MAX_TOKENS}
    # Whether calls may be parallel is for the caller to say, but where one call is the answer.
    ours = method == "function_calling" and PARALLEL_CALLS in keys
    defaults = request.defaults
    return replace(
        request,
        params=params,
        extra=extra,
        defaults={name: x for name, x in defaults.items() if fields.get(name) not in keys},
        parallel_tool_calls=None if ours else request.parallel_tool_calls,
        reports_usage=request.reports_usage and STREAM_OPTIONS not in keys,
        details=DETAILS not in keys,
        default_limit=None if DEFAULT_LIMIT in keys else default_limit,
    )
