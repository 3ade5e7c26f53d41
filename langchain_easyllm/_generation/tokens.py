"""A model's own tokens: from its server, or from its own tokenizer file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

import orjson

from .._http.models import Request, RetryPolicy
from .._http.user_functions import UserFunction, ask_token
from .._servers.profile import ServerInfo, TokenizeRoute
from .._servers.session import ServerSession
from ..errors import ConfigurationError, EasyLLMError, NotFoundError, PromptError, ProtocolError
from ..prompts.hub import read_file
from .prompt_pieces import count_pieces, learn_pieces

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Counts the tokens of texts: at the server, or by the model's file where it has no route.

    A `prompt` is a whole one, at whose beginning the model's special tokens belong.
    """

    session: ServerSession
    policy: RetryPolicy
    model: str | None
    token: str | UserFunction | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # the call's own

    def ids(self, text: str, *, prompt: bool = False) -> list[int]:
        return self._tokens(text, prompt=prompt)[0]

    def _tokens(
        self, text: str, *, prompt: bool, named: bool = False
    ) -> tuple[list[int], list[str]]:
        """Return the tokens of a text, and their names if they are wanted and the server says."""
        text = _sendable(text)
        server = self.server()
        model = self.name(server)
        if server is not None:
            with suppress(NotFoundError):  # an older version without the route: the file is next
                found = self._ask_server(text, model, server, prompt=prompt, named=named)
                if found is not None:
                    return found
        tokenizer = find_tokenizer(model, self.token)
        return list(tokenizer.encode(text, add_special_tokens=prompt).ids), []

    def count(self, text: str, *, prompt: bool = False) -> int:
        """Count a text, once, and a prompt whose pieces were counted before not at all."""
        counts = self.session.capabilities.token_counts
        key = digest(self.model, prompt, _sendable(text))
        count = counts.get(key)
        if count is not None:
            return count
        pieces = partial(digest, self.model, _PIECE)
        count = count_pieces(text, counts, pieces) if prompt else None
        if count is None:
            ids, names = self._tokens(text, prompt=prompt, named=prompt)
            count = len(ids)
            if len(names) == count:
                learn_pieces(text, names, counts, pieces)
        counts.put(key, count)
        return count

    def server(self) -> ServerInfo | None:
        """Return the server; None for Inference Providers, which have no such routes."""
        return None if self.session.url.router else self.session.detect(self.policy)

    def name(self, server: ServerInfo | None) -> str | None:
        """Return the model's name, without the provider that it may name."""
        if server is None:
            return (self.model or "").partition(":")[0] or None
        return self.model or server.model

    def ask(
        self, path: str, body: Mapping[str, object], server: ServerInfo, policy: RetryPolicy
    ) -> object:
        url = self.session.url.url(path, adds_v1=server.adds_v1)
        request = Request("POST", url, orjson.dumps(body), self.headers)
        try:
            return cast("object", orjson.loads(self.session.transport.send(request, policy).body))
        except orjson.JSONDecodeError:
            return {}

    def adds_bos(self) -> bool | None:
        """Return whether the server puts a token before a prompt; None if it does not say."""
        server = self.session.server
        route = server.profile.tokenize if server else None
        if server is None or route is None or route.special_field is None:
            return None
        try:
            plain = self._ask_server("a", self.model, server, prompt=False)
            whole = self._ask_server("a", self.model, server, prompt=True)
        except EasyLLMError:
            return None
        return None if plain is None or whole is None else whole[0][:1] != plain[0][:1]

    def _ask_server(
        self,
        text: str,
        model: str | None,
        server: ServerInfo,
        *,
        prompt: bool,
        named: bool = False,
    ) -> tuple[list[int], list[str]] | None:
        """Return what the server's tokenize route answers, or None where it has none."""
        route = server.profile.tokenize
        if route is None or self.session.url.versioned:
            return None
        body: dict[str, object] = {route.text_field: text, **route.extra}
        if route.special_field is not None:
            body[route.special_field] = prompt
        if route.names_model:
            body["model"] = model
        if named:
            body |= route.names_extra
        answer = self.ask(route.path, body, server, self.policy)
        names = _names_in(answer, route) if named else []
        return token_ids_in(answer, route.ids_field), names


_PIECE = "piece"  # what was counted


def _sendable(text: str) -> str:
    """Replace the halves of surrogate pairs, which are no text."""
    return text.encode("utf-8", "replace").decode()


def digest(*parts: object) -> bytes:
    data = orjson.dumps(parts, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    return blake2b(data, digest_size=16).digest()


def token_ids_in(answer: object, key: str) -> list[int]:
    tokens = answer.get(key) if isinstance(answer, Mapping) else answer
    listed = tokens if isinstance(tokens, list) else [None]
    found = (token.get("id") if isinstance(token, Mapping) else token for token in listed)
    ids = [token for token in found if isinstance(token, int)]
    if len(ids) < len(listed):
        raise ProtocolError("The server's tokenize route answered no list of tokens.")
    return ids


def _names_in(answer: object, route: TokenizeRoute) -> list[str]:
    """Return the texts or names of the tokens that a route answers; none where it does not."""
    key = route.names_field
    listed = answer.get(route.ids_field) if isinstance(answer, Mapping) else answer
    if key is None or not isinstance(listed, list):
        return []
    if isinstance(answer, Mapping) and isinstance(named := answer.get(key), list):
        return [str(name) for name in named]
    return [str(token[key]) for token in listed if isinstance(token, Mapping) and key in token]


@lru_cache(maxsize=8)
def find_tokenizer(model: str | None, token: str | UserFunction | None) -> Tokenizer:
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
