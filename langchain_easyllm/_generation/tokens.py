"""A model's own tokens: from its server, or from its own tokenizer file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, cast

import orjson

from .._http.models import Request, RetryPolicy
from .._http.user_functions import UserFunction, ask_token
from .._langchain.messages import transcript
from .._protocols.registry import to_body
from .._servers.profile import GenerationApi, ServerInfo
from .._servers.session import ServerSession
from ..errors import (
    BadRequestError,
    ConfigurationError,
    EasyLLMError,
    NotFoundError,
    PromptError,
    ProtocolError,
    ServerError,
)
from ..prompts.hub import read_file
from .payload import offered_tools
from .prompt import render_prompt
from .request import GenerationRequest

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from tokenizers import Tokenizer

    from .client import GenerationClient
    from .prepare import PreparedRequest


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Counts the tokens of texts: at the server, or by the model's file where it has no route.

    A `prompt` is a whole one, at whose beginning the model's special tokens belong.
    """

    session: ServerSession
    policy: RetryPolicy
    model: str | None
    token: str | UserFunction | None

    def ids(self, text: str, *, prompt: bool = False) -> list[int]:
        text = _sendable(text)
        server = self.server()
        model = self.name(server)
        if server is not None:
            with suppress(NotFoundError):  # an older version without the route: the file is next
                if (found := self._ask_server(text, model, server, prompt=prompt)) is not None:
                    return found
        return list(_tokenizer(model, self.token).encode(text, add_special_tokens=prompt).ids)

    def count(self, text: str, *, prompt: bool = False) -> int:
        """Count a text, once."""
        counts = self.session.capabilities.token_counts
        key = _digest(self.model, prompt, _sendable(text))
        count = counts.get(key)
        if count is None:
            count = len(self.ids(text, prompt=prompt))
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
        request = Request("POST", url, orjson.dumps(body))
        try:
            return cast("object", orjson.loads(self.session.transport.send(request, policy).body))
        except orjson.JSONDecodeError:
            return {}

    def _ask_server(
        self, text: str, model: str | None, server: ServerInfo, *, prompt: bool
    ) -> list[int] | None:
        """Return what the server's tokenize route answers, or None where it has none."""
        route = server.profile.tokenize
        if route is None or self.session.url.versioned:
            return None
        extra = route.prompt_extra if prompt else route.extra
        body: dict[str, object] = {route.text_field: text, **extra}
        if route.names_model:
            body["model"] = model
        return _ids(self.ask(route.path, body, server, self.policy), route.ids_field)


def count_conversation(
    request: GenerationRequest, client: GenerationClient, source: TokenSource
) -> int:
    """Count the tokens of a request's prompt.

    What a template refuses by itself, as the parts of a conversation that `trim_messages` tries,
    is counted as plain text, and so is everything where no template is known.
    """
    source.server()  # before it is prepared: what is known of the server decides
    try:
        prepared = client.prepare(request)
    except ConfigurationError:
        return source.count(plain_text(request))
    sent = prepared.protocol_request
    if sent.api is not GenerationApi.CHAT:
        return source.count(sent.prompt or "", prompt=True)
    count = _count_by_route(prepared, source)
    if count is None:
        count = _count_by_files(request, client, source)
    return source.count(plain_text(request)) if count is None else count


def plain_text(request: GenerationRequest) -> str:
    """Return a request's input as text without any template."""
    if isinstance(request.source, str):
        return request.source
    text = transcript(cast("Sequence[BaseMessage]", request.source))
    tools = [json.dumps(tool, ensure_ascii=False, default=str) for tool in request.tools]
    return "\n".join([*tools, text])


def _count_by_route(prepared: PreparedRequest, source: TokenSource) -> int | None:
    """Count a chat request by the server's own route; None where it has none, or refuses."""
    server = source.server()
    route = server.profile.chat_tokenize if server else None
    capabilities = source.session.capabilities
    sent = prepared.protocol_request
    if server is None or route is None or source.session.url.versioned:
        return None
    if (route.path, sent.model) in capabilities.missing_routes:
        return None
    body = {
        key: value
        for key, value in to_body(sent, server).items()
        if route.keys is None or key in route.keys
    }
    key = _digest(server.model, route.path, body)
    count = capabilities.token_counts.get(key)
    if count is not None:
        return count if count >= 0 else None
    try:
        # A template that refuses is a 500 on some servers: that is not worth another attempt.
        answer = source.ask(route.path, body, server, replace(source.policy, max_retries=0))
    except NotFoundError:
        capabilities.missing_routes.add((route.path, sent.model))
        return None
    except (BadRequestError, ServerError) as error:
        if isinstance(error, BadRequestError) or error.status_code == 500:
            capabilities.token_counts.put(key, _REFUSED)
        return None
    except EasyLLMError as error:
        if not error.is_retryable:
            raise
        answer = source.ask(route.path, body, server, source.policy)
    prompt = answer.get("prompt") if isinstance(answer, Mapping) else None
    if route.tokens is not None:
        count = len(_ids(answer, route.tokens))
    elif isinstance(prompt, str):
        count = source.count(prompt, prompt=True)
    else:
        raise ProtocolError(f"The server's route {route.path} answered no prompt.")
    capabilities.token_counts.put(key, count)
    return count


_REFUSED = -1  # in place of a count


def _count_by_files(
    request: GenerationRequest, client: GenerationClient, source: TokenSource
) -> int | None:
    """Count by the model's own template and tokenizer; None where the server tokenizes."""
    server = source.server()
    if server is not None and server.profile.tokenize is not None:
        return None
    name = source.name(server)
    without = source.session.capabilities.without_template
    if not name or name in without:
        return None
    tokenizer = _tokenizer(name, source.token)
    named = replace(request, model=name)
    try:
        template = client.model_template(named, request.policy)
    except ConfigurationError:
        without.add(name)
        return None
    offered = offered_tools(request.tools, request.tool_choice)
    try:
        text = render_prompt(named, template, offered, keep_bos=True).text
    except ConfigurationError:
        return None
    return len(tokenizer.encode(text, add_special_tokens=False).ids)


def _sendable(text: str) -> str:
    """Replace the halves of surrogate pairs, which are no text."""
    return text.encode("utf-8", "replace").decode()


def _digest(*parts: object) -> bytes:
    data = orjson.dumps(parts, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    return blake2b(data, digest_size=16).digest()


def _ids(answer: object, field: str) -> list[int]:
    tokens = answer.get(field) if isinstance(answer, Mapping) else answer
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
