"""Whole request bodies: what TGI's OpenAPI document allows, merges, and nothing changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._protocols.registry import route_of, to_body
from langchain_easyllm._protocols.request import ProtocolRequest
from langchain_easyllm._protocols.stop_sequences import stop_policy
from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import GenerationApi, ServerInfo, ServerProfile
from langchain_easyllm._servers.registry import SERVERS as ALL_SERVERS
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case

# A model in this process is asked in TGI's protocol alone.
SERVERS = [profile for profile in ALL_SERVERS if profile.chat and profile is not IN_PROCESS]
TGI_INFO = ServerInfo(TGI, max_stops=4)
MESSAGES = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body_of(
    api: GenerationApi,
    server: ServerInfo | ServerProfile = TGI_INFO,
    params: Mapping[str, object] | None = None,
    stops: tuple[str, ...] = (),
    **more,
) -> dict[str, object]:
    asked = {"messages": MESSAGES} if api is GenerationApi.CHAT else {"prompt": "Hi"}
    server = server if isinstance(server, ServerInfo) else ServerInfo(server)
    limit = server.stop_limit
    stops = stop_policy(stops, (), limit=limit, hidden=False, reads_calls=False).sent
    call = ProtocolRequest(api=api, params=params or {}, stops=stops, **asked, **more)
    return to_body(call, server)


def number(low: float, high: float = 9e9):
    return lambda value: type(value) in (int, float) and low < value < high


def integer(low: int):
    return lambda value: type(value) is int and value >= low


def of(*kinds: type):
    return lambda value: type(value) in kinds


def stops(value: object) -> bool:
    return type(value) is list and 0 < len(value) <= 4 and all(type(stop) is str for stop in value)


def grammar(value: object) -> bool:
    return type(value) is dict and value.keys() == {"type", "value"} and value["type"] == "json"


# Keys and bounds of TGI 3, from its OpenAPI document and its validation.
SHARED = {
    "model": of(str),
    "max_tokens": integer(1),
    "stop": stops,
    "seed": integer(0),
    "temperature": number(0),
    "top_p": number(0, 1),
    "frequency_penalty": number(-2.1, 2.1),
    "stream": of(bool),
}
ROUTES = {
    GenerationApi.CHAT: {
        **SHARED,
        "messages": of(list),
        "presence_penalty": number(-2.1, 2.1),
        "logprobs": of(bool),
        "top_logprobs": integer(0),
        "response_format": grammar,
        "stream_options": lambda value: value == {"include_usage": True},
    },
    GenerationApi.COMPLETIONS: {**SHARED, "prompt": of(str), "repetition_penalty": number(0)},
    GenerationApi.GENERATE: {"inputs": of(str), "parameters": of(dict)},
}
PARAMETERS = {
    **{key: SHARED[key] for key in ("stop", "seed", "temperature", "top_p", "frequency_penalty")},
    "best_of": integer(1),
    "details": of(bool),
    "do_sample": of(bool),
    "grammar": grammar,
    "max_new_tokens": integer(1),
    "repetition_penalty": number(0),
    "return_full_text": of(bool),
    "top_k": integer(1),
    "top_n_tokens": integer(1),
    "truncate": integer(1),
    "typical_p": number(0, 1),
    "watermark": of(bool),
}


def check(body: Mapping[str, object], allowed: Mapping[str, object]) -> None:
    for key, value in body.items():
        assert key in allowed
        assert allowed[key](value), (key, value)


PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0, 0.0, 0.5, 1, 2.0, None]),
        "top_p": st.sampled_from([0, 0.5, 1, 1.0, None]),
        "typical_p": st.sampled_from([0, 0.5, 1, None]),
        "top_k": st.sampled_from([0, -1, 5, None]),
        "max_tokens": st.sampled_from([1, 200]),
        "n": st.sampled_from([1, None]),
        "seed": st.sampled_from([0, 5]),
        "repetition_penalty": st.sampled_from([0.5, 1, 1.5]),
        "frequency_penalty": st.sampled_from([-2, 0, 0.5]),
        "presence_penalty": st.sampled_from([0, 0.5]),
        "truncate": st.just(100),
        "logprobs": st.booleans(),
        "top_logprobs": st.sampled_from([0, 3]),
        "best_of": st.sampled_from([1, 2]),
        "do_sample": st.booleans(),
        "watermark": st.booleans(),
        "return_full_text": st.booleans(),
        "response_format": st.sampled_from([SCHEMA, {"type": "json_object"}, {"type": "text"}]),
    },
)


@pytest.mark.parametrize("api", GenerationApi)
@given(
    params=PARAMS,
    stops=st.lists(st.sampled_from("abcdefg"), unique=True).map(tuple),
    stream=st.booleans(),
    usage=st.booleans(),
)
def test_what_tgi_is_sent_is_what_it_allows(
    api: GenerationApi,
    params: dict[str, object],
    stops: tuple[str, ...],
    stream: bool,
    usage: bool,
) -> None:
    try:
        body = body_of(api, params=params, stops=stops, stream=stream, usage=usage, model="tiny")
    except ConfigurationError:
        return  # said in one sentence, instead of sent
    check(body, ROUTES[api])
    if api is GenerationApi.GENERATE:
        parameters = body["parameters"]
        assert isinstance(parameters, dict)
        check(parameters, PARAMETERS)
        assert parameters["max_new_tokens"] == params.get("max_tokens", 1024)
        assert parameters["details"] is True


@each_case(
    ("api", "profile"), [(api, server) for server in SERVERS for api in server.apis], ids=str
)
def test_stop_is_never_sent_empty(api: GenerationApi, profile: ServerProfile) -> None:
    body = body_of(api, profile)
    assert "stop" not in body
    assert "stop" not in dict(body.get("parameters", {}))
    none = body_of(api, ServerInfo(profile, max_stops=0), stops=("a",))
    assert "stop" not in dict(none.get("parameters", none))


@pytest.mark.parametrize("profile", SERVERS, ids=attrgetter("name"))
def test_usage_is_asked_for_where_that_is_understood(profile: ServerProfile) -> None:
    options = {"include_usage": True}
    chat = body_of(GenerationApi.CHAT, profile, stream=True)
    text = body_of(GenerationApi.COMPLETIONS, profile, stream=True)
    assert chat["stream_options"] == options
    assert text.get("stream_options") == (None if profile is TGI else options)
    for api in (GenerationApi.CHAT, GenerationApi.COMPLETIONS):
        assert "stream_options" not in body_of(api, profile, stream=True, usage=False)
        assert body_of(api, profile).keys().isdisjoint({"stream", "stream_options"})


@pytest.mark.parametrize("api", [GenerationApi.COMPLETIONS, GenerationApi.GENERATE])
def test_a_stream_is_never_asked_to_repeat_the_prompt(api: GenerationApi) -> None:
    server = TGI if api is GenerationApi.GENERATE else VLLM
    params = {"return_full_text": True}
    [whole, stream] = [body_of(api, server, params, stream=stream) for stream in (False, True)]
    key = "return_full_text" if api is GenerationApi.GENERATE else "echo"
    assert dict(whole.get("parameters", whole))[key] is True
    assert key not in dict(stream.get("parameters", stream))


def test_model_is_left_out_where_there_is_none() -> None:
    assert body_of(GenerationApi.CHAT) == {"messages": MESSAGES}
    assert body_of(GenerationApi.COMPLETIONS, model="tiny") == {"model": "tiny", "prompt": "Hi"}
    assert body_of(GenerationApi.GENERATE, model="tiny").keys() == {"inputs", "parameters"}


def test_own_keys_come_last_and_are_merged() -> None:
    body = body_of(
        GenerationApi.CHAT,
        VLLM,
        {"temperature": 0.5, "thinking": False},
        extra={"temperature": 2, "min_p": 0.1, "chat_template_kwargs": {"style": "dry"}},
    )
    assert body == {
        "messages": MESSAGES,
        "temperature": 2,
        "min_p": 0.1,
        "chat_template_kwargs": {"enable_thinking": False, "thinking": False, "style": "dry"},
    }


def test_own_keys_of_generate_are_parameters_unless_they_are_not() -> None:
    extra = {
        "adapter_id": "a",
        "parameters": {"max_new_tokens": 7, "decoder_input_details": True},
        "stream": True,
    }
    assert body_of(GenerationApi.GENERATE, params={"seed": 1}, extra=extra) == {
        "inputs": "Hi",
        "stream": True,
        "parameters": {
            "max_new_tokens": 7,
            "seed": 1,
            "details": True,
            "decoder_input_details": True,
            "adapter_id": "a",
        },
    }


@pytest.mark.parametrize("api", GenerationApi)
def test_what_the_caller_gave_is_not_changed(api: GenerationApi) -> None:
    given = {
        "params": {"max_tokens": 3, "response_format": SCHEMA, "seed": 0},
        "extra": {"parameters": {"seed": 7}, "stream_options": {"more": 1}},
        "stops": ("a", "b"),
    }
    before = copy.deepcopy(given)
    body = body_of(api, OPENAI_COMPATIBLE, stream=True, **given)
    for value in (body, body.get("parameters"), body.get("stream_options"), body.get("stop")):
        if isinstance(value, dict):
            value["changed"] = True
        elif isinstance(value, list):
            value.append("changed")
    if api is GenerationApi.GENERATE:
        assert given == before
    else:
        assert given["params"] == before["params"]
        assert given["extra"]["stream_options"] == {"more": 1}


def test_routes() -> None:
    routes = {
        (api, stream): route_of(ProtocolRequest(api, stream=stream))
        for api in GenerationApi
        for stream in (0, 1)
    }
    assert routes == {
        (GenerationApi.GENERATE, 0): "/generate",
        (GenerationApi.GENERATE, 1): "/generate_stream",
        (GenerationApi.COMPLETIONS, 0): "/v1/completions",
        (GenerationApi.COMPLETIONS, 1): "/v1/completions",
        (GenerationApi.CHAT, 0): "/v1/chat/completions",
        (GenerationApi.CHAT, 1): "/v1/chat/completions",
    }
