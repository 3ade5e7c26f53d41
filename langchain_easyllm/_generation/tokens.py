"""A model's own tokens of a text: from its server, or from its own tokenizer file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import orjson

from .._http.models import Request, RetryPolicy
from .._http.user_functions import UserFunction, ask_token
from .._servers.profile import ServerInfo
from .._servers.session import ServerSession
from ..errors import ConfigurationError, NotFoundError, PromptError, ProtocolError
from ..prompts.hub import read_file

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def token_ids(
    text: str,
    model: str | None,
    session: ServerSession,
    policy: RetryPolicy,
    token: str | UserFunction | None,
) -> list[int]:
    if not session.url.router:
        server = session.detect(policy)
        model = model or server.model
        with suppress(NotFoundError):  # an older version without the route: the file is next
            if (answer := _ask_server(text, model, server, session, policy)) is not None:
                return _ids(answer)
    encoded = _tokenizer(model, token).encode(text, add_special_tokens=False)
    return list(encoded.ids)


def _ask_server(
    text: str, model: str | None, server: ServerInfo, session: ServerSession, policy: RetryPolicy
) -> object:
    """Return what the server's tokenize route answers, or None where it has none."""
    route = server.profile.tokenize
    if route is None:
        return None
    body: dict[str, object] = {route.text_field: text, **route.extra}
    if route.names_model:
        body["model"] = model
    request = Request("POST", session.url.url(route.path), orjson.dumps(body))
    try:
        return cast("object", orjson.loads(session.transport.send(request, policy).body))
    except orjson.JSONDecodeError:
        return {}


def _ids(answer: object) -> list[int]:
    tokens = answer.get("tokens") if isinstance(answer, Mapping) else answer
    listed = tokens if isinstance(tokens, list) else [None]
    found = (token.get("id") if isinstance(token, Mapping) else token for token in listed)
    ids = [token for token in found if isinstance(token, int)]
    if len(ids) < len(listed):
        raise ProtocolError("The server's tokenize route answered no list of tokens.")
    return ids


@lru_cache(maxsize=8)
def _tokenizer(model: str | None, token: str | UserFunction | None) -> Tokenizer:
    cannot = (
        "Tokens cannot be counted: this server has no tokenize route, and "
        f"{model or 'the model'} has no tokenizer.json within reach. Count with a tokenizer of "
        "your own (custom_get_token_ids=...)."
    )
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415 - optional, and heavy
    except ImportError as error:
        raise ConfigurationError(f"{cannot} Or: pip install tokenizers") from error
    try:
        text = read_file(model, "tokenizer.json", token=ask_token(token)) if model else None
    except PromptError as error:
        raise ConfigurationError(f"{cannot} ({error})") from error
    if text is None:
        raise ConfigurationError(cannot)
    return Tokenizer.from_str(text)
