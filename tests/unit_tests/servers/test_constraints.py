"""Regexes, choices and grammars in one field: what each server is sent of them, or the error."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from pydantic import BaseModel
from typing_extensions import TypedDict

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm._fields.constraints import constraint_dict
from langchain_easyllm._protocols.constraints import to_constraint
from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.profile import (
    ApiProfile,
    GenerationApi,
    ServerProfile,
)
from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.offline import OfflineServer

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of, text_of
from ...support.text_chunks import time_growth

Json = dict[str, Any]
REGEX = {"type": "regex", "value": "[0-9]+"}
CHOICE = {"type": "choice", "value": ["yes", "no."]}
EBNF = {"type": "ebnf", "value": 'root ::= "a" | "b"'}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
KINDS = {"regex": REGEX, "choice": CHOICE, "ebnf": EBNF}
SAID = {"regex": "a regex", "choice": "a choice", "ebnf": "a grammar"}
EITHER = r"(yes|no\.)"

VLLM = {
    "regex": {"structured_outputs": {"regex": "[0-9]+"}, "guided_regex": "[0-9]+"},
    "choice": {
        "structured_outputs": {"choice": ["yes", "no."]},
        "guided_choice": ["yes", "no."],
    },
    "ebnf": {
        "structured_outputs": {"grammar": EBNF["value"]},
        "guided_grammar": EBNF["value"],
    },
}
SGLANG = {
    "regex": {"regex": "[0-9]+"},
    "choice": {"regex": EITHER},
    "ebnf": {"ebnf": EBNF["value"]},
}
LLAMA = {
    "regex": {"grammar": "root ::= [0-9]+"},
    "choice": {"grammar": 'root ::= "yes" | "no."'},
    "ebnf": {"grammar": EBNF["value"]},
}


def tgi(key: str) -> Json:
    return {
        "regex": {key: REGEX},
        "choice": {key: {"type": "regex", "value": EITHER}},
        "ebnf": None,
    }


NONE = dict.fromkeys(KINDS)
# What is sent beside the other keys, or None for an error; by server and protocol.
SENT: dict[tuple[str, str], Json] = {
    ("tgi", "chat"): tgi("response_format"),
    ("tgi", "generate"): tgi("grammar"),
    ("vllm", "chat"): VLLM,
    ("vllm", "completions"): VLLM,
    ("sglang", "chat"): SGLANG,
    ("sglang", "completions"): SGLANG,
    ("llamacpp", "chat"): LLAMA,
    ("llamacpp", "completions"): LLAMA,
    ("llama-cpp-python", "chat"): LLAMA,
    ("llama-cpp-python", "completions"): LLAMA,
    ("ollama", "chat"): NONE,
    ("openai", "chat"): NONE,
    ("openai", "completions"): NONE,
}
KEYS = {"response_format", "grammar", "regex", "ebnf", "structured_outputs", "json_schema"}


def constraints_of(server: FakeServer) -> Json:
    body = body_of(server)
    body = body.get("parameters", body)
    return {k: v for k, v in body.items() if k in KEYS or k.startswith("guided_")}


@each_case("kind", KINDS)
@each_case(("name", "api"), SENT)
def test_a_constraint_on_every_server(
    fake_server: FakeServer, name: str, api: str, kind: str
) -> None:
    serve(fake_server, name)
    cls: Any = EasyLLMChat if api == "chat" else EasyLLM
    wanted = SENT[name, api][kind]
    for key in ("grammar", "response_format"):
        model = cls(base_url=fake_server.url, api=api, **{key: KINDS[kind]})
        if wanted is not None:
            model.invoke("Hi")
            assert constraints_of(fake_server) == wanted
            continue
        with pytest.raises(
            ConfigurationError, match=rf"^{key} cannot be {SAID[kind]} on the {api}"
        ) as caught:
            model.invoke("Hi")
        assert "\n" not in str(caught.value)
        assert "model_kwargs" in str(caught.value)
        assert not [request for request in fake_server.requests if request.method == "POST"]


@pytest.mark.parametrize("cls", CLASSES)
def test_in_every_mode_of_object_call_and_bind(
    fake_server: FakeServer, cls: Any, mode: str
) -> None:
    serve(fake_server, "vllm")
    plain = cls(base_url=fake_server.url)
    answer(mode, cls(base_url=fake_server.url, grammar=CHOICE))
    answer(mode, plain, grammar=CHOICE)
    answer(mode, plain.bind(grammar=CHOICE))
    posts = [r.json for r in fake_server.requests if r.method == "POST"]
    assert [post["guided_choice"] for post in posts] == [CHOICE["value"]] * 3
    answer(mode, cls(base_url=fake_server.url, grammar=CHOICE), grammar=None)
    assert constraints_of(fake_server) == {}


def test_a_model_in_this_process_has_all_of_them() -> None:
    def sent(value: Json) -> object:
        return to_constraint({"grammar": value}, GenerationApi.GENERATE, IN_PROCESS)

    assert sent(REGEX) == {"grammar": REGEX}
    assert sent(CHOICE) == {"grammar": {"type": "regex", "value": EITHER}}
    assert sent(EBNF) == {"grammar": EBNF}


# Servers whose forms stand in `response_format`.
TENSORRT = ServerProfile(
    name="a",
    chat=ApiProfile(
        fields={"grammar": "response_format"},
        expressions={
            "regex": {"response_format": {"type": "regex", "regex": ...}},
            "ebnf": {"response_format": {"type": "ebnf", "ebnf": ...}},
        },
    ),
)
LMDEPLOY = ServerProfile(
    name="b",
    chat=ApiProfile(
        fields={"grammar": "response_format"},
        expressions={"regex": {"response_format": {"type": "regex_schema", "regex_schema": ...}}},
    ),
)
FIREWORKS = ServerProfile(
    name="c",
    chat=ApiProfile(
        fields={"grammar": "response_format"},
        expressions={"gbnf": {"response_format": {"type": "grammar", "grammar": ...}}},
    ),
)


@pytest.mark.parametrize(
    ("server", "kind", "sent"),
    [
        (TENSORRT, "regex", {"type": "regex", "regex": "[0-9]+"}),
        (TENSORRT, "choice", {"type": "regex", "regex": EITHER}),
        (TENSORRT, "ebnf", {"type": "ebnf", "ebnf": EBNF["value"]}),
        (LMDEPLOY, "regex", {"type": "regex_schema", "regex_schema": "[0-9]+"}),
        (LMDEPLOY, "choice", {"type": "regex_schema", "regex_schema": EITHER}),
        (FIREWORKS, "regex", {"type": "grammar", "grammar": "root ::= [0-9]+"}),
        (FIREWORKS, "ebnf", {"type": "grammar", "grammar": EBNF["value"]}),
    ],
)
def test_a_form_of_a_server_is_a_row(server: ServerProfile, kind: str, sent: Json) -> None:
    found = to_constraint({"grammar": KINDS[kind]}, GenerationApi.CHAT, server)
    assert found == {"response_format": sent}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"type": "regex", "regex": "[0-9]+"}, "regex"),
        ({"type": "regex_schema", "regex_schema": "[0-9]+"}, "regex"),
        ({"type": "regex_schema", "value": "[0-9]+"}, "regex"),
        ({"regex": "[0-9]+"}, "regex"),
        ({"type": "choice", "choice": ["yes", "no."]}, "choice"),
        ({"type": "choice", "value": ("yes", "no.")}, "choice"),
        ({"choice": ["yes", "no."]}, "choice"),
        ({"type": "grammar", "grammar": EBNF["value"]}, "ebnf"),
        ({"type": "gbnf", "value": EBNF["value"]}, "ebnf"),
        ({"type": "ebnf", "ebnf": EBNF["value"]}, "ebnf"),
        ({"grammar": EBNF["value"]}, "ebnf"),
        ({"ebnf": EBNF["value"]}, "ebnf"),
    ],
    ids=str,
)
def test_the_words_of_any_server_are_read(given: Json, kind: str, fake_server: FakeServer) -> None:
    serve(fake_server, "sglang")
    before = copy.deepcopy(given)
    EasyLLMChat(base_url=fake_server.url, response_format=given).invoke("Hi")
    assert constraints_of(fake_server) == SGLANG[kind]
    assert given == before


def test_a_schema_in_vllms_words(fake_server: FakeServer) -> None:
    serve(fake_server, "sglang")
    EasyLLMChat(base_url=fake_server.url, grammar={"json": SCHEMA}).invoke("Hi")
    sent = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    assert constraints_of(fake_server) == {"response_format": sent}


@pytest.mark.parametrize(
    "given",
    [
        {"type": "grammar", "grammar": "root ::= x"},
        {"type": "regex", "regex": "a"},
        {"type": "regex_schema", "regex_schema": "a"},
    ],
    ids=str,
)
def test_a_servers_own_form_goes_to_an_unknown_server_as_it_is(
    fake_server: FakeServer, given: Json
) -> None:
    serve(fake_server, "openai")
    EasyLLMChat(base_url=fake_server.url, response_format=given).invoke("Hi")
    assert constraints_of(fake_server) == {"response_format": given}


def test_a_choice_as_a_regex_is_that_choice(fake_server: FakeServer) -> None:
    choices = [
        "a|b",
        "1+1=2?",
        "(x)",
        "[y]",
        "{z}",
        "^$",
        "a.b",
        "back\\slash",
        "-",
        'say "é"',
        "#",
    ]
    serve(fake_server, "sglang")
    EasyLLMChat(base_url=fake_server.url, grammar={"choice": [*choices, "two\nlines\t"]}).invoke(
        "Hi"
    )
    sent = constraints_of(fake_server)["regex"]
    expected = r'\(x\)|\[y\]|\{z\}|\^\$|a\.b|back\\slash|-|say "é"|#|two\nlines\t)'
    assert sent == r"(a\|b|1\+1=2\?|" + expected


@each_case(
    ("bad", "said"),
    [
        ({"type": "regexp", "value": "a"}, r"'regexp' is not known: did you mean 'regex'\?"),
        ({"type": "choices", "value": ["a"]}, r"did you mean 'choice'\?"),
        ({"type": "jsonschema"}, r"did you mean 'json_schema'\?"),
        ({"type": "objct"}, r"did you mean 'object'\?"),
        ({"type": "yaml"}, "use one of 'json_schema', .*'regex', 'choice', 'ebnf'"),
        ({}, "without type is not known"),
        ("json", "take a dict or a class, not 'json'"),
        (7, "take a dict or a class, not 7"),
        (["a"], "take a dict or a class"),
        ({"type": "regex"}, "regex of .* must be a string, not None"),
        ({"type": "regex", "value": 3}, "must be a string, not 3"),
        ({"type": "regex", "value": ""}, "regex .* is empty"),
        ({"type": "regex", "value": "a", "flags": "i"}, "has no 'flags'"),
        ({"type": "regex", "value": "a", "regex": "b"}, "has no 'regex'"),
        ({"type": "ebnf", "value": " \n"}, "grammar .* is empty"),
        ({"type": "ebnf", "value": ["a"]}, "grammar .* must be a string"),
        ({"type": "choice", "value": []}, "takes a list of texts"),
        ({"type": "choice", "value": "yes"}, "takes a list of texts"),
        ({"type": "choice"}, "takes a list of texts"),
        ({"type": "choice", "value": ["a", 1]}, "a text that is not empty, not 1"),
        ({"type": "choice", "value": ["a", ""]}, "a text that is not empty, not ''"),
        ({"type": "choice", "value": ["a", "b", "a"]}, "'a' is given twice"),
        ({"type": "json", "value": "{}"}, "is not a JSON schema"),
        ({"type": "json", "value": {"type": "strin"}}, "did you mean 'string'"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": 5}}, r"JSON schema \(5\)"),
        ({"type": "json_schema", "json_schema": {"schema": None}}, "has no schema"),
        ({"type": "json_schema", "json_schema": {"name": "x", "shema": {}}}, "has no schema"),
        ({"type": "json_schema"}, "has no schema"),
        ({"type": "json_schema", "json_schema": 5}, r"JSON schema \(5\)"),
        ({"type": "json_schema", "json_schema": []}, "JSON schema"),
        ({"type": "json_schema", "value": {"name": "x", "schema": 5}}, "JSON schema"),
        ({"type": "json_object", "schema": 0}, r"JSON schema \(0\)"),
        ({"type": "json", "value": ""}, "JSON schema"),
        ({"type": "object", ("a",): 1}, "cannot be written as JSON"),
        ({"type": "regex", "value": "a", 5: 1, "b": 2}, "has no 5"),
        ({"type": "structural_tag"}, "'structural_tag' is not known: use one of .*model_kwargs"),
        ({"type": "regexes"}, "did you mean 'regex'.*model_kwargs"),
        ({"$id": "http://[bad", "properties": {"a": {"$id": "b", "$ref": "c"}}}, "not in it"),
        ({"type": "object", "properties": {"a": {"type": "int"}}}, "'int'"),
        (int, "int is not a schema"),
        (BaseException, "BaseException is not a schema"),
        ({"type": "json", "value": int}, "int is not a schema"),
    ],
    ids=str,
)
@each_case("name", ["grammar", "response_format"])
def test_bad_input_is_an_error_before_anything_is_sent(
    fake_server: FakeServer, name: str, bad: Any, said: str
) -> None:
    plain = EasyLLMChat(base_url=fake_server.url)
    for fails in (
        lambda: EasyLLMChat(base_url=fake_server.url, **{name: bad}),
        lambda: plain.invoke("Hi", **{name: bad}),
    ):
        with pytest.raises(ConfigurationError, match=said) as caught:
            fails()
        assert "\n" not in str(caught.value)
    assert fake_server.requests == []


@pytest.mark.parametrize("server", [IN_PROCESS, LLAMA_CPP], ids=lambda server: server.name)
def test_the_work_on_a_choice_grows_with_it_only(server: ServerProfile) -> None:
    def work(texts: Sequence[str]) -> None:
        choices = [f"{text}{number}" for number, text in enumerate(texts)]
        given = constraint_dict({"choice": choices})
        to_constraint({"grammar": given}, next(iter(server.apis)), server)

    assert time_growth(work, ["x"] * 1000) < 40


def test_objects_of_one_class_share_nothing_that_can_be_changed() -> None:
    for given in (Person, {"type": "json", "value": Person}):
        first = EasyLLMChat(base_url="http://localhost:1", response_format=given)
        assert first.response_format is not None
        first.response_format["json_schema"]["schema"]["properties"].clear()
        second = EasyLLMChat(base_url="http://localhost:1", response_format=given)
        assert second.response_format is not None
        assert set(second.response_format["json_schema"]["schema"]["properties"]) == {"name", "age"}


def test_a_dict_that_was_changed_is_checked_again() -> None:
    schema: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
    model = EasyLLMChat(base_url="http://localhost:1", response_format=schema)
    schema["properties"]["b"] = {"type": "strng"}
    for fails in (
        lambda: EasyLLMChat(base_url="http://localhost:1", response_format=schema),
        lambda: model.invoke("Hi", response_format=schema),
    ):
        with pytest.raises(ConfigurationError, match="did you mean 'string'"):
            fails()


@pytest.mark.parametrize("server", ["sglang", "vllm", "tgi", "llamacpp"])
def test_two_constraints_are_an_error(fake_server: FakeServer, server: str) -> None:
    serve(fake_server, server)
    both = EasyLLMChat(base_url=fake_server.url, response_format=SCHEMA, grammar=REGEX)
    with pytest.raises(ConfigurationError, match="response_format and grammar are one field"):
        both.invoke("Hi")
    EasyLLMChat(base_url=fake_server.url, response_format=REGEX, grammar=REGEX).invoke("Hi")
    one = constraints_of(fake_server)
    text = {"type": "text"}
    EasyLLMChat(base_url=fake_server.url, response_format=text, grammar=REGEX).invoke("Hi")
    assert constraints_of(fake_server) == one


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class City(TypedDict):
    """A city."""

    name: str


@dataclass
class Animal:
    """An animal."""

    name: str
    legs: int = field(default=4)


CLASSES_AND_KEYS = [(Person, {"name", "age"}), (City, {"name"}), (Animal, {"name", "legs"})]


@pytest.mark.parametrize(("kind", "keys"), CLASSES_AND_KEYS)
@pytest.mark.parametrize("name", ["grammar", "response_format"])
def test_a_class_is_its_schema(
    fake_server: FakeServer, name: str, kind: type, keys: set[str]
) -> None:
    serve(fake_server, "vllm")
    plain = EasyLLMChat(base_url=fake_server.url)
    EasyLLMChat(base_url=fake_server.url, **{name: kind}).invoke("Hi")
    plain.invoke("Hi", **{name: kind})
    plain.bind(**{name: kind}).invoke("Hi")
    plain.invoke("Hi", **{name: {"type": "json", "value": kind}})
    posts = [r.json["response_format"] for r in fake_server.requests if r.method == "POST"]
    assert len(posts) == 4
    for sent in posts:
        assert sent["type"] == "json_schema"
        assert sent["json_schema"]["name"] == kind.__name__
        assert set(sent["json_schema"]["schema"]["properties"]) == keys
        assert set(sent["json_schema"]["schema"]["required"]) == keys - {"legs"}


@pytest.mark.parametrize("kind", [Person, City, Animal])
def test_a_class_may_stand_where_a_schema_does(kind: type) -> None:
    for given in (
        {"type": "json_schema", "json_schema": kind},
        {"type": "json_schema", "schema": kind},
        {"type": "json_object", "schema": kind},
        {"json": kind},
    ):
        found = EasyLLMChat(response_format=given, model="m").response_format
        assert found == EasyLLMChat(response_format=kind, model="m").response_format
    named = {"name": "own", "strict": True, "schema": kind}
    made = EasyLLMChat(response_format={"type": "json_schema", "json_schema": named}, model="m")
    assert made.response_format
    inner = made.response_format["json_schema"]
    assert (inner["name"], inner["strict"]) == ("own", True)
    assert "name" in inner["schema"]["properties"]


@pytest.mark.parametrize(
    ("server", "form"),
    [
        ("tgi", {"type": "json"}),
        ("llama-cpp-python", {"type": "json_object"}),
        ("ollama", {"type": "json_schema"}),
        ("openai", {"type": "json_schema"}),
    ],
)
def test_a_class_in_the_format_of_the_server(
    fake_server: FakeServer, server: str, form: Json
) -> None:
    serve(fake_server, server)
    EasyLLMChat(base_url=fake_server.url, response_format=Person).invoke("Hi")
    sent = constraints_of(fake_server)["response_format"]
    assert sent["type"] == form["type"]
    assert Person.model_json_schema()["properties"] == _properties(sent)


def _properties(sent: Json) -> object:
    schema = sent.get("json_schema", {}).get("schema") or sent.get("schema") or sent.get("value")
    return schema["properties"]


def test_an_object_with_a_class_is_copied_pickled_and_serialised() -> None:
    model = EasyLLMChat(base_url="http://localhost:1", response_format=Person)
    assert isinstance(model.response_format, dict)
    for other in (
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
        model.model_copy(),
    ):
        assert other.response_format == model.response_format
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = loads(
            dumps(model), valid_namespaces=["langchain_easyllm"], allowed_objects=[EasyLLMChat]
        )
    assert read.response_format == model.response_format
    assert "Person" in repr(model.response_format)


def test_a_class_may_be_assigned(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    model = EasyLLMChat(base_url=fake_server.url)
    model.response_format = City
    model.invoke("Hi")
    assert constraints_of(fake_server)["response_format"]["json_schema"]["name"] == "City"


@pytest.fixture(scope="module")
def offline() -> Any:
    from langchain_easyllm.offline import offline_server

    with offline_server() as server:
        yield server


@pytest.mark.parametrize("cls", CLASSES)
def test_a_model_is_held_to_it(offline: OfflineServer, cls: Any, mode: str) -> None:
    model = cls(base_url=offline.base_url, temperature=0, max_tokens=20)
    choices = ["Lima (Peru)", "Rome|Roma"]
    chosen = answer(mode, model, "What is the capital of France?", grammar={"choice": choices})
    assert text_of(chosen) in choices
    number = answer(mode, model, "Hello!", response_format={"type": "regex", "regex": "[0-9]{3}"})
    assert len(text_of(number)) == 3
    assert text_of(number).isdigit()
