"""`EasyLLM`: a LangChain LLM (text in, text out) on any Hugging Face text-generation server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any, ClassVar, Literal

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models import LangSmithParams, LanguageModelInput
from langchain_core.language_models.llms import LLM
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.rate_limiters import BaseRateLimiter
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.runnables.utils import gather_with_concurrency
from pydantic import Field

from ._fields.call_headers import hide_headers
from ._fields.connection import CONFIG
from ._fields.text_model import TextModel, calling, inspected
from ._http.event_loop import running_loop
from ._langchain.batching import batched
from ._langchain.messages import only_text
from ._langchain.outputs import llm_output, to_generations, to_text_chunks

__all__ = ["EasyLLM"]


class EasyLLM(TextModel, LLM):
    r"""LLM (text in, text out) on any Hugging Face server: TGI, vLLM, llama.cpp, endpoints.

    Setup:
        Install the package, and set a token if the server is Hugging Face's:

        ```bash
        pip install langchain-easyllm
        export HF_TOKEN="hf_..."
        ```

    Key init args (connection):
        model: Repository id on the Hugging Face Hub.
        base_url: URL of the server. Default: Inference Providers.
        api_key: Access token, if not the one of the environment.
        timeout: Maximum time of a call in seconds.
        max_retries: Maximum number of retries after a temporary failure.
        wait_for_model: Maximum time in seconds to wait for a model that is loading.

    Key init args (generation):
        temperature: Sampling temperature; 0 is greedy decoding.
        max_tokens: Maximum number of tokens to generate.
        stop: Stop sequences.
        prompt_builder: Prompt template that the prompt is put into. Default: none.

    Instantiate:
        ```python
        from langchain_easyllm import EasyLLM

        llm = EasyLLM(base_url="http://localhost:8080", max_tokens=64, stop=["\nQuestion"])
        ```

    Invoke:
        ```python
        prompt = "Question: What is the capital of France?\nAnswer:"
        text = llm.invoke(prompt)
        ```

    Stream:
        ```python
        for chunk in llm.stream(prompt):
            print(chunk, end="", flush=True)
        ```

    Async:
        ```python
        text = await llm.ainvoke(prompt)

        async for chunk in llm.astream(prompt):
            print(chunk, end="", flush=True)

        texts = await llm.abatch([prompt, prompt])
        ```

    Token usage:
        If the server reports it:

        ```python
        usage = llm.generate([prompt]).llm_output.get("token_usage")
        ```

    Logprobs:
        ```python
        [generation] = llm.generate([prompt], logprobs=True).generations[0]
        logprobs = generation.generation_info["logprobs"]["content"]
        ```

    Raises:
        ValueError: If a field is unknown (the message suggests the right one) or invalid.
        langchain_easyllm.errors.EasyLLMError: If a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    api: Literal["auto", "generate", "completions", "chat", "local"] = "auto"
    """The protocol. `"auto"` (default) means the server's text protocol (`"generate"` or
    `"completions"`); on Inference Providers, which are chat-only, `"chat"` with the prompt as one
    user message. `"local"` runs the model in this process."""

    rate_limiter: BaseRateLimiter | None = Field(default=None, exclude=True)
    """A rate limiter, which every request waits for. Default: none."""

    _prefers_text: ClassVar[bool] = True

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer prompts, `max_concurrency` at a time; see `BaseLLM.generate`."""
        kwargs = hide_headers(kwargs)
        if not (own := _own(kwargs)):
            return super().generate(prompts, stop, callbacks, **kwargs)
        with calling(own):
            return super().generate(prompts, stop, callbacks, **kwargs)

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Answer prompts, `max_concurrency` at a time; see `BaseLLM.agenerate`."""
        running_loop()
        kwargs = hide_headers(kwargs)
        with calling(_own(kwargs)):
            return await super().agenerate(prompts, stop, callbacks, **kwargs)

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[str]:
        """Stream an answer's text; see `BaseLLM.stream`."""
        return super().stream(input, config, stop=stop, **hide_headers(kwargs))

    def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[str]:
        """Stream an answer's text without blocking the event loop; otherwise as `stream`."""
        return super().astream(input, config, stop=stop, **hide_headers(kwargs))

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:
        value = super()._convert_input(model_input)
        if isinstance(value, ChatPromptValue):
            return ChatPromptValue(messages=only_text(value.messages))
        return value

    def _as_source(self, messages: LanguageModelInput) -> str:
        return self._convert_input(messages).to_string()

    def generate_prompt(self, prompts: list[PromptValue], *args: Any, **kwargs: Any) -> LLMResult:
        """Answer prompt values; see `BaseLLM.generate_prompt`."""
        return super().generate_prompt([self._convert_input(p) for p in prompts], *args, **kwargs)

    async def agenerate_prompt(
        self, prompts: list[PromptValue], *args: Any, **kwargs: Any
    ) -> LLMResult:
        """Answer prompt values; see `BaseLLM.agenerate_prompt`."""
        checked = [self._convert_input(p) for p in prompts]
        return await super().agenerate_prompt(checked, *args, **kwargs)

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        return self._one(prompt, stop, run_manager, kwargs)[0].text

    @inspected
    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        if len(prompts) == 1:
            return _to_result([self._one(prompts[0], stop, run_manager, kwargs)])
        threads = ContextThreadPoolExecutor(min(len(prompts), self.max_concurrency) or 1)
        with batched(), threads:
            answers = threads.map(lambda prompt: self._one(prompt, stop, None, kwargs), prompts)
            return _to_result(answers)

    @inspected
    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        if len(prompts) == 1:
            return _to_result([await self._aone(prompts[0], stop, run_manager, kwargs)])
        answers = (self._aone(prompt, stop, None, kwargs) for prompt in prompts)
        with batched():
            return _to_result(await gather_with_concurrency(self.max_concurrency, *answers))

    def _one(
        self,
        prompt: str,
        stop: list[str] | None,
        run_manager: CallbackManagerForLLMRun | None,
        kwargs: dict[str, Any],
    ) -> list[Generation]:
        """Answer one prompt."""
        if self._streams(kwargs):
            return _merged(self._stream(prompt, stop, run_manager, **kwargs))
        if self.rate_limiter:
            self.rate_limiter.acquire(blocking=True)
        request = self._build_request(prompt, stop, kwargs)
        return to_generations(self._connect().answer(request))

    async def _aone(
        self,
        prompt: str,
        stop: list[str] | None,
        run_manager: AsyncCallbackManagerForLLMRun | None,
        kwargs: dict[str, Any],
    ) -> list[Generation]:
        """Answer one prompt."""
        if self._streams(kwargs):
            chunks = self._astream(prompt, stop, run_manager, **kwargs)
            return _merged([chunk async for chunk in chunks])
        if self.rate_limiter:
            await self.rate_limiter.aacquire(blocking=True)
        request = self._build_request(prompt, stop, kwargs)
        return to_generations(await self._connect().aanswer(request))

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        if self._streams(kwargs) is False:
            yield _whole_chunk(self._one(prompt, stop, run_manager, kwargs))
            return
        if self.rate_limiter:
            self.rate_limiter.acquire(blocking=True)
        request = self._build_request(prompt, stop, kwargs, stream=True)
        for chunks in self._connect().stream(request):
            for chunk in to_text_chunks(chunks):
                if run_manager and run_manager.handlers:
                    run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        if self._streams(kwargs) is False:
            yield _whole_chunk(await self._aone(prompt, stop, run_manager, kwargs))
            return
        if self.rate_limiter:
            await self.rate_limiter.aacquire(blocking=True)
        request = self._build_request(prompt, stop, kwargs, stream=True)
        async for chunks in self._connect().astream(request):
            for chunk in to_text_chunks(chunks):
                if run_manager and run_manager.handlers:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._tracing_params("llm", stop, kwargs)

    @property
    def _llm_type(self) -> str:
        return "easyllm"


def _own(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the generation fields among a call's keyword arguments."""
    return {k: v for k, v in kwargs.items() if k not in ("tags", "metadata", "run_name", "run_id")}


def _whole_chunk(generations: Sequence[Generation]) -> GenerationChunk:
    first = generations[0]
    return GenerationChunk(text=first.text, generation_info=first.generation_info)


def _merged(chunks: Iterable[GenerationChunk]) -> list[Generation]:
    """Put a stream's chunks together as one generation."""
    whole = reduce(add, chunks)
    return [Generation(text=whole.text, generation_info=whole.generation_info)]


def _to_result(answers: Iterable[list[Generation]]) -> LLMResult:
    """Return generations with the sum of their token counts, if the server counted them all."""
    generations = list(answers)
    infos = [group[0].generation_info or {} for group in generations if group]
    name = infos[0].get("model_name") if infos else None
    output = llm_output([info.get("usage") for info in infos], name)
    return LLMResult(generations=generations, llm_output=output)
