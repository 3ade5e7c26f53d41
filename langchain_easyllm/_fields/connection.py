"""Constructor fields of the server, the model on it and the connection to it, and their rules."""

from __future__ import annotations

import os
import re
import ssl
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from inspect import Signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from .._langchain.batching import IN_BATCH
from .._servers.profile import NEUTRAL_FIELDS
from .._servers.urls import ROUTER, ServerURL, distinct_urls, is_url, parse_server_url
from ..errors import ConfigurationError, one_sentence
from .aliases import TEXT_TASKS, canonical, fields_in, without_legacy_kwargs
from .api_key import (
    EnvironmentKey,
    FunctionKey,
    GivenKey,
    as_key,
    bind_key,
    check_function,
    environment_key,
)
from .constructor_types import Convertible, KeyFunction, RequestHook
from .timeouts import TimeoutNumbers, one_timeout

if TYPE_CHECKING:
    from .._http.models import ResponseLimits, RetryPolicy
    from .._http.user_functions import UserFunction


CONFIG = ConfigDict(
    extra="forbid",
    arbitrary_types_allowed=True,
    protected_namespaces=(),
    hide_input_in_errors=True,
    defer_build=True,  # the schema of 45 fields is built when the first object is made
)
"""The pydantic configuration of the public classes."""

LOCAL = "local"
"""The `api` of a model in this process."""

CLIENTS = "http_client", "http_async_client"
"""The fields for clients of the caller's own."""

_parse = lru_cache(maxsize=256)(parse_server_url)

_ORGANISATION = re.compile(r"[A-Za-z0-9._-]+")

# None is "unset" everywhere but here, where it is a value: no limit, and no template.
_MAY_BE_NONE = frozenset({"timeout", "prompt_builder"})


def _environment_base() -> str | None:
    for name in ("HUGGINGFACE_API_BASE", "HF_INFERENCE_ENDPOINT"):
        if value := os.environ.get(name, "").strip():
            return value
    return None


class _Signature:
    """The signature of a class whose schema is not built: builds it, and pydantic replaces this."""

    def __get__(self, _: object, owner: type[BaseModel]) -> Signature:
        owner.model_rebuild(raise_errors=False)
        if not owner.__pydantic_complete__:
            raise AttributeError("__signature__")
        return owner.__signature__


class ConnectionFields(BaseModel):
    """The server, the model on it, and the limits of a call."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    model: str | None = None
    """The model's repository id on the Hugging Face Hub (aliases: `model_name`, `repo_id`,
    `model_id`). Without a `base_url`, Inference Providers serve it. With a `base_url` it may be
    left out and is then read from the server. A URL given here is used as `base_url`. Default
    None."""

    base_url: Convertible[str | tuple[str, ...] | None, Sequence[str]] = Field(
        default_factory=_environment_base  # type: ignore[arg-type]
    )
    """The URL of the server (aliases: `endpoint_url`, `inference_server_url`, `api_base`): its
    root, `/v1` or another version path (`/api/v3`), or a full route such as
    `/v1/chat/completions`. A list of URLs is of servers that have the same model. Default: the
    environment variable `HUGGINGFACE_API_BASE`, then `HF_INFERENCE_ENDPOINT`, then Inference
    Providers."""

    balance: Literal["least_busy", "prefix"] = "least_busy"
    """How requests are distributed among the servers of a `base_url` that is a list: to the one
    with the fewest in flight (`"least_busy"`), or so that prompts with the same beginning go to the
    same server, for servers with a prefix cache (`"prefix"`). Default `"least_busy"`."""

    provider: str | None = None
    """The Inference Provider that serves the model (`"together"`, `"hf-inference"`, `"fastest"`,
    `"cheapest"`, ...); it is sent as `model:provider`. Default None: Hugging Face chooses one."""

    api_key: Convertible[SecretStr | None, str | KeyFunction] = Field(
        default_factory=environment_key  # type: ignore[arg-type]
    )
    """The access token (aliases: `token`, `huggingfacehub_api_token`). Default: the environment
    variable `HUGGINGFACE_TOKEN`, `HF_TOKEN`, `HUGGINGFACEHUB_API_TOKEN` or
    `HUGGING_FACE_HUB_TOKEN`, then the token of `hf auth login`. A token given here is sent to
    `base_url`. A token of the environment is sent to Hugging Face's own hosts only, and never to a
    Space. A function, sync or async, is called before each request and retry for a `str` or
    `SecretStr`, which is not stored; when the field is read, it is a `SecretStr` whose
    `get_secret_value` calls the function."""

    timeout: Convertible[float | None, TimeoutNumbers] = Field(default=120.0, gt=0)  # type: ignore[arg-type]
    """The maximum time of a call in seconds, retries included (alias: `request_timeout`). For a
    stream, it limits the time to the first byte and then each silence between bytes. Of another
    client's timeout (an `httpx.Timeout`, a tuple), the number for reading is used. Default 120.
    None: no limit."""

    max_retries: Convertible[int, int | None] = Field(default=2, ge=0)  # type: ignore[arg-type]
    """The maximum number of retries of a call after a temporary failure: 2 means at most three
    requests, for a stream too. Default 2, also for None."""

    wait_for_model: float = Field(default=0.0, ge=0)
    """The maximum time in seconds to wait for a model that is still loading (a cold start, or an
    endpoint that was scaled to zero) before that is an error. Default 0."""

    max_concurrency: int = Field(default=128, ge=1)
    """The maximum number of requests that one call has in flight: in `batch` and `abatch`, where
    the `max_concurrency` of a config lowers it, in `embed_documents` and in reranking. Default 128,
    TGI's own limit."""

    requests_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The maximum number of requests a second, retries included, evenly spaced, that this process
    sends to the server; objects with the same server share it. A wait for it takes no time from
    `timeout`. Default None: no limit."""

    default_headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Headers to send with every request, `Host` for a virtual host among them. They replace those
    of the client, and are sent to the server of `base_url` only. Default: none."""

    bill_to: str | None = None
    """The Hub organisation that pays for requests to Inference Providers, sent as `X-HF-Bill-To`
    to Hugging Face's own hosts only. Default None: the owner of the token."""

    request_hook: RequestHook | None = Field(default=None, exclude=True, repr=False)
    """A function `(request) -> headers`, sync or async, that is called before each request and
    retry on the request's own origin, to sign it for example. `request` is a
    `langchain_easyllm.http.Request`, its headers' names in lower case; the headers that are
    returned are added, or replace those of the same name. Default: none."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Extra parameters to merge into the body of every request, unchanged (alias: `extra_body`). A
    generation field given here is treated as that field; where the protocol has no name for it, it
    is sent unchanged. Default: none."""

    verify: bool | str | ssl.SSLContext = Field(default=True, repr=False)
    """How to verify TLS certificates: True, False, the path of a CA file or folder, or an
    `ssl.SSLContext`. Default True."""

    http_client: object = Field(default=None, repr=False, exclude=True)
    """A client to send the requests of synchronous calls with, in place of own connections: an
    `httpx.Client` (or httpx2's), or an object with the methods of
    `langchain_easyllm.http.HTTPClient`. Whoever made it closes it. Default None."""

    http_async_client: object = Field(default=None, repr=False, exclude=True)
    """The same for asynchronous calls: an `httpx.AsyncClient`, or an object with the methods of
    `langchain_easyllm.http.AsyncHTTPClient`. Default None."""

    max_response_bytes: int = Field(default=256 * 1024 * 1024, ge=1)
    """The maximum size of an answer, or of one event of a stream, in bytes. Reading ends with an
    error where it is exceeded. Default 268,435,456 (256 MiB)."""

    max_decompressed_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    """The maximum size of an answer, or of one event of a stream, that the server compressed, after
    decompression. Default 67,108,864 (64 MiB)."""

    max_error_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    """The maximum size of an error's body in bytes, before and after decompression; the rest of a
    larger one is not read. Default 16,777,216 (16 MiB)."""

    _tasks: ClassVar[tuple[str, ...]] = TEXT_TASKS
    """Values of other packages' `task` that need no field here."""

    _default_model: ClassVar[str | None] = None
    """The model on Inference Providers if neither a model nor a server was given."""

    _neutral: ClassVar[tuple[str, ...]] = NEUTRAL_FIELDS
    """Fields of a request, which are also found in `model_kwargs`."""

    _unchecked: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _retired: bool = PrivateAttr(default=False)

    if not TYPE_CHECKING:  # for checkers, pydantic's: `__init__`'s own arguments would be shown

        def __new__(cls, *args: object, **values: object) -> Self:  # noqa: ARG004 - for `__init__`
            """Refuse what is not named; the value, which may be a token, is not shown."""
            if args:
                name = cls.__name__
                raise ConfigurationError(
                    f"{name} takes its fields by name: write {name}(model=...) for a model, "
                    f"{name}(base_url=...) for a server."
                )
            return super().__new__(cls)

        @property
        def model_name(self) -> str | None:
            """The field `model`, as other packages call it."""
            return self.model

        @model_name.setter
        def model_name(self, value: str | None) -> None:
            self.model = value

    def __init__(self, **values: Any) -> None:
        known = type(self).model_fields
        own = self._own_arguments(values)
        found, unchecked = fields_in(own, known, self._neutral)
        own.update(found)
        key = own.get("api_key")
        if isinstance(key, EnvironmentKey):
            del own["api_key"]
        elif key is not None:
            own["api_key"] = key = as_key(key)
        if (hook := own.get("request_hook")) is not None:
            check_function("request_hook", hook, "a function (request) -> headers")
        set_values = {k: v for k, v in own.items() if v is not None or k in _MAY_BE_NONE}
        try:
            super().__init__(**set_values)
        except ValidationError as error:
            raise ConfigurationError(one_sentence(error)) from None
        self._unchecked = unchecked
        # One that is made of another object's fields keeps its origin.
        given = key if isinstance(key, GivenKey | FunctionKey) else self.api_key
        bound = bind_key(given, self._roots())
        if bound is not self.api_key:  # or an object that was given none would say it was
            self.api_key = bound
        if self._retired:
            _warn_retired()

    @field_serializer("api_key", when_used="json-unless-none")
    def _hide_key(self, _: object) -> str:
        return "**********"  # pydantic's own would ask a function for the token

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "__signature__" not in cls.__dict__:  # deferred: a base class's would be shown
            cls.__signature__ = _Signature()  # type: ignore[assignment]

    def model_post_init(self, context: object, /) -> None:
        """Call langchain-core's hook, which pydantic's own for private attributes would not."""
        super().model_post_init(context)

    @classmethod
    def _own_arguments(cls, values: Mapping[str, object]) -> dict[str, object]:
        known = cls.model_fields
        return canonical(without_legacy_kwargs(values, known, cls._tasks), known)

    @field_validator("timeout", mode="before")
    @classmethod
    def _one_timeout(cls, value: object) -> object:
        return one_timeout(value)

    @field_validator("base_url", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        if isinstance(value, str | None):
            return value
        if not isinstance(value, list | tuple):
            raise ConfigurationError(
                f"base_url must be a URL or a list of URLs, not {type(value).__name__}."
            )
        urls = distinct_urls(value)
        return urls if len(urls) > 1 else urls[0]

    @field_validator("bill_to")
    @classmethod
    def _check_bill_to(cls, value: str | None) -> str | None:
        if value is not None and not _ORGANISATION.fullmatch(value):
            raise ConfigurationError(
                "bill_to must be the name of a Hub organisation: letters, digits, hyphens, dots."
            )
        return value

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.__dict__.get("api") == LOCAL:
            self._check_local()
            return self
        if self.model and is_url(self.model):
            if self.base_url and "base_url" in self.model_fields_set:
                raise ConfigurationError(
                    "model is a server's URL and base_url is set too: give the URL as base_url, "
                    "and as model the name of a model on that server (or nothing)."
                )
            self.base_url, self.model = self.model, None
            self.model_fields_set.add("base_url")
        address = self._checked_address()
        if address.retired or address.model:  # an old URL, which names the model
            self._retired = address.retired
            self.model = self.model or address.model
            self.provider = self.provider or "hf-inference"
            self.base_url = None
        if address.router and not self.model:
            self.model = self._default_model
        if address.router and not self.model:
            raise ConfigurationError(
                "There is no model and no server: set model to a Hub repo id (Inference Providers "
                "serve it), or base_url to your own server."
            )
        if self.provider and not address.router:
            given = "base_url" in self.model_fields_set
            raise ConfigurationError(
                "provider chooses among Inference Providers, and base_url "
                f"{'' if given else '(from the environment) '}is another server: "
                "leave one of them out."
            )
        return self

    @model_validator(mode="after")
    def _check_given_clients(self) -> Self:
        self._check_clients()
        return self

    def _check_clients(self) -> None:
        for name in CLIENTS:
            if (client := self.__dict__[name]) is None:
                continue
            from .._http.client_protocols import check_client  # noqa: PLC0415 - seldom given

            check_client(client, name)
            if self.verify is not True:
                raise ConfigurationError(
                    f"verify is for this package's own connections, and {name} has TLS settings "
                    "of its own: set them there, and leave verify out."
                )

    def _check_local(self) -> None:
        purposes = dict.fromkeys(("base_url", "provider"), "names a server")
        of_requests = *CLIENTS, "request_hook", "bill_to", "requests_per_second"
        purposes |= dict.fromkeys(of_requests, "is for requests to one")
        for name, purpose in purposes.items():
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise ConfigurationError(
                    f"api='local' runs a model in this process, and {name} {purpose}: leave one of "
                    "them out."
                )
        self.base_url = None  # one of the environment is meant for calls of a server

    def _checked_address(self) -> ServerURL:
        try:
            return self._address()
        except ConfigurationError as error:
            if "base_url" in self.model_fields_set:
                raise
            raise ConfigurationError(
                f"{error} It came from HUGGINGFACE_API_BASE or HF_INFERENCE_ENDPOINT."
            ) from error

    def _address(self) -> ServerURL:
        return self._addresses()[0]

    def _addresses(self) -> tuple[ServerURL, ...]:
        """Return the servers that requests may go to."""
        # An empty URL is refused: nobody who gives one wants texts sent to Hugging Face.
        url = self.base_url
        if url is None or isinstance(url, str):
            return (_parse(ROUTER if url is None else url),)
        return tuple(_parse(one) for one in distinct_urls(url))

    def _roots(self) -> tuple[str, ...]:
        return tuple(address.root for address in self._addresses())

    def _explicit_key(self, root: str | None = None) -> str | UserFunction | None:
        """Return the key given by hand if it may be sent to a server (default: the current)."""
        current = self._roots()
        key = bind_key(self.api_key, current)  # one that was assigned is for the servers of now
        if not isinstance(key, GivenKey | FunctionKey):
            return None
        root = root or current[0]
        if root not in key.origins:
            from .._http.models import is_hugging_face, parse_url  # noqa: PLC0415 - seldom needed

            if not all(is_hugging_face(parse_url(url)) for url in (*key.origins, root)):
                return None
        return key.source if isinstance(key, FunctionKey) else key.get_secret_value().strip()

    def _response_limits(self) -> ResponseLimits:
        from .._http.models import ResponseLimits  # noqa: PLC0415 - loads with the first request

        return ResponseLimits(
            self.max_response_bytes, self.max_decompressed_bytes, self.max_error_bytes
        )

    def _retry_policy(self, call: Mapping[str, Any] | None = None) -> RetryPolicy:
        """Return the limits of a call, its own fields before the object's."""
        from .._http.models import RetryPolicy  # noqa: PLC0415 - loads with the first request

        fields = {**self.__dict__, **call} if call else self.__dict__
        retries = fields["max_retries"]
        return RetryPolicy(
            fields["timeout"],
            retries,
            fields["wait_for_model"],
            batch_retries=retries if IN_BATCH.get() else None,
        )


@lru_cache(maxsize=1)
def _warn_retired() -> None:
    # The cache makes it once a process.
    warnings.warn(
        "api-inference.huggingface.co is retired: the request goes to Inference Providers "
        "(provider='hf-inference'). Set model and leave base_url out.",
        FutureWarning,
        stacklevel=3,
    )
