"""`EasyLLMChat`: a LangChain chat model on any Hugging Face text-generation server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult, LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.runnables.utils import gather_with_concurrency

from ._fields.call_headers import hide_headers
from ._fields.connection import CONFIG
from ._fields.constructor_types import UNSET, Convertible
from ._fields.generation import streaming_of
from ._fields.profile import ProfileOwner
from ._fields.text_model import inspected
from ._http.event_loop import running_loop
from ._langchain import events
from ._langchain.batching import batched, joined, split_run_id
from ._langchain.messages import with_traceable_images
from ._langchain.outputs import (
    combined_llm_output,
    to_chat_chunks,
    to_chat_result,
    to_whole_chunk,
    with_usage_of,
)
from ._langchain.structured_output import StructuredOutputMixin
from ._langchain.tools import ConvertedTools, ToolLike, to_choice, to_tools
from ._protocols.constraints import CONSTRAINT_FIELDS

if TYPE_CHECKING:
    from langchain_core.language_models import BaseLLM
    from langchain_protocol.protocol import MessagesData

    from ._generation.client import GenerationClient
    from ._generation.request import GenerationRequest
    from ._generation.schema_after_tools import SchemaAfterTools
    from ._protocols.reader import Answer


__all__ = ["EasyLLMChat"]


class EasyLLMChat(ProfileOwner, StructuredOutputMixin):
    """Chat model on any Hugging Face server: Inference Providers, endpoints, TGI, vLLM, llama.cpp.

    Setup:
        Install the package, and set a token if the server is Hugging Face's:

        ```bash
        pip install langchain-easyllm
        export HF_TOKEN="hf_..."
        ```

    Key init args (connection):
        model: Repository id on the Hugging Face Hub.
        base_url: URL of the server. Default: Inference Providers.
        provider: The Inference Provider, if not the one that Hugging Face chooses.
        api_key: Access token, if not the one of the environment.
        timeout: Maximum time of a call in seconds.
        max_retries: Maximum number of retries after a temporary failure.
        wait_for_model: Maximum time in seconds to wait for a model that is loading.

    Key init args (generation):
        temperature: Sampling temperature; 0 is greedy decoding.
        max_tokens: Maximum number of tokens to generate.
        stop: Stop sequences.
        prompt_builder: Prompt template, for servers that do not render messages themselves.

    Instantiate:
        ```python
        from langchain_easyllm import EasyLLMChat

        # Inference Providers
        llm = EasyLLMChat(model="meta-llama/Llama-3.1-8B-Instruct", temperature=0)

        # Your own server, or an Inference Endpoint
        llm = EasyLLMChat(base_url="http://localhost:8080", temperature=0, max_tokens=256)
        ```

        `EasyLLMChat(llm=...)` copies the settings of an LLM: an `EasyLLM`, or a
        `HuggingFaceEndpoint`, `HuggingFacePipeline`, `HuggingFaceTextGenInference` or
        `HuggingFaceHub` of langchain-huggingface or langchain-community. Arguments given beside
        it take precedence.

    Invoke:
        ```python
        messages = [
            ("system", "You are a helpful assistant."),
            ("human", "What is the capital of France?"),
        ]
        message = llm.invoke(messages)
        message.text
        ```

    Stream:
        ```python
        for chunk in llm.stream(messages):
            print(chunk.text, end="", flush=True)
        ```

    Async:
        ```python
        message = await llm.ainvoke(messages)

        async for chunk in llm.astream(messages):
            print(chunk.text, end="", flush=True)

        answers = await llm.abatch([messages, messages])
        ```

    Tool calling:
        ```python
        def multiply(a: int, b: int) -> int:
            '''Multiply two numbers.'''
            return a * b


        llm_with_tools = llm.bind_tools([multiply])
        tool_calls = llm_with_tools.invoke("What is 17 times 23?").tool_calls
        ```

    Structured output:
        ```python
        from pydantic import BaseModel


        class Person(BaseModel):
            '''A person.'''

            name: str
            age: int


        structured_llm = llm.with_structured_output(Person)
        person = structured_llm.invoke("Ida Lowell is 41 years old.")
        ```

    Image input:
        For a model that accepts images, on a chat server:

        ```python
        from langchain_core.messages import HumanMessage

        picture = {"type": "image", "url": "https://example.com/cat.png"}
        description = llm.invoke([HumanMessage(["What is in this picture?", picture])])
        ```

    Token usage:
        If the server reports it; the last chunk of a stream has it too.

        ```python
        usage = llm.invoke(messages).usage_metadata
        ```

    Logprobs:
        ```python
        logprobs_llm = llm.bind(logprobs=True, top_logprobs=2)
        logprobs = logprobs_llm.invoke(messages).response_metadata["logprobs"]["content"]
        ```

    Response metadata:
        ```python
        metadata = llm.invoke(messages).response_metadata
        metadata["model_name"], metadata["finish_reason"]
        ```

    Raises:
        ValueError: If a field is unknown (the message suggests the right one) or invalid.
        langchain_easyllm.errors.EasyLLMError: If a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    if TYPE_CHECKING:
        llm: Convertible[None, BaseLLM] = UNSET

    api: Literal["auto", "chat", "completions", "generate", "local"] = "auto"
    """The protocol. `"auto"` (default) means `"chat"`, or with a `prompt_builder` the server's text
    protocol (`"generate"` or `"completions"`). `"local"` runs the model in this process; without a
    `prompt_builder`, its own chat template is used."""

    parse_tool_calls: (
        Literal[
            "auto",
            "deepseek-v3.1",
            "glm-4.5",
            "gpt-oss",
            "hermes",
            "kimi-k2",
            "llama3",
            "minimax-m2",
            "mistral",
            "mistral-v11",
            "qwen3-coder",
            "react",
        ]
        | None
    ) = None
    """The format of tool calls that the model writes as text. Default None: the server parses tool
    calls, and on a text protocol, where the prompt describes the tools, calls have the format of
    the prompt template. A name describes the tools in that format, and also parses calls that a
    chat server returns as text. `"auto"` parses such calls in every format."""

    @classmethod
    def _own_arguments(cls, values: Mapping[str, object]) -> dict[str, object]:
        if values.get("llm") is None:
            return super()._own_arguments({k: v for k, v in values.items() if k != "llm"})
        from ._fields.migration import fields_of_llm  # noqa: PLC0415 - seldom needed

        return fields_of_llm(values, cls._own_arguments, cls.model_fields)

    def to_prompt(
        self,
        messages: LanguageModelInput,
        *,
        tools: Sequence[ToolLike] | None = None,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
    ) -> str:
        """Return the exact prompt that would be sent on a text protocol.

        Without a `prompt_builder`, the prompt is rendered by the model's own template, as with
        `prompt_builder="auto"`.

        Args:
            messages: The conversation, in any form that `invoke` accepts.
            tools: The tools, in any form that `bind_tools` accepts.
            tool_choice: The tool choice, as in `bind_tools`. If a call is required, the request
                also begins the answer, behind this prompt.

        Returns:
            The prompt.

        Raises:
            ConfigurationError: If there is no template, or it cannot express the messages.
        """
        from ._generation.payload import offered_tools  # noqa: PLC0415 - loads with the first request
        from ._generation.prompt import render_prompt  # noqa: PLC0415 - as above

        converted = to_tools(tools)
        bound = {"tools": converted, "tool_choice": to_choice(tool_choice, converted)}
        request = self._build_request(self._as_source(messages), None, bound)
        template = request.template
        if template is None:
            template = self._connect().model_template(request, request.policy)
        offered = offered_tools(request.tools, request.tool_choice)
        return render_prompt(request, template, offered).text

    _to_chat_prompt = to_prompt  # what ChatHuggingFace calls it

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        found = super()._convert_input(model_input)
        if not isinstance(found, ChatPromptValue):
            return found
        messages = found.to_messages()
        traceable = with_traceable_images(messages)
        return found if traceable is messages else ChatPromptValue(messages=traceable)

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer conversations, `max_concurrency` at a time; see `BaseChatModel.generate`."""
        kwargs = hide_headers(kwargs)
        messages = [with_traceable_images(one) for one in messages]
        if len(messages) < 2:
            return super().generate(messages, stop, callbacks, **kwargs)
        each = split_run_id(kwargs, len(messages))
        threads = ContextThreadPoolExecutor(min(len(messages), self.max_concurrency))
        with batched(), threads:
            answers = threads.map(
                lambda one, rest: self.generate([one], stop, callbacks, **rest), messages, each
            )
            return joined(answers)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer conversations, `max_concurrency` at a time; see `BaseChatModel.agenerate`."""
        running_loop()
        kwargs = hide_headers(kwargs)
        messages = [with_traceable_images(one) for one in messages]
        if len(messages) < 2:
            return await super().agenerate(messages, stop, callbacks, **kwargs)
        each = zip(messages, split_run_id(kwargs, len(messages)), strict=True)
        answers = (self.agenerate([one], stop, callbacks, **rest) for one, rest in each)
        with batched():
            return joined(await gather_with_concurrency(self.max_concurrency, *answers))

    def bind_tools(
        self,
        tools: Sequence[ToolLike],
        *,
        tool_choice: str | bool | Mapping[str, Any] | None = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools to this model.

        Args:
            tools: LangChain tools, functions, pydantic classes, TypedDicts, or dicts that describe
                a function.
            tool_choice: `"auto"`, `"none"`, `"any"` or `"required"` (also `True`) for at least one
                call, the name of a tool, or OpenAI's dict for that tool. Default: the server's own.
            strict: Whether arguments must fit their schema exactly, on servers that support it.
            parallel_tool_calls: Whether one answer may have several calls. Default: the server's
                own.
            kwargs: Generation fields to bind as well.

        Returns:
            A runnable that answers with an `AIMessage`, with the calls in `tool_calls`.

        Raises:
            ConfigurationError: If two tools have the same name, a tool has no JSON schema, or
                `tool_choice` names none of the tools.
        """
        own = ConvertedTools(to_tools(tools, strict=strict))
        bound: dict[str, object] = {"tools": own, "tool_choice": to_choice(tool_choice, own)}
        if parallel_tool_calls is not None:
            bound["parallel_tool_calls"] = parallel_tool_calls
        model: Runnable[LanguageModelInput, AIMessage] = self.bind(
            **{k: v for k, v in bound.items() if v is not None}, **kwargs
        )
        return model

    @inspected
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - langchain-core reports
        **kwargs: Any,
    ) -> ChatResult:
        request = self._build_request(messages, stop, kwargs)
        client = self._client_for(request)
        result = self._to_result(client.answer(request))
        if repair := _repair(request, result):
            return with_usage_of(result, self._to_result(client.answer(repair)))
        return result

    @inspected
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as above
        **kwargs: Any,
    ) -> ChatResult:
        request = self._build_request(messages, stop, kwargs)
        client = self._client_for(request)
        result = self._to_result(await client.aanswer(request))
        if repair := _repair(request, result):
            return with_usage_of(result, self._to_result(await client.aanswer(repair)))
        return result

    def _client_for(self, request: GenerationRequest) -> GenerationClient | SchemaAfterTools:
        """Return what answers a request, with a second one if it has tools and a constraint."""
        client = self._connect()
        if not request.tools or CONSTRAINT_FIELDS.isdisjoint(request.params):
            return client
        from ._generation.schema_after_tools import (  # noqa: PLC0415 - seldom needed
            client_with_schema,
        )

        return client_with_schema(client, request)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Stream an answer's chunks; one chunk where the call or the object says not to stream."""
        own = hide_headers(_with_streaming(kwargs))
        return super().stream(input, config, stop=stop, **own)

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Stream an answer's chunks without blocking the event loop; otherwise as `stream`."""
        own = hide_headers(_with_streaming(kwargs))
        return super().astream(input, config, stop=stop, **own)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if self._streams(kwargs) is False:
            yield to_whole_chunk(self._generate(messages, stop, run_manager, **kwargs))
            return
        request = self._build_request(messages, stop, kwargs, stream=True)
        v1 = self.output_version == "v1"
        for chunks in self._client_for(request).stream(request):
            yield from to_chat_chunks(chunks, v1=v1)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        if self._streams(kwargs) is False:
            yield to_whole_chunk(await self._agenerate(messages, stop, run_manager, **kwargs))
            return
        request = self._build_request(messages, stop, kwargs, stream=True)
        v1 = self.output_version == "v1"
        async for chunks in self._client_for(request).astream(request):
            for chunk in to_chat_chunks(chunks, v1=v1):
                yield chunk

    @property
    def _stream_chat_model_events(self) -> Callable[..., Iterator[MessagesData]] | None:
        """Langchain-core's hook for `stream_events(version="v3")`; None leaves it to its own."""
        own = events.SUPPORTED and type(self)._stream is EasyLLMChat._stream  # noqa: SLF001
        return self._events if own else None

    @property
    def _astream_chat_model_events(self) -> Callable[..., AsyncIterator[MessagesData]] | None:
        own = events.SUPPORTED and type(self)._astream is EasyLLMChat._astream  # noqa: SLF001
        return self._aevents if own else None

    def _events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        if self._streams(kwargs) is False:
            result = self._generate(messages, stop, run_manager, **kwargs)
            return events.events_of_result(result, run_manager)
        request = self._build_request(messages, stop, kwargs, stream=True)
        return events.events_of_chunks(self._client_for(request).stream(request), run_manager)

    def _aevents(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        if self._streams(kwargs) is False:
            result = self._agenerate(messages, stop, run_manager, **kwargs)
            return events.aevents_of_result(result, run_manager)
        request = self._build_request(messages, stop, kwargs, stream=True)
        return events.aevents_of_chunks(self._client_for(request).astream(request), run_manager)

    def _should_stream(
        self,
        *,
        async_api: bool,
        run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> bool:
        # `stream` and `astream` have no run manager yet, and no choice but what is in `streaming`:
        # langchain-core puts stream=True beside it. If the object declines, it calls `invoke`.
        if run_manager is None and self.streaming is False and kwargs.get("streaming") is None:
            return False
        own = _with_stream(kwargs) if kwargs else kwargs
        return super()._should_stream(async_api=async_api, run_manager=run_manager, **own)

    def _streaming_disabled(self, **kwargs: Any) -> bool:
        own = _with_stream(kwargs)
        if not own.get("stream"):
            return super()._streaming_disabled(**own)
        # A call that is to be streamed is, also where the object's streaming=False.
        tools = self.disable_streaming == "tool_calling" and kwargs.get("tools")
        return self.disable_streaming is True or bool(tools)

    def _to_result(self, answers: Sequence[Answer]) -> ChatResult:
        return to_chat_result(answers, v1=self.output_version == "v1")

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return combined_llm_output(llm_outputs)

    def _as_source(self, messages: LanguageModelInput) -> list[BaseMessage]:
        return self._convert_input(messages).to_messages()

    def _uses_model_template(self) -> bool:
        # A server renders the messages itself; a model in this process leaves that to us.
        local = self._is_local() and self.prompt_builder is None
        return local or super()._uses_model_template()

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._tracing_params("chat", stop, kwargs)

    @property
    def _llm_type(self) -> str:
        return "easyllm-chat"


def _with_stream(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Put a call's own choice to stream under langchain-core's name, which may not be None."""
    own = streaming_of(kwargs)
    rest = {name: value for name, value in kwargs.items() if name != "stream"}
    return rest if own is None else {**rest, "stream": own}


def _with_streaming(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keep a call's stream= apart from the one that langchain-core's `stream` sets."""
    if "stream" not in kwargs or kwargs.get("streaming") is not None:
        return kwargs
    rest = {name: value for name, value in kwargs.items() if name != "stream"}
    return {**rest, "streaming": kwargs["stream"]}


def _repair(request: GenerationRequest, result: ChatResult) -> GenerationRequest | None:
    """Return the request that repairs a structured answer; None if there is nothing to repair."""
    if request.output is None or len(result.generations) != 1:
        return None
    from ._generation.prepare import repair_request  # noqa: PLC0415 - seldom needed

    return repair_request(request, result.generations[0].message)
