"""Tools on servers that have none: described in the prompt, read from the text of the answer."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._tool_formats.registry import TOOL_FORMATS
from langchain_easyllm.errors import BadRequestError, ConfigurationError

from ...support.cases import each_case
from ...support.fake_responses import chat, chat_stream
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_text_servers import serve
from ...support.invocation_modes import MODES, STREAM_MODES, answer, body_of


@tool
def search(query: str) -> str:
    """Look up facts."""
    return query


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


every_mode = pytest.mark.parametrize("mode", MODES)
TOOLS = [search, add]
HERMES = '<tool_call>\n{"name": "search", "arguments": {"query": "Ada"}}\n</tool_call>'
# Which format a template is for is found in its source.
WRITES = (
    "{# tools, %s #}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def writes(*marks: str) -> str:
    """A template that is for the format with these marks."""
    return WRITES.replace("%s", " ".join(marks))


CALL_TEXTS = {
    "hermes": ("chatml", f"Let me look.\n{HERMES}"),
    "llama3": ("llama3.1", 'Let me look.\n{"name": "search", "parameters": {"query": "Ada"}}'),
    "mistral": ("mistral", ' [{"name": "search", "arguments": {"query": "Ada"}}]'),
    "qwen3-coder": (
        writes("<function="),
        "Let me look.\n<tool_call>\n<function=search>\n<parameter=query>\nAda\n</parameter>\n"
        "</function>\n</tool_call>",
    ),
    "mistral-v11": (
        writes("[TOOL_CALLS]", "[ARGS]"),
        'Let me look.[TOOL_CALLS]search[ARGS]{"query": "Ada"}',
    ),
    "glm-4.5": (
        writes("<arg_key>", "<arg_value>"),
        "Let me look.\n<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>Ada</arg_value>\n"
        "</tool_call>",
    ),
    "kimi-k2": (
        writes("<|tool_call_argument_begin|>"),
        "Let me look.<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0"
        '<|tool_call_argument_begin|>{"query": "Ada"}<|tool_call_end|><|tool_calls_section_end|>',
    ),
    "deepseek-v3.1": (
        writes("<｜tool▁call▁begin｜>"),
        "Let me look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>search<｜tool▁sep｜>"
        '{"query": "Ada"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    ),
    "gpt-oss": (
        writes("<|channel|>", "namespace"),
        "Let me look.<|channel|>commentary to=functions.search <|constrain|>json<|message|>"
        '{"query": "Ada"}<|call|>',
    ),
    "minimax-m2": (
        writes("<minimax:tool_call>", "<invoke name="),
        'Let me look.\n<minimax:tool_call>\n<invoke name="search">\n<parameter name="query">Ada'
        "</parameter>\n</invoke>\n</minimax:tool_call>",
    ),
    "react": (
        "zephyr",
        ' Let me look.\nAction:\n```json\n{"action": "search", "action_input": "Ada"}\n```\n',
    ),
}


def tokens(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def prompted(
    server: FakeServer, said: str, builder: str | None, server_name: str = "tgi", **fields: Any
) -> EasyLLMChat:
    """A model whose server writes this text."""
    served = {k: fields.pop(k) for k in ("finish_reason",) if k in fields}
    serve(server, server_name, tokens(said), **served)
    return EasyLLMChat(base_url=server.url, prompt_builder=builder, **fields)


def seen(message: AIMessage) -> tuple[str, list[tuple[str, dict[str, Any]]], str]:
    calls = [(call["name"], call["args"]) for call in message.tool_calls]
    return str(message.content), calls, message.response_metadata["finish_reason"]


@every_mode
@each_case("server_name", ["tgi", "vllm", "llamacpp"])
@each_case("tool_format", CALL_TEXTS)
def test_a_call_in_the_text_of_every_format(
    fake_server: FakeServer, tool_format: str, server_name: str, mode: str
) -> None:
    builder, said = CALL_TEXTS[tool_format]
    llm = prompted(fake_server, said, builder, server_name).bind_tools(TOOLS)
    message = answer(mode, llm, "Who is Ada?")
    text = "" if tool_format == "mistral" else "Let me look."
    assert seen(message) == (text, [("search", {"query": "Ada"})], "tool_calls")
    assert message.tool_calls[0]["id"]
    assert not message.invalid_tool_calls
    body = json.dumps(body_of(fake_server))
    assert "Look up facts." in body
    assert '"tools"' not in body


@pytest.mark.parametrize("mode", STREAM_MODES)
def test_text_before_a_call_streams_and_the_call_is_not_text(
    fake_server: FakeServer, mode: str
) -> None:
    llm = prompted(fake_server, CALL_TEXTS["hermes"][1], "qwen2.5").bind_tools(TOOLS)
    chunks = list(llm.stream("Who?"))
    texts = [str(chunk.content) for chunk in chunks if chunk.content]
    assert "".join(texts) == "Let me look."
    assert len(texts) > 2
    assert all(chunk.content == "" for chunk in chunks if chunk.tool_call_chunks)


@every_mode
def test_an_answer_without_a_call_is_text(fake_server: FakeServer, mode: str) -> None:
    said = "No tool\nneeded: <b>, [1], {x}. \n"
    llm = prompted(fake_server, said, "chatml").bind_tools(TOOLS)
    assert seen(answer(mode, llm)) == (said, [], "stop")


@every_mode
@pytest.mark.parametrize("builder", ["llama2", "zephyr", "phi-3"])
def test_an_invented_observation_never_reaches_the_caller(
    fake_server: FakeServer, builder: str, mode: str
) -> None:
    said = (
        f"{CALL_TEXTS['react'][1]}Observation: 36\nThought: Done.\nAction:\n```json\n"
        '{"action": "add", "action_input": {"a": 1, "b": 2}}\n```\nFinal Answer: 36'
    )
    message = answer(mode, prompted(fake_server, said, builder).bind_tools(TOOLS))
    assert seen(message) == ("Let me look.", [("search", {"query": "Ada"})], "tool_calls")


@every_mode
def test_an_invented_tool_response_never_reaches_the_caller(
    fake_server: FakeServer, mode: str
) -> None:
    said = f"{HERMES}\n<tool_response>\n36\n</tool_response>\nIt is 36."
    message = answer(mode, prompted(fake_server, said, "chatml").bind_tools(TOOLS))
    assert seen(message) == ("", [("search", {"query": "Ada"})], "tool_calls")


@every_mode
def test_a_final_answer_is_the_content_and_the_thought_is_thinking(
    fake_server: FakeServer, mode: str
) -> None:
    said = " I know the answer.\nFinal Answer: It is 36."
    llm = prompted(fake_server, said, "zephyr", model="m")
    message = answer(mode, llm.bind_tools(TOOLS))
    assert seen(message) == ("It is 36.", [], "stop")
    assert message.additional_kwargs["reasoning_content"] == "I know the answer."
    # That does not make the model one that thinks in tags, whose answers wait for one.
    shown = [str(chunk.content) for chunk in llm.stream("Hi") if chunk.content]
    assert shown == tokens(said)


@every_mode
def test_several_calls_of_one_answer(fake_server: FakeServer, mode: str) -> None:
    said = f'{HERMES}\n<tool_call>\n{{"name": "add", "arguments": {{"a": 1, "b": 2}}}}</tool_call>'
    llm = prompted(fake_server, said, "chatml")
    message = answer(mode, llm.bind_tools(TOOLS))
    assert seen(message)[1] == [("search", {"query": "Ada"}), ("add", {"a": 1, "b": 2})]
    assert len({call["id"] for call in message.tool_calls}) == 2
    one = answer(mode, llm.bind_tools(TOOLS, parallel_tool_calls=False))
    assert seen(one)[1] == [("search", {"query": "Ada"})]
    assert [call["name"] for call in one.invalid_tool_calls] == ["add"]


@every_mode
@each_case("tool_format", CALL_TEXTS)
def test_a_call_cut_by_max_tokens_is_invalid(
    fake_server: FakeServer, tool_format: str, mode: str
) -> None:
    builder, said = CALL_TEXTS[tool_format]
    cut = said[: said.index("Ada") + 2]
    llm = prompted(fake_server, cut, builder, finish_reason="length").bind_tools(TOOLS)
    message = answer(mode, llm)
    assert seen(message)[1:] == ([], "length")
    [call] = message.invalid_tool_calls
    assert call["name"] == "search"
    assert "Ad" in str(call["args"])


@every_mode
@pytest.mark.parametrize(
    "said",
    [
        '<tool_call>{"name": "search", "arguments": {"query": }}</tool_call>',
        '<tool_call>{"name": "delete", "arguments": {}}</tool_call>',
        "<tool_call>search Ada</tool_call>",
    ],
)
def test_a_broken_call_and_an_unknown_tool_are_invalid_calls(
    fake_server: FakeServer, said: str, mode: str
) -> None:
    message = answer(mode, prompted(fake_server, said, "chatml").bind_tools(TOOLS))
    assert seen(message) == ("", [], "stop")
    [call] = message.invalid_tool_calls
    assert said in str(call["args"])


@every_mode
@each_case(
    ("written", "value"),
    [
        ("9" * 30, int("9" * 30)),
        ('"a\\ud83d"', "a\ufffd"),
        ("1e3", 1000.0),
        ("NaN", None),
        ("-Infinity", None),
        ("1e400", None),
        ('["\\ud83d\\ude00", {"\\udE00": NaN}]', ["\U0001f600", {"\ufffd": None}]),
    ],
)
def test_arguments_that_json_libraries_disagree_about(
    fake_server: FakeServer, written: str, value: object, mode: str
) -> None:
    said = f'<tool_call>{{"name": "search", "arguments": {{"query": {written}}}}}</tool_call>'
    message = answer(mode, prompted(fake_server, said, "chatml").bind_tools(TOOLS))
    assert seen(message) == ("", [("search", {"query": value})], "tool_calls")
    turns = [
        HumanMessage("Hi"),
        message,
        ToolMessage("3", tool_call_id=message.tool_calls[0]["id"]),
    ]
    answer(mode, prompted(fake_server, said, "chatml").bind_tools(TOOLS), turns)


@every_mode
def test_a_stop_of_the_callers_own_does_not_cut_arguments(
    fake_server: FakeServer, mode: str
) -> None:
    said = f"{CALL_TEXTS['hermes'][1]}\nAda was. More."
    llm = prompted(fake_server, said, "chatml").bind_tools(TOOLS)
    message = answer(mode, llm, stop=["Ada"])
    assert seen(message) == ("Let me look.\n", [("search", {"query": "Ada"})], "tool_calls")


def test_the_history_is_rendered_in_the_format(fake_server: FakeServer) -> None:
    llm = prompted(fake_server, "Done.", "chatml").bind_tools(TOOLS)
    call = {"name": "search", "args": {"query": "Ada"}, "id": "1"}
    answer(
        "invoke",
        llm,
        [
            SystemMessage("Be brief."),
            HumanMessage("Who?"),
            AIMessage("Let me look.", tool_calls=[call]),
            ToolMessage("a poet's daughter", tool_call_id="1"),
            ToolMessage("not there", tool_call_id="2", status="error"),
        ],
    )
    prompt = body_of(fake_server)["inputs"]
    assert prompt.endswith(
        f"<|im_start|>assistant\nLet me look.\n{HERMES}<|im_end|>\n<|im_start|>user\n"
        "<tool_response>\na poet's daughter\n</tool_response>\n"
        "<tool_response>\nError: not there\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )
    assert prompt.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n")


@pytest.mark.parametrize("builder", [builder for builder, _ in CALL_TEXTS.values()])
def test_a_call_that_could_not_be_run_is_rendered_with_its_answer(
    fake_server: FakeServer, builder: str
) -> None:
    llm = prompted(fake_server, "Done.", builder).bind_tools(TOOLS)
    bad = {"name": "fly", "args": "{to", "id": "abcdefghi", "error": "No such tool."}
    lost = {**bad, "name": "swim", "id": "unanswered"}
    messages = [
        HumanMessage("Who?"),
        AIMessage("", invalid_tool_calls=[bad, lost]),
        ToolMessage("There is no tool fly.", tool_call_id="abcdefghi", status="error"),
    ]
    llm.invoke(messages)
    prompt = body_of(fake_server)["inputs"]
    assert prompt.index("fly") < prompt.index("Error: There is no tool fly.")
    assert "swim" not in prompt


def test_no_tool_is_described_where_none_may_be_called(fake_server: FakeServer) -> None:
    said = CALL_TEXTS["hermes"][1]
    llm = prompted(fake_server, said, "chatml").bind_tools(TOOLS, tool_choice="none")
    message = llm.invoke("Who?")
    assert seen(message) == (said, [], "stop")
    assert body_of(fake_server)["inputs"] == (
        "<|im_start|>user\nWho?<|im_end|>\n<|im_start|>assistant\n"
    )


WANTED = [("required", ["search", "add"]), ("add", ["add"])]


CONSTRAINED = {
    "tgi": lambda body: body["parameters"]["grammar"]["value"],
    "vllm": lambda body: body["response_format"]["json_schema"]["schema"],
    "llamacpp": lambda body: body["json_schema"],
}


@pytest.mark.parametrize("server_name", CONSTRAINED)
@pytest.mark.parametrize(("choice", "names"), WANTED)
def test_a_wanted_call_is_begun_and_constrained(
    fake_server: FakeServer, choice: str, names: list[str], server_name: str
) -> None:
    said = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
    llm = prompted(fake_server, said, "chatml", server_name)
    message = llm.bind_tools(TOOLS, tool_choice=choice).invoke("1 + 2?")
    assert seen(message) == ("", [("add", {"a": 1, "b": 2})], "tool_calls")
    body = body_of(fake_server)
    prompt = body.get("inputs", body.get("prompt"))
    assert prompt.endswith("<|im_start|>assistant\n<tool_call>\n")
    schema = CONSTRAINED[server_name](body)
    assert schema["properties"]["name"]["enum"] == names
    assert schema["required"] == ["name", "arguments"]


SUM = '{"a": 1, "b": 2}'
RESTS = {
    "mistral-v11": SUM,
    "glm-4.5": "\n<arg_key>a</arg_key>\n<arg_value>1</arg_value>\n<arg_key>b</arg_key>\n"
    "<arg_value>2</arg_value>\n</tool_call>",
    "kimi-k2": f"{SUM}<|tool_call_end|><|tool_calls_section_end|>",
    "deepseek-v3.1": f"{SUM}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "gpt-oss": f"{SUM}<|call|>",
    "minimax-m2": '<parameter name="a">1</parameter>\n<parameter name="b">2</parameter>\n'
    "</invoke>\n</minimax:tool_call>",
}


@every_mode
@each_case("tool_format", CALL_TEXTS)
def test_a_named_call_is_begun_where_the_server_cannot_be_held_to_it(
    fake_server: FakeServer, tool_format: str, mode: str
) -> None:
    rest = '{"a": 1, "b": 2}}' + {"hermes": "\n</tool_call>", "mistral": "]"}.get(tool_format, "")
    if tool_format == "qwen3-coder":
        each = [
            f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in (("a", 1), ("b", 2))
        ]
        rest = f"{''.join(each)}</function>\n</tool_call>"
    elif tool_format in RESTS:
        rest = RESTS[tool_format]
    llm = prompted(
        fake_server, rest, CALL_TEXTS[tool_format][0], "openai", api="completions", model="m"
    )
    message = answer(mode, llm.bind_tools(TOOLS, tool_choice="add"))
    assert seen(message) == ("", [("add", {"a": 1, "b": 2})], "tool_calls")
    body = body_of(fake_server)
    assert "add" in body["prompt"].rstrip("\n").splitlines()[-1]
    assert not {"response_format", "grammar", "guided_json"} & body.keys()


@every_mode
@pytest.mark.parametrize("choice", ["any", "add"])
def test_a_call_that_is_written_whole_after_its_tag_is_read(
    fake_server: FakeServer, choice: str, mode: str
) -> None:
    """Models begin the JSON of a call again unless it is begun up to the arguments."""
    said = '{"name": "add", "arguments": {"a": 1, "b": 2}}\n</tool_call>'
    said = said if choice == "any" else '{"a": 1, "b": 2}}\n</tool_call>'
    llm = prompted(fake_server, said, "qwen2.5", "openai", api="completions", model="m")
    message = answer(mode, llm.bind_tools(TOOLS, tool_choice=choice))
    assert seen(message) == ("", [("add", {"a": 1, "b": 2})], "tool_calls")


def test_a_grammar_of_the_callers_own_is_left_alone(fake_server: FakeServer) -> None:
    own = {"type": "regex", "value": "x*"}
    llm = prompted(fake_server, "x", "chatml", grammar=own).bind_tools(TOOLS, tool_choice="any")
    llm.invoke("Hi")
    assert body_of(fake_server)["parameters"]["grammar"] == own


def test_to_prompt_shows_what_is_sent(fake_server: FakeServer) -> None:
    llm = prompted(fake_server, "Hi.", "llama2")
    llm.bind_tools(TOOLS).invoke("Who?")
    assert body_of(fake_server)["inputs"] == llm.to_prompt("Who?", tools=TOOLS)
    assert "Look up facts." not in llm.to_prompt("Who?", tools=TOOLS, tool_choice="none")


@every_mode
def test_another_format_can_be_chosen(fake_server: FakeServer, mode: str) -> None:
    llm = prompted(fake_server, HERMES, "zephyr", parse_tool_calls="hermes").bind_tools(TOOLS)
    assert seen(answer(mode, llm))[1] == [("search", {"query": "Ada"})]
    assert "<tools>" in body_of(fake_server)["inputs"]


# Models of some formats write others at times.
ALSO_READ = [("qwen3-coder", "hermes"), ("glm-4.5", "hermes"), ("mistral-v11", "mistral")]


@every_mode
@each_case("choice", [None, "auto", *CALL_TEXTS])
@each_case("tool_format", CALL_TEXTS)
def test_calls_that_a_chat_server_leaves_in_its_text(
    fake_server: FakeServer, tool_format: str, choice: Any, mode: str
) -> None:
    said = CALL_TEXTS[tool_format][1].replace("<tool_call>\n", "<tool_call>")
    llm = prompted(fake_server, said, None, "vllm", parse_tool_calls=choice).bind_tools(TOOLS)
    message = answer(mode, llm)
    if choice in ("auto", tool_format) or (choice, tool_format) in ALSO_READ:
        assert seen(message)[1:] == ([("search", {"query": "Ada"})], "tool_calls")
    else:
        assert seen(message) == (said, [], "stop")
    assert body_of(fake_server)["tools"]


def test_the_names_of_formats_are_those_of_the_registry() -> None:
    names = get_args(get_args(EasyLLMChat.model_fields["parse_tool_calls"].annotation)[0])
    assert sorted(names) == sorted(["auto", *TOOL_FORMATS])
    assert CALL_TEXTS.keys() == TOOL_FORMATS.keys()


@every_mode
def test_calls_in_code_and_of_unknown_tools_are_left_in_the_text_code_and_unknown_tools_alone(
    fake_server: FakeServer, mode: str
) -> None:
    said = f"So:\n```\n{HERMES}\n```\nand {HERMES.replace('search', 'delete')}."
    llm = prompted(fake_server, said, None, "vllm", parse_tool_calls="auto").bind_tools(TOOLS)
    assert seen(answer(mode, llm)) == (said, [], "stop")


def test_text_is_not_searched_without_tools(fake_server: FakeServer) -> None:
    llm = prompted(fake_server, HERMES, None, "vllm", parse_tool_calls="auto")
    assert llm.invoke("Hi").content == HERMES


REFUSALS = [
    '{"error":{"message":"registry/llama2 does not support tools","type":"api_error"}}',
    '{"object":"error","message":"\\"auto\\" tool choice requires --enable-auto-tool-choice"}',
    '{"detail":[{"type":"extra_forbidden","loc":["body","tools"],"msg":"Extra inputs"}]}',
]


def without_tools(server: FakeServer, said: str, refusal: str) -> None:
    """Serve a chat that refuses tools, as a server without them does."""
    serve(server, "openai")

    def route(request: Received) -> Reply:
        body = request.json
        assert isinstance(body, dict)
        if "tools" in body:
            return Reply(refusal.encode(), status=400)
        return chat_stream(tokens(said)) if body.get("stream") else chat(said)

    server.on("POST", "/v1/chat/completions", route)


@every_mode
@pytest.mark.parametrize("refusal", REFUSALS)
def test_tools_are_described_to_a_chat_server_without_them(
    fake_server: FakeServer, refusal: str, mode: str
) -> None:
    without_tools(fake_server, CALL_TEXTS["hermes"][1], refusal)
    llm = EasyLLMChat(base_url=fake_server.url, model="m").bind_tools(TOOLS)
    for asked in (2, 3):  # it is refused once, and then known
        message = answer(mode, llm, [("system", "Be brief."), ("human", "Who?")])
        assert seen(message) == ("Let me look.", [("search", {"query": "Ada"})], "tool_calls")
        posts = [r for r in fake_server.requests if r.method == "POST"]
        assert len(posts) == asked
    system, user = body_of(fake_server)["messages"]
    assert system["content"].startswith("Be brief.\n\nYou can use these tools:")
    assert user == {"role": "user", "content": "Who?"}


def test_a_refusal_of_something_else_is_an_error(fake_server: FakeServer) -> None:
    without_tools(fake_server, "Hi", '{"error": "temperature is too high"}')
    llm = EasyLLMChat(base_url=fake_server.url, model="m").bind_tools(TOOLS)
    with pytest.raises(BadRequestError, match="temperature"):
        llm.invoke("Who?")


def test_images_cannot_stand_beside_described_tools(fake_server: FakeServer) -> None:
    without_tools(fake_server, "Hi", REFUSALS[0])
    llm = EasyLLMChat(base_url=fake_server.url, model="m").bind_tools(TOOLS)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    with pytest.raises(ConfigurationError, match="beside text only"):
        llm.invoke([HumanMessage([image])])
