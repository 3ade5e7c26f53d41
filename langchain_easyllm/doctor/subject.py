"""The server under examination: the package's objects for it, and answers that checks share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.messages import AIMessage, AIMessageChunk

from .._generation.published_template import note_template, template_request
from .._http.client import Transport
from .._servers.details import ServerDetails
from .._servers.inference_providers import INFERENCE_PROVIDERS
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import ServerInfo, ServerProfile
from ..chat_models import EasyLLMChat
from ..embeddings import EasyLLMEmbeddings
from ..errors import EasyLLMError
from ..llms import EasyLLM
from ..rerank import EasyLLMRerank
from .recording import Exchange, RecordingTransport

if TYPE_CHECKING:
    from .._servers.session import ServerSession

T = TypeVar("T")

GREETING = "Reply with one short sentence: hello."
COUNTING = "Count from one to twenty in words, with commas."
GREETING_TOKENS, COUNTING_TOKENS = 16, 48


@dataclass(frozen=True, slots=True)
class ExaminationOptions:
    """How a server is examined.

    Attributes:
        url: Its URL; None for Inference Providers.
        model: The model to name in requests.
        provider: The Inference Provider.
        api_key: The key that is sent to it.
        timeout: Seconds that a question may take.
        wait: Seconds that a model that is loading is waited for.
        most: The maximum number of requests at once; None for what fits the server.
        only: The names of the checks to run; none for all.
    """

    url: str | None = None
    model: str | None = None
    provider: str | None = None
    api_key: str | None = field(default=None, repr=False)
    timeout: float = 15.0
    wait: float = 0.0
    most: int | None = None
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that was streamed.

    Attributes:
        message: All of it.
        first: Seconds to the first piece of text.
        seconds: Seconds to the end.
        pieces: The pieces of text, or of reasoning.
    """

    message: AIMessageChunk
    first: float
    seconds: float
    pieces: Sequence[str]


class Subject:
    """One server, and what it answered so far."""

    def __init__(self, options: ExaminationOptions) -> None:
        self.options = options
        self.exchanges: list[Exchange] = []
        self.retries: list[float] = []
        self._answers: dict[str, object] = {}
        self._watched: dict[ServerSession, Transport] = {}

    def chat(self, **fields: Any) -> EasyLLMChat:
        return self._watch(EasyLLMChat(**{**self._fields, **self._text_fields, **fields}))

    def llm(self, **fields: Any) -> EasyLLM:
        return self._watch(EasyLLM(**{**self._fields, **self._text_fields, **fields}))

    def embeddings(self) -> EasyLLMEmbeddings:
        return self._watch(EasyLLMEmbeddings(**self._fields_of_vectors, max_concurrency=1))

    def reranker(self) -> EasyLLMRerank:
        return self._watch(EasyLLMRerank(**self._fields_of_vectors, max_concurrency=1))

    def close(self) -> None:
        """Close the connections, and leave the sessions as they were."""
        for session, transport in self._watched.items():
            session.transport = transport
            transport.close()
        self._watched.clear()

    @cached_property
    def session(self) -> ServerSession:
        return self.chat()._connect().session  # noqa: SLF001 - the package's own class

    @cached_property
    def details(self) -> ServerDetails:
        return self.chat().server_info()

    @property
    def server(self) -> ServerInfo:
        """What the package knows of the server."""
        if self.session.url.router:
            return ServerInfo(INFERENCE_PROVIDERS, model=self.options.model)
        return self.session.server or ServerInfo(OPENAI_COMPATIBLE, known=False)

    @property
    def profile(self) -> ServerProfile:
        return self.server.profile

    @property
    def claims(self) -> bool:
        """Whether the server is one whose abilities are known, by its own word."""
        return self.server.known and self.details.server not in ("openai", "unknown", "litellm")

    def answer(self) -> AIMessage:
        """Return the answer to a greeting, asked once."""
        return self.once("answer", lambda: self.chat().invoke(GREETING, max_tokens=16))

    def streamed(self) -> Streamed:
        """Return a streamed answer, asked once."""
        return self.once("streamed", self._stream)

    def published_template(self) -> Mapping[str, object]:
        """Return what the server publishes of the model, its template among it."""
        server = self.server
        if server.profile.template_route is None or self.session.url.versioned:
            return {}
        chat = self.chat()
        request = chat._build_request(chat._as_source(GREETING), None, {})  # noqa: SLF001
        known = self.session.capabilities.published
        name = request.model or server.model or ""
        if name not in known:
            policy = replace(request.policy, max_retries=0)
            try:
                reply = self.session.transport.send(
                    template_request(request, server, self.session.url), policy
                )
            except EasyLLMError as error:
                note_template(request, server, self.session.capabilities, error)
            else:
                note_template(request, server, self.session.capabilities, reply)
        return known.get(name, {})

    def last(self) -> Exchange:
        """Return the last exchange."""
        return self.exchanges[-1]

    @property
    def _fields(self) -> dict[str, Any]:
        options = self.options
        fields: dict[str, Any] = {
            "base_url": options.url,
            "model": options.model,
            "provider": options.provider,
            "api_key": options.api_key,
            "timeout": options.timeout,
            "wait_for_model": options.wait,
            "max_retries": 1,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def _text_fields(self) -> dict[str, Any]:
        return {"temperature": 0, "max_tokens": GREETING_TOKENS}

    @property
    def _fields_of_vectors(self) -> dict[str, Any]:
        fields = self._fields
        if self.options.url is None:  # the model is one of text: the class has its own
            fields.pop("model", None)
            fields.pop("provider", None)
        return fields

    def _stream(self) -> Streamed:
        begun = time.monotonic()
        first: float | None = None
        pieces: list[str] = []
        whole = AIMessageChunk(content="")
        for chunk in self.chat(max_tokens=COUNTING_TOKENS).stream(COUNTING):
            if text := chunk.text or str(chunk.additional_kwargs.get("reasoning_content") or ""):
                first = time.monotonic() - begun if first is None else first
                pieces.append(text)
            whole += chunk
        seconds = time.monotonic() - begun
        return Streamed(whole, seconds if first is None else first, seconds, pieces)

    def once(self, name: str, ask: Callable[[], T]) -> T:
        """Return what was answered when this was first asked, or raise what was raised."""
        if name not in self._answers:
            try:
                self._answers[name] = ask()
            except EasyLLMError as error:
                self._answers[name] = error
        found = self._answers[name]
        if isinstance(found, EasyLLMError):
            raise found
        return cast("T", found)

    def _watch(self, model: Model) -> Model:
        """Record what a model sends: objects with the same settings share a session."""
        session = model._connect().session  # noqa: SLF001 - the package's own class
        if session not in self._watched:
            self._watched[session] = session.transport
            session.recheck()  # this process may have met another server there
            session.transport = RecordingTransport(session.transport, self.exchanges, self.retries)
        return model


Model = TypeVar("Model", EasyLLMChat, EasyLLM, EasyLLMEmbeddings, EasyLLMRerank)


def seconds_since(begun: float) -> float:
    return time.monotonic() - begun
