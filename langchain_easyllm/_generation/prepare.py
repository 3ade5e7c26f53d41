"""From a generation request to the one HTTP request that is sent, and back from its response.

Pure: which server it is and which template it needs are known before. A refusal teaches
`ServerCapabilities`, and the same generation is prepared anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import orjson

from .._http.context_overflow import own_words
from .._http.models import Request, Response
from .._http.sse import without_end_mark
from .._protocols.events import Failure
from .._protocols.reader import Answer, ResponseReader, gather_chunks, read_answers
from .._protocols.reasoning import (
    CLOSE,
    OPEN,
    RESPONSE_TAGS,
    is_reasoning_model,
    uses_think_tags,
)
from .._protocols.registry import expected_tool_calls, new_decoder, route_of, to_body
from .._protocols.request import ProtocolRequest, Tool, needs_server
from .._protocols.stop_sequences import StopPolicy, stop_limit, stop_policy
from .._protocols.thinking import THINKING_FIELDS, expressed, model_thinking
from .._protocols.tool_calls import recover_truncated_tool_call
from .._protocols.tool_choice import adds_strict, choose_tool
from .._servers.capabilities import ServerCapabilities
from .._servers.inference_providers import INFERENCE_PROVIDERS
from .._servers.openai_compatible import OPENAI_COMPATIBLE
from .._servers.profile import ApiProfile, GenerationApi, ServerInfo
from .._servers.tgi import TGI
from .._servers.urls import ROUTER, ServerURL, is_url
from .._tool_formats.call_syntax import tool_name
from .._tool_formats.parser import TextTools
from ..errors import (
    BadRequestError,
    ConfigurationError,
    EasyLLMError,
    NotFoundError,
    ProtocolError,
    ServerError,
)
from .optional_keys import leave_out
from .payload import RequestPayload, build_payload, refuses_tools
from .prefill import opens_reasoning, repeated_text, with_continuation
from .request import GenerationRequest
from .response import error_of, events_of, note_headers, note_model

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from .._structured_output.strategy import OutputStrategy
    from ..prompts.base import ChatPrompt


@dataclass(slots=True)
class PreparedRequest:
    """One HTTP request and how to read its response."""

    protocol_request: ProtocolRequest
    request: Request  # the request in bytes
    stops: StopPolicy
    model: str = ""  # the model's plain name, as far as it is known
    in_think_tags: bool = False  # whether a closing think tag may stand without an opening one
    response_tags: bool = False  # whether the model writes tags around its answer
    prompt_decides: bool = False  # whether the prompt opened or closed the reasoning
    root: bool = False  # whether the root route is used in place of `/generate`
    echo: str | None = None  # the prompt, where the answer is to begin with it
    answers: int = 1  # how many completions are wanted
    text_tools: TextTools | None = None
    method: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)  # the protocol's names of the fields
    names_servers_model: bool = False  # whether the model's name came from the server
    repeated: str = ""  # what an answer begins with, unless it is streamed
    adds_strict: bool = False  # whether tools were made strict that the caller left open
    include_headers: bool = False  # whether an answer keeps its response's headers

    @property
    def must_stream(self) -> bool:
        """Whether the whole answer is best read from a stream, which is closed at a stop sequence.

        The server is not given all stop sequences, and would go on after them; or the answer would
        begin with text that is not its own.
        """
        whole = self.stops.complete or self.protocol_request.tools
        return (not whole or bool(self.repeated)) and self.answers == 1

    def reader(self) -> ResponseReader:
        reader = ResponseReader(
            new_decoder(self.protocol_request),
            self.stops.enforced,
            reasoning_model=self.in_think_tags,
            expected_calls=expected_tool_calls(self.protocol_request),
            text_tools=self.text_tools,
            response_tags=self.response_tags,
        )
        if self.method:
            reader.end.extra = {"structured_output_method": self.method}
        return reader

    def read(self, response: Response) -> list[Answer]:
        answers = self._read(response.body, response.url, response.status)
        for answer in answers:
            note_headers(
                answer.end, response.headers, self.protocol_request.api, every=self.include_headers
            )
            note_model(answer.end, self.model, self.protocol_request.api)
        return answers

    def recover(self, error: EasyLLMError) -> list[Answer] | None:
        """Return the answer that an error holds, if it does: a tool call that was cut off."""
        request = self.protocol_request
        if request.api is not GenerationApi.CHAT or not request.tools or error.body is None:
            return None
        body = recover_truncated_tool_call(error.body)
        return None if body is None else self._read(body, error.url or "", error.status_code)

    def _read(self, body: bytes, url: str, status: int | None) -> list[Answer]:
        try:
            events = events_of(body)
            if events is None:
                answers = self._read_whole(without_end_mark(body))
            else:
                answers = self._read_events(events)
        except EasyLLMError as error:
            error.url, error.status_code = url, status
            raise
        if isinstance(answers, Failure):
            raise error_of(answers, url)
        if len(answers) < self.answers:
            raise ProtocolError(
                f"The server answered {len(answers)} of n={self.answers} completions: it ignores "
                "n. Leave n out and call batch with the same input instead.",
                url=url,
            )
        if self.method:
            method = {"structured_output_method": self.method}
            for answer in answers:
                answer.end.extra = {**(answer.end.extra or {}), **method}
        return answers

    def _read_whole(self, body: bytes) -> list[Answer] | Failure:
        return read_answers(
            new_decoder(self.protocol_request),
            body,
            self.stops.enforced,
            prompt=self.echo,
            repeated=self.repeated,
            reasoning_model=self.in_think_tags,
            expected_calls=expected_tool_calls(self.protocol_request),
            text_tools=self.text_tools,
            response_tags=self.response_tags,
        )

    def _read_events(self, events: Sequence[bytes]) -> list[Answer] | Failure:
        """Read the answer of a server that streams though it was not asked to."""
        reader = self.reader()
        chunks = reader.feed(events)
        if reader.failure is not None:
            return replace(reader.failure, text=reader.partial)
        answer = gather_chunks([*chunks, *reader.close()], reader.end)
        if self.echo is not None:
            answer.text = self.echo + answer.text.removeprefix(self.echo)
        return [answer]


def depends_on_server(request: GenerationRequest, url: ServerURL) -> bool:
    """Whether the HTTP request depends on which server will answer it."""
    if url.router:
        return False
    if request.api is None or request.prefill:
        return True
    if request.model is None and request.api is not GenerationApi.GENERATE:
        return True
    tools = bool(request.tools or request.output)
    return needs_server(request.api, request.params, request.stops, tools=tools)


def prepare_request(
    request: GenerationRequest,
    url: ServerURL,
    server: ServerInfo | None,
    capabilities: ServerCapabilities,
    template: ChatPrompt | None = None,
    *,
    stream: bool,
) -> PreparedRequest:
    """Choose the protocol and build the HTTP request; no `server` where it does not matter."""
    _check_names(request, url, server)
    api = choose_api(request, url, server, capabilities)
    server = server or _assumed_server(api, url)
    model = _model_field(request, url, server)  # before a template is missed for want of its name
    name = request.model or server.model or ""
    given = request.params
    request = _with_thinking(request, api, server, capabilities, name)
    request, method = _with_output_strategy(request, api, server, capabilities, name)
    fields = server.profile.api(api).fields
    if refused := _refused_keys(request, capabilities, name, api):
        request = leave_out(refused, request, fields, method)
    request = with_continuation(request, api, server.profile, url.root)
    payload = build_payload(
        request, api, server, template, without_tools=name in capabilities.without_tools
    )
    opened = opens_reasoning(request) if request.prefill else _opens_reasoning(payload)
    reasons = _reasons(name, given, capabilities) if opened is None else opened
    limit = server.stop_limit if capabilities.max_stops is None else capabilities.max_stops
    stops = _stop_policy(request, payload, limit, reasons=reasons)
    protocol_request = _protocol_request(
        request,
        payload,
        server.profile.api(api),
        api=api,
        model=model,
        stops=stops.sent,
        loose_tools=(name, _names(request.tools)) in capabilities.loose_tools,
        stream=stream,
    )
    root = api is GenerationApi.GENERATE and capabilities.root_route
    return PreparedRequest(
        protocol_request=protocol_request,
        request=_to_http(protocol_request, server, url, request.headers, root=root),
        stops=stops,
        model=name,
        in_think_tags=reasons and (bool(opened) or _may_leave_open(name, given, capabilities)),
        response_tags=_has_response_tags(name, given, payload),
        prompt_decides=opened is not None,
        root=root,
        echo=payload.prompt if request.params.get("return_full_text") else None,
        answers=n if isinstance(n := request.params.get("n"), int) else 1,
        text_tools=payload.text_tools,
        method=method,
        fields=fields,
        names_servers_model=bool(model) and not request.model,
        repeated=repeated_text(request, api, server.profile),
        adds_strict=api is GenerationApi.CHAT and adds_strict(protocol_request, server.profile),
        include_headers=request.include_headers,
    )


def _refused_keys(
    request: GenerationRequest, capabilities: ServerCapabilities, name: str, api: GenerationApi
) -> Collection[str] | None:
    refused: Collection[str] | None = capabilities.refused_keys.get((name, api))
    if request.left_out:
        return request.left_out.get((name, api), frozenset()).union(refused or ())
    return refused


def _stop_policy(
    request: GenerationRequest, payload: RequestPayload, limit: int | None, *, reasons: bool
) -> StopPolicy:
    return stop_policy(
        request.stops,
        payload.stops,
        limit=limit,
        hidden=reasons or bool(request.tools),
        reads_calls=payload.text_tools is not None,
    )


def _names(tools: Sequence[Tool]) -> tuple[str, ...]:
    return tuple(map(tool_name, tools))


def _protocol_request(
    request: GenerationRequest,
    payload: RequestPayload,
    profile: ApiProfile,
    *,
    api: GenerationApi,
    model: str | None,
    stops: tuple[str, ...],
    loose_tools: bool,
    stream: bool,
) -> ProtocolRequest:
    params, extra = _fields_and_keys(request, payload.params, profile.fields)
    return ProtocolRequest(
        api=api,
        params=params,
        stops=stops,
        model=model,
        prompt=payload.prompt,
        messages=payload.messages,
        tools=request.tools,
        prompted_tools=payload.prompted_tools,
        loose_tools=loose_tools,
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        prompt_route=profile.prompt_route,
        stream=stream,
        usage=request.reports_usage,
        details=request.details,
        default_limit=request.default_limit,
        extra=extra,
    )


def _with_thinking(
    request: GenerationRequest,
    api: GenerationApi,
    server: ServerInfo,
    capabilities: ServerCapabilities,
    name: str,
) -> GenerationRequest:
    """Put the fields for thinking in the words of a template that the server renders."""
    if THINKING_FIELDS.isdisjoint(request.params) or api is not GenerationApi.CHAT:
        return request  # a template that is rendered here says it in the prompt
    model = capabilities.thinking.get(name) or model_thinking(name, server.profile)
    return replace(request, params=expressed(request.params, model))


def _with_output_strategy(
    request: GenerationRequest,
    api: GenerationApi,
    server: ServerInfo,
    capabilities: ServerCapabilities,
    name: str,
) -> tuple[GenerationRequest, str | None]:
    """Request structured output in the way that is chosen for this server."""
    schema = request.output
    if schema is None:
        return request, None
    from .._structured_output.strategy import choose_strategy  # noqa: PLC0415 - seldom needed

    refused = capabilities.refused_methods.get((name, schema.key), set())
    if name in capabilities.without_tools:
        refused = refused | {"function_calling"}
    strategy = choose_strategy(schema, api, server, refused)
    return _apply(strategy, request), strategy.method


def _apply(strategy: OutputStrategy, request: GenerationRequest) -> GenerationRequest:
    params = {k: v for k, v in request.params.items() if k not in ("grammar", "response_format")}
    if strategy.response_format:
        params["response_format"] = strategy.response_format
    request = replace(request, params=params)
    if strategy.instructions:
        from .._structured_output.strategy import add_instructions  # noqa: PLC0415 - as above

        messages = cast("Sequence[BaseMessage]", request.source)
        return replace(request, source=add_instructions(messages, strategy.instructions))
    if strategy.tool:
        return replace(
            request,
            tools=(strategy.tool,),
            tool_choice=choose_tool(strategy.tool),
            parallel_tool_calls=False,
        )
    return request


def repair_request(request: GenerationRequest, answer: BaseMessage) -> GenerationRequest | None:
    """Return the request that repairs an answer; None if it fits its schema, or has none."""
    if request.output is None:
        return None
    from .._structured_output.strategy import repair_messages  # noqa: PLC0415 - seldom needed

    more = repair_messages(request.output, answer)
    if more is None:
        return None
    messages = cast("Sequence[BaseMessage]", request.source)
    prompted = replace(request.output, method="prompt")
    return replace(request, source=[*messages, *more], output=prompted)


def _fields_and_keys(
    request: GenerationRequest, params: Mapping[str, object], names: Mapping[str, str]
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Return the fields that go by the table of names, and the keys that are sent as they are."""
    defaults = {field: value for field, value in request.defaults.items() if field in names}
    params = {**defaults, **params} if defaults else params
    # No protocol but one has the name do_sample, and every one has the meaning.
    named = {*names, "do_sample"} if request.unchecked else ()
    unnamed = [name for name in request.unchecked if name in params and name not in named]
    if not unnamed:
        return params, request.extra
    rest = {name: value for name, value in params.items() if name not in unnamed}
    return rest, {**{request.unchecked[name]: params[name] for name in unnamed}, **request.extra}


def _check_names(request: GenerationRequest, url: ServerURL, server: ServerInfo | None) -> None:
    """Refuse a call's own model and provider where the constructor would."""
    if request.model and is_url(request.model):
        raise ConfigurationError(
            f"model={request.model!r} is a server's URL: a call can name another model only. "
            "Make an object with that base_url."
        )
    if server and server.profile.fixed_model and request.model not in (None, server.model):
        raise ConfigurationError(
            f"model={request.model!r} is another model than the local one: make an object with it."
        )
    if not request.provider:
        return
    if not url.router:
        raise ConfigurationError(
            "provider chooses among Inference Providers, and base_url is another server: "
            "leave one of them out."
        )
    if request.model and ":" in request.model:
        raise ConfigurationError(
            f"model={request.model!r} names a provider already: leave provider out."
        )


def choose_api(
    request: GenerationRequest,
    url: ServerURL,
    server: ServerInfo | None,
    capabilities: ServerCapabilities,
) -> GenerationApi:
    learned = capabilities.api_by_model.get(request.model)
    if learned:
        return learned
    if url.router:
        return _choose_at_router(request, url.root)
    if request.api:
        return request.api
    if not (request.prefers_text or request.has_template):
        return GenerationApi.CHAT
    if server and server.known:
        return server.profile.prompt_api
    if url.is_dedicated:
        return GenerationApi.GENERATE
    return GenerationApi.COMPLETIONS


def _choose_at_router(request: GenerationRequest, root: str) -> GenerationApi:
    """Choose among Inference Providers' protocols: chat, but for one provider's text generation."""
    wanted = request.api or (GenerationApi.GENERATE if request.has_template else GenerationApi.CHAT)
    # A provider's own root below the router's may have completions; the router itself has none.
    fits = {
        GenerationApi.CHAT: True,
        GenerationApi.GENERATE: request.provider == "hf-inference",
        GenerationApi.COMPLETIONS: root != ROUTER,
    }
    if not fits[wanted]:
        raise ConfigurationError(
            "Inference Providers serve chat only, but for provider='hf-inference': leave "
            "prompt_builder out (and HUGGINGFACE_PROMPT unset) and api at 'chat', or set base_url "
            "to your own server."
        )
    return wanted


def _assumed_server(api: GenerationApi, url: ServerURL) -> ServerInfo:
    if url.router and api is not GenerationApi.GENERATE:
        return ServerInfo(INFERENCE_PROVIDERS)
    return ServerInfo(TGI if api is GenerationApi.GENERATE else OPENAI_COMPATIBLE)


def _model_field(request: GenerationRequest, url: ServerURL, server: ServerInfo) -> str | None:
    if url.router:
        if not request.model:
            raise ConfigurationError("Set model (a Hub repo id): Inference Providers need one.")
        names_provider = request.provider and url.root == ROUTER
        return f"{request.model}:{request.provider}" if names_provider else request.model
    return server.model_for(request.model or None)


def _reasons(name: str, params: Mapping[str, object], capabilities: ServerCapabilities) -> bool:
    thinking = params.get("thinking")
    if thinking is not None:
        return bool(thinking)
    if params.get("reasoning_effort") == "none":
        return False
    return is_reasoning_model(name) or name in capabilities.reasoning_models


def _may_leave_open(
    name: str, params: Mapping[str, object], capabilities: ServerCapabilities
) -> bool:
    """Whether a model that reasons may write only the closing tag: its template has the other."""
    known = params.get("thinking") or is_reasoning_model(name)
    return uses_think_tags(name) and bool(known or name in capabilities.unopened_reasoning)


def _has_response_tags(name: str, params: Mapping[str, object], payload: RequestPayload) -> bool:
    """Whether Granite is to think: its template then asks for tags around the answer, too."""
    if payload.prompt is not None:
        return RESPONSE_TAGS in payload.prompt
    return bool(params.get("thinking")) and "granite-3" in name.lower()


def _opens_reasoning(payload: RequestPayload) -> bool | None:
    """Whether an answer begins inside the reasoning, or behind it; None if a prompt leaves it open.

    Templates write the tags behind the assistant's mark.
    """
    if payload.prompt is None:
        return None
    prefill = payload.text_tools.prefill if payload.text_tools else ""
    end = payload.prompt[-len(prefill) - 20 :].removesuffix(prefill).rstrip()
    if end.endswith(OPEN):
        return True
    return False if end.endswith(CLOSE) else None


def _to_http(
    request: ProtocolRequest,
    server: ServerInfo,
    address: ServerURL,
    headers: Mapping[str, str],
    *,
    root: bool,
) -> Request:
    body = to_body(request, server)
    url = address.url(route_of(request), adds_v1=server.adds_v1)
    if request.api is GenerationApi.GENERATE and (root or address.router):
        body["stream"] = request.stream
        model = (request.model or "").partition(":")[0]
        url = f"{ROUTER}/hf-inference/models/{model}" if address.router else address.url("/")
    try:
        data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The request cannot be written as JSON ({error}). Half a surrogate pair in a text is "
            "removed by text.encode('utf-8', 'replace').decode(); model_kwargs may hold plain "
            "values, lists and dicts only."
        ) from error
    return Request("POST", url, data, headers)


_ABOUT_SCHEMAS = re.compile(r"strict|schema|grammar|structur", re.IGNORECASE)
_SUPPORTED_TASK = re.compile(r"[Ss]upported tasks?:\s*\[?['\"]?([\w-]+)")
_APIS_BY_TASK = {
    "conversational": GenerationApi.CHAT,
    "text-generation": GenerationApi.GENERATE,
}


def learn_fallback(
    prepared: PreparedRequest,
    request: GenerationRequest,
    url: ServerURL,
    capabilities: ServerCapabilities,
    error: EasyLLMError,
) -> bool:
    """Learn from a refusal what the next `prepare_request` does instead; False if it is final."""
    sent = prepared.protocol_request
    fixed = url.router or url.is_dedicated
    if sent.api is GenerationApi.GENERATE and not fixed and isinstance(error, NotFoundError):
        # `/generate` may be missing where the root route is not; both missing is an error.
        capabilities.root_route = not prepared.root
        if not prepared.root:
            return True
    if isinstance(error, BadRequestError | ServerError):
        said = own_words(error.body or error.message)
        if limit := stop_limit(said, len(sent.stops)):
            capabilities.max_stops = limit
            return True
        if prepared.adds_strict and _ABOUT_SCHEMAS.search(said):
            capabilities.loose_tools.add((prepared.model, _names(sent.tools)))
            return True
    if prepared.method and _method_refused(prepared, request, capabilities, error):
        return True
    sends_tools = sent.tools and not sent.prompted_tools
    if sent.api is GenerationApi.CHAT and sends_tools and refuses_tools(error):
        capabilities.without_tools.add(prepared.model)
        return True
    named = _SUPPORTED_TASK.search(error.body or "") or _SUPPORTED_TASK.search(error.message)
    api = _APIS_BY_TASK.get(named[1]) if named else None
    if api is None or api is sent.api:
        return False
    if capabilities.api_by_model.pop(request.model, None) is sent.api:
        return False  # each of the two tasks was refused in the name of the other
    capabilities.api_by_model[request.model] = api
    return True


def _method_refused(
    prepared: PreparedRequest,
    request: GenerationRequest,
    capabilities: ServerCapabilities,
    error: EasyLLMError,
) -> bool:
    """Note a refused method of structured output, where a weaker one can take its place."""
    from .._structured_output.strategy import refuses_method  # noqa: PLC0415 - seldom needed

    schema = request.output
    if schema is None or not refuses_method(prepared.method, schema, error):
        return False
    refused = capabilities.refused_methods.setdefault((prepared.model, schema.key), set())
    refused.add(prepared.method or "")
    return True
