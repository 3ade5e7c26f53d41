"""From what a model object wants to the one request that asks for it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from .._http.error_mapping import error_from_event
from .._http.models import Request, Response
from .._protocols.events import Failure
from .._protocols.reader import Answer, ResponseReader, read_answers
from .._protocols.reasoning import is_reasoning_model, uses_think_tags
from .._protocols.registry import new_call_reader, new_decoder, route_of, to_body
from .._protocols.request import ProtocolRequest, needs_server, wire_stops
from .._protocols.stop_sequences import merge_stops
from .._protocols.tool_calls import recover_truncated_tool_call
from .._servers.profile import Dialect, GenerationApi, ServerInfo, fields_of
from .._servers.session import ServerSession
from .._servers.urls import ROUTER, is_dedicated_endpoint, looks_like_url
from .._tool_formats.text_calls import TextTools
from ..errors import ConfigurationError, EasyLLMError, NotFoundError, ProtocolError
from .payload import build_payload, refuses_tools
from .request import GenerationRequest

__all__ = ["PreparedRequest", "asks_server", "learn_fallback", "prepare_request"]


@dataclass(slots=True)
class PreparedRequest:
    """One request and how to read its answer.

    Attributes:
        call: The request as a value.
        request: The request in bytes.
        stops: All stop sequences that end the answer, whether they were sent or not.
        unsent: Whether some stop sequences are enforced here only.
        thinker: Whether the model is known to think in tags.
        root: Whether the root route was asked in place of `/generate`.
        echo: The prompt, where the answer is to begin with it.
        answers: How many completions were asked for.
        name: The model's plain name, as far as it is known.
        text_tools: How the answer's text may hold tool calls, whose conventions' and templates'
            stop sequences it then has; None where they are not looked for.
        method: How the answer's shape was asked for, or None.
    """

    call: ProtocolRequest
    request: Request
    stops: tuple[str, ...]
    unsent: bool
    thinker: bool
    root: bool
    echo: str | None = None
    answers: int = 1
    name: str = ""
    text_tools: TextTools | None = None
    method: str | None = None

    def reader(self) -> ResponseReader:
        """Return a reader for a streamed answer."""
        reader = ResponseReader(
            new_decoder(self.call),
            self.stops,
            thinker=self.thinker,
            new_calls=lambda: new_call_reader(self.call),
            text_tools=self.text_tools,
        )
        reader.end.extra = self._facts
        return reader

    @property
    def _facts(self) -> Mapping[str, object] | None:
        """What we know of the answer and the server does not."""
        return {"structured_output_method": self.method} if self.method else None

    def read(self, response: Response) -> list[Answer]:
        """Read an answer that was not streamed.

        Raises:
            EasyLLMError: If the server reports a failure, or its answer makes no sense.
        """
        return self._read(response.body, response.url, response.status)

    def rescued(self, error: EasyLLMError) -> list[Answer] | None:
        """Return the answer that an error tells of, if it does: a call that was cut off."""
        if self.call.wire is not GenerationApi.CHAT or not self.call.tools or error.body is None:
            return None
        body = recover_truncated_tool_call(error.body)
        return None if body is None else self._read(body, error.url or "", error.status_code)

    def _read(self, body: bytes, url: str, status: int | None) -> list[Answer]:
        try:
            answers = read_answers(
                new_decoder(self.call),
                body,
                self.stops,
                prompt=self.echo,
                thinker=self.thinker,
                new_calls=lambda: new_call_reader(self.call, whole=True),
                text_tools=self.text_tools,
            )
        except EasyLLMError as error:
            error.url, error.status_code = url, status
            raise
        if isinstance(answers, Failure):
            raise error_from_event(answers.payload, url)
        if len(answers) < self.answers:
            raise ProtocolError(
                f"The server answered {len(answers)} of n={self.answers} completions: it ignores "
                "n. Leave n out and call batch with the same input instead.",
                url=url,
            )
        for answer in answers:
            answer.end.extra = {**(answer.end.extra or {}), **(self._facts or {})}
        return answers


def asks_server(ask: GenerationRequest, connection: ServerSession) -> bool:
    """Whether the request depends on which server will answer it."""
    if connection.address.router:
        return False
    if ask.api is None:
        return True
    if ask.model is None and ask.api is not GenerationApi.GENERATE:
        return True
    return needs_server(ask.api, ask.params, ask.stops, tools=bool(ask.tools or ask.shaping))


def prepare_request(
    ask: GenerationRequest, connection: ServerSession, server: ServerInfo | None, *, stream: bool
) -> PreparedRequest:
    """Choose the protocol and build the request.

    Args:
        ask: What is wanted.
        connection: Where it is wanted from.
        server: Which server that is; None where it does not matter.
        stream: Whether the answer is to be streamed.

    Raises:
        ConfigurationError: If the request cannot be expressed on this server.
    """
    _check_names(ask, connection)
    wire = _choose_wire(ask, connection, server)
    server = server or _assumed(wire, connection)
    ask, method = _in_shape(ask, wire, server, connection)
    model = _model_name(ask, connection, server)
    name = ask.model or server.model or ""
    content = build_payload(ask, wire, server, toolless=name in connection.toolless)
    ask = replace(ask, params=content.params)
    thinker = _thinks(name, ask, connection)
    stops = merge_stops(ask.stops, content.stops)
    # None must fire inside hidden thinking, or a call's arguments: then it is enforced here only.
    offered = content.stops if thinker or ask.tools else stops
    params, extra = _past_the_table(ask, wire, server)
    call = ProtocolRequest(
        wire=wire,
        params={**_expressible(ask.defaults, wire, server), **params},
        stops=offered,
        model=model,
        prompt=content.prompt,
        messages=content.messages,
        tools=ask.tools,
        told=content.told,
        tool_choice=ask.tool_choice,
        parallel_tool_calls=ask.parallel_tool_calls,
        stream=stream,
        usage=ask.usage,
        extra=extra,
    )
    root = wire is GenerationApi.GENERATE and connection.root_route
    n = ask.params.get("n")
    return PreparedRequest(
        call=call,
        request=_to_request(call, server, connection, root=root),
        stops=ask.stops if content.text_tools else stops,
        unsent=len(wire_stops(offered, server)) < len(stops),
        thinker=thinker and uses_think_tags(name),
        root=root,
        echo=content.prompt if ask.params.get("return_full_text") else None,
        answers=n if isinstance(n, int) else 1,
        name=name,
        text_tools=content.text_tools,
        method=method,
    )


def _in_shape(
    ask: GenerationRequest, wire: GenerationApi, server: ServerInfo, connection: ServerSession
) -> tuple[GenerationRequest, str | None]:
    """Say what shape the answer is to have, in the way that is chosen for this server."""
    if ask.shaping is None:
        return ask, None
    from .._structured_output.strategy import apply_strategy  # noqa: PLC0415 - seldom needed

    name = ask.model or server.model or ""
    refused = connection.refused.get((name, ask.shaping.shape.key), set())
    if name in connection.toolless:
        refused = refused | {"function_calling"}
    return apply_strategy(ask, ask.shaping, wire, server, refused)


def _past_the_table(
    ask: GenerationRequest, wire: GenerationApi, server: ServerInfo
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the fields that go by the table of names, and the keys that go as they are."""
    named = fields_of(wire, server.dialect)
    own = {"do_sample"}  # no protocol but one has the name, and every one has the meaning
    past = [name for name in ask.unchecked if name in ask.params and name not in {*named, *own}]
    if not past:
        return ask.params, ask.extra
    params = {name: value for name, value in ask.params.items() if name not in past}
    return params, {**{ask.unchecked[name]: ask.params[name] for name in past}, **ask.extra}


def _check_names(ask: GenerationRequest, connection: ServerSession) -> None:
    """Refuse a call's own model and provider where the constructor would."""
    if ask.model and looks_like_url(ask.model):
        raise ConfigurationError(
            f"model={ask.model!r} is a server's address: a call can name another model only. Make "
            "an object with that base_url."
        )
    server = connection.server
    if server and server.dialect is Dialect.LOCAL and ask.model not in (None, server.model):
        raise ConfigurationError(
            f"model={ask.model!r} is another model than the local one: make an object with it."
        )
    if not ask.provider:
        return
    if not connection.address.router:
        raise ConfigurationError(
            "provider chooses among Inference Providers, and base_url is another server: "
            "leave one of them out."
        )
    if ask.model and ":" in ask.model:
        raise ConfigurationError(
            f"model={ask.model!r} names a provider already: leave provider out."
        )


def _choose_wire(
    ask: GenerationRequest, connection: ServerSession, server: ServerInfo | None
) -> GenerationApi:
    learned = connection.tasks.get(ask.model)
    if learned:
        return learned
    if connection.address.router:
        return _choose_at_router(ask, connection.address.root)
    if ask.api:
        return ask.api
    if not (ask.text or ask.template):
        return GenerationApi.CHAT
    if server and server.dialect is Dialect.TGI:
        return GenerationApi.GENERATE
    if is_dedicated_endpoint(connection.address.root) and not (server and server.known):
        return GenerationApi.GENERATE
    return GenerationApi.COMPLETIONS


def _choose_at_router(ask: GenerationRequest, root: str) -> GenerationApi:
    """Choose among Inference Providers' protocols: chat, but for one provider's text generation."""
    wanted = ask.api or (GenerationApi.GENERATE if ask.template else GenerationApi.CHAT)
    # A provider's own root below the router's may have completions; the router itself has none.
    fits = {
        GenerationApi.CHAT: True,
        GenerationApi.GENERATE: ask.provider == "hf-inference",
        GenerationApi.COMPLETIONS: root != ROUTER,
    }
    if not fits[wanted]:
        raise ConfigurationError(
            "Inference Providers serve chat only, but for provider='hf-inference': leave "
            "prompt_builder out (and HUGGINGFACE_PROMPT unset) and api at 'chat', or set base_url "
            "to your own server."
        )
    return wanted


def _expressible(
    params: Mapping[str, object], wire: GenerationApi, server: ServerInfo
) -> dict[str, object]:
    """Return the fields that a server's protocol has a name for."""
    known = fields_of(wire, server.dialect)
    return {name: value for name, value in params.items() if name in known}


def _assumed(wire: GenerationApi, connection: ServerSession) -> ServerInfo:
    if connection.address.router and wire is not GenerationApi.GENERATE:
        return ServerInfo(dialect=Dialect.ROUTER)
    return ServerInfo(dialect=Dialect.TGI if wire is GenerationApi.GENERATE else Dialect.OPENAI)


def _model_name(
    ask: GenerationRequest, connection: ServerSession, server: ServerInfo
) -> str | None:
    if connection.address.router:
        if not ask.model:
            raise ConfigurationError("Set model (a Hub repo id): Inference Providers need one.")
        at_router = connection.address.root == ROUTER
        return f"{ask.model}:{ask.provider}" if ask.provider and at_router else ask.model
    return server.model_for(ask.model or None)


def _thinks(name: str, ask: GenerationRequest, connection: ServerSession) -> bool:
    thinking = ask.params.get("thinking")
    if thinking is not None:
        return bool(thinking)
    return is_reasoning_model(name) or name in connection.thinkers


def _to_request(
    call: ProtocolRequest, server: ServerInfo, connection: ServerSession, *, root: bool
) -> Request:
    body = to_body(call, server)
    address = connection.address
    url = address.url(route_of(call))
    if call.wire is GenerationApi.GENERATE and (root or address.router):
        body["stream"] = call.stream
        model = (call.model or "").partition(":")[0]
        url = f"{ROUTER}/hf-inference/models/{model}" if address.router else address.url("/")
    try:
        data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The request cannot be written as JSON ({error}). Half a surrogate pair in a text is "
            "removed by text.encode('utf-8', 'replace').decode(); model_kwargs may hold plain "
            "values, lists and dicts only."
        ) from error
    return Request("POST", url, data)


_SUPPORTED_TASK = re.compile(r"[Ss]upported tasks?:\s*\[?['\"]?([\w-]+)")
_TASKS = {"conversational": GenerationApi.CHAT, "text-generation": GenerationApi.GENERATE}


def learn_fallback(
    plan: PreparedRequest, ask: GenerationRequest, connection: ServerSession, error: EasyLLMError
) -> bool:
    """Whether a refused request has another way, which the next plan then takes."""
    if _root_may_answer(plan, connection) and isinstance(error, NotFoundError):
        # `/generate` may be missing where the root route is not; both missing is an error.
        connection.root_route = not plan.root
        if not plan.root:
            return True
    if plan.method and _next_method(plan, ask, connection, error):
        return True
    told = plan.call.told or not plan.call.tools
    if plan.call.wire is GenerationApi.CHAT and not told and refuses_tools(error):
        connection.toolless.add(plan.name)
        return True
    named = _SUPPORTED_TASK.search(error.body or "") or _SUPPORTED_TASK.search(error.message)
    wire = _TASKS.get(named[1]) if named else None
    if wire is None or wire is plan.call.wire:
        return False
    if connection.tasks.get(ask.model) is plan.call.wire:
        connection.tasks.pop(ask.model, None)
        return False  # each of the two tasks was refused in the name of the other
    connection.tasks[ask.model] = wire
    return True


def _next_method(
    plan: PreparedRequest, ask: GenerationRequest, connection: ServerSession, error: EasyLLMError
) -> bool:
    """Whether the shape of the answer can be asked for in a weaker way, where one was refused."""
    from .._structured_output.strategy import refuses_shape  # noqa: PLC0415 - seldom needed

    if ask.shaping is None or not refuses_shape(plan.method, ask.shaping.shape, error):
        return False
    refused = connection.refused.setdefault((plan.name, ask.shaping.shape.key), set())
    refused.add(plan.method or "")
    return True


def _root_may_answer(plan: PreparedRequest, connection: ServerSession) -> bool:
    address = connection.address
    fixed = address.router or is_dedicated_endpoint(address.root)
    return plan.call.wire is GenerationApi.GENERATE and not fixed
