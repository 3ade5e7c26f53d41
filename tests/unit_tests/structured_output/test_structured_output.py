"""Structured output: the same from every server, checked, whichever method asked for it."""

from __future__ import annotations

import json
import pickle
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.output_parsers import JsonOutputParser
from pydantic import BaseModel, Field, RootModel, field_validator
from pydantic.v1 import BaseModel as BaseModelV1

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._generation import client
from langchain_easyllm._generation.prepare import PreparedRequest, prepare_request
from langchain_easyllm.errors import (
    BadRequestError,
    ConfigurationError,
    GenerationError,
    StructuredOutputError,
)

from ...support.cases import each_case
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve
from ...support.fake_tool_calls import Turn, serve_turns, turn_reply
from ...support.invocation_modes import STREAM_MODES, answer, body_of
from ...support.text_servers import TEXT_SERVERS


class Person(BaseModel):
    """A person."""

    name: str = Field(description="The first name.")
    age: int


class OldPerson(BaseModelV1):
    """A person."""

    name: str
    age: int


class Numbers(RootModel[list[int]]):
    """Numbers."""


class TypedPerson(TypedDict):
    """A person."""

    name: Annotated[str, ..., "The first name."]
    age: Annotated[int, ..., "In years."]


SCHEMA: dict[str, Any] = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
UNTITLED = {key: value for key, value in SCHEMA.items() if key != "title"}
FUNCTION = {"name": "Person", "description": "A person.", "parameters": UNTITLED}
OPENAI = {"type": "json_schema", "json_schema": {"name": "Person", "schema": UNTITLED}}
KINDS: dict[str, Any] = {
    "pydantic": Person,
    "pydantic 1": OldPerson,
    "TypedDict": TypedPerson,
    "JSON schema": SCHEMA,
    "without a title": UNTITLED,
    "a function": FUNCTION,
    "a tool": {"type": "function", "function": FUNCTION},
    "a response_format": OPENAI,
}
KIND = each_case("kind", KINDS)
IDA = '{"name": "Ida", "age": 7}'
VALUE = {"name": "Ida", "age": 7}
TEXT, CALL = Turn([IDA[:9], IDA[9:]]), Turn(calls=[("Person", IDA)])
# The strongest method of each server.
METHODS = {name: "json_schema" if row.schema else "prompt" for name, row in TEXT_SERVERS.items()}
EVERY_SERVER = each_case("server_name", [name for name in METHODS if not TEXT_SERVERS[name].plain])


def value_of(found: Any) -> object:
    return dict(found)  # a pydantic object yields pairs


def last(mode: str, chain: Any, given: Any = "Hi") -> Any:
    """What an invocation mode ends with; a stream's chunks replace one another."""
    if mode == "stream":
        return list(chain.stream(given))[-1]
    return (
        answer(mode, chain, given) if mode not in STREAM_MODES else answer("ainvoke", chain, given)
    )


@EVERY_SERVER
@KIND
def test_every_kind_from_every_server(fake_server: FakeServer, server_name: str, kind: str) -> None:
    serve_turns(fake_server, server_name, TEXT)
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(KINDS[kind])
    found = chain.invoke("Hi")
    assert value_of(found) == VALUE
    expected = KINDS[kind] if kind.startswith("pydantic") else dict
    assert type(found) is expected


@each_case("server_name", METHODS)
def test_the_method_is_reported_and_sent_in_the_servers_field(
    fake_server: FakeServer, server_name: str, whole_mode: str
) -> None:
    serve_turns(fake_server, server_name, TEXT)
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(SCHEMA, include_raw=True)
    found = answer(whole_mode, chain)
    assert found["parsed"] == VALUE
    assert found["parsing_error"] is None
    assert found["raw"].response_metadata["structured_output_method"] == METHODS[server_name]
    body = body_of(fake_server)
    said = {
        "grammar": {"type": "json", "value": SCHEMA},
        "json_object": {"type": "json_object", "schema": SCHEMA},
        "json": {"type": "json", "schema": SCHEMA},
        "openai": {"type": "json_schema", "json_schema": {"name": "Person", "schema": SCHEMA}},
        None: None,
    }
    assert body.get("response_format") == said[TEXT_SERVERS[server_name].schema]
    assert "tools" not in body


@EVERY_SERVER
@each_case("strict", [None, True])
def test_a_forced_call_is_one_way(
    fake_server: FakeServer, server_name: str, strict: bool | None, mode: str
) -> None:
    serve_turns(fake_server, server_name, CALL)
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(Person, method="function_calling", strict=strict)
    assert last(mode, chain) == Person(**VALUE)
    body = body_of(fake_server)
    by_name = TEXT_SERVERS[server_name].choices[3]
    if by_name is None:  # the server cannot be made to call one: the tools are in the prompt
        assert "<tools>" in body["messages"][0]["content"]
        return
    (tool,) = body["tools"]
    assert tool["function"]["name"] == "Person"
    added = True if TEXT_SERVERS[server_name].adds_strict else None
    assert tool["function"].get("strict") is (strict or added)
    named = {"type": "function", "function": {"name": "Person"}}
    assert body["tool_choice"] == ("required" if by_name[1] == "required" else named)


@each_case("server_name", [name for name, method in METHODS.items() if method == "json_schema"])
def test_json_mode_asks_for_any_object(
    fake_server: FakeServer, server_name: str, mode: str
) -> None:
    serve_turns(fake_server, server_name, TEXT)
    model = EasyLLMChat(base_url=fake_server.url)
    assert last(mode, model.with_structured_output(Person, method="json_mode")) == Person(**VALUE)
    schema = Person.model_json_schema()
    instead = {  # of those that know no other
        "tgi": {"type": "json", "value": schema},
        "tensorrt-llm": {"type": "json", "schema": {"type": "object"}},
        "lm-studio": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}},
        },
    }
    said = body_of(fake_server)["response_format"]
    assert said == instead.get(server_name, {"type": "json_object"})


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_a_method_that_a_server_lacks_is_an_error(fake_server: FakeServer, method: Any) -> None:
    serve_turns(fake_server, "transformers", TEXT)
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match="response_format cannot be expressed"):
        model.with_structured_output(Person, method=method).invoke("Hi")


WORDS = "Answer only with a JSON object that fits this schema:\n" + json.dumps(SCHEMA)


@pytest.mark.parametrize(
    ("conversation", "sent"),
    [
        ("Hi", [("system", WORDS), ("user", "Hi")]),
        (
            [SystemMessage("Be brief."), HumanMessage("Hi")],
            [("system", f"Be brief.\n\n{WORDS}"), ("user", "Hi")],
        ),
        (
            [SystemMessage([{"type": "text", "text": "Be brief."}]), HumanMessage("Hi")],
            [("system", f"Be brief.\n\n{WORDS}"), ("user", "Hi")],
        ),
    ],
)
def test_a_schema_in_the_prompt_stands_in_the_system_message(
    fake_server: FakeServer, conversation: Any, sent: list[tuple[str, str]], mode: str
) -> None:
    serve_turns(fake_server, "vllm", TEXT)
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(SCHEMA, method="prompt")
    assert last(mode, chain, conversation) == VALUE
    assert [(m["role"], m["content"]) for m in body_of(fake_server)["messages"]] == sent


@pytest.mark.parametrize("server_name", ["tgi", "vllm", "llamacpp", "transformers"])
def test_a_text_api_is_held_to_it_too(fake_server: FakeServer, server_name: str) -> None:
    serve(fake_server, server_name, [IDA])
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml")
    assert model.with_structured_output(SCHEMA).invoke("Hi") == VALUE
    body = body_of(fake_server)
    if server_name == "tgi":
        assert body["parameters"]["grammar"] == {"type": "json", "value": SCHEMA}
    elif server_name == "transformers":
        assert WORDS in body["prompt"]
    else:
        vllms = body.get("response_format", {}).get("json_schema", {})
        assert SCHEMA in (body.get("json_schema"), vllms.get("schema"))


@each_case(
    "text",
    [
        f"<think>Ida {{is}} 7.</think>\n{IDA}",
        f"Ida is 7.</think>\n\n{IDA}",
        f"```json\n{IDA}\n```",
        f"Here it is:\n\n```\n{IDA}\n```\nAnything else?",
        f"Sure! {IDA} I hope that helps.",
        f"\n\n{IDA}\n",
    ],
)
@KIND
def test_what_stands_around_the_json_does_no_harm(
    fake_server: FakeServer, text: str, kind: str
) -> None:
    serve_turns(fake_server, "vllm", Turn([text]))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(KINDS[kind])
    assert value_of(chain.invoke("Hi")) == value_of(list(chain.stream("Hi"))[-1]) == VALUE


def test_a_closing_tag_inside_the_answer_is_text(fake_server: FakeServer) -> None:
    serve_turns(fake_server, "vllm", Turn(['{"name": "a</think>b", "age": 1}']))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Person, method="json_mode")
    assert list(chain.stream("Hi"))[-1].name == "a</think>b"


@pytest.mark.parametrize("server_name", ["vllm", "tgi", "llama-cpp-python"])
@pytest.mark.parametrize("method", ["json_schema", "function_calling", "prompt"])
def test_a_dict_grows_as_it_is_streamed(
    fake_server: FakeServer, server_name: str, method: Any
) -> None:
    letters = Turn([*IDA]) if method != "function_calling" else CALL
    serve_turns(fake_server, server_name, letters)
    model = EasyLLMChat(base_url=fake_server.url)
    seen = list(model.with_structured_output(SCHEMA, method=method).stream("Hi"))
    assert len(seen) > 2
    assert all(isinstance(one, dict) and one.keys() <= VALUE.keys() for one in seen)
    assert seen[-1] == VALUE
    objects = list(model.with_structured_output(Person, method=method).stream("Hi"))
    assert objects == [Person(**VALUE)]


def test_langchains_own_parser_still_streams(fake_server: FakeServer) -> None:
    serve_turns(fake_server, "vllm", Turn([*IDA]))
    model = EasyLLMChat(base_url=fake_server.url, response_format=SCHEMA)
    seen = list((model | JsonOutputParser()).stream("Hi"))
    assert seen[0] == {}
    assert seen[-1] == VALUE


def test_batches_and_pickles(fake_server: FakeServer, any_mode: str) -> None:
    serve_turns(fake_server, "vllm", TEXT)
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(Person)
    again = pickle.loads(pickle.dumps(chain))
    if any_mode not in STREAM_MODES:
        assert answer(any_mode, again) == Person(**VALUE)
    beside = model.with_structured_output(Person, include_raw=True)
    assert answer(any_mode, pickle.loads(pickle.dumps(beside)))["parsed"] == Person(**VALUE)


BAD = [
    ("Sorry, I cannot.", "it has no JSON"),
    ('{"name": "Ida"}', "age"),
    ('{"name": "Ida", "age": "old"}', "age"),
    ("[1]", "object|Person|dict"),
    ("", "it has no JSON"),
]
EXPLICIT = {"method": "json_schema"}


@KIND
@each_case(("text", "complaint"), BAD)
def test_an_answer_that_does_not_fit_is_an_error(
    fake_server: FakeServer, kind: str, text: str, complaint: str
) -> None:
    serve_turns(fake_server, "vllm", Turn([text]))
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(KINDS[kind], method="json_schema")
    for ask in (chain.invoke, lambda given: list(chain.stream(given))):
        with pytest.raises(StructuredOutputError, match=complaint) as caught:
            ask("Hi")
        assert isinstance(caught.value, OutputParserException)
        assert isinstance(caught.value, GenerationError)
        assert caught.value.llm_output == text
        assert pickle.loads(pickle.dumps(caught.value)).llm_output == text


def test_an_error_stands_beside_the_raw_answer(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(["No."]))
    model = EasyLLMChat(base_url=fake_server.url)
    found = answer(mode, model.with_structured_output(Person, include_raw=True, **EXPLICIT))
    assert found["raw"].content == "No."
    assert found["parsed"] is None
    assert isinstance(found["parsing_error"], StructuredOutputError)


def test_a_cut_answer_says_so_and_is_not_asked_for_again(
    fake_server: FakeServer, whole_mode: str
) -> None:
    serve_turns(fake_server, "vllm", Turn([IDA[:12]], finish_reason="length"))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Person)
    with pytest.raises(StructuredOutputError, match="raise max_tokens"):
        answer(whole_mode, chain)
    assert sum(request.method == "POST" for request in fake_server.requests) == 1


@pytest.mark.parametrize("args", ['{"name": "Ida"', '{"name": "Ida"}', "[]"])
def test_a_bad_call_is_an_error(fake_server: FakeServer, args: str, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(calls=[("Person", args)]))
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(StructuredOutputError) as caught:
        last(mode, model.with_structured_output(Person, method="function_calling"))
    assert str(caught.value.llm_output).startswith(args.rstrip("}"))


def test_an_answer_in_text_is_taken_where_a_call_was_wanted(fake_server: FakeServer) -> None:
    serve_turns(fake_server, "tgi", TEXT)
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(Person, method="function_calling")
    assert chain.invoke("Hi") == Person(**VALUE)


@pytest.mark.parametrize("bad", ["No.", '{"name": "Ida"}', '{"name": "Eve", "age": 7}'])
def test_one_repair_is_asked_for_in_the_prompt(
    fake_server: FakeServer, bad: str, whole_mode: str
) -> None:
    class Picky(Person):
        @field_validator("name")
        @classmethod
        def _not_eve(cls, name: str) -> str:
            if name == "Eve":
                raise ValueError("Eve is busy")
            return name

    serve_turns(fake_server, "vllm", Turn([bad]), TEXT)
    model = EasyLLMChat(base_url=fake_server.url)
    found = answer(whole_mode, model.with_structured_output(Picky, include_raw=True))
    assert value_of(found["parsed"]) == VALUE
    assert found["raw"].response_metadata["structured_output_method"] == "prompt"
    assert found["raw"].usage_metadata["total_tokens"] == 18  # what both cost
    instructions, asked, said, complaint = body_of(fake_server)["messages"]
    assert (asked["content"], said["content"]) == ("Hi", bad)
    assert "does not fit" in complaint["content"]
    assert "Answer only with a JSON object" in instructions["content"]


def test_one_repair_is_all(fake_server: FakeServer, whole_mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(["No."]))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Person)
    with pytest.raises(StructuredOutputError):
        answer(whole_mode, chain)
    assert sum(request.method == "POST" for request in fake_server.requests) == 2


def test_a_repair_builds_two_requests(
    fake_server: FakeServer, whole_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []

    def counting(*args: Any, **kwargs: Any) -> PreparedRequest:
        built.append(args)
        return prepare_request(*args, **kwargs)

    monkeypatch.setattr(client, "prepare_request", counting)
    serve_turns(fake_server, "vllm", Turn(["No."]), TEXT)
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Person)
    assert answer(whole_mode, chain) == Person(**VALUE)
    assert len(built) == 2


def refusing(
    server: FakeServer,
    *keys: str,
    words: str = "",
    server_name: str = "openai",
    turn: Turn | None = None,
) -> list[dict[str, Any]]:
    """A server that refuses requests with these keys; returns what it was sent."""
    serve(server, server_name)
    bodies: list[dict[str, Any]] = []

    def reply(request: Received) -> Reply:
        body: Any = request.json
        bodies.append(body)
        for key in keys:
            if key in body:
                said = {"message": words or f"{key} is not supported by this model", "code": 400}
                return Reply({"error": said}, status=400)
        own = turn or (CALL if "tools" in body else TEXT)
        return turn_reply(server_name, own, stream=bool(body.get("stream")))

    server.on("POST", "/v1/chat/completions", reply)
    return bodies


@pytest.mark.parametrize(
    ("keys", "method"),
    [
        ((), "json_schema"),
        (("response_format",), "function_calling"),
        (("response_format", "tools"), "prompt"),
    ],
)
def test_a_refusal_is_one_step_down_and_remembered(
    fake_server: FakeServer, keys: tuple[str, ...], method: str, whole_mode: str
) -> None:
    bodies = refusing(fake_server, *keys)
    model = EasyLLMChat(base_url=fake_server.url)
    found = answer(whole_mode, model.with_structured_output(SCHEMA, include_raw=True))
    assert found["parsed"] == VALUE
    assert found["raw"].response_metadata["structured_output_method"] == method
    assert len(bodies) == len(keys) + 1
    for mode in ("invoke", "astream"):
        answer(mode, model.with_structured_output(SCHEMA) | (lambda person: [person]))
    assert len(bodies) == len(keys) + 3


def test_a_refusal_steps_down_in_streams_too(fake_server: FakeServer) -> None:
    refusing(fake_server, "response_format", "tools")
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(SCHEMA)
    assert list(chain.stream("Hi"))[-1] == VALUE


def test_other_refusals_are_errors_at_once(fake_server: FakeServer, whole_mode: str) -> None:
    bodies = refusing(fake_server, "messages", words="temperature is out of range")
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(Person)
    with pytest.raises(BadRequestError, match="temperature"):
        answer(whole_mode, chain)
    assert len(bodies) == 1


def test_a_method_that_was_chosen_is_kept(fake_server: FakeServer, whole_mode: str) -> None:
    bodies = refusing(fake_server, "response_format")
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(BadRequestError, match="response_format"):
        answer(whole_mode, model.with_structured_output(Person, **EXPLICIT))
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("schema", "fields", "complaint"),
    [
        (7, {}, "is not a schema"),
        (dict, {}, "dict is not a schema"),
        (Numbers, {"method": "function_calling"}, "'Numbers' is not an object"),
        ("Person", {}, "is not a schema"),
        (Person, {"method": "magic"}, "'json_schema', 'function_calling', 'json_mode'"),
        ({**SCHEMA, "default": object()}, {}, "cannot be written as JSON"),
        (Person, {"temprature": 1}, "did you mean 'temperature'"),
    ],
)
def test_what_cannot_be_asked_for_is_an_error(schema: Any, fields: Any, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        EasyLLMChat(base_url="http://localhost:1").with_structured_output(schema, **fields).invoke(
            "Hi"
        )


def test_the_objects_own_format_gives_way(fake_server: FakeServer) -> None:
    serve_turns(fake_server, "vllm", TEXT)
    model = EasyLLMChat(base_url=fake_server.url, grammar={"type": "object"}, temperature=0.5)
    chain = model.with_structured_output(SCHEMA, seed=3)
    assert chain.invoke("Hi") == VALUE
    body = body_of(fake_server)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert (body["temperature"], body["seed"]) == (0.5, 3)


def test_strict_holds_every_object_to_its_schema(fake_server: FakeServer) -> None:
    serve_turns(fake_server, "vllm", TEXT)
    EasyLLMChat(base_url=fake_server.url).with_structured_output(Person, strict=True).invoke("Hi")
    said = body_of(fake_server)["response_format"]["json_schema"]
    assert said["strict"] is True
    assert said["schema"]["additionalProperties"] is False


class PartlyTyped(TypedDict):
    name: str
    age: NotRequired[Annotated[int, ..., "In years."]]


def test_a_key_may_be_missing(fake_server: FakeServer, mode: str) -> None:
    serve_turns(fake_server, "vllm", Turn(['{"name": "Ida"}']))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(PartlyTyped)
    assert last(mode, chain) == {"name": "Ida"}
    schema = body_of(fake_server)["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["name"]
    assert schema["properties"]["age"]["description"] == "In years."
    assert "description" not in schema


class Tree(BaseModel):
    """A tree."""

    name: str
    children: list[Tree] = []


@pytest.mark.parametrize("server_name", ["vllm", "tgi"])
def test_a_schema_that_refers_to_itself(fake_server: FakeServer, server_name: str) -> None:
    said = '{"name": "a", "children": [{"name": "b", "children": []}]}'
    serve_turns(fake_server, server_name, Turn([said]))
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.with_structured_output(Tree).invoke("Hi").children[0].name == "b"
    said = body_of(fake_server)["response_format"]
    schema = said["value"] if server_name == "tgi" else said["json_schema"]["schema"]
    assert schema["type"] == "object"
    assert schema["properties"].keys() == {"name", "children"}
    assert server_name == "tgi" or said["json_schema"]["name"] == "Tree"


@pytest.mark.parametrize(("schema", "said"), [(Tree, '{"name": "a"}'), (Numbers, "[1, 2]")])
def test_no_call_is_tried_for_what_none_can_hold(
    fake_server: FakeServer, schema: type[BaseModel], said: str, mode: str
) -> None:
    bodies = refusing(fake_server, "response_format", server_name="tgi", turn=Turn([said]))
    chain = EasyLLMChat(base_url=fake_server.url).with_structured_output(schema)
    assert last(mode, chain) == schema.model_validate_json(said)
    assert not any("tools" in body for body in bodies)
    assert "fits this schema" in bodies[-1]["messages"][0]["content"]


def test_one_schema_that_is_refused_leaves_others_as_they_are(fake_server: FakeServer) -> None:
    bodies = refusing(fake_server, "response_format", "tools", turn=Turn([IDA]))
    model = EasyLLMChat(base_url=fake_server.url)
    assert model.with_structured_output(SCHEMA).invoke("Hi") == VALUE
    assert "response_format" not in bodies[-1]
    refusing(fake_server, turn=Turn([IDA]))
    chain = model.with_structured_output(UNTITLED, include_raw=True)
    assert chain.invoke("Hi")["raw"].response_metadata["structured_output_method"] == "json_schema"


@pytest.mark.parametrize("field", ["grammar", "response_format"])
def test_a_regex_reaches_the_server_that_has_it(
    fake_server: FakeServer, field: str, mode: str
) -> None:
    serve(fake_server, "tgi", ["42"])
    wanted = {"type": "regex", "value": "[0-9]+"}
    model = EasyLLMChat(base_url=fake_server.url)
    answer(mode, model, **{field: wanted})
    assert body_of(fake_server)["response_format"] == wanted
    text = EasyLLMChat(base_url=fake_server.url, prompt_builder="chatml", grammar=wanted)
    answer(mode, text)
    assert body_of(fake_server)["parameters"]["grammar"] == wanted


class Loose(BaseModel):
    """A class that names a type of its own."""

    value: Annotated[object, Field(json_schema_extra={"type": "any"})]


@each_case(
    "schema",
    [
        {"type": "any"},
        {"type": ["dict", "null"]},
        {"type": 5},
        {"title": "Box", "type": "object", "properties": {"lid": {"type": "any"}}},
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "str"}]}},
        {"name": "Box", "parameters": {"type": "object", "properties": {"lid": {"type": "file"}}}},
        {"type": "json_schema", "json_schema": {"name": "Box", "schema": {"type": "any"}}},
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"properties": {"a": {"type": "int"}}}},
        },
        Loose,
    ],
)
@each_case("method", [None, "json_schema", "json_mode", "prompt"])
def test_a_type_that_there_is_not_is_refused_when_the_schema_is_given(
    fake_server: FakeServer, schema: Any, method: Any
) -> None:
    serve_turns(fake_server, "vllm", TEXT)
    model = EasyLLMChat(base_url=fake_server.url)
    with pytest.raises(ConfigurationError, match="JSON Schema has no type"):
        model.with_structured_output(schema, method=method)
    assert not fake_server.requests
