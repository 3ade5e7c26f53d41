"""TEI's routes `/embed`, `/v1/embeddings`, `/rerank`, `/tokenize`; the Hub's feature extraction.

Format: the OpenAPI document of Text Embeddings Inference 1.9 (`EmbedRequest`,
`OpenAICompatRequest`, `RerankRequest`, `TokenizeRequest`) and the Hub's inference API.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from .bodies import (
    BOOLEAN,
    COUNT,
    OBJECT,
    STRING,
    STRINGS,
    HTTPError,
    Json,
    Kind,
    invalid,
    one_of,
    read_fields,
)
from .embedding_model import EmbeddingModel
from .limits import MAX_BATCH, MAX_CHARACTERS_PER_TOKEN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TEXTS = Kind(
    "a text or a list of texts (token ids are not supported)",
    lambda value: STRING.holds(value) or STRINGS.holds(value),
)
_SHOWN = 40
"""Characters of a text that an error quotes."""

_NO_PROMPTS = Kind("null: the model has no prompts", lambda _: False)
_CUT: dict[str, Kind] = {
    "truncate": BOOLEAN,
    "truncation_direction": one_of("Left", "Right", "left", "right"),
}
_EMBED = {
    **_CUT,
    "inputs": _TEXTS,
    "normalize": BOOLEAN,
    "dimensions": COUNT,
    "prompt_name": _NO_PROMPTS,
}
_OPENAI = {
    "input": _TEXTS,
    "model": STRING,
    "dimensions": COUNT,
    "encoding_format": one_of("float", "base64"),
    "user": STRING,
}
_RERANK = {**_CUT, "query": STRING, "texts": STRINGS, "raw_scores": BOOLEAN, "return_text": BOOLEAN}
_TOKENIZE = {"inputs": _TEXTS, "add_special_tokens": BOOLEAN, "prompt_name": _NO_PROMPTS}
_FEATURES = {**_EMBED, "parameters": OBJECT, "options": OBJECT}


def embed(model: EmbeddingModel, body: Json) -> list[list[float]]:
    """Answer `/embed`."""
    request = read_fields(body, _EMBED, required=("inputs",))
    found: list[list[float]] = _vectors(model, _batch(request["inputs"]), request).tolist()
    return found


def embeddings(model: EmbeddingModel, body: Json) -> dict[str, object]:
    """Answer `/v1/embeddings`; base64 is little-endian float32."""
    request = read_fields(body, _OPENAI, required=("input",))
    texts = _batch(request["input"])
    coded = request.get("encoding_format") == "base64"
    vectors = _vectors(model, texts, request).astype("<f4")
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector.tobytes()).decode() if coded else vector.tolist(),
        }
        for index, vector in enumerate(vectors)
    ]
    count = sum(len(model.encode(text)) for text in texts)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": model.name, "usage": usage}


def rerank(model: EmbeddingModel, body: Json) -> list[dict[str, object]]:
    """Answer `/rerank`: the texts' indexes by descending score."""
    request = read_fields(body, _RERANK, required=("query", "texts"))
    texts = _batch(request["texts"], "texts")
    query = _filled(request["query"], "query")[0]
    _check_lengths(model, [query, *texts], request)
    if not model.embed([query], truncate=True).any():
        raise _unknown("`query`:", query)
    kept = [_without_start(model, text) for text in texts] if _from_left(request) else texts
    raw = request.get("raw_scores", False)
    ranks: list[dict[str, object]] = [
        {"index": index, "score": score if raw else 1 / (1 + math.exp(-score))}
        for index, score in enumerate(model.score(query, kept).tolist())
    ]
    if request.get("return_text"):
        for rank, text in zip(ranks, texts, strict=True):
            rank["text"] = text
    return sorted(ranks, key=lambda rank: -cast("float", rank["score"]))


def is_tei_tokenize(body: Json) -> bool:
    """Return whether a body for `/tokenize` is TEI's: TGI takes one text and no prompt name."""
    return isinstance(body.get("inputs"), list) or "prompt_name" in body


def tokenize(model: EmbeddingModel, body: Json) -> list[list[dict[str, object]]]:
    """Answer TEI's `/tokenize`; there are no special tokens."""
    request = read_fields(body, _TOKENIZE, required=("inputs",))
    return [
        [
            {
                "id": token.id,
                "text": token.text,
                "special": False,
                "start": token.start,
                "stop": token.stop,
            }
            for token in model.encode(text)
        ]
        for text in _batch(request["inputs"])
    ]


def feature_extraction(model: EmbeddingModel, body: Json) -> list[list[float]] | list[float]:
    """Answer the Hub's feature extraction: a vector for each text, or one for a single text."""
    request = read_fields(body, _FEATURES, required=("inputs",))
    parameters = cast("Json", request.pop("parameters", {}))
    request |= read_fields(parameters, _EMBED, where="parameters.")
    inputs = request["inputs"]
    found: list[list[float]] = _vectors(model, _filled(inputs, "inputs"), request).tolist()
    return found[0] if isinstance(inputs, str) else found


def _vectors(model: EmbeddingModel, texts: Sequence[str], request: Json) -> NDArray[np.float32]:
    _check_lengths(model, texts, request)
    dimensions = cast("int | None", request.get("dimensions"))
    if dimensions is not None and not 0 < dimensions <= model.dimension:
        raise invalid(f"`dimensions` must be between 1 and {model.dimension}. Given: {dimensions}")
    vectors = model.embed(
        texts,
        normalize=bool(request.get("normalize", True)),
        dimensions=dimensions,
        truncate=True,  # what must not be cut has been refused
        truncation_direction="left" if _from_left(request) else "right",
    )
    known = vectors.any(axis=1)
    if not known.all():
        place = int(known.argmin())
        raise _unknown(f"`inputs`: text {place}", texts[place])
    return vectors


def _batch(value: object, name: str = "inputs") -> list[str]:
    texts = _filled(value, name)
    if len(texts) > MAX_BATCH:
        raise HTTPError(f"batch size {len(texts)} > maximum allowed batch size {MAX_BATCH}")
    return texts


def _filled(value: object, name: str) -> list[str]:
    texts = [value] if isinstance(value, str) else cast("list[str]", value)
    if not texts or not all(texts):
        raise HTTPError(f"`{name}` cannot be empty", "empty", 400)
    return texts


def _unknown(where: str, text: str) -> HTTPError:
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return invalid(
        f"{where} {shown!r} has no word that the model knows (it reads English and Korean)"
    )


def _check_lengths(model: EmbeddingModel, texts: Sequence[str], request: Json) -> None:
    if request.get("truncate"):
        return
    longest = model.max_input_length
    most = longest * MAX_CHARACTERS_PER_TOKEN
    for text in texts:
        if len(text) > most:
            raise invalid(f"`inputs` must have less than {most} characters. Given: {len(text)}")
        count = len(model.encode(text))
        if count > longest:
            raise invalid(f"`inputs` must have less than {longest} tokens. Given: {count}")


def _from_left(request: Json) -> bool:
    return str(request.get("truncation_direction")).lower() == "left"


def _without_start(model: EmbeddingModel, text: str) -> str:
    tokens = model.encode(text)[-model.max_input_length :]
    return text[tokens[0].start :] if tokens else text
