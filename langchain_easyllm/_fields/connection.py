"""Constructor fields that say which server is asked, and how."""

from __future__ import annotations

import os
import ssl
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from inspect import Signature
from typing import TYPE_CHECKING, Any, ClassVar, Self

from langchain_core.load.serializable import (
    Serializable,
    SerializedConstructor,
    SerializedNotImplemented,
)
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from .._servers.profile import NEUTRAL_FIELDS
from .._servers.urls import ROUTER, ServerURL, is_url, parse_server_url
from ..errors import ConfigurationError, one_sentence
from .aliases import TEXT_TASKS, canonical, fields_in, without_old_names
from .api_key import EnvironmentKey, GivenKey, environment_key
from .constructor_types import Convertible

if TYPE_CHECKING:
    from .._generation.client import GenerationClient

__all__ = ["CONFIG", "LOCAL", "ConnectionFields"]


CONFIG = ConfigDict(
    extra="forbid",
    arbitrary_types_allowed=True,
    protected_namespaces=(),
    hide_input_in_errors=True,
    defer_build=True,  # the schema of 45 fields is built when the first object is made
)
"""How the classes of this package take their fields."""

HUB = "https://huggingface.co"
"""Where models' files are."""

LOCAL = "local"
"""The `api` of a model in this process."""

_parse = lru_cache(maxsize=256)(parse_server_url)

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


class ConnectionFields(Serializable):
    """Which server, which model on it, and how patiently it is asked."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    model: str | None = None
    """Hub repo id (aliases: `model_name`, `repo_id`, `model_id`). Default None. Without a
    `base_url` it is routed by Inference Providers; with one it may stay empty and is then read
    from the server. A server's address is taken for `base_url`."""

    base_url: str | None = Field(default_factory=_environment_base)
    """Address of the server (aliases: `endpoint_url`, `inference_server_url`, `api_base`): its
    root, `/v1`, or a full route. Default: `HUGGINGFACE_API_BASE`, then `HF_INFERENCE_ENDPOINT`,
    then Inference Providers."""

    provider: str | None = None
    """Which of the Inference Providers serves the model (`"together"`, `"hf-inference"`,
    `"fastest"`, `"cheapest"`), sent as `model:provider`. Default None: theirs to choose."""

    api_key: Convertible[SecretStr | None, str] = Field(
        default_factory=environment_key  # type: ignore[arg-type]
    )
    """Token (aliases: `token`, `huggingfacehub_api_token`). Default: `HUGGINGFACE_TOKEN`,
    `HF_TOKEN`, `HUGGINGFACEHUB_API_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, then the stored login. One
    given by hand goes to `base_url`, any other to Hugging Face's own hosts only, never to a
    Space."""

    timeout: float | None = Field(default=120.0, gt=0)
    """Seconds a call may take, retries included; for a stream, until its first byte, and then
    the longest silence. Default 120. None: no limit."""

    max_retries: int = Field(default=2, ge=0)
    """Further attempts of one call after a failure that may pass: 2 means three requests at most,
    for a stream too. Default 2."""

    wait_for_model: float = Field(default=0.0, ge=0)
    """Seconds that a cold start (scale-to-zero, a model loading) may take before it counts as a
    failure. Default 0."""

    max_concurrency: int = Field(default=128, ge=1)
    """Most requests of one call in flight: in `batch` and `abatch`, where a config's
    `max_concurrency` lowers it, in `embed_documents` and in reranking. Default 128, TGI's own
    limit."""

    default_headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """Headers sent with every request. Default: none."""

    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Merged into every request's body as it is. Default: nothing. A generation field that is
    written here becomes that field; a protocol that has no name for it is sent it as it is."""

    verify: bool | str | ssl.SSLContext = Field(default=True, repr=False)
    """TLS verification: True (default), False, a CA file or folder, or an `ssl.SSLContext`."""

    _tasks: ClassVar[tuple[str, ...]] = TEXT_TASKS
    """Values of other packages' `task` that this class does anyway."""

    _default_model: ClassVar[str | None] = None
    """What Inference Providers are asked for where nobody named a model or a server."""

    _neutral: ClassVar[tuple[str, ...]] = NEUTRAL_FIELDS
    """Fields of a request, which are also found in `model_kwargs`."""

    _unchecked: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _client: GenerationClient | None = PrivateAttr(default=None)
    _client_key: tuple[object, ...] = PrivateAttr(default=())
    _left_behind: tuple[str, ...] = PrivateAttr(default=())
    _retired: bool = PrivateAttr(default=False)

    def __init__(self, **values: Any) -> None:
        known = type(self).model_fields
        own = self._own_arguments(values)
        taken, unchecked = fields_in(own, known, self._neutral)
        own.update(taken)
        key = own.get("api_key")
        if isinstance(key, EnvironmentKey):
            del own["api_key"]
        elif isinstance(key, str):
            own["api_key"] = SecretStr(key)  # no message of pydantic's ever shows it
        set_values = {k: v for k, v in own.items() if v is not None or k in _MAY_BE_NONE}
        try:
            super().__init__(**set_values)
        except ValidationError as error:
            raise ConfigurationError(one_sentence(error)) from None
        self._unchecked = unchecked
        if isinstance(key, GivenKey):
            self.api_key = key  # an object made again from another's fields: bound as it was
        elif self.api_key is not None and not isinstance(self.api_key, EnvironmentKey):
            self.api_key = GivenKey(self.api_key.get_secret_value(), self._address().root)
        if self._retired:
            _warn_retired()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if "__signature__" not in cls.__dict__:  # deferred: a base class's would be shown
            cls.__signature__ = _Signature()  # type: ignore[assignment]

    def model_post_init(self, context: object, /) -> None:
        """Hand on to langchain-core's hook: pydantic's own for private fields ends the chain."""
        super().model_post_init(context)

    @classmethod
    def _own_arguments(cls, values: Mapping[str, object]) -> dict[str, object]:
        """Return constructor arguments under this package's names."""
        known = cls.model_fields
        return canonical(without_old_names(values, known, cls._tasks), known)

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.__dict__.get("api") == LOCAL:
            self._check_local()
            return self
        if self.model and is_url(self.model):
            if self.base_url and "base_url" in self.model_fields_set:
                raise ConfigurationError(
                    "model is a server's address and base_url is set too: give the address as "
                    "base_url, and as model the name of a model on it (or nothing)."
                )
            self.base_url, self.model = self.model, None
            self.model_fields_set.add("base_url")
        address = self._checked_address()
        if address.retired or address.model:  # the address names the model, as the router does not
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

    def _check_local(self) -> None:
        """Refuse a server beside a model in this process.

        Raises:
            ConfigurationError: If there is one.
        """
        for name in ("base_url", "provider"):
            if name in self.model_fields_set and getattr(self, name) is not None:
                raise ConfigurationError(
                    f"api='local' is a model in this process, and {name} names another: leave one "
                    "of them out."
                )
        self.base_url = None  # the environment's is for servers

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
        # An empty one is no wish to have texts sent to Hugging Face: it is refused.
        return _parse(ROUTER if self.base_url is None else self.base_url)

    def _explicit_key(self, root: str | None = None) -> str | None:
        """Return the key given by hand, if a server (None: the one in force) may have it."""
        key = self.api_key
        if key is None or isinstance(key, EnvironmentKey):
            return None
        here = self._address().root
        home = key.home if isinstance(key, GivenKey) else here
        root = root or here
        if home != root:
            from .._http.models import on_hugging_face  # noqa: PLC0415 - loads with the first request

            if not (on_hugging_face(home) and on_hugging_face(root)):
                return None
        return key.get_secret_value().strip()

    def _hub_token(self) -> str | None:
        """Return the token for files of the Hub: one that it may have, else the environment's."""
        from .._http.auth import environment_token  # noqa: PLC0415 - loads with the first request

        return self._explicit_key(HUB) or environment_token()

    def _connect(self) -> GenerationClient:
        """Return the client for the server that the fields name now."""
        # Read from the dictionaries: on every call, attribute access through pydantic would cost
        # more than all the rest of this.
        fields, private = self.__dict__, self.__pydantic_private__ or {}
        headers: dict[str, str] = fields["default_headers"]
        key = (fields["base_url"], fields["api_key"], fields["verify"], *headers.items())
        if fields.get("api") == LOCAL:
            key = (LOCAL, fields["model"])
        client: GenerationClient | None = private["_client"]
        if client is None or private["_client_key"] != key:
            client = private["_client"] = self._new_client()
            private["_client_key"] = key
        return client

    def _has_secret(self, name: str) -> bool:
        return self.api_key is not None if name == "api_key" else name in self.default_headers

    def _new_client(self) -> GenerationClient:
        from .._generation.client import GenerationClient  # noqa: PLC0415 - sockets load with the first request
        from .._servers.session import SessionSettings, connect  # noqa: PLC0415 - as above

        _warn_of_secrets(name for name in self._left_behind if not self._has_secret(name))
        settings = SessionSettings(
            url=self._address(),
            api_key=self._explicit_key(),
            headers=tuple(self.default_headers.items()),
            verify=self.verify,
        )
        return GenerationClient(connect(settings), self._hub_token())

    def _public_headers(self) -> dict[str, str]:
        """Return the headers that hold no secret, going by their names."""
        if not self.default_headers:
            return {}
        from .._http.headers import without_secrets  # noqa: PLC0415 - loads with the first request

        return dict(without_secrets(self.default_headers))

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        """Return LangChain's serialised form; a key of the environment is not part of it."""
        result = super().to_json()
        if isinstance(self.api_key, EnvironmentKey) and result["type"] == "constructor":
            result["kwargs"].pop("api_key", None)
        return result

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether LangChain's `dumps` and `loads` know this class: yes."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """Which field is a secret, and the environment variable that stands for it."""
        return {"api_key": "HF_TOKEN"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What stands in the serialised form in place of fields that must not be in it."""
        return {"default_headers": self._public_headers()} if self.default_headers else {}

    def close(self) -> None:
        """Close this object's connections. It opens new ones when it is used again."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Close this object's connections. It opens new ones when it is used again."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        memo[id(self.verify)] = self.verify  # a TLS context cannot be copied, and need not be
        return super().__deepcopy__(memo)

    def __getstate__(self) -> dict[Any, Any]:
        # Neither sockets nor a key given by hand travel in a pickle.
        if isinstance(self.verify, ssl.SSLContext):
            raise ConfigurationError(
                "An ssl.SSLContext cannot be pickled: give verify as a CA file instead."
            )
        state = super().__getstate__()
        fields, private = dict(state["__dict__"]), dict(state["__pydantic_private__"] or {})
        private["_client"], private["_client_key"] = None, ()
        public = self._public_headers()
        given = self.api_key is not None and not isinstance(self.api_key, EnvironmentKey)
        dropped = [name for name in self.default_headers if name not in public]
        private["_left_behind"] = (*(["api_key"] if given else []), *dropped)
        fields["api_key"] = None
        fields.pop("_serialized", None)
        fields["default_headers"] = public
        chosen = state["__pydantic_fields_set__"] - {"api_key"}
        return {
            **state,
            "__dict__": fields,
            "__pydantic_private__": private,
            "__pydantic_fields_set__": chosen,
        }

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        self.__dict__["api_key"] = environment_key()


@lru_cache(maxsize=1)
def _warn_retired() -> None:
    # Once a process: the cache is what remembers.
    warnings.warn(
        "api-inference.huggingface.co is retired: the request goes to Inference Providers "
        "(provider='hf-inference'). Set model and leave base_url out.",
        FutureWarning,
        stacklevel=3,
    )


def _warn_of_secrets(names: Iterable[str]) -> None:
    missing = ", ".join(names)
    if missing:
        warnings.warn(
            f"A pickled object leaves its secrets behind, and {missing} is missing here: set "
            "HF_TOKEN, or assign .api_key and .default_headers.",
            UserWarning,
            stacklevel=4,
        )
