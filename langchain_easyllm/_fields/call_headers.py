"""The headers of a single call, whose values show nowhere.

langchain-core puts a call's keyword arguments into traces, the keys of its caches and the `repr` of
what `bind` returns. So the values are hidden as soon as a call is made, and plain again only in the
request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables.base import RunnableBinding
from pydantic import SecretStr

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._http.headers import CheckedHeaders

NAME = "extra_headers"


class HeaderValue(SecretStr):
    """A header's value; its `repr`, of which caches make their keys, has a digest of it."""

    def __repr__(self) -> str:
        digest = hashlib.sha256(self.get_secret_value().encode()).hexdigest()
        return f"HeaderValue(sha256 {digest[:32]})"


def hide_headers(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return a call's keyword arguments with headers whose values are hidden."""
    if kwargs.get(NAME) is None:
        return kwargs
    return {**kwargs, NAME: hidden_headers(kwargs[NAME])}


def hidden_headers(headers: object) -> dict[str, HeaderValue]:
    """Return headers with hidden values; one that cannot be sent is an error."""
    if isinstance(headers, Mapping) and all(type(v) is HeaderValue for v in headers.values()):
        return cast("dict[str, HeaderValue]", headers)  # checked before
    return {name: HeaderValue(value) for name, value in _checked(headers).items()}


def plain_headers(headers: Mapping[str, HeaderValue]) -> CheckedHeaders:
    """Return headers as they are sent, kept out of errors as long as they live."""
    from .._http.headers import with_secrets_kept  # noqa: PLC0415 - loads with the first request

    return with_secrets_kept(_checked(headers))


def _checked(headers: object) -> CheckedHeaders:
    from .._http.headers import checked_headers  # noqa: PLC0415 - loads with the first request

    if not isinstance(headers, Mapping):
        raise ConfigurationError(
            f"{NAME} must be a dict of names and values, not {type(headers).__name__}."
        )
    plain = (v.get_secret_value() if isinstance(v, SecretStr) else v for v in headers.values())
    return checked_headers(dict(zip(headers, plain, strict=True)))


class HeadersBinding(RunnableBinding[Any, Any]):
    """A model with bound headers, which also the tools and the schema bound next are sent with.

    langchain-core's own binding hands such methods to the model, without what was bound.
    """

    def bind_tools(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the model's
        """Bind tools beside the headers; see the model's method."""
        return self._model.bind_tools(*args, **self._with_headers(kwargs))

    def with_structured_output(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        """Request structured output with the headers; see the model's method."""
        return self._model.with_structured_output(*args, **self._with_headers(kwargs))

    @property
    def _model(self) -> Any:  # noqa: ANN401 - of either class
        return self.bound

    def _with_headers(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {NAME: self.kwargs[NAME], **kwargs} if NAME in self.kwargs else kwargs


class HiddenHeaders:
    """Hides the headers of a call in those methods of langchain-core that take any arguments."""

    def bind(self, **kwargs: Any) -> Any:  # noqa: ANN401 - langchain-core's, of both classes
        """Bind keyword arguments to every call; see `Runnable.bind`."""
        if kwargs.get(NAME) is None:
            return cast("Any", super()).bind(**kwargs)
        return HeadersBinding(bound=cast("Any", self), kwargs=hide_headers(kwargs), config={})

    def stream_events(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        """Stream what happens in a call; see `Runnable.stream_events`."""
        return cast("Any", super()).stream_events(*args, **hide_headers(kwargs))

    def astream_events(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as above
        """Stream what happens in a call; see `Runnable.astream_events`."""
        return cast("Any", super()).astream_events(*args, **hide_headers(kwargs))
