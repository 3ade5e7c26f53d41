"""What the chat model and the LLM have in common: fields to one request, and back."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from langchain_core.language_models import LangSmithParams
from langchain_core.messages import BaseMessage
from pydantic import model_validator

from .._generation.request import GenerationRequest
from .._langchain.batching import BatchingMixin
from .._langchain.outputs import PROVIDER
from .._langchain.tools import to_choice, to_tools
from .._protocols.stop_sequences import merge_stops
from .._servers.profile import GenerationApi
from .._version import __version__
from ..errors import ConfigurationError
from .connection import CONFIG, LOCAL
from .constructor_types import ModelNames
from .generation import AUTO, CallFields, GenerationFields, PromptFields, params_of, streaming_of
from .local import LocalModelFields

if TYPE_CHECKING:
    from .._http.models import RetryPolicy

__all__ = ["CONFIG", "TextModel", "calling", "inspected"]


# What an `api` that is no protocol's name means; None is chosen by the server.
_APIS: Mapping[str, GenerationApi | None] = {"auto": None, LOCAL: GenerationApi.GENERATE}


class TextModel(BatchingMixin, ModelNames, GenerationFields, PromptFields, LocalModelFields):
    """Fields and requests of a text-generating model object."""

    streaming: bool | None = None
    """True streams every call, also `invoke`; False streams none, also not `stream`. Default
    None: each does what its name says."""

    if TYPE_CHECKING:  # langchain-core's, of both classes

        def _add_version(self, pkg: str, version: str) -> None: ...

    @model_validator(mode="after")
    def _set_easyllm_version(self) -> Self:
        self._add_version("langchain-easyllm", __version__)
        return self

    def _streams(self, call: Mapping[str, Any]) -> bool | None:
        """Whether a call is streamed, as it says itself or else the object does."""
        own = streaming_of(call)
        return self.streaming if own is None else own

    _prefers_text: ClassVar[bool] = False
    """Whether a text protocol is wanted where the choice is free."""

    def _build_request(
        self,
        source: str | Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool = False,
    ) -> GenerationRequest:
        """Return what one call wants, its own fields before the object's.

        Raises:
            ConfigurationError: For an unknown field, or several answers to one stream.
        """
        if not source:
            wanted = "The prompt is empty: send some text."
            none = "There are no messages: send one at least."
            raise ConfigurationError(wanted if isinstance(source, str) else none)
        call = CallFields.read(kwargs, type(self).model_fields) if kwargs else {}
        # Read from the dictionaries: attribute access through pydantic costs more than the rest.
        fields, private = self.__dict__, self.__pydantic_private__ or {}
        params = params_of(self, call)
        if stream and params.get("n", 1) != 1:
            raise ConfigurationError("n > 1 cannot be streamed: use invoke or batch, or n=1.")
        if stop is not None and "stop" in call:
            raise ConfigurationError("stop was given twice, once as stop_sequences: give it once.")
        tools = to_tools(call.get("tools"))
        if tools and self._prefers_text:
            raise ConfigurationError("An LLM takes no tools: use EasyLLMChat.")
        api: str = fields.get("api", "auto")
        unchecked: Mapping[str, str] = private["_unchecked"]
        builder = fields["prompt_builder"]
        return GenerationRequest(
            source,
            self._retry_policy(call),
            api=_APIS[api] if api in _APIS else GenerationApi(api),
            prefers_text=self._prefers_text,
            template=None if builder is None else self._template(),
            uses_model_template=self._uses_model_template(),
            model=call.get("model") or fields["model"],
            provider=call.get("provider", fields["provider"]),
            params=params,
            unchecked={k: v for k, v in unchecked.items() if k not in call} if unchecked else {},
            stops=merge_stops(stop if stop is not None else call.get("stop", fields["stop"])),
            tools=tools,
            tool_choice=to_choice(call.get("tool_choice"), tools),
            parallel_tool_calls=call.get("parallel_tool_calls"),
            parse_tool_calls=fields.get("parse_tool_calls"),
            extra={**self._kwargs_of_body(), **call.get("model_kwargs", {})},
            reports_usage=call.get("stream_usage", fields["stream_usage"]),
            output=call.get("structured_output"),
        )

    def _uses_model_template(self) -> bool:
        """Whether the prompt of a text protocol is rendered by the model's own template."""
        return bool(self.__dict__["prompt_builder"] == AUTO)

    def _retry_policy(self, call: Mapping[str, Any] | None = None) -> RetryPolicy:
        from .._http.models import RetryPolicy  # noqa: PLC0415 - sockets load with the first request

        fields = {**self.__dict__, **call} if call else self.__dict__
        return RetryPolicy(fields["timeout"], fields["max_retries"], fields["wait_for_model"])

    def _model_id(self) -> str | None:
        """The model's name: as it was given, else as the server tells it, which is asked once."""
        if self.model or self._address().router:
            return self.model
        return self._connect().session.detect(self._retry_policy()).model

    if not TYPE_CHECKING:  # where it may be given as well
        model_id = property(_model_id)

    @property
    @abstractmethod
    def _llm_type(self) -> str:
        """What kind of model this is, for langchain-core."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """What tells one model from another, without secrets."""
        params = params_of(self, {})
        if self.stop:
            # langchain-core overwrites "stop" by the call's own in what it caches answers under.
            params["stop_sequences"] = self.stop
        return {
            "model": self.model,
            "base_url": self.base_url,
            "provider": self.provider,
            "api": getattr(self, "api", "auto"),
            "prompt_builder": _name_of(self.prompt_builder),
            "model_kwargs": self.model_kwargs,
            **({"pipeline": _name_of(self.pipeline)} if self.pipeline else {}),
            "default_headers": self._public_headers(),
            **params,
            **_call_fields.get(),
        }

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """What stands in the serialised form in place of fields that cannot, or must not, be."""
        found = super().lc_attributes
        if callable(self.prompt_builder):
            found["prompt_builder"] = _name_of(self.prompt_builder)
        return found

    def get_token_ids(self, text: str) -> list[int]:
        """Return the model's own tokens of a text.

        `custom_get_token_ids` counts if it is set; else the server's tokenize route is asked, else
        a local or cached `tokenizer.json` is read.

        Args:
            text: Any text.

        Raises:
            ConfigurationError: If neither is to be had: nothing is guessed with another model's
                tokenizer.
        """
        own = getattr(self, "custom_get_token_ids", None)
        if own is not None:
            return list(own(text))
        from .._generation.tokens import token_ids  # noqa: PLC0415 - seldom needed

        client = self._connect()
        policy = self._retry_policy()
        return token_ids(text, self.model, client.session, policy, client.hub_token)

    def get_num_tokens(self, text: str) -> int:
        """Return how many of the model's own tokens a text has; see `get_token_ids`."""
        return len(self.get_token_ids(text))

    def _tracing_params(
        self, kind: Literal["chat", "llm"], stop: list[str] | None, call: Mapping[str, Any]
    ) -> LangSmithParams:
        """Return what LangSmith is told, a call's own fields before the object's."""
        fields = self.__dict__
        params = LangSmithParams(ls_provider=PROVIDER, ls_model_type=kind)
        model = call.get("model") or fields["model"] or self._served_model()
        temperature = call.get("temperature", fields["temperature"])
        most = call.get("max_tokens", call.get("max_new_tokens", fields["max_tokens"]))
        if model:
            params["ls_model_name"] = model
        if temperature is not None:
            params["ls_temperature"] = temperature
        if most is not None:
            params["ls_max_tokens"] = most
        if stops := stop or fields["stop"]:
            params["ls_stop"] = stops
        return params

    def _served_model(self) -> str | None:
        """Return the server's model, if it was asked for it already."""
        client = (self.__pydantic_private__ or {}).get("_client")
        server = client.session.server if client else None
        return server.model if server else None

    def _dict_for_compat(self) -> dict[str, Any]:
        # langchain-core's own enters `warnings.catch_warnings`, which no thread of a batch may.
        return {**self._identifying_params, "_type": self._llm_type}


# Fields of the call under way, for what langchain-core caches an LLM's answers under.
_call_fields: ContextVar[Mapping[str, Any]] = ContextVar("_call_fields", default={})  # noqa: B039


@contextmanager
def calling(kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Let `_identifying_params` tell a call's own fields, which langchain-core forgets."""
    token = _call_fields.set(kwargs)
    try:
        yield
    finally:
        _call_fields.reset(token)


Hook = TypeVar("Hook", bound=Callable[..., object])


def inspected(hook: Hook) -> Hook:
    """Keep a hook's signature on it: langchain-core works it out anew on every call."""
    hook.__signature__ = inspect.signature(hook)  # type: ignore[attr-defined]
    return hook


def _name_of(builder: object) -> object:
    """Return what tells one prompt builder from another: its text, or its name and identity."""
    if builder is None or isinstance(builder, str):
        return builder
    name = getattr(builder, "name", getattr(builder, "__qualname__", type(builder).__name__))
    return f"{name}-{id(builder):x}"
