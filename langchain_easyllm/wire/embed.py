"""Embedding requests: which field has which name on which protocol and server, route and body.

Sources: the OpenAPI document of Text Embeddings Inference 1.9 (TEI), huggingface_hub's
feature-extraction task, the request models of vLLM, llama.cpp's server and llama-cpp-python, and
OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import quote

from ..errors import ConfigurationError
from .call import Server
from .dialects import Dialect
from .texts import body_parts

__all__ = [
    "EMBED_FIELDS",
    "EMBED_TABLE",
    "HERE",
    "EmbedApi",
    "EmbedCall",
    "EmbedServer",
    "embed_fields",
    "embed_route",
    "embed_server",
    "hub_route",
]


class EmbedApi(StrEnum):
    """Protocol of an embedding request."""

    EMBED = "embed"
    EMBEDDINGS = "embeddings"
    FEATURE_EXTRACTION = "feature-extraction"


class EmbedServer(StrEnum):
    """Server behind a protocol, as far as embeddings differ."""

    TEI = "tei"
    VLLM = "vllm"
    LLAMA_CPP = "llama.cpp"
    OPENAI = "openai"
    HUB = "hub"


EMBED_FIELDS = (
    "normalize",
    "truncate",
    "truncation_direction",
    "dimensions",
    "prompt_name",
)
"""Embedding fields as this package names them, whatever the server calls them."""

HERE = "here"
"""Stands in the table for what is done to the vectors here, whatever the server did."""

_ALL = {name: name for name in EMBED_FIELDS}
_HERE = {"normalize": HERE}

EMBED_TABLE: Mapping[tuple[EmbedApi, EmbedServer], Mapping[str, str]] = MappingProxyType(
    {
        (EmbedApi.EMBED, EmbedServer.TEI): _ALL,
        # TEI reads no other fields on its OpenAI route, and always normalises there.
        (EmbedApi.EMBEDDINGS, EmbedServer.TEI): {**_HERE, "dimensions": "dimensions"},
        (EmbedApi.EMBEDDINGS, EmbedServer.VLLM): {
            **_HERE,
            "truncate": "truncate_prompt_tokens",
            "dimensions": "dimensions",
        },
        # It ignores `dimensions`: a field that does nothing is a field it does not have.
        (EmbedApi.EMBEDDINGS, EmbedServer.LLAMA_CPP): _HERE,
        (EmbedApi.EMBEDDINGS, EmbedServer.OPENAI): {**_HERE, "dimensions": "dimensions"},
        (EmbedApi.FEATURE_EXTRACTION, EmbedServer.HUB): _ALL,
    }
)
"""The field table: `EMBED_TABLE[api, server][neutral name] -> name on the wire, or "here"`."""

_SERVERS = {
    Dialect.VLLM: EmbedServer.VLLM,
    Dialect.LLAMA_CPP: EmbedServer.LLAMA_CPP,
    Dialect.LLAMA_CPP_PYTHON: EmbedServer.LLAMA_CPP,
}

# A value that asks for what happens anyway needs no name on the wire.
_OFF: Mapping[str, tuple[object, ...]] = {"truncate": (False,), "truncation_direction": ("right",)}


def embed_server(api: EmbedApi, server: Server | None) -> EmbedServer:
    """Return the column of the field table for a protocol on a server."""
    if api is EmbedApi.EMBED:
        return EmbedServer.TEI
    if api is EmbedApi.FEATURE_EXTRACTION:
        return EmbedServer.HUB
    if server and server.tei:
        return EmbedServer.TEI
    return _SERVERS.get(server.dialect, EmbedServer.OPENAI) if server else EmbedServer.OPENAI


@dataclass(slots=True)
class EmbedCall:
    """One kind of embedding request; the texts of each batch are put into it.

    Args:
        api: Protocol to speak.
        params: Neutral fields that are set (`EMBED_FIELDS`).
        server: What is known of the server; None if nothing.
        model: Name for the request's `model`; None to leave it out.
        extra: The caller's own keys, merged into the body last.
        packed: Whether vectors may come as base64, which is smaller and cheaper to read.

    Raises:
        ConfigurationError: For a field that this protocol of this server cannot express.
    """

    api: EmbedApi
    params: Mapping[str, object]
    server: Server | None = None
    model: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)
    packed: bool = True
    _head: bytes = b""
    _tail: bytes = b""

    def __post_init__(self) -> None:
        """Make the parts of the body that every batch has in common."""
        body = embed_fields(self.api, self.server, self.params)
        key = "input" if self.api is EmbedApi.EMBEDDINGS else "inputs"
        if self.api is EmbedApi.EMBEDDINGS:
            if self.model:
                body["model"] = self.model
            if self.packed:
                body["encoding_format"] = "base64"
        self._head, self._tail = body_parts(key, {**body, **self.extra})

    @property
    def overhead(self) -> int:
        """Bytes of a body without any text."""
        return len(self._head) + len(self._tail)

    def body(self, texts: bytes) -> bytes:
        """Return the body for one batch of texts, already JSON, with commas between them."""
        return self._head + texts + self._tail

    @property
    def normalizes(self) -> bool:
        """Whether the vectors are to be brought to length 1 here."""
        who = embed_server(self.api, self.server)
        return self.params.get("normalize") is True and who is not EmbedServer.TEI


def embed_fields(
    api: EmbedApi, server: Server | None, params: Mapping[str, object]
) -> dict[str, object]:
    """Translate neutral fields to a server's names and values.

    Raises:
        ConfigurationError: For a field that this protocol of this server cannot express.
    """
    who = embed_server(api, server)
    table = EMBED_TABLE[api, who]
    out: dict[str, object] = {}
    for name, value in params.items():
        if value is None:
            continue
        key = table.get(name)
        if key == HERE and value is True:
            continue
        if key is None or key == HERE:
            if value not in _OFF.get(name, ()):
                raise ConfigurationError(_inexpressible(name, value, api, who))
            continue
        translated = _to_value(key, value)
        if translated is not None:
            out[key] = translated
    return out


def _to_value(key: str, value: object) -> object:
    """Return the value on the wire; None leaves the field out."""
    if key == "truncate_prompt_tokens":
        return -1 if value else None  # vLLM: to as many tokens as the model takes
    if key == "truncation_direction":
        return str(value).capitalize()
    return value


_INSTEAD = {"prompt_name": "write the prompt itself as query_prompt and document_prompt"}


def _inexpressible(name: str, value: object, api: EmbedApi, who: EmbedServer) -> str:
    instead = _INSTEAD.get(name, "drop it")
    if who is EmbedServer.TEI:
        instead = f"use api='embed' (or 'auto'), or {instead}"
    return (
        f"{name}={value!r} cannot be expressed on the {api.value} api of this server "
        f"({who.value}): {instead}. model_kwargs sends any key as it is."
    )


def embed_route(api: EmbedApi) -> str:
    """Return the route of a protocol below a server's root."""
    return {EmbedApi.EMBED: "/embed", EmbedApi.EMBEDDINGS: "/v1/embeddings"}.get(api, "/")


# Inference Providers that embed, below the router: all but the first speak OpenAI's protocol.
_PROVIDER_ROUTES = {"deepinfra": "/deepinfra/v1/openai/embeddings"}


def hub_route(provider: str | None, model: str, task: str = "feature-extraction") -> str:
    """Return the route of a model below the Inference Providers' router.

    Args:
        provider: Which provider; None for Hugging Face's own.
        model: Hub repo id.
        task: Task of Hugging Face's own provider.
    """
    if provider in (None, "hf-inference"):
        return f"/hf-inference/models/{quote(model, safe='/')}/pipeline/{task}"
    name = quote(str(provider), safe="")
    return _PROVIDER_ROUTES.get(name, f"/{name}/v1/embeddings")
