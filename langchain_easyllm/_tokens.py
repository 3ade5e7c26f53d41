"""A model's own tokens of a text: from its server, or from its own tokenizer file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import orjson

from ._connection import Connection
from .errors import ConfigurationError
from .transport import Policy, Request
from .wire import Dialect

__all__ = ["token_ids"]

# Where each server tokenizes, and what it calls the text.
_ROUTES: Mapping[Dialect, tuple[str, str]] = {
    Dialect.TGI: ("/tokenize", "inputs"),
    Dialect.VLLM: ("/tokenize", "prompt"),
    Dialect.LLAMA_CPP: ("/tokenize", "content"),
    Dialect.LLAMA_CPP_PYTHON: ("/extras/tokenize", "input"),
}
# Servers whose route would count the BOS of a prompt unless told not to.
_WITHOUT_BOS: Mapping[Dialect, Mapping[str, object]] = {
    Dialect.TGI: {"add_special_tokens": False},
    Dialect.VLLM: {"add_special_tokens": False},
}


def token_ids(text: str, model: str | None, connection: Connection, policy: Policy) -> list[int]:
    """Return the token ids of a text.

    Raises:
        ConfigurationError: If neither the server nor a tokenizer file can tell.
        EasyLLMError: If the server has a route and it fails.
    """
    if not connection.address.router:
        server = connection.ask_server(policy)
        route = _ROUTES.get(server.dialect)
        if route:
            path, field = route
            body: dict[str, object] = {field: text, **_WITHOUT_BOS.get(server.dialect, {})}
            if server.dialect is Dialect.VLLM:
                body["model"] = model or server.model
            request = Request("POST", connection.address.url(path), orjson.dumps(body))
            return _ids(orjson.loads(connection.transport.send(request, policy).body))
        model = model or server.model
    return _tokenizer(model)(text)


def _ids(answer: object) -> list[int]:
    tokens = answer.get("tokens") if isinstance(answer, Mapping) else answer
    if not isinstance(tokens, list):
        raise ConfigurationError("The server's tokenize route answered no list of tokens.")
    return [token["id"] if isinstance(token, Mapping) else token for token in tokens]


@lru_cache(maxsize=8)
def _tokenizer(model: str | None) -> Callable[[str], list[int]]:
    cannot = (
        "Tokens cannot be counted: this server has no tokenize route, and "
        f"{model or 'the model'} has no tokenizer.json within reach. Count with a tokenizer of "
        "your own (custom_get_token_ids=...)."
    )
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        raise ConfigurationError(f"{cannot} Or: pip install tokenizers") from error
    path = Path(model) / "tokenizer.json" if model and Path(model).is_dir() else _from_hub(model)
    if path is None or not path.is_file():
        raise ConfigurationError(cannot)
    tokenizer = Tokenizer.from_file(str(path))
    return lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)


def _from_hub(model: str | None) -> Path | None:
    if not model:
        return None
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - heavy, and seldom needed

    try:
        return Path(hf_hub_download(model, "tokenizer.json"))
    except (OSError, ValueError):  # what huggingface_hub's errors for "not to be had" are
        return None
