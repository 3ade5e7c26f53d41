"""The routes, as one ASGI application."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

from ._extra import needs_extra
from .chat import chat, chat_stream, chat_tokenize, simple_tokens
from .chat import read_request as read_chat
from .endpoint import Answer, Endpoint, Handler, Method, State
from .engine import Engine
from .fields import Json
from .generate import generate, generate_stream
from .generate import read_request as read_generate
from .info import info, models
from .openai import complete, complete_stream
from .openai import read_request as read_completions
from .responses import HTTPError, openai_failure, openai_shape, tei_shape, tgi_shape
from .tei import embed, embeddings, feature_extraction, is_tei_tokenize, rerank, tokenize

with needs_extra():
    from starlette.routing import Route, Router
    from starlette.types import ASGIApp

__all__ = ["make_app"]


async def _generate(engine: Engine, body: Json) -> Answer:
    return await generate(engine, *read_generate(body))


async def _generate_stream(engine: Engine, body: Json) -> Answer:
    return generate_stream(engine, *read_generate(body))


async def _root(engine: Engine, body: Json) -> Answer:
    inputs, parameters = read_generate(body, root=True)
    if body.get("stream"):
        return generate_stream(engine, inputs, parameters)
    return [await generate(engine, inputs, parameters)]


async def _completions(engine: Engine, body: Json) -> Answer:
    request = read_completions(body)
    if request.get("stream"):
        return complete_stream(engine, request)
    return await complete(engine, request)


async def _chat(engine: Engine, body: Json) -> Answer:
    request = await engine.run(partial(read_chat, body))
    return chat_stream(engine, request) if request.stream else await chat(engine, request)


async def _chat_tokenize(engine: Engine, body: Json) -> Answer:
    return await engine.run(lambda: chat_tokenize(engine, read_chat(body)))


async def _tokenize(engine: Engine, body: Json) -> Answer:
    if is_tei_tokenize(body):
        try:
            return await engine.run(partial(tokenize, engine.embeddings, body))
        except HTTPError as error:
            error.shape = tei_shape
            raise
    inputs, parameters = read_generate(body)
    special = bool(parameters["add_special_tokens"])
    encode = partial(engine.language.encode, inputs, add_special_tokens=special)
    return simple_tokens(await engine.run(encode))


def _embedding(work: Callable[..., Answer]) -> Handler:
    async def handler(engine: Engine, body: Json) -> Answer:
        return await engine.run(partial(work, engine.embeddings, body))

    return handler


async def _info(engine: Engine, _: Json) -> Answer:
    return info(engine.language, engine.embeddings)


async def _models(engine: Engine, _: Json) -> Answer:
    return models(engine.language)


async def _health(_engine: Engine, _: Json) -> Answer:
    return None


_QUESTIONS: dict[str, Handler] = {
    "/": _health,
    "/health": _health,
    "/ping": _health,
    "/info": _info,
    "/v1/models": _models,
}
_TGI: dict[str, Handler] = {
    "/": _root,
    "/generate": _generate,
    "/generate_stream": _generate_stream,
    "/chat_tokenize": _chat_tokenize,
    "/tokenize": _tokenize,
}
_TGI_OPENAI: dict[str, Handler] = {
    "/v1/completions": _completions,
    "/v1/chat/completions": _chat,
}
_TEI: dict[str, Handler] = {
    "/embed": _embedding(embed),
    "/rerank": _embedding(rerank),
    "/hf-inference/models/{model:path}/pipeline/feature-extraction": _embedding(feature_extraction),
    "/models/{model:path}/pipeline/feature-extraction": _embedding(feature_extraction),
    "/pipeline/feature-extraction/{model:path}": _embedding(feature_extraction),
}
_TEI_OPENAI: dict[str, Handler] = {
    "/embeddings": _embedding(embeddings),
    "/v1/embeddings": _embedding(embeddings),
}


def make_app(state: State) -> ASGIApp:
    """Return the application."""
    paths: dict[str, dict[str, Method]] = defaultdict(dict)
    for path, handler in _QUESTIONS.items():
        paths[path]["GET"] = Method(handler, tgi_shape, generates=False)
    for routes, shape in ((_TGI, tgi_shape), (_TEI, tei_shape), (_TEI_OPENAI, openai_shape)):
        for path, handler in routes.items():
            paths[path]["POST"] = Method(handler, shape)
    for path, handler in _TGI_OPENAI.items():
        paths[path]["POST"] = Method(handler, tgi_shape, openai_failure)
    routed = [Route(path, Endpoint(state, methods)) for path, methods in paths.items()]
    return Router(routed, redirect_slashes=False, default=Endpoint(state, {}))
