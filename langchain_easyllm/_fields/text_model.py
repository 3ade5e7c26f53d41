"""The common base of the chat model and the LLM: from fields to a request."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import BaseMessage
from pydantic import model_validator

from .._generation.prefill import ends_with_answer, find_prefill
from .._generation.request import GenerationRequest
from .._http.event_loop import beside_loop, refuse_other_frameworks, runs_in_loop
from .._langchain.batching import BatchingMixin
from .._langchain.outputs import PROVIDER
from .._langchain.tools import ToolLike, to_choice, to_tools
from .._protocols.stop_sequences import merge_stops
from .._servers.profile import GenerationApi
from .._version import __version__
from ..errors import ConfigurationError
from .call_headers import HiddenHeaders, plain_headers
from .connection import LOCAL
from .constructor_types import ModelNames
from .generation import AUTO, CallFields, GenerationFields, PromptFields, params_of, streaming_of
from .local import LocalModelFields

if TYPE_CHECKING:
    from .._generation.tokens import TokenSource

# The values of `api` that are no protocol's name; None is chosen by the server.
_APIS: Mapping[str, GenerationApi | None] = {"auto": None, LOCAL: GenerationApi.GENERATE}


class TextModel(
    HiddenHeaders, BatchingMixin, ModelNames, GenerationFields, PromptFields, LocalModelFields
):
    """Fields and requests of a language model."""

    streaming: bool | None = None
    """Whether to stream every call, also `invoke` (True), or none, also not `stream` (False).
    Default None: only `stream` and `astream` do."""

    include_response_headers: bool = False
    """Whether an answer's `response_metadata["headers"]` (of an LLM, its generation's info) has all
    headers of its response, without cookies, logins and keys. Default False: those that tell of the
    answer's provider, times and token counts, and ids for the server's operators."""

    if TYPE_CHECKING:  # langchain-core's, of both classes

        def _add_version(self, pkg: str, version: str) -> None: ...
    else:  # which keeps the types of langchain-core's methods

        def astream(
            self, input: object, config: object = None, *, stop: object = None, **kwargs: object
        ) -> object:
            """Stream an answer; see `Runnable.astream`."""
            refuse_other_frameworks()
            return super().astream(input, config, stop=stop, **kwargs)

    @model_validator(mode="after")
    def _set_easyllm_version(self) -> Self:
        self._add_version("langchain-easyllm", __version__)
        return self

    def _streams(self, call: Mapping[str, Any]) -> bool | None:
        own = streaming_of(call)
        return self.streaming if own is None else own

    _prefers_text: ClassVar[bool] = False
    """Whether a text protocol is preferred where the server has both."""

    def _build_request(
        self,
        source: str | Sequence[BaseMessage],
        stop: Sequence[str] | None,
        kwargs: Mapping[str, Any],
        *,
        stream: bool = False,
    ) -> GenerationRequest:
        """Return the request of one call, its own fields before the object's."""
        if not source:
            wanted = "The prompt is empty: send some text."
            none = "There are no messages: send at least one."
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
        choice = to_choice(call.get("tool_choice"), tools)
        output, prefill = call.get("structured_output"), False
        if ends_with_answer(source):
            source, prefill = find_prefill(source, choice, structured=output is not None)
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
            tool_choice=choice,
            parallel_tool_calls=call.get("parallel_tool_calls"),
            parse_tool_calls=fields.get("parse_tool_calls"),
            extra={**self._kwargs_of_body(), **call.get("model_kwargs", {})},
            reports_usage=call.get("stream_usage", fields["stream_usage"]),
            include_headers=fields["include_response_headers"],
            output=output,
            prefill=prefill,
            headers=plain_headers(call["extra_headers"]) if "extra_headers" in call else {},
        )

    def _uses_model_template(self) -> bool:
        return bool(self.__dict__["prompt_builder"] == AUTO)

    def _model_id(self) -> str | None:
        """The name of the model: the one that was given, else the server's (one request, once)."""
        if self.model or self._address().router:
            return self.model
        session, policy = self._connect().session, self._retry_policy()
        if not runs_in_loop():
            return session.detect(policy).model
        server = beside_loop(lambda: session.detect(policy))
        return server.model if server else None

    if not TYPE_CHECKING:  # where it may be given as well
        model_id = property(_model_id)

    @property
    @abstractmethod
    def _llm_type(self) -> str:
        """The kind of model, for langchain-core."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The parameters that identify a model in caches and traces, without secrets."""
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
        """Values of the serialised form that replace what cannot, or must not, be in it."""
        found = super().lc_attributes
        if callable(self.prompt_builder):
            found["prompt_builder"] = _name_of(self.prompt_builder)
        return found

    def get_token_ids(self, text: str) -> list[int]:
        """Return the token ids of a text, by the model's own tokenizer.

        `custom_get_token_ids` is used if it is set, else the server's tokenize route, else a local
        or cached `tokenizer.json`.

        Args:
            text: The text.

        Returns:
            The token ids.

        Raises:
            ConfigurationError: If no tokenizer of the model is available. Another model's tokenizer
                is never used.
        """
        own = getattr(self, "custom_get_token_ids", None)
        return list(own(text)) if own is not None else self._token_source().ids(text)

    def _token_source(self) -> TokenSource:
        from .._generation.tokens import TokenSource  # noqa: PLC0415 - seldom needed

        client = self._connect()
        return TokenSource(client.session, self._retry_policy(), self.model, client.hub_token)

    def get_num_tokens(self, text: str) -> int:
        """Return the number of tokens of a text; see `get_token_ids`.

        A text is counted once; the last few thousand counts are kept.

        Args:
            text: The text.

        Returns:
            The number of tokens.

        Raises:
            ConfigurationError: As `get_token_ids`.
        """
        if getattr(self, "custom_get_token_ids", None) is not None:
            return len(self.get_token_ids(text))
        return self._token_source().count(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[ToolLike] | None = None
    ) -> int:
        """Return the number of tokens of the prompt that the messages become.

        They are counted through the chat template, as the server counts them in `usage`: by its
        own route, through a `prompt_builder`, or by the model's files. Elsewhere, and where the
        template refuses them, their text is counted.

        Args:
            messages: The conversation, or a part of it.
            tools: The tools that are sent with it, in any form that `bind_tools` accepts.

        Returns:
            The number of tokens; 0 of no messages.

        Raises:
            ConfigurationError: As `get_token_ids`; if a message or a tool cannot be sent.
            ConnectionError: If the server cannot be reached.
            ProtocolError: If its route does not answer with tokens.
            ServerError: If it fails, and goes on failing (502, 503, 504).
            TimeoutError: If it does not answer in time.
        """
        if not messages:
            return 0
        from .._generation.token_counts import (  # noqa: PLC0415 - as above
            count_conversation,
            plain_text,
        )

        request = self._build_request(self._as_source(messages), None, {"tools": tools})
        if getattr(self, "custom_get_token_ids", None) is not None:
            return len(self.get_token_ids(plain_text(request)))
        return count_conversation(request, self._connect(), self._token_source())

    @abstractmethod
    def _as_source(self, messages: LanguageModelInput) -> str | list[BaseMessage]:
        """Return messages as they are sent."""

    def _tracing_params(
        self, kind: Literal["chat", "llm"], stop: list[str] | None, call: Mapping[str, Any]
    ) -> LangSmithParams:
        """Return the parameters for LangSmith, a call's own fields before the object's."""
        fields = self.__dict__
        params = LangSmithParams(ls_provider=PROVIDER, ls_model_type=kind)
        client = (self.__pydantic_private__ or {}).get("_client")
        server = client.session.server if client else None  # if it is known already
        answered = client.session.answered_model if client else None
        model = call.get("model") or fields["model"] or answered or (server and server.model)
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

    def _dict_for_compat(self) -> dict[str, Any]:
        # langchain-core's own uses `warnings.catch_warnings`, which is not thread-safe.
        return {**self._identifying_params, "_type": self._llm_type}


# Fields of the current call, for the key under which langchain-core caches an LLM's answers.
_call_fields: ContextVar[Mapping[str, Any]] = ContextVar("_call_fields", default={})  # noqa: B039


@contextmanager
def calling(kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Add a call's own fields to `_identifying_params`, as langchain-core does not."""
    token = _call_fields.set(kwargs)
    try:
        yield
    finally:
        _call_fields.reset(token)


Hook = TypeVar("Hook", bound=Callable[..., object])


def inspected(hook: Hook) -> Hook:
    """Store a hook's signature on it: langchain-core inspects it on every call."""
    hook.__signature__ = inspect.signature(hook)  # type: ignore[attr-defined]
    return hook


def _name_of(builder: object) -> object:
    """Return what identifies a prompt builder: its text, or its name and identity."""
    if builder is None or isinstance(builder, str):
        return builder
    name = getattr(builder, "name", getattr(builder, "__qualname__", type(builder).__name__))
    return f"{name}-{id(builder):x}"
