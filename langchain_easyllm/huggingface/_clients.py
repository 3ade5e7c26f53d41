"""The clients: a request in, a result or its chunks out, sync and async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from typing import Any, ParamSpec, TypeAlias, TypeVar

from langchain_core.runnables.config import ContextThreadPoolExecutor
from langchain_core.runnables.utils import gather_with_concurrency

from .._protocols.reader import Answer
from ._calls import PreparedCall, prepare, renders_slowly, translate_errors
from ._requests import ChatRequest, CompletionRequest, EmbeddingsRequest, read_request
from ._results import ChatResults, CompletionResults, Json, Results

P = ParamSpec("P")
R = TypeVar("R")

# A dict, or with stream=True an iterator of dicts: the value of an argument says which, no type.
Result: TypeAlias = Any

Request: TypeAlias = ChatRequest | CompletionRequest
F = TypeVar("F", bound=Callable[..., object])


def _sync(kind: Callable[P, R], run: Callable[[R, frozenset[str]], Result]) -> Callable[P, Result]:
    """Return a client's `create`, which takes the parameters of a kind of request."""

    def create(*args: P.args, **kwargs: P.kwargs) -> Result:
        with translate_errors():
            return run(*read_request(kind, *args, **kwargs))

    return _documented(create, kind)


def _async(
    kind: Callable[P, R], run: Callable[[R, frozenset[str]], Awaitable[Result]]
) -> Callable[P, Awaitable[Result]]:
    async def acreate(*args: P.args, **kwargs: P.kwargs) -> Result:
        with translate_errors():
            return await run(*read_request(kind, *args, **kwargs))

    return _documented(acreate, kind)


def _generate(results: type[Results], request: Request, given: frozenset[str]) -> Result:
    call = prepare(request, given)
    output = results(call.served_model)
    if call.stream:
        return _stream(call, output)
    return _logged(call, output.response(_answers(call)))


async def _agenerate(results: type[Results], request: Request, given: frozenset[str]) -> Result:
    if renders_slowly(request):
        call = await asyncio.to_thread(prepare, request, given)
    else:
        call = prepare(request, given)
    output = results(call.served_model)
    if call.stream:
        return _astream(call, output)
    return _logged(call, output.response(await _aanswers(call)))


def _embed(request: EmbeddingsRequest, _: frozenset[str]) -> Json:
    from ._embedding import prepare_embedding  # noqa: PLC0415 - loads with the first embedding

    embeddings = prepare_embedding(request)
    return embeddings.result(embeddings.embed_documents(request.texts), request)


async def _aembed(request: EmbeddingsRequest, _: frozenset[str]) -> Json:
    from ._embedding import prepare_embedding  # noqa: PLC0415 - as above

    embeddings = prepare_embedding(request)
    return embeddings.result(await embeddings.aembed_documents(request.texts), request)


def _answers(call: PreparedCall) -> list[Answer]:
    if len(call.requests) == 1:
        return call.client.answer(call.requests[0])
    with ContextThreadPoolExecutor(min(len(call.requests), call.max_concurrency)) as threads:
        return [answers[0] for answers in threads.map(call.client.answer, call.requests)]


async def _aanswers(call: PreparedCall) -> list[Answer]:
    waiting = (call.client.aanswer(request) for request in call.requests)
    return [answers[0] for answers in await gather_with_concurrency(call.max_concurrency, *waiting)]


def _stream(call: PreparedCall, results: Results) -> Iterator[Json]:
    with translate_errors(), closing(call.client.stream(call.requests[0])) as stream:
        for chunks in stream:
            for chunk in results.chunks(chunks):
                yield _logged(call, chunk)


async def _astream(call: PreparedCall, results: Results) -> AsyncIterator[Json]:
    with translate_errors():
        async with aclosing(call.client.astream(call.requests[0])) as stream:
            async for chunks in stream:
                for chunk in results.chunks(chunks):
                    yield _logged(call, chunk)


def _logged(call: PreparedCall, result: Json) -> Json:
    call.log("Answer: %s", result)
    return result


def _documented(create: F, kind: Callable[..., object]) -> F:
    """Give a call the signature and the documentation of the request that it takes."""
    verb = "Make" if create.__name__ == "create" else "Make, asynchronously,"
    create.__doc__ = f"""{verb} a request.

    Args:
        **kwargs: The parameters: see the fields of `{kind.__name__}`.

    Returns:
        A dict in OpenAI's shape, whose `usage` is None where the server did not count; with
        `stream=True` an iterator of chunks.

    Raises:
        ConfigurationError: For a parameter or setting that cannot work, before anything is sent.
        EasyLLMError: If the server cannot be reached, refuses or fails.
    """
    signature = inspect.signature(kind).replace(return_annotation=inspect.Signature.empty)
    create.__signature__ = signature  # type: ignore[attr-defined]
    return create


class ChatCompletion:
    """Chat with a model: `create` and `acreate`, with the parameters of `ChatRequest`.

    With a prompt builder the conversation is rendered here, for the server's text api; without one
    the server's chat api renders the model's own template.
    """

    create = staticmethod(_sync(ChatRequest, partial(_generate, ChatResults)))
    acreate = staticmethod(_async(ChatRequest, partial(_agenerate, ChatResults)))


class Completion:
    """Complete a text: `create` and `acreate`, with the parameters of `CompletionRequest`."""

    create = staticmethod(_sync(CompletionRequest, partial(_generate, CompletionResults)))
    acreate = staticmethod(_async(CompletionRequest, partial(_agenerate, CompletionResults)))


class Embedding:
    """Embed texts: `create` and `acreate`, with the parameters of `EmbeddingsRequest`."""

    create = staticmethod(_sync(EmbeddingsRequest, _embed))
    acreate = staticmethod(_async(EmbeddingsRequest, _aembed))
