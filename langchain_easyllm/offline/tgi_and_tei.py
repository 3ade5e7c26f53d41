"""The routes of an offline server that speaks as TGI and TEI do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial

from . import limits, tei, tgi
from .bodies import (
    HTTPError,
    Json,
    failure,
    openai_failure,
    openai_shape,
    parse_body,
    tei_shape,
    tgi_shape,
)
from .engine import Engine
from .server_api import Answer, Handler, Method, ServerApi


async def _tokenize(engine: Engine, body: Json) -> Answer:
    if tei.is_tei_tokenize(body):
        try:
            return await engine.run(partial(tei.tokenize, engine.embeddings, body))
        except HTTPError as error:
            error.shape = tei_shape
            raise
    return await tgi.tokenize(engine, body)


def _embedding(work: Callable[..., Answer]) -> Handler:
    async def handler(engine: Engine, body: Json) -> Answer:
        return await engine.run(partial(work, engine.embeddings, body))

    return handler


async def _info(engine: Engine, _: Json) -> Answer:
    """Return the union of TGI's and TEI's `/info`: one address serves both kinds of client."""
    language, embeddings = engine.language, engine.embeddings
    return {
        "model_id": language.name,
        "model_sha": None,
        "model_pipeline_tag": "text-generation",
        "max_concurrent_requests": limits.MAX_CONCURRENT,
        "max_best_of": limits.MAX_BEST_OF,
        "max_stop_sequences": limits.MAX_STOPS,
        "max_input_tokens": language.context - 1,
        "max_total_tokens": limits.max_total_tokens(language.context),
        "validation_workers": 1,
        "max_client_batch_size": limits.MAX_BATCH,
        "router": "text-generation-router",
        "version": limits.VERSION,
        "sha": None,
        "docker_label": limits.LABEL,
        "model_dtype": "float32",
        "served_model_name": embeddings.name,
        "model_type": {"embedding": {"pooling": "mean"}},
        "max_input_length": embeddings.max_input_length,
        "max_batch_tokens": limits.MAX_BATCH * embeddings.max_input_length,
        "max_batch_requests": None,
        "auto_truncate": False,
        "tokenization_workers": 1,
    }


async def _models(engine: Engine, _: Json) -> Answer:
    """Return the list of models as TGI has it: the language model, which owns itself."""
    name = engine.language.name
    model = {"id": name, "object": "model", "created": 0, "owned_by": name}
    return {"object": "list", "data": [model]}


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
    "/": tgi.generate_at_root,
    "/generate": tgi.generate,
    "/generate_stream": tgi.generate_stream,
    "/chat_tokenize": tgi.chat_tokenize,
    "/tokenize": _tokenize,
}
_TGI_OPENAI: dict[str, Handler] = {
    "/v1/completions": tgi.completions,
    "/v1/chat/completions": tgi.chat,
}
_extract = _embedding(tei.feature_extraction)
_TEI: dict[str, Handler] = {
    "/embed": _embedding(tei.embed),
    "/rerank": _embedding(tei.rerank),
    "/hf-inference/models/{model:path}/pipeline/feature-extraction": _extract,
    "/models/{model:path}/pipeline/feature-extraction": _extract,
    "/pipeline/feature-extraction/{model:path}": _extract,
}
_TEI_OPENAI: dict[str, Handler] = dict.fromkeys(
    ("/embeddings", "/v1/embeddings"), _embedding(tei.embeddings)
)


def _routes() -> dict[str, dict[str, Method]]:
    paths: dict[str, dict[str, Method]] = defaultdict(dict)
    for path, handler in _QUESTIONS.items():
        paths[path]["GET"] = Method(handler, tgi_shape, failure, generates=False)
    for routes, shape in ((_TGI, tgi_shape), (_TEI, tei_shape), (_TEI_OPENAI, openai_shape)):
        for path, handler in routes.items():
            paths[path]["POST"] = Method(handler, shape, failure)
    for path, handler in _TGI_OPENAI.items():
        paths[path]["POST"] = Method(handler, tgi_shape, openai_failure)
    return paths


def _missing(name: str, path: str, others: tuple[str, ...]) -> HTTPError:
    if not others:
        message = f"There is no route {name} {path}: is base_url the server's root?"
        return HTTPError(message, "not_found", 404)
    allowed = ", ".join(others)
    message = f"{path} takes {allowed}, not {name}"
    return HTTPError(message, "method_not_allowed", 405, {"allow": allowed})


TGI_AND_TEI = ServerApi(
    routes=_routes(),
    shape=tgi_shape,
    missing=_missing,
    parse=parse_body,
    max_body=limits.MAX_BODY,
    refuses_crowds=True,
)
