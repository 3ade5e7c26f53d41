"""The errors of this package, in one hierarchy.

    EasyLLMError                         langchain_core.exceptions.ModelError
    ├── ConfigurationError               ValueError            found before anything is sent
    │   └── PromptError                  no prompt can be rendered
    ├── AuthenticationError              ModelAuthenticationError              401
    ├── PermissionDeniedError            ModelPermissionDeniedError            403
    ├── NotFoundError                    ModelNotFoundError                    404
    ├── BadRequestError                  ModelInvalidRequestError    400, 413, 422
    │   └── ContextOverflowError         langchain_core's ContextOverflowError
    ├── RateLimitError                   ModelRateLimitError                   429
    │   └── ModelOverloadedError         no free slot on the server       429, 503
    ├── ServerError                      ModelAPIError                         5xx
    ├── ModelLoadingError                ModelAPIError              cold start 503
    │   └── EndpointPausedError          not retryable: it has to be resumed
    ├── GenerationError                  ModelAPIError      failed while generating
    │   └── StructuredOutputError        OutputParserException, ValueError: does not fit the schema
    ├── RefusalError                     ModelRefusalError         the model refuses to answer
    ├── ProtocolError                    ModelAPIError      the response makes no sense
    ├── ConnectionError                  ModelConnectionError, builtin ConnectionError
    │   └── IncompleteStreamError        the stream ended before the answer did
    └── TimeoutError                     ModelTimeoutError, builtin TimeoutError

Each class also inherits the class of `langchain_core.exceptions` in the second column, so that
`except` on either works, and `is_retryable` says whether the same request may succeed later.
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core import exceptions as core

from ._nearest import did_you_mean

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from pydantic import ValidationError

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConnectionError",
    "ContextOverflowError",
    "EasyLLMError",
    "EndpointPausedError",
    "ErrorResponse",
    "GenerationError",
    "IncompleteStreamError",
    "ModelLoadingError",
    "ModelOverloadedError",
    "NotFoundError",
    "PermissionDeniedError",
    "PromptError",
    "ProtocolError",
    "RateLimitError",
    "RefusalError",
    "ServerError",
    "StructuredOutputError",
    "TimeoutError",
]

MAX_BODY = 2000
"""The maximum number of characters of a response that an error keeps."""

_LENGTH = 30
"""Characters that name the length of one that was cut."""


def beginning_of(body: bytes) -> str:
    """Return what an error keeps of a body: of a long one the beginning, and its length."""
    text = body[: 4 * MAX_BODY].decode("utf-8", "replace")
    if len(text) <= MAX_BODY:
        return text
    return f"{text[:MAX_BODY]}… ({len(body):,} bytes)"


class ErrorResponse(NamedTuple):
    """The response behind an error.

    Attributes:
        status_code: The HTTP status; None of a failure that a stream reported without one.
        headers: The headers, without cookies, logins and keys; names in lower case.
        text: The body, shortened to 2,000 characters.
    """

    status_code: int | None
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the server sent
        """Parse the body.

        Returns:
            Its value.

        Raises:
            ValueError: If it is not JSON, or was shortened.
        """
        return json.loads(self.text)


class EasyLLMError(core.ModelError):
    """The base class of every error of this package.

    Args:
        message: What went wrong and what to do next.
        status_code: The HTTP status of the response, if there was one.
        url: The URL of the request, without credentials or query.
        request_id: The server's own id of the request, for its operators.
        body: The response, shortened to 2,000 characters.
        headers: The response's headers, without cookies, logins and keys; names in lower case.
        retry_after: The time in seconds that the server asked to wait.
        partial: For a stream, the text that had arrived before the failure.

    Attributes:
        index: The position in the caller's list of the text that was refused; None if the error is
            not about one of many.
    """

    index: int | None = None

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int | None = None,
        url: str | None = None,
        request_id: str | None = None,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        retry_after: float | None = None,
        partial: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code
        self.url = url
        self.request_id = request_id
        self.body = body if body is None else _shortened(body)
        self.headers = headers
        self.retry_after = retry_after
        self.partial = partial

    @property
    def response(self) -> ErrorResponse | None:
        """The response, as httpx's look; None if there was none. Callbacks and traces read it."""
        if self.status_code is None and self.body is None:
            return None
        return ErrorResponse(self.status_code, self.headers or {}, self.body or "")

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle their positional arguments only; ours travel between processes whole.
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _shortened(body: str) -> str:
    if len(body) <= MAX_BODY + _LENGTH:
        return body
    return f"{body[:MAX_BODY]}… ({len(body):,} characters)"


def _rebuild(cls: type[EasyLLMError], message: str, state: Mapping[str, object]) -> EasyLLMError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class ConfigurationError(EasyLLMError, ValueError):
    """Invalid settings or input, found before anything was sent."""


class PromptError(ConfigurationError):
    """A conversation, a template or a name of a template that cannot be rendered to a prompt."""


class AuthenticationError(EasyLLMError, core.ModelAuthenticationError):
    """The server requires a token, or rejects the one that was sent (401)."""


class PermissionDeniedError(EasyLLMError, core.ModelPermissionDeniedError):
    """The token is valid but may not use this model (403)."""


class NotFoundError(EasyLLMError, core.ModelNotFoundError):
    """The server does not have this model or route (404)."""


class BadRequestError(EasyLLMError, core.ModelInvalidRequestError):
    """The server rejects the request and will reject it again (400, 413, 422)."""


class ContextOverflowError(BadRequestError, core.ContextOverflowError):
    """The prompt, or the prompt and the longest answer, exceed the model's context length.

    Also raised if `max_tokens` alone is more than the model can write.
    """


class RateLimitError(EasyLLMError, core.ModelRateLimitError):
    """Too many requests (429)."""


class ModelOverloadedError(RateLimitError):
    """The server has no capacity for the request right now."""


class ServerError(EasyLLMError, core.ModelAPIError):
    """The server failed (5xx)."""


class ModelLoadingError(EasyLLMError, core.ModelAPIError):
    """The model or its endpoint is still starting (cold start)."""


class EndpointPausedError(ModelLoadingError):
    """The endpoint is paused. It does not start by itself."""

    is_retryable = False


class GenerationError(EasyLLMError, core.ModelAPIError):
    """The server failed while it was generating (424, or an error event in a stream)."""


class StructuredOutputError(GenerationError, core.OutputParserException):
    """The model's answer does not fit the schema.

    Args:
        message: What does not fit and what to do next.
        raw: The answer as the model wrote it, also in `llm_output`.
    """

    def __init__(self, message: str = "", *, raw: str | None = None) -> None:
        GenerationError.__init__(self, message)
        self.llm_output = raw


# langchain-core has the class since 1.7.5.
_ModelRefusalError: type[core.ModelError] = getattr(core, "ModelRefusalError", core.ModelError)


class RefusalError(EasyLLMError, _ModelRefusalError):  # type: ignore[misc, valid-type]
    """The model refuses to give the structured answer that was requested.

    Args:
        message: The refusal in the model's own words.
        raw_message: The model's answer, whose content holds the refusal.
    """

    is_retryable = False

    def __init__(self, message: str = "", *, raw_message: BaseMessage | None = None) -> None:
        EasyLLMError.__init__(self, message)
        self.raw_message = raw_message


class ProtocolError(EasyLLMError, core.ModelAPIError):
    """The server's response does not follow its protocol."""

    is_retryable = False


class ConnectionError(EasyLLMError, core.ModelConnectionError, builtins.ConnectionError):
    """The server cannot be reached, or the connection broke."""


class IncompleteStreamError(ConnectionError):
    """A stream ended before the server reported that the answer is complete."""


class TimeoutError(EasyLLMError, core.ModelTimeoutError, builtins.TimeoutError):
    """The server did not respond, or a stream did not go on, within the time allowed."""


_QUOTED = re.compile("'([^']*)'")


def one_sentence(error: ValidationError) -> str:
    """Return pydantic's errors as one sentence, without the values that were given."""
    parts = []
    for item in error.errors(include_url=False):
        cause = item.get("ctx", {}).get("error")
        field = ".".join(str(part) for part in item["loc"])
        parts.append(str(cause) if isinstance(cause, ValueError) else f"{field}: {item['msg']}")
        if item["type"] == "literal_error" and isinstance(item["input"], str):
            known = _QUOTED.findall(str(item["ctx"]["expected"]))
            if hint := did_you_mean(item["input"], known, cutoff=0.5):
                parts[-1] += f": {hint}"
    return "; ".join(dict.fromkeys(parts))


def first_sentence(error: Exception) -> str:
    """Return what an error says; of pydantic's paragraphs and addresses, the first sentence."""
    if not type(error).__module__.startswith("pydantic"):
        return str(error)
    return str(error).partition("\n")[0].partition(". ")[0].removesuffix(".")
