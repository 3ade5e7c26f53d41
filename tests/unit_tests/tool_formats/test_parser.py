"""Tool calls in text: what counts as one, and that it does however the text is split."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._tool_formats.base import OfferedTools, ToolCallFormat, TurnToolCallFormat
from langchain_easyllm._tool_formats.call_syntax import ParsedReasoning, Part
from langchain_easyllm._tool_formats.parser import StreamingToolCallParser, TextTools
from langchain_easyllm._tool_formats.registry import TOOL_FORMATS
from langchain_easyllm.prompts.base import TemplateToolSupport
from langchain_easyllm.prompts.conversation import Conversation, Extra, ToolCall

from ...support.cases import each_case
from ...support.text_chunks import chunks_of, time_growth


def tool(name: str, *arguments: str) -> dict[str, object]:
    properties = {key: {"type": "string"} for key in arguments}
    parameters = {"type": "object", "properties": properties, "required": list(arguments)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = [tool("search", "query"), tool("add", "a", "b"), tool("now")]
SEARCH = '{"name": "search", "arguments": {"query": "Bob"}}'
ADD = '{"name": "add", "arguments": {"a": 1, "b": 2}}'
CALLED = ("search", {"query": "Bob"})

Seen = str | tuple[str, object]


def seen(parts: Sequence[Part]) -> list[Seen]:
    """What a caller makes of the parts: joined text, names with arguments, raw text where bad."""
    result: list[Seen] = []
    for part in parts:
        if isinstance(part, str):
            last = result.pop() if result and isinstance(result[-1], str) else ""
            result.append(str(last) + part)
        elif isinstance(part, ParsedReasoning):
            result.append(("thought", part.text))
        else:
            result.append((part.name, part.arguments))
    return result


def parser(*formats: str, prompted: bool = False) -> StreamingToolCallParser:
    """A parser of some formats by name; `json` stands for the answers of a constrained decoder."""
    chosen = tuple([TOOL_FORMATS[name] for name in formats if name != "json"])
    unmarked = "json" in formats
    return StreamingToolCallParser(
        TextTools(chosen, tuple(TOOLS), prompted=prompted, unmarked_json=unmarked)
    )


def read(chunks: str | Sequence[str], *formats: str, prompted: bool = False) -> list[Seen]:
    reader = parser(*formats, prompted=prompted)
    fed = [*map(reader.feed, [chunks] if isinstance(chunks, str) else chunks), reader.close()]
    return seen([part for parts in fed for part in parts])


HERMES = f"<tool_call>\n{SEARCH}\n</tool_call>"
XML = "<function=search>\n<parameter=query>\nBob\n</parameter>\n</function>"
XML_ADD = (
    "<function=add>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\n2\n</parameter>\n</function>"
)
OBJECT = '{"query": "Bob"}'
ADDED = '{"a": 1, "b": 2}'
KIMI = "<|tool_call_begin|>functions.{}:{}<|tool_call_argument_begin|>{}<|tool_call_end|>"
SECTION = "<|tool_calls_section_begin|>{}<|tool_calls_section_end|>"
DEEPSEEK = "<｜tool▁call▁begin｜>{}<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
DEEPSEEK_V3 = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>{}\n```json\n{}\n```<｜tool▁call▁end｜>"
CALLS = "<｜tool▁calls▁begin｜>{}<｜tool▁calls▁end｜>"
GLM = "<tool_call>{}\n{}</tool_call>"
GLM_PAIR = "<arg_key>{}</arg_key>\n<arg_value>{}</arg_value>\n"
GLM_ADD = GLM.format("add", GLM_PAIR.format("a", 1) + GLM_PAIR.format("b", 2))
MINIMAX = "<minimax:tool_call>\n{}</minimax:tool_call>"
INVOKE = '<invoke name="search">\n<parameter name="query">Bob</parameter>\n</invoke>\n'
INVOKE_ADD = (
    '<invoke name="add">\n<parameter name="a">1</parameter>\n<parameter name="b">2</parameter>\n'
    "</invoke>\n"
)
HARMONY = "<|channel|>commentary to=functions.{} <|constrain|>json<|message|>{}<|call|>"
CALL_TEXTS = {
    "mistral-v11": [
        f"[TOOL_CALLS]search[ARGS]{OBJECT}",
        f"[TOOL_CALLS]search[CALL_ID]abcdefghi[ARGS]{OBJECT}",
        f"[TOOL_CALLS] search {OBJECT}",
        f"[TOOL_CALLS][{SEARCH}]",
    ],
    "glm-4.5": [
        GLM.format("search", GLM_PAIR.format("query", "Bob")),
        "<tool_call>search<arg_key>query</arg_key><arg_value>Bob</arg_value></tool_call>",
        f"<tool_call>\nsearch\n{OBJECT}\n</tool_call>",
        HERMES,
    ],
    "kimi-k2": [
        SECTION.format(KIMI.format("search", 0, OBJECT)),
        f"<|tool_call_begin|>search<|tool_call_argument_begin|> {OBJECT} <|tool_call_end|>",
        f"<|tool_calls_section_begin|>\n{KIMI.format('search', 12, OBJECT)}",
    ],
    "deepseek-v3.1": [
        CALLS.format(DEEPSEEK.format("search", OBJECT)),
        CALLS.format(DEEPSEEK_V3.format("search", OBJECT)) + "<｜end▁of▁sentence｜>",
        DEEPSEEK.format("search", OBJECT),
        DEEPSEEK_V3.format("search", OBJECT),
    ],
    "gpt-oss": [
        HARMONY.format("search", OBJECT),
        f"<|start|>assistant{HARMONY.format('search', OBJECT)}",
        f"<|start|>assistant to=functions.search<|channel|>commentary json<|message|>{OBJECT}",
        f"<|channel|>commentary to=search<|message|>{OBJECT}",
        f"<|channel|>analysis to=functions.search code<|message|>{OBJECT}",
    ],
    "minimax-m2": [
        MINIMAX.format(INVOKE),
        INVOKE,
        f'<minimax:tool_call><invoke name="search">{OBJECT}</invoke></minimax:tool_call>',
        MINIMAX.format(INVOKE).removesuffix("</minimax:tool_call>"),
    ],
    "hermes": [HERMES, f"<tool_call>{SEARCH}</tool_call>", f"<tool_call>[{SEARCH}]</tool_call>"],
    "llama3": [
        SEARCH.replace("arguments", "parameters"),
        f"<|python_tag|>{SEARCH}",
        f'{{"type": "function", "function": {SEARCH}}}',
    ],
    "mistral": [f"[TOOL_CALLS] [{SEARCH}]", f"[TOOL_CALLS][{SEARCH}]", f" [{SEARCH}]"],
    "react": [
        'Action:\n```json\n{"action": "search", "action_input": "Bob"}\n```',
        'Action:\n```\n{"action": "search", "action_input": {"query": "Bob"}}\n```\n',
        'Action: {"action": "search", "action_input": "Bob"}',
        '```json\n{\n  "action": "search",\n  "action_input": "Bob"\n}\n```',
    ],
    "qwen3-coder": [
        f"<tool_call>\n{XML}\n</tool_call>",
        "<tool_call><function=search><parameter=query>Bob</parameter></function></tool_call>",
        XML,
        f"{XML}\n</tool_call>",
        f"<tool_call>\n{XML.removesuffix('</function>')}</tool_call>",
        '<function=search>{"query": "Bob"}</function>',
        HERMES,
    ],
    "json": [SEARCH, f"[{SEARCH}]", '{"action": "search", "action_input": "Bob"}'],
}


TAGGED = ("glm-4.5", "minimax-m2", "qwen3-coder")


def test_every_format_is_among_the_examples() -> None:
    assert CALL_TEXTS.keys() == {*TOOL_FORMATS, "json"}


@each_case("prompted", [False, True])
@each_case(
    ("tool_format", "text"), [(name, text) for name, texts in CALL_TEXTS.items() for text in texts]
)
def test_a_call_is_read_in_every_form(tool_format: str, text: str, prompted: bool) -> None:
    assert read(text, tool_format, prompted=prompted) == [CALLED]
    assert read(list(text), tool_format, prompted=prompted) == [CALLED]


@pytest.mark.parametrize("tool_format", [name for name in TOOL_FORMATS if name != "mistral"])
def test_text_before_a_call_is_kept_without_the_space_between(tool_format: str) -> None:
    text = f"Let me look.\n\n{CALL_TEXTS[tool_format][0]}\n"
    assert read(text, tool_format) == ["Let me look.", CALLED]


def test_text_is_passed_on_as_soon_as_it_can_begin_no_call() -> None:
    reader = parser("hermes")
    assert reader.feed("Let me ") == ["Let me"]
    assert reader.feed("look <tool") == [" look"]
    assert reader.feed("s>") == [" <tools>"]
    assert reader.feed("\n<tool_call>") == []
    assert seen(reader.feed(f"{SEARCH}</tool_call>")) == [CALLED]


@pytest.mark.parametrize(
    ("tool_format", "text"),
    [
        ("hermes", f"{HERMES}\n<tool_call>{ADD}</tool_call>"),
        ("hermes", f"<tool_call>[{SEARCH}, {ADD}]</tool_call>"),
        ("hermes", f"<tool_call>\n{SEARCH}\n<tool_call>\n{ADD}\n"),  # closing tags forgotten
        ("qwen3-coder", f"<tool_call>\n{XML}\n</tool_call>\n<tool_call>\n{XML_ADD}\n</tool_call>"),
        ("qwen3-coder", f"<tool_call>\n{XML}\n{XML_ADD}\n</tool_call>"),
        ("qwen3-coder", f"{XML}\n{XML_ADD}"),
        ("llama3", f"{SEARCH}; {ADD}"),
        ("llama3", f"{SEARCH}\n{ADD}"),
        ("mistral", f"[TOOL_CALLS] [{SEARCH}, {ADD}]"),
        ("mistral-v11", f"[TOOL_CALLS]search[ARGS]{OBJECT}[TOOL_CALLS]add[ARGS]{ADDED}"),
        ("mistral-v11", f"[TOOL_CALLS]search{OBJECT}[TOOL_CALLS]add{ADDED}"),
        ("glm-4.5", f"{GLM.format('search', GLM_PAIR.format('query', 'Bob'))}\n{GLM_ADD}"),
        (
            "kimi-k2",
            SECTION.format(KIMI.format("search", 0, OBJECT) + KIMI.format("add", 1, ADDED)),
        ),
        (
            "deepseek-v3.1",
            CALLS.format(DEEPSEEK.format("search", OBJECT) + DEEPSEEK.format("add", ADDED)),
        ),
        (
            "deepseek-v3.1",
            CALLS.format(
                f"{DEEPSEEK_V3.format('search', OBJECT)}\n{DEEPSEEK_V3.format('add', ADDED)}"
            ),
        ),
        (
            "gpt-oss",
            f"{HARMONY.format('search', OBJECT)}<|start|>assistant{HARMONY.format('add', ADDED)}",
        ),
        ("minimax-m2", MINIMAX.format(INVOKE + INVOKE_ADD)),
        ("minimax-m2", MINIMAX.format(INVOKE) + MINIMAX.format(INVOKE_ADD)),
    ],
)
def test_several_calls_in_one_answer(tool_format: str, text: str) -> None:
    numbers = {"a": "1", "b": "2"} if tool_format in TAGGED else {"a": 1, "b": 2}
    both = [CALLED, ("add", numbers)]  # text is typed by the schema: these are strings
    assert read(text, tool_format) == both
    assert read(list(text), tool_format) == both


@each_case("fence", ["```", "```json", "~~~"])
@each_case("tool_format", [name for name in TOOL_FORMATS if name != "react"])
def test_a_call_in_a_code_fence_is_text(tool_format: str, fence: str) -> None:
    text = f"An example:\n{fence}\n{CALL_TEXTS[tool_format][0]}\n{fence[:3]}\n"
    # Where Harmony is asked for, its special tokens are never text.
    assert read(text, tool_format, prompted=tool_format != "gpt-oss") == [text]
    after = f"{text}{CALL_TEXTS['hermes'][0]}"
    assert read(after, "hermes", tool_format)[-1] == CALLED


def test_a_call_behind_a_backtick_is_text() -> None:
    text = f"Write `{HERMES}`."
    assert read(text, "hermes") == [text]


def test_marks_inside_of_strings_end_nothing() -> None:
    query = '"a </tool_call> }]\\" b"'
    text = HERMES.replace('"Bob"', query)
    assert read(text, "hermes") == [("search", {"query": 'a </tool_call> }]" b'})]


def test_line_breaks_inside_of_strings_are_let_through() -> None:
    text = '<tool_call>{"name": "search", "arguments": {"query": "a\nb"}}</tool_call>'
    assert read(text, "hermes") == [("search", {"query": "a\nb"})]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ('"{\\"query\\": \\"Bob\\"}"', {"query": "Bob"}),
        ('"{\\"a\\": 1}"', {"query": '{"a": 1}'}),
        ("null", {}),
        ('"Bob"', {"query": "Bob"}),
    ],
)
def test_arguments_come_as_objects_strings_and_null(arguments: str, wanted: object) -> None:
    text = f'<tool_call>{{"name": "search", "arguments": {arguments}}}</tool_call>'
    assert read(text, "hermes") == [("search", wanted)]


@pytest.mark.parametrize("text", ["<tool_call>{}</tool_call>", "<tool_call>what?</tool_call>"])
def test_what_is_marked_is_a_broken_call_where_the_prompt_asked_for_it(text: str) -> None:
    assert read(text, "hermes", prompted=True) == [("", text)]
    assert read(text, "hermes") == [text]


@each_case(
    ("tool_format", "text"),
    [
        ("hermes", '<tool_call>{"name": "search", "arguments": {"query": }}</tool_call>'),
        ("hermes", '<tool_call>{"name": "search", "arguments": {"query": "Bo'),
        ("llama3", '{"name": "search", "parameters": {"query": "Bo'),
        ("mistral", '[TOOL_CALLS] [{"name": "search", "arguments": {"query"'),
        ("react", 'Action:\n```json\n{"action": "search", "action_input": "Bo'),
        ("react", 'Action:\n```json\n{"action": "add", "action_input": 7}\n```'),
        ("json", '{"name": "search", "arguments": {"qu'),
        ("qwen3-coder", "<tool_call>\n<function=search>\n<parameter=query>\nBo"),
        ("qwen3-coder", "<tool_call>\n<function=search>\n<parameter=query>\nBob\n</parameter>"),
        ("qwen3-coder", "<function=search>\n<parameter=query>\nBob\n</function>\n</tool_call>"),
        ("qwen3-coder", "<tool_call><function=search>Bob</function></tool_call>"),
        ("mistral-v11", '[TOOL_CALLS]search[ARGS]{"query": "Bo'),
        ("glm-4.5", "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>Bo"),
        ("glm-4.5", "<tool_call>search\nBob</tool_call>"),
        ("kimi-k2", KIMI.format("search", 0, '{"query": }')),
        ("kimi-k2", KIMI.format("search", 0, "Bob")),
        ("kimi-k2", '<|tool_call_begin|>functions.search:0<|tool_call_argument_begin|>{"qu'),
        ("deepseek-v3.1", DEEPSEEK.format("search", '{"query": }')),
        ("deepseek-v3.1", DEEPSEEK_V3.format("search", "Bob")),
        ("deepseek-v3.1", "<｜tool▁call▁begin｜>function<｜tool▁sep｜>search\n```js"),
        ("gpt-oss", HARMONY.format("search", '{"query": }')),
        ("gpt-oss", HARMONY.format("search", "query: Bob")),
        ("gpt-oss", "<|channel|>commentary to=functions.search <|constrain|>json<|mess"),
        ("minimax-m2", '<minimax:tool_call>\n<invoke name="search">\n<parameter name="query">Bo'),
        ("minimax-m2", '<minimax:tool_call><invoke name="search">Bob</invoke>'),
    ],
)
def test_a_broken_call_keeps_its_text(tool_format: str, text: str) -> None:
    [(name, arguments)] = read(text, tool_format)
    assert name in ("search", "add")
    assert arguments == text
    assert read(["One.\n", *text], tool_format)[1:] == [(name, text)] * (tool_format != "json")


def test_text_after_a_broken_call_is_kept() -> None:
    text = '<tool_call>{"name": "search", "arguments": {]</tool_call> and more'
    (name, raw), rest = read(text, "hermes")
    assert (name, rest) == ("search", "and more")
    assert raw == text.removesuffix(" and more")


@pytest.mark.parametrize("tool_format", TOOL_FORMATS)
def test_a_tool_that_was_not_offered_is_not_called(tool_format: str) -> None:
    for written in CALL_TEXTS[tool_format]:
        text = f"So:\n{written}".replace("search", "delete") + " done"
        assert "".join(map(str, read(text, tool_format))) == text
        read_when_asked = read(text, tool_format, prompted=True)
        assert [part for part in read_when_asked if part == ("delete", {"query": "Bob"})] == []


def test_a_tool_that_was_not_offered_is_an_invalid_call_where_the_prompt_asked_for_calls() -> None:
    text = HERMES.replace("search", "delete")
    assert read(text, "hermes", prompted=True) == [("delete", text)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "\n\nHi there.\n",
        "a < b, <tool, <tool_cal",
        "[1] is a source. [TOOL",
        '{"name": "Bob", "age": 7}',
        'An object:\n{"name": "search"',
        "{",
        "Action: run!\nAction:",
        "Action:\n```python\nprint()\n```\nDone.",
        '```json\n{"action": "delete", "action_input": 1}\n```\nmore',
        "~~~\n```\n<tool_call>\n~~~\nend",
    ],
)
def test_what_only_looks_like_a_call_is_text(text: str) -> None:
    tool_formats = [*TOOL_FORMATS]
    parts = read(text, *tool_formats)
    if text == 'An object:\n{"name": "search"':  # names a tool: a call that was cut off
        assert parts == ["An object:", ("search", '{"name": "search"')]
    else:
        assert "".join(map(str, parts)) == text
        assert "".join(map(str, read(list(text), *tool_formats))) == text


WORDS = [
    *("<function=search>", "<function=", "<parameter=query>", "</parameter>", "</function>", XML),
    *("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "Action:", "```", "```json\n", "~~~", "`"),
    *("\n", "\n", " ", ";", ", ", "{", "}", "[", "]", '"', "\\", '{"name"', '{"action": "search"'),
    *(SEARCH, ADD, '{"action": "search", "action_input": "Bob"}', "text", "Final Answer:", "é🌤"),
    *("Thought:", "<|python_tag|>", '{"name": "nope", "arguments": {}}'),
    *("[ARGS]", "search", OBJECT, "<arg_key>", "query</arg_key>", "<arg_value>Bob</arg_value>"),
    *("<|tool_calls_section_begin|>", "<|tool_call_begin|>", "functions.search:0", "null"),
    *("<|tool_call_argument_begin|>", "<|tool_call_end|>", "<|tool_calls_section_end|>"),
    *("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "function"),
    *("<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<minimax:tool_call>", INVOKE),
    *("<invoke name=", '"search">', "</invoke>", "</minimax:tool_call>", "commentary to="),
    *("<|start|>assistant", "<|channel|>", "analysis", "<|message|>", "<|call|>", "<|end|>"),
]
texts = st.lists(st.sampled_from(WORDS), max_size=14).map("".join)
tool_formats = st.sampled_from(
    [[name] for name in TOOL_FORMATS] + [["json"], ["qwen3-coder", "json"], [*TOOL_FORMATS]]
)


@given(chunks_of(texts), tool_formats, st.booleans())
def test_any_split_is_read_as_the_whole_text(
    chunks: list[str], tool_formats: list[str], prompted: bool
) -> None:
    whole = read("".join(chunks), *tool_formats, prompted=prompted)
    assert read(chunks, *tool_formats, prompted=prompted) == whole


@given(chunks_of(st.text(max_size=40)), tool_formats)
def test_any_other_text_is_not_changed(chunks: list[str], tool_formats: list[str]) -> None:
    assert "".join(map(str, read(chunks, *tool_formats))) == "".join(chunks)


def test_white_space_without_end_is_not_held_back() -> None:
    text = f"a{chr(10) * 3000}{HERMES}"
    assert read(text, "hermes") == read(list(text), "hermes") == ["a" + "\n" * 2000, CALLED]


@pytest.mark.parametrize(
    "text", ['{"name": "x"', "<tool_call>", "```\n", '"', "[[", "Action: ", "\n"]
)
def test_the_work_grows_with_the_text_only(text: str) -> None:
    def work(chunks: Sequence[str]) -> None:
        read(["<tool_call>{", *chunks], "hermes", "llama3", "react", prompted=True)

    assert time_growth(work, [text] * 300) < 40


@pytest.mark.parametrize(
    ("tool_format", "text"), [("llama3", "```\n"), ("react", "\nAction:\n```json\n{")]
)
def test_the_work_on_a_whole_text_grows_with_the_text_only(tool_format: str, text: str) -> None:
    def work(chunks: Sequence[str]) -> None:
        read("".join(chunks), tool_format)

    assert time_growth(work, [text] * (30_000 // len(text))) < 40


def test_the_work_on_a_long_call_grows_with_the_text_only() -> None:
    def work(chunks: Sequence[str]) -> None:
        read(['a \n <tool_call>{"name": "', *chunks], "hermes", prompted=True)

    assert time_growth(work, ["xxxx"] * 10_000) < 40


@pytest.mark.parametrize("text", ["x", "<", "\n</parameter>", "</parameter>\n ", "<parameter="])
def test_the_work_on_a_value_without_quotes_grows_with_the_text_only(text: str) -> None:
    def work(chunks: Sequence[str]) -> None:
        read(["<tool_call><function=search><parameter=query>", *chunks], "qwen3-coder")

    assert time_growth(work, [text] * 300) < 40


@pytest.mark.parametrize(
    ("begun", "text"),
    [
        ("[TOOL_CALLS]search[ARGS]{", '"a": 1, '),
        ("[TOOL_CALLS]", "a"),
        ("<tool_call>search", "<arg_key>a</arg_key>\n<arg_value>b</arg_value>\n"),
        ("<tool_call>search<arg_key>a</arg_key><arg_value>", "</arg_value> "),
        ("<tool_call>", "a"),
        ("<|tool_call_begin|>", "a"),
        ("<|tool_call_begin|>search:0<|tool_call_argument_begin|>", "<"),
        ("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", "a"),
        ("<｜tool▁call▁begin｜>search<｜tool▁sep｜>{", "<｜tool▁call▁"),
        ('<minimax:tool_call><invoke name="search">', "<parameter "),
        ("<|channel|>analysis<|message|>", "<|"),
        ("<|channel|>commentary to=functions.search", "<|channel|>"),
        (HARMONY.format("search", OBJECT), "<|end|>"),
        (f"{SECTION.format(KIMI.format('search', 0, OBJECT))}", "<|tool_calls_section_end|>"),
        ("", "assistant<|channel|>commentary "),
    ],
)
@pytest.mark.parametrize("prompted", [False, True])
def test_the_work_on_every_format_grows_with_the_text_only(
    begun: str, text: str, prompted: bool
) -> None:
    def work(chunks: Sequence[str]) -> None:
        read([begun, *chunks], *TOOL_FORMATS, prompted=prompted)

    assert time_growth(work, [text] * 300) < 40


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" I know the answer.\nFinal Answer: 42", [("thought", "I know the answer."), "42"]),
        ("Thought: I know.\n\nFinal Answer: 4\n2", [("thought", "I know."), "4\n2"]),
        ("Final Answer: 42", ["42"]),
        ("Final Answer: 42\nThought: more\nFinal Answer: 43", ["42"]),
        ("Final Answer: 42\nThou", ["42\nThou"]),
        (f"Final Answer: 42\nQuestion: Who?\n{CALL_TEXTS['react'][0]}", ["42"]),
        (" Hello!", ["Hello!"]),
        ("Hello!\nHow are you?\nFinal Answer: 1", ["Hello!\nHow are you?\nFinal Answer: 1"]),
        (f"I look.\n{CALL_TEXTS['react'][0]}", ["I look.", CALLED]),
        ("x" * 500 + "\nFinal Answer: 42", ["x" * 500 + "\nFinal Answer: 42"]),
        ('Action: {"action": "Final Answer", "action_input": "42"}', ["42"]),
        ("I know.\nFinal Ans", ["I know.\nFinal Ans"]),
    ],
)
def test_a_final_answer_is_kept_apart_from_the_thought_before_it(
    text: str, wanted: list[Seen]
) -> None:
    assert read(text, "react", prompted=True) == wanted
    assert read(list(text), "react", prompted=True) == wanted


def test_a_final_answer_streams() -> None:
    reader = parser("react", prompted=True)
    chunks = [" I know.", "\nFinal", " Answer:", " Paris", " is", " it."]
    fed = [seen(reader.feed(chunk)) for chunk in chunks]
    assert fed == [[], [], [("thought", "I know.")], ["Paris"], [" is"], [" it."]]


ANALYSIS = "<|channel|>analysis<|message|>Hm.<|end|>"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            f"{ANALYSIS}<|start|>assistant<|channel|>final<|message|>It is 4.<|return|>",
            [("thought", "Hm."), "It is 4."],
        ),
        (
            f"{ANALYSIS}<|start|>assistant{HARMONY.format('search', OBJECT)}",
            [("thought", "Hm."), CALLED],
        ),
        (
            f"{ANALYSIS}<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
            f"<|start|>assistant{HARMONY.format('search', OBJECT)}",
            [("thought", "Hm."), "I look.", CALLED],
        ),
        ("<|channel|>final<|message|>a <b> <| c |> <|x|> 1 <", ["a <b> <| c |> <|x|> 1 <"]),
        ("<|channel|>final <|constrain|>json<|message|>{}", ["{}"]),
        ("It is 4.", ["It is 4."]),
        ("<|channel|>analysis<|message|>Hm", [("thought", "Hm")]),
        ("<|channel|>analysis<|mess", []),
    ],
)
def test_the_channels_of_an_answer_are_reasoning_and_text(text: str, wanted: list[Seen]) -> None:
    for chunks in ([text], list(text)):
        parts = read(chunks, "gpt-oss", prompted=True)
        whole = [part for part in parts if part != ("thought", "")]
        thought = "".join(str(p[1]) for p in whole if p[0] == "thought")
        merged = [("thought", thought)] if thought else []
        assert [*merged, *[p for p in whole if p[0] != "thought"]] == wanted


def test_the_final_channel_streams() -> None:
    reader = parser("gpt-oss", prompted=True)
    chunks = ["<|channel|>", "analysis", "<|message|>", "Hm", ".", "<|end|>", "<|start|>"]
    chunks += ["assistant", "<|channel|>", "final", "<|message|>", "It", " is", " 4."]
    fed = [part for chunk in chunks for part in seen(reader.feed(chunk))]
    assert fed == [("thought", "Hm"), ("thought", "."), "It", " is", " 4."]


@pytest.mark.parametrize(
    ("tool_format", "chunks", "at"),
    [
        (
            "kimi-k2",
            [*SECTION.format(KIMI.format("search", 0, OBJECT))],
            -len("<|tool_calls_section_end|>"),
        ),
        ("minimax-m2", [*MINIMAX.format(INVOKE)], -len("\n</minimax:tool_call>")),
        ("glm-4.5", [*GLM_ADD], 0),
        ("mistral-v11", [*f"[TOOL_CALLS]search[ARGS]{OBJECT}"], 0),
    ],
)
def test_a_call_is_handed_on_with_its_last_character(
    tool_format: str, chunks: list[str], at: int
) -> None:
    reader = parser(tool_format)
    fed = [bool(reader.feed(chunk)) for chunk in chunks]
    assert fed.index(True) == len(chunks) + at - 1
    assert fed.count(True) == 1
    assert reader.close() == []


@pytest.mark.parametrize(
    "text",
    [
        "[TOOL_CALLS] is a token, [TOOL_CALLS]. [ARGS]",
        "<|channel|>commentary is a channel, <|start|>assistant too, <|channel|>final",
        "<|tool_calls_section_begin|> and <|tool_call_begin|>",
        "<｜tool▁calls▁begin｜> 1 <｜tool▁call▁begin｜>",
        "<minimax:tool_call> <invoke name=3> </minimax:tool_call>",
        "<tool_call>nothing</tool_call> of note",
        "</minimax:tool_call><|tool_calls_section_end|>",
    ],
)
def test_a_marker_of_no_call_is_text(text: str) -> None:
    for chunks in ([text], list(text)):
        assert "".join(map(str, read(chunks, *TOOL_FORMATS))) == text


TYPED: dict[str, object] = {
    "text": {"type": "string"},
    "count": {"type": "integer"},
    "share": {"type": "number"},
    "flag": {"type": "boolean"},
    "items": {"type": "array"},
    "options": {"$ref": "#/$defs/Options"},
    "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    "either": {"type": ["integer", "string"]},
    "choice": {"enum": ["1", 2, True, None]},
    "free": {},
    "endless": {"anyOf": [{"$ref": "#/properties/endless"}] * 2},
}


def typed(text: str, key: str, extra: object = None) -> object:
    """The value of one parameter, as the parser reads it from one chunk or from many."""
    parameters = {
        "type": "object",
        "properties": TYPED,
        "additionalProperties": extra,
        "$defs": {"Options": {"type": "object"}},
    }
    tools = ({"type": "function", "function": {"name": "set", "parameters": parameters}},)
    written = f"<tool_call>\n<function=set>\n<parameter={key}>{text}</parameter>\n</function>"
    results = []
    for chunks in ([f"{written}\n</tool_call>"], f"{written}\n</tool_call>"):
        reader = StreamingToolCallParser(TextTools((TOOL_FORMATS["qwen3-coder"],), tools))
        parts = [part for chunk in chunks for part in reader.feed(chunk)]
        [(name, arguments)] = seen([*parts, *reader.close()])
        assert name == "set"
        assert isinstance(arguments, dict)
        results.append(arguments[key])
    assert repr(results[0]) == repr(results[1])
    return results[0]


@each_case(
    ("key", "text", "value"),
    [
        ("text", "\n42\n", "42"),
        ("text", '\n{"a": [1]}\n', '{"a": [1]}'),
        ("text", "null", "null"),
        ("text", "\n\n  two\nlines \n\n", "\n  two\nlines \n"),
        ("text", "", ""),
        ("text", "\n\n", ""),
        (
            "text",
            "\na </parameter> b </function> <tool_call>\n",
            "a </parameter> b </function> <tool_call>",
        ),
        ("text", "\n<parameter=x>\n1\n", "<parameter=x>\n1"),
        ("count", "\n42\n", 42),
        ("count", " -7 ", -7),
        ("count", "seven", "seven"),
        ("count", "1.5", "1.5"),
        ("count", "true", "true"),
        ("count", "9" * 30, int("9" * 30)),
        ("share", "0.5", 0.5),
        ("share", "2", 2),
        ("flag", "\ntrue\n", True),
        ("flag", "False", False),
        ("flag", "1", "1"),
        ("items", '\n["a", {"b": null}]\n', ["a", {"b": None}]),
        ("items", "[1, 2", "[1, 2"),
        ("items", "[" * 100_000, "[" * 100_000),
        ("options", '{"a": 1}', {"a": 1}),
        ("options", "[1]", "[1]"),
        ("maybe", "null", None),
        ("maybe", "None", None),
        ("maybe", "5", "5"),
        ("either", "5", 5),
        ("either", "five", "five"),
        ("choice", "1", "1"),
        ("choice", "2", 2),
        ("choice", "true", True),
        ("choice", "null", None),
        ("choice", "other", "other"),
        ("free", "5", "5"),
        ("endless", "5", "5"),
        ("unknown", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_plain_values_are_typed_by_the_schema_of_the_tool(
    key: str, text: str, value: object
) -> None:
    assert repr(typed(text, key)) == repr(value)


def test_more_arguments_have_the_type_that_the_schema_gives_them() -> None:
    assert typed("5", "unknown", {"type": "integer"}) == 5
    assert typed("5", "unknown", True) == "5"


@pytest.mark.parametrize(
    "text",
    [
        "Use `<function=search>` for it.",
        f"It is written {XML}",
        f"So:\n{XML.replace('search', 'delete')}\nand so on.",
        "<function=search",
        "<function>\n<name>search</name>\n</function>",
    ],
)
def test_without_its_tag_a_call_is_read_only_where_it_is_sure_to_be_one(text: str) -> None:
    for prompted in (False, True):
        assert "".join(map(str, read(text, "qwen3-coder", prompted=prompted))) == text


@pytest.mark.parametrize("tool_format", TOOL_FORMATS)
def test_a_call_that_is_cut_off_anywhere_is_never_run(tool_format: str) -> None:
    text = CALL_TEXTS[tool_format][0]
    for end in range(len(text)):
        for part in read(f"Look.\n{text[:end]}", tool_format, prompted=True):
            assert part == CALLED or isinstance(part, str) or isinstance(part[1], str), end


VALUES = st.fixed_dictionaries(
    {
        "text": st.text(),
        "count": st.integers(),
        "flag": st.booleans(),
        "items": st.lists(st.none() | st.text()),
    }
)


@given(
    VALUES, st.sampled_from([f for f in TOOL_FORMATS.values() if isinstance(f, TurnToolCallFormat)])
)
def test_what_a_format_writes_it_reads(
    values: dict[str, object], tool_format: ToolCallFormat
) -> None:
    properties = {key: TYPED[key] for key in values}
    parameters = {"type": "object", "properties": properties}
    tools = ({"type": "function", "function": {"name": "set", "parameters": parameters}},)
    conversation = Conversation(["user", "assistant"], ["Hi", ""])
    conversation.extras[1] = Extra((ToolCall("set", values, "abcdefghi"),))
    rendered = tool_format.render(conversation, OfferedTools(tools), TemplateToolSupport())
    reader = StreamingToolCallParser(TextTools((tool_format,), tools))
    assert seen([*reader.feed(rendered.texts[-1]), *reader.close()]) == [("set", values)]


def test_arguments_that_json_libraries_disagree_about_are_calls() -> None:
    text = '<tool_call>{"name": "search", "arguments": {"query": %s}}</tool_call>'
    for written, value in (('"\\ud83d"', "\ufffd"), ("9" * 30, int("9" * 30))):
        assert read(text % written, "hermes") == [("search", {"query": value})]
