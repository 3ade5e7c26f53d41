"""What a server says of itself, for people: its version, its protocols and its limits."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orjson

from .._http.exchange import arun_flow, run_flow
from .._http.models import Request, Response, RetryPolicy
from ..errors import EasyLLMError
from .inference_providers import INFERENCE_PROVIDERS
from .model_facts import count
from .openai_compatible import OPENAI_COMPATIBLE
from .profile import ServerInfo, VersionRoute
from .session import quick_policy
from .tei import TEI_VERSION

if TYPE_CHECKING:
    from .session import ServerSession
    from .urls import ServerURL

UNKNOWN_SERVER = "unknown"
"""The name of a server that did not say which it is."""

_OF_TEI = {
    "embedding": ("embed", "embeddings"),
    "reranker": ("rerank",),
    "classifier": ("predict",),
}


@dataclass(frozen=True, slots=True)
class ServerDetails:
    """A server, as it describes itself.

    Attributes:
        server: Its name (`"tgi"`, `"vllm"`, `"llama.cpp"`, ...); `"openai"` for any other server
            with OpenAI's routes, `"unknown"` if it does not say which it is.
        version: Its version; None if it does not say.
        model: The model that answers; None if there are several, or the server does not say.
        models: The names of its models.
        protocols: The protocols that such a server has: `"chat"`, `"completions"`, `"generate"`
            (TGI's own) for text, `"embed"`, `"embeddings"`, `"rerank"`, `"predict"` for Text
            Embeddings Inference.
        context_length: The number of tokens that the model's context has; None if the server does
            not say.
        limits: Its other limits, those that it names: `max_stops` (stop sequences in a request),
            `max_input_tokens`, `max_batch` (texts in a request), `max_concurrency` (requests that
            it works on at once).
    """

    server: str
    version: str | None = None
    model: str | None = None
    models: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    context_length: int | None = None
    limits: Mapping[str, int] = field(default_factory=dict)


def server_details(
    session: ServerSession, policy: RetryPolicy, model: str | None = None
) -> ServerDetails:
    flow = _details(session, policy.begin(), model)
    return run_flow(flow, lambda step: step.run(session))


async def aserver_details(
    session: ServerSession, policy: RetryPolicy, model: str | None = None
) -> ServerDetails:
    async def run(step: _Detect | _Get) -> object:
        return await step.arun(session)

    return cast("ServerDetails", await arun_flow(_details(session, policy.begin(), model), run))


def _details(session: ServerSession, policy: RetryPolicy, model: str | None) -> _Flow:
    if session.url.router:
        server = ServerInfo(INFERENCE_PROVIDERS, model=model)
    else:
        server = yield _Detect(policy)
        if not server.known and session.failure is not None:
            raise session.failure
    said: Mapping[str, object] = {}
    route = version_route(server)
    if route is not None and not session.url.versioned:
        policy.call_budget().resume()
        request = Request("GET", session.url.url(route.path, adds_v1=server.adds_v1))
        with suppress(EasyLLMError):  # it has said which server it is
            said = _object((yield _Get(request, quick_policy(policy))))
    return describe(server, session.url, model, said)


def version_route(server: ServerInfo) -> VersionRoute | None:
    own = server.profile.version_route
    return TEI_VERSION if own is None and server.tei is not None else own


def describe(
    server: ServerInfo, url: ServerURL, model: str | None, said: Mapping[str, object]
) -> ServerDetails:
    """Return what is known of a server, with what it answered on its route of the version."""
    route = version_route(server)
    version = _at(said, route.key) if route else None
    at_once = _at(said, route.concurrency_key) if route and route.concurrency_key else None
    limits = {
        "max_stops": server.stop_limit if _generates(server) else None,
        "max_input_tokens": server.max_input_tokens,
        "max_batch": server.max_batch,
        "max_concurrency": count(at_once) or server.profile.max_concurrency,
    }
    named = model or server.model
    return ServerDetails(
        server=_name(server),
        version=version if isinstance(version, str) else None,
        model=named,
        models=server.models or ((named,) if named and not url.router else ()),
        protocols=_protocols(server),
        context_length=server.max_total_tokens or server.input_limit(named),
        limits={name: value for name, value in limits.items() if value is not None},
    )


def _generates(server: ServerInfo) -> bool:
    """Whether it has text; Text Embeddings Inference has not, unless another server is there."""
    only_tei = server.tei is not None and server.profile is OPENAI_COMPATIBLE
    return bool(server.profile.apis) and not only_tei


def _name(server: ServerInfo) -> str:
    if not server.known:
        return UNKNOWN_SERVER
    only_tei = server.tei is not None and server.profile is OPENAI_COMPATIBLE
    return "tei" if only_tei else server.profile.name


def _protocols(server: ServerInfo) -> tuple[str, ...]:
    profile = server.profile
    usual = [api for api in profile.apis if api in profile.suggested_apis] or [*profile.apis]
    texts = [api.value for api in usual] if _generates(server) else []
    return (*texts, *_OF_TEI.get(server.tei or "", ()))


def _object(response: Response) -> Mapping[str, object]:
    try:
        value = cast("object", orjson.loads(response.body))
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, Mapping) else {}


def _at(value: object, path: str) -> object:
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


@dataclass(slots=True)
class _Detect:
    policy: RetryPolicy

    def run(self, session: ServerSession) -> ServerInfo:
        return session.detect(self.policy)

    async def arun(self, session: ServerSession) -> ServerInfo:
        return await session.adetect(self.policy)


@dataclass(slots=True)
class _Get:
    request: Request
    policy: RetryPolicy

    def run(self, session: ServerSession) -> Response:
        return session.transport.send(self.request, self.policy)

    async def arun(self, session: ServerSession) -> Response:
        return await session.transport.asend(self.request, self.policy)


_Flow: TypeAlias = Generator["_Detect | _Get", Any, ServerDetails]
