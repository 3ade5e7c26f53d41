"""The field table: every field is a key of its own, or a clear error, on every server."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._protocols.request import needs_server, to_fields
from langchain_easyllm._protocols.stop_sequences import stop_policy
from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.inference_providers import INFERENCE_PROVIDERS
from langchain_easyllm._servers.infinity import INFINITY
from langchain_easyllm._servers.litellm import LITELLM
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.llama_cpp_python import LLAMA_CPP_PYTHON
from langchain_easyllm._servers.lm_studio import LM_STUDIO
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import (
    NEUTRAL_FIELDS,
    GenerationApi,
    ServerInfo,
    ServerProfile,
)
from langchain_easyllm._servers.registry import SERVERS
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.text_servers import SCHEMA, TEXT_SERVERS, Fields

OPENAI_FORMAT = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
Row = tuple[GenerationApi, ServerProfile]
# One value that asks for something, for each field.
VALUES: Mapping[str, object] = {
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "max_tokens": 5,
    "stop": ["END"],
    "n": 2,
    "seed": 5,
    "repetition_penalty": 1.5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "typical_p": 0.5,
    "truncate": 5,
    "logprobs": True,
    "top_logprobs": 3,
    "best_of": 2,
    "do_sample": True,
    "watermark": True,
    "return_full_text": True,
    "response_format": SCHEMA,
    "grammar": SCHEMA,
    "thinking": False,
    "reasoning_effort": "low",
    "min_p": 0.25,
    "logit_bias": {"7": -100.0},
    "min_tokens": 5,
    "ignore_eos": True,
    "service_tier": "flex",
    "user": "u-1",
}
# What OpenAI-style servers are sent for it, unless they call it otherwise below.
THINK = {"enable_thinking": False, "thinking": False}
SENT: Mapping[str, Mapping[str, object]] = {
    "response_format": {"response_format": OPENAI_FORMAT},
    "grammar": {"response_format": OPENAI_FORMAT},
    "thinking": {"chat_template_kwargs": THINK},
    "do_sample": {},
}
TGI_GRAMMAR = {"type": "json", "value": SCHEMA}
GENERATE = {
    "max_tokens": {"max_new_tokens": 5},
    "top_logprobs": {"top_n_tokens": 3},
    "logprobs": {"details": True},
    "response_format": {"grammar": TGI_GRAMMAR},
    "grammar": {"grammar": TGI_GRAMMAR},
    "do_sample": {"do_sample": True},
    "temperature": {"temperature": 0.5, "do_sample": True},
}
ALL = set(NEUTRAL_FIELDS)
TEXT = TEXT_SERVERS.values()
ROWS: Mapping[Row, Fields] = {
    **{(GenerationApi.CHAT, server.profile): server.chat for server in TEXT},
    **{(GenerationApi.COMPLETIONS, server.profile): server.completions for server in TEXT},
    **{
        (GenerationApi.GENERATE, server.profile): Fields(
            {"n", "presence_penalty", "thinking", "reasoning_effort", *NEUTRAL_FIELDS[-6:]},
            GENERATE,
        )
        for server in TEXT
        if server.generate
    },
    (GenerationApi.GENERATE, IN_PROCESS): Fields(
        {"best_of", "watermark", "thinking", "reasoning_effort", "service_tier", "user"},
        {**GENERATE, "logprobs": {"logprobs": True}},
    ),
}
every_row = each_case("row", ROWS, ids=lambda row: f"{row[0]} of {row[1].name}")


def sent(api: GenerationApi, profile: ServerProfile, **params: object) -> dict[str, object]:
    return to_fields(api, ServerInfo(profile), params)


def test_the_table_has_a_row_for_every_server() -> None:
    assert ROWS.keys() == {(api, server) for server in SERVERS for api in server.apis}
    assert VALUES.keys() == ALL


@every_row
@each_case("name", NEUTRAL_FIELDS)
def test_a_field_is_a_key_or_a_clear_error(row: Row, name: str) -> None:
    fields = ROWS[row]
    value = VALUES[name]
    if name in fields.missing:
        with pytest.raises(ConfigurationError, match=rf"^{name} cannot be .* {row[0].value} api"):
            sent(*row, **{name: value})
    else:
        assert sent(*row, **{name: value}) == fields.renamed.get(
            name, SENT.get(name, {name: value})
        )


@every_row
@each_case("name", NEUTRAL_FIELDS)
def test_none_is_unset(row: Row, name: str) -> None:
    assert sent(*row, **{name: None}) == {}


def test_an_error_names_the_way_out() -> None:
    with pytest.raises(ConfigurationError) as caught:
        sent(GenerationApi.CHAT, TGI, top_k=5)
    assert "api='generate' (with a prompt_builder for chat)" in str(caught.value)
    with pytest.raises(ConfigurationError, match="use api='chat', or drop it"):
        sent(GenerationApi.COMPLETIONS, VLLM, thinking=True)
    with pytest.raises(ConfigurationError, match=r": drop it\. model_kwargs"):
        sent(GenerationApi.CHAT, VLLM, watermark=True)


@every_row
@each_case(
    "off",
    [
        {"presence_penalty": 0},
        {"frequency_penalty": 0.0},
        {"repetition_penalty": 1.0},
        {"top_p": 1},
        {"typical_p": 1.0},
        {"typical_p": 0},
        {"top_k": 0},
        {"top_k": -1},
        {"n": 1},
        {"best_of": 1},
        {"watermark": False},
        {"return_full_text": False},
        {"logprobs": False},
        {"top_logprobs": 0},
        {"min_p": 0.0},
        {"min_tokens": 0},
        {"ignore_eos": False},
    ],
    ids=str,
)
def test_a_field_that_says_nothing_is_no_error(row: Row, off: dict[str, object]) -> None:
    [name] = off
    if name in ROWS[row].missing:
        assert sent(*row, **off) == {}
    else:
        sent(*row, **off)


@pytest.mark.parametrize("value", [0, 0.0, 1, 1.0])
def test_tgi_wants_open_intervals(value: float) -> None:
    for api in GenerationApi:
        assert sent(api, TGI, top_p=value) == {}
    assert sent(GenerationApi.GENERATE, TGI, typical_p=value) == {}
    assert sent(GenerationApi.GENERATE, TGI, top_k=0) == {}
    assert sent(GenerationApi.GENERATE, TGI, top_logprobs=0) == {}
    # The servers that take them are sent them: their own defaults may be others.
    assert sent(GenerationApi.CHAT, TRANSFORMERS_SERVE, top_p=value)["top_p"] == value
    assert sent(GenerationApi.CHAT, VLLM, top_p=value) == ({"top_p": value} if value else {})
    assert sent(GenerationApi.CHAT, VLLM, top_k=0) == {"top_k": 0}


@every_row
@each_case("asked", [{"temperature": 0}, {"temperature": 0.0}, {"do_sample": False}])
def test_greedy_decoding(row: Row, asked: dict[str, object]) -> None:
    sampling = {"top_p": 0.9, "top_k": 3, "typical_p": 0.9, "seed": 5, "temperature": 0.7}
    if "min_p" not in ROWS[row].missing:
        sampling["min_p"] = 0.1
    if row[0] is GenerationApi.GENERATE:
        greedy: dict[str, object] = {"do_sample": False}
    elif row[1] is TGI:
        greedy = {"top_p": 1e-6}
    else:
        greedy = {"temperature": 0}
    assert sent(*row, **asked) == greedy
    assert sent(*row, **sampling, do_sample=False) == {"seed": 5, **greedy}
    assert sent(*row, **{**sampling, **asked, "do_sample": False}) == {"seed": 5, **greedy}


def test_a_temperature_asks_generate_to_sample() -> None:
    assert sent(GenerationApi.GENERATE, TGI, temperature=1.0) == {
        "temperature": 1.0,
        "do_sample": True,
    }


@pytest.mark.parametrize(
    ("params", "number"),
    [
        ({"logprobs": True, "top_logprobs": 4}, 4),
        ({"top_logprobs": 4, "logprobs": True}, 4),
        ({"top_logprobs": 0, "logprobs": True}, 1),
        ({"logprobs": False, "top_logprobs": 4}, 4),
    ],
)
def test_completions_say_both_logprobs_in_one_number(
    params: dict[str, object], number: int
) -> None:
    assert sent(GenerationApi.COMPLETIONS, VLLM, **params) == {"logprobs": number}


def test_no_alternatives_but_the_tokens_own_logprobs() -> None:
    params = {"logprobs": True, "top_logprobs": 0}
    assert sent(GenerationApi.CHAT, LLAMA_CPP, **params) == params
    assert sent(GenerationApi.CHAT, OPENAI_COMPATIBLE, top_logprobs=0) == {}


@pytest.mark.parametrize("api", [GenerationApi.GENERATE, GenerationApi.CHAT])
def test_two_fields_of_one_name_must_agree(api: GenerationApi) -> None:
    other = {"type": "object"}
    with pytest.raises(ConfigurationError, match="response_format and grammar are one field"):
        sent(api, TGI, response_format=SCHEMA, grammar=other)
    assert len(sent(api, TGI, response_format=SCHEMA, grammar=SCHEMA)) == 1


@each_case("profile", SERVERS, ids=attrgetter("name"))
@each_case("limit", [None, 0, 2, 9])
def test_no_more_stops_are_sent_than_the_server_takes(
    profile: ServerProfile, limit: int | None
) -> None:
    stops = tuple("abcdef")
    few = (TGI, VLLM, LM_STUDIO, LITELLM, INFINITY, INFERENCE_PROVIDERS, OPENAI_COMPATIBLE)
    own = 4 if profile in few else 6
    taken = ServerInfo(profile, max_stops=limit).stop_limit
    policy = stop_policy(stops, (), limit=taken, hidden=False, reads_calls=False)
    assert policy.sent == stops[: own if limit is None else limit]


PARAMS = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from([value, None, 0, 1, False, True])
        for name, value in VALUES.items()
        if name not in ("stop", "response_format", "grammar", "reasoning_effort", "logit_bias")
    },
)


@pytest.mark.parametrize("api", [GenerationApi.GENERATE, GenerationApi.CHAT])
@given(params=PARAMS)
def test_a_request_that_needs_no_server_suits_them_all(
    api: GenerationApi, params: dict[str, object]
) -> None:
    if needs_server(api, params, ()):
        return
    try:
        assumed = sent(api, OPENAI_COMPATIBLE, **params)
    except ConfigurationError:
        assumed = {}
    # OpenAI's own fields at these values say nothing, and no server minds them.
    moot = {"n": 1, "presence_penalty": 0, "frequency_penalty": 0, "logprobs": False}
    moot["echo"] = False
    # Whether it samples is asked of no server, for one of them that has to be told so apart.
    moot_keys = {"generation_config"}
    # A model in this process is known from the start.
    others = {server for server in SERVERS if api in server.apis} - {IN_PROCESS}
    for profile in others:
        try:
            known = sent(api, profile, **params)
        except ConfigurationError:
            known = {}
        for key in (assumed.keys() ^ known.keys()) - moot_keys:
            assert assumed.get(key, known.get(key)) == moot.get(key, object())
        assert all(assumed[key] == known[key] for key in assumed.keys() & known.keys())


@pytest.mark.parametrize(
    ("params", "needed"),
    [
        ({"temperature": 1.0, "max_tokens": 5, "seed": 1}, False),
        ({"temperature": 0}, True),
        ({"do_sample": False}, True),
        ({"do_sample": True}, False),
        ({"repetition_penalty": 1.0}, True),
        ({"n": 1, "presence_penalty": 0}, False),
        ({"response_format": SCHEMA}, True),
        ({"thinking": False}, True),
        ({"reasoning_effort": "low"}, True),
        ({"user": "u-1"}, True),
        ({"logit_bias": {"7": 1.0}}, True),
    ],
)
def test_when_the_server_must_be_known(params: dict[str, object], needed: bool) -> None:
    assert needs_server(GenerationApi.CHAT, params, ()) is needed
    assert needs_server(GenerationApi.COMPLETIONS, params, ())  # one has another route for them
    assert not needs_server(GenerationApi.GENERATE, params, ())
    assert needs_server(GenerationApi.GENERATE, params, tuple("abcde"))


def test_fields_that_exclude_each_other_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="min_tokens=6 is more than max_tokens=5"):
        sent(GenerationApi.CHAT, VLLM, min_tokens=6, max_tokens=5)
    assert sent(GenerationApi.CHAT, VLLM, min_tokens=5, max_tokens=5)
    for name in ("grammar", "response_format"):
        with pytest.raises(ConfigurationError, match=f"ignore_eos=True .* {name} lets it end"):
            sent(GenerationApi.CHAT, VLLM, ignore_eos=True, **{name: SCHEMA})
    for api in (GenerationApi.CHAT, GenerationApi.COMPLETIONS):
        both = {"logit_bias": {"7": 1.0}, "min_tokens": 5}
        assert sent(api, VLLM, **both) == both
        with pytest.raises(ConfigurationError, match=r"llama-cpp-python.* none of logit_bias and"):
            sent(api, LLAMA_CPP_PYTHON, **both)
        assert sent(api, LLAMA_CPP_PYTHON, **{**both, "min_tokens": 0})


def test_what_a_server_leaves_unread_it_takes() -> None:
    for profile in SERVERS:
        for protocol in profile.apis.values():
            assert {*protocol.unread, *protocol.alone} <= protocol.fields.keys()
            assert {*protocol.unread} <= {"user", "service_tier"}  # no other may do nothing
