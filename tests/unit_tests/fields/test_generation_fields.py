"""Every generation field on every protocol: the exact key and value, or an error."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, SERVER_NAMES, answer, body_of

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
OPENAI_FORMAT = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
WRAPPED = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
GRAMMAR = {"type": "json", "value": SCHEMA}
REGEX = {"type": "regex", "value": "a+"}
ERROR: Any = "error"
ABSENT: Any = "absent"

# The servers in the order of the columns below; the last one speaks TGI's own protocol.
CHAT = ("openai", "vllm", "llamacpp", "llama-cpp-python", "transformers", "tgi")
GREEDY = {"temperature": 0}
GREEDY_TGI = {"top_p": 1e-6}


def same(name: str, value: object) -> dict[str, object]:
    return {name: value}


def config(more: Mapping[str, object] = {}, **values: object) -> dict[str, object]:
    """What transformers serve is sent: keys of its own, and those of a `generation_config`."""
    text = json.dumps({**values, "max_new_tokens": 1024}, separators=(",", ":"))
    return {**more, "generation_config": text}


def sampled(more: Mapping[str, object] = {}, **values: object) -> dict[str, object]:
    return config(more, **values, do_sample=True)


def row(default: object, **exceptions: object) -> dict[str, object]:
    return dict.fromkeys((*CHAT, "generate"), default) | {
        name.replace("_", "-") if name == "llama_cpp_python" else name: value
        for name, value in exceptions.items()
    }


# (field, value) -> what the body holds (a dict: exactly these keys beside the usual ones).
ON_CHAT: dict[tuple[str, Any], dict[str, Any]] = {}


def case(name: str, value: object, default: object, **exceptions: object) -> None:
    ON_CHAT[name, repr(value)] = {"value": value, **row(default, **exceptions)}


case(
    "temperature",
    0.7,
    same("temperature", 0.7),
    transformers=sampled({"temperature": 0.7}),
    generate={"temperature": 0.7, "do_sample": True},
)
case("temperature", 0, GREEDY, tgi=GREEDY_TGI, generate={"do_sample": False})
case("temperature", 0.0, GREEDY, tgi=GREEDY_TGI, generate={"do_sample": False})
case("do_sample", False, GREEDY, tgi=GREEDY_TGI, generate={"do_sample": False})
case("do_sample", True, {}, transformers=sampled(), generate={"do_sample": True})
case("top_p", 0.9, same("top_p", 0.9), transformers=sampled({"top_p": 0.9}))
case("top_p", 1, same("top_p", 1), tgi={}, generate={})
case(
    "top_p",
    0,
    same("top_p", 0),
    transformers=sampled({"top_p": 0}),
    vllm={},
    tgi={},
    generate={},
)
case("top_k", 5, same("top_k", 5), tgi=ERROR, transformers=sampled(top_k=5))
case("top_k", 0, same("top_k", 0), tgi={}, transformers=config(top_k=0), generate={})
case("max_tokens", 3, same("max_tokens", 3), generate={"max_new_tokens": 3})
case("max_new_tokens", 3, same("max_tokens", 3), generate={"max_new_tokens": 3})
case("seed", 0, same("seed", 0))
case("seed", 42, same("seed", 42))
case(
    "repetition_penalty",
    1.2,
    same("repetition_penalty", 1.2),
    llamacpp={"repeat_penalty": 1.2},
    llama_cpp_python={"repeat_penalty": 1.2},
    tgi=ERROR,
    transformers=config(repetition_penalty=1.2),
)
case("frequency_penalty", 0.5, same("frequency_penalty", 0.5), transformers=ERROR)
case("presence_penalty", 0.5, same("presence_penalty", 0.5), transformers=ERROR, generate=ERROR)
case("presence_penalty", 0, same("presence_penalty", 0), transformers={}, generate={})
case(
    "typical_p",
    0.5,
    same("typical_p", 0.5),
    tgi=ERROR,
    vllm=ERROR,
    transformers=sampled(typical_p=0.5),
    llama_cpp_python=ERROR,
)
case(
    "truncate",
    64,
    ERROR,
    openai={"truncate": 64},
    vllm={"truncate_prompt_tokens": 64},
    generate={"truncate": 64},
)
case("watermark", True, ERROR, openai={"watermark": True}, generate={"watermark": True})
case("watermark", False, {}, openai={"watermark": False}, generate={"watermark": False})
case("best_of", 2, ERROR, openai={"best_of": 2}, generate={"best_of": 2})
case(
    "logprobs",
    True,
    same("logprobs", True),
    llama_cpp_python={"logprobs": True, "top_logprobs": 1},
    transformers=ERROR,
    generate={"details": True},
)
case("logprobs", False, same("logprobs", False), transformers={}, generate={"details": True})
case(
    "top_logprobs",
    2,
    {"logprobs": True, "top_logprobs": 2},
    transformers=ERROR,
    generate={"details": True, "top_n_tokens": 2},
)
case(
    "min_p",
    0.1,
    same("min_p", 0.1),
    tgi=ERROR,
    transformers=sampled(min_p=0.1),
    generate=ERROR,
)
case(
    "logit_bias",
    {15043: -100, "7": 2.5},
    {"logit_bias": {"15043": -100.0, "7": 2.5}},
    tgi=ERROR,
    generate=ERROR,
)
case("logit_bias", [[15043, -1]], {"logit_bias": {"15043": -1.0}}, tgi=ERROR, generate=ERROR)
case("logit_bias", {}, {})
for name in ("min_tokens", "min_new_tokens"):
    case(
        name,
        3,
        same("min_tokens", 3),
        tgi=ERROR,
        transformers=config(min_new_tokens=3),
        generate=ERROR,
        llamacpp=ERROR,
    )
case(
    "ignore_eos",
    True,
    same("ignore_eos", True),
    tgi=ERROR,
    transformers=ERROR,
    generate=ERROR,
    llama_cpp_python=ERROR,
)
case(
    "user",
    "u-1",
    same("user", "u-1"),
    tgi=ERROR,
    transformers=ERROR,
    generate=ERROR,
    llamacpp=ERROR,
)
case("service_tier", "flex", ERROR, openai={"service_tier": "flex"})
case("n", 1, same("n", 1), tgi={}, transformers={}, llama_cpp_python={}, generate={})
case("return_full_text", True, ERROR, generate={"return_full_text": True})
case("return_full_text", False, {}, generate={"return_full_text": False})
case(
    "response_format",
    OPENAI_FORMAT,
    {"response_format": OPENAI_FORMAT},
    tgi={"response_format": GRAMMAR},
    llama_cpp_python={"response_format": {"type": "json_object", "schema": SCHEMA}},
    transformers=ERROR,
    generate={"grammar": GRAMMAR},
)
case(
    "response_format",
    {"type": "json_object"},
    {"response_format": {"type": "json_object"}},
    tgi={"response_format": {"type": "json", "value": {"type": "object"}}},
    transformers=ERROR,
    generate={"grammar": {"type": "json", "value": {"type": "object"}}},
)
case(
    "response_format",
    SCHEMA,
    {"response_format": WRAPPED},
    tgi={"response_format": GRAMMAR},
    llama_cpp_python={"response_format": {"type": "json_object", "schema": SCHEMA}},
    transformers=ERROR,
    generate={"grammar": GRAMMAR},
)
case(
    "grammar",
    GRAMMAR,
    {"response_format": WRAPPED},
    tgi={"response_format": GRAMMAR},
    llama_cpp_python={"response_format": {"type": "json_object", "schema": SCHEMA}},
    transformers=ERROR,
    generate={"grammar": GRAMMAR},
)
case(
    "grammar",
    REGEX,
    ERROR,
    tgi={"response_format": REGEX},
    generate={"grammar": REGEX},
    vllm={"structured_outputs": {"regex": REGEX["value"]}, "guided_regex": REGEX["value"]},
    llamacpp={"grammar": 'root ::= "a"+'},
    llama_cpp_python={"grammar": 'root ::= "a"+'},
)

USUAL = {"model", "messages", "stream", "stream_options"}


def model_of(server: FakeServer, column: str, **fields: object) -> Any:
    serve(server, "tgi" if column == "generate" else column)
    cls: Any = EasyLLM if column == "generate" else EasyLLMChat
    return cls(base_url=server.url, **fields)


def sent_fields(server: FakeServer, column: str) -> dict[str, Any]:
    body = body_of(server)
    if column != "generate":
        return {name: value for name, value in body.items() if name not in USUAL}
    usual = {"max_new_tokens": 1024, "details": True}
    return {name: value for name, value in body["parameters"].items() if usual.get(name) != value}


@each_case("column", [*CHAT, "generate"])
@each_case("key", ON_CHAT, ids=lambda key: f"{key[0]}={key[1][:20]}")
def test_a_field_is_sent_as_the_server_wants_it(
    fake_server: FakeServer, key: tuple[str, str], column: str
) -> None:
    name, value = key[0], ON_CHAT[key]["value"]
    expected = ON_CHAT[key][column]
    made = model_of(fake_server, column, **{name: value})
    plain = model_of(fake_server, column)
    for model, call in ((made, {}), (plain, {name: value}), (plain.bind(**{name: value}), {})):
        if expected is ERROR:
            with pytest.raises(ConfigurationError) as caught:
                model.invoke("Hi", **call)
            said = str(caught.value)
            assert name.replace("_new", "") in said
            assert "model_kwargs" in said or "use" in said
            assert "\n" not in said
            assert not [r for r in fake_server.requests if r.method == "POST"]
        else:
            want = {k: v for k, v in expected.items() if (k, v) != ("details", True)}
            model.invoke("Hi", **call)
            assert sent_fields(fake_server, column) == want


COMPLETIONS: dict[tuple[str, str, Any], Any] = {
    ("vllm", "top_k", 5): {"top_k": 5},
    ("vllm", "logprobs", True): {"logprobs": 1},
    ("vllm", "top_logprobs", 3): {"logprobs": 3},
    ("vllm", "return_full_text", True): {"echo": True},
    ("vllm", "echo", True): {"echo": True},
    ("vllm", "best_of", 2): ERROR,
    ("openai", "best_of", 2): {"best_of": 2},
    ("openai", "repetition_penalty", 1.1): {"repetition_penalty": 1.1},
    ("llamacpp", "return_full_text", True): ERROR,
    ("llamacpp", "repetition_penalty", 1.1): {"repeat_penalty": 1.1},
    ("llama-cpp-python", "echo", True): {"echo": True},
    ("llama-cpp-python", "repetition_penalty", 1.1): {"repeat_penalty": 1.1},
    ("llama-cpp-python", "presence_penalty", 0.5): {"presence_penalty": 0.5},
    ("transformers", "top_k", 5): sampled(top_k=5),
    ("transformers", "frequency_penalty", 0.5): ERROR,
    ("tgi", "repetition_penalty", 1.1): {"repetition_penalty": 1.1},
    ("tgi", "presence_penalty", 0.5): ERROR,
    ("tgi", "temperature", 0): {"top_p": 1e-6},
    ("openai", "thinking", True): ERROR,
    ("vllm", "n", 1): {"n": 1},
}


@each_case("key", COMPLETIONS, ids=str)
def test_a_field_on_the_completions_protocol(
    fake_server: FakeServer, key: tuple[str, str, Any]
) -> None:
    server_name, name, value = key
    serve(fake_server, server_name)
    model = EasyLLM(base_url=fake_server.url, api="completions", **{name: value})
    if COMPLETIONS[key] is ERROR:
        with pytest.raises(ConfigurationError, match="echo|" + name):
            model.invoke("Hi")
        return
    model.invoke("Hi")
    sent = body_of(fake_server)
    others = ("model", "prompt", "max_tokens")
    assert {k: v for k, v in sent.items() if k not in others} == COMPLETIONS[key]


def test_what_transformers_serve_samples_by(fake_server: FakeServer) -> None:
    """One `generation_config` for all; without a limit of the caller's, its own default is kept."""
    serve(fake_server, "transformers")
    model = EasyLLM(base_url=fake_server.url, temperature=0.5, top_k=9, logit_bias={7: 2.5})
    model.invoke("Hi", max_tokens=5)
    sent = body_of(fake_server)
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 5)
    assert json.loads(sent["generation_config"]) == {
        "top_k": 9,
        "sequence_bias": [[[7], 2.5]],
        "do_sample": True,
    }
    model.invoke("Hi", temperature=0)
    sent = body_of(fake_server)
    assert sent["temperature"] == 0
    assert json.loads(sent["generation_config"]) == {
        "sequence_bias": [[[7], 2.5]],
        "max_new_tokens": 1024,
    }


@each_case("server_name", SERVER_NAMES)
@each_case("cls", CLASSES)
def test_nothing_is_sent_that_nobody_set(
    fake_server: FakeServer, cls: type, server_name: str, mode: str
) -> None:
    serve(fake_server, server_name)
    answer(mode, cls(base_url=fake_server.url))
    body = body_of(fake_server)
    if "inputs" in body:
        assert body["parameters"] == {"max_new_tokens": 1024, "details": True}
        assert set(body) <= {"inputs", "parameters", "stream"}
    elif server_name == "ollama" and "prompt" in body:
        assert set(body) == {"model", "prompt", "raw", "stream", "think"}
    else:
        keys = {"model", "messages", "prompt", "stream", "stream_options"}
        # The servers with a limit of 16 tokens are sent one.
        assert set(body) <= (keys | {"max_tokens"} if "prompt" in body else keys)


def test_a_bare_grammar_that_nobody_knows_is_an_error(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    for value in ({"type": "yaml"}, {}, {"type": "regex"}):
        with pytest.raises(ConfigurationError):
            EasyLLM(base_url=fake_server.url, grammar=value).invoke("Hi")
    assert not [r for r in fake_server.requests if r.method == "POST"]


def test_model_kwargs_are_merged_last_and_deep(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(
        base_url=fake_server.url,
        temperature=0.5,
        thinking=False,
        model_kwargs={"salt": "a", "temperature": 0.9, "chat_template_kwargs": {"x": 1}},
    )
    answer(mode, model, model_kwargs={"salt": "b", "priority": 0})
    body = body_of(fake_server)
    assert (body["salt"], body["temperature"], body["priority"]) == ("b", 0.9, 0)
    assert body["chat_template_kwargs"]["x"] == 1
    assert body["chat_template_kwargs"]["enable_thinking"] is False
    assert model.model_kwargs == {
        "salt": "a",
        "temperature": 0.9,
        "chat_template_kwargs": {"x": 1},
    }


def test_model_kwargs_on_generate_are_parameters(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    extra = {"adapter_id": "a", "parameters": {"decoder_input_details": False}, "options": {"b": 1}}
    answer(mode, EasyLLM(base_url=fake_server.url, model_kwargs=extra))
    body = body_of(fake_server)
    assert body["parameters"]["adapter_id"] == "a"
    assert body["parameters"]["decoder_input_details"] is False
    assert body["options"] == {"b": 1}


def test_a_call_unsets_with_none(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    fields: dict[str, Any] = {"temperature": 0, "seed": 0, "max_tokens": 5, "top_k": 3, "n": 1}
    model = EasyLLMChat(base_url=fake_server.url, **fields)
    model.invoke("Hi", **dict.fromkeys(fields))
    assert set(body_of(fake_server)) == {"model", "messages"}


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "llamacpp"])
def test_the_prompt_is_part_of_a_full_text(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve(fake_server, server_name, ["Hello", " STOP"])
    if server_name == "llamacpp":
        with pytest.raises(ConfigurationError, match="return_full_text"):
            answer(mode, EasyLLM(base_url=fake_server.url, return_full_text=True))
        return
    model = EasyLLM(base_url=fake_server.url, echo=True, stop=["STOP", "Hi"])
    assert answer(mode, model) == "HiHello "


@pytest.mark.parametrize("cls", CLASSES)
def test_the_forms_of_a_logit_bias_are_one(cls: Any) -> None:
    forms = [{7: 1, 15043: -100}, {"7": 1.0, "15043": -100}, [[7, 1], (15043, -100.0)]]
    for form in forms:
        model = cls(model="org/name", logit_bias=form)
        assert model.logit_bias == {"7": 1.0, "15043": -100.0}
        assert cls(model="org/name", logit_bias={}).logit_bias is None
        assert pickle.loads(pickle.dumps(model)).logit_bias == model.logit_bias
        assert model._identifying_params["logit_bias"] == model.logit_bias


def test_a_calls_bias_replaces_the_objects(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url, logit_bias={7: 1})
    for given, sent in (({8: 2}, {"8": 2.0}), (None, None), ({}, None), ([[9, 3]], {"9": 3.0})):
        answer(mode, model, logit_bias=given)
        assert body_of(fake_server).get("logit_bias") == sent


def test_a_copy_takes_a_bias_in_every_form(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    for given, sent in (({7: 1}, {"7": 1.0}), ([[7, 1]], {"7": 1.0}), ({}, None)):
        model = EasyLLMChat(base_url=fake_server.url).model_copy(update={"logit_bias": given})
        model.invoke("Hi")
        assert body_of(fake_server).get("logit_bias") == sent
    model.logit_bias = "no"  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match="logit_bias is a dict"):
        model.invoke("Hi")


def test_model_kwargs_send_a_bias_of_texts(fake_server: FakeServer) -> None:
    serve(fake_server, "llamacpp")
    bias = [["Hello", False], [7, -1]]
    model = EasyLLMChat(base_url=fake_server.url, model_kwargs={"logit_bias": bias, "min_p": 0.1})
    assert (model.model_kwargs, model.min_p) == ({"logit_bias": bias}, 0.1)
    model.invoke("Hi")
    assert body_of(fake_server)["logit_bias"] == bias


def test_a_limit_of_ours_leaves_room_for_the_least(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    model = EasyLLM(base_url=fake_server.url, api="completions")
    for least, limit in ((5, 1024), (1024, 1024), (1500, 1500)):
        model.invoke("Hi", min_tokens=least)
        body = body_of(fake_server)
        assert (body["min_tokens"], body["max_tokens"]) == (least, limit)
    with pytest.raises(ConfigurationError, match="min_tokens=5 is more than max_tokens=4"):
        EasyLLM(base_url=fake_server.url, max_tokens=4).invoke("Hi", min_tokens=5)
