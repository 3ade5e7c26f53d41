"""Tool calls in text: what counts as one, and that it does however the text is split."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._protocols.events import Delta
from langchain_easyllm._tool_formats.final_answer import FinalAnswer
from langchain_easyllm._tool_formats.parser import CALL_MARKERS, Part, ToolTextReader

from ...support.text_chunks import growth, pieces_of


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
        for call in part.tool_calls if isinstance(part, Delta) else ():
            function = call["function"]
            assert isinstance(function, dict)
            try:
                arguments = json.loads(function["arguments"])
            except ValueError:
                arguments = function["arguments"]
            result.append((function["name"], arguments))
        if isinstance(part, Delta) and part.reasoning:
            result.append(("thought", part.reasoning))
    return result


def read(
    pieces: str | Sequence[str], *conventions: str, prompted: bool = False, final: bool = False
) -> list[Seen]:
    reader = ToolTextReader(conventions, TOOLS, prompted=prompted)
    fed = [*map(reader.feed, [pieces] if isinstance(pieces, str) else pieces), reader.close()]
    if not final:
        return seen([part for parts in fed for part in parts])
    answer = FinalAnswer()
    told = [part for parts in fed for part in answer.feed(parts)]
    return seen([*told, *answer.close()])


HERMES = f"<tool_call>\n{SEARCH}\n</tool_call>"
WRITTEN = {
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
    "bare": [SEARCH, f"[{SEARCH}]", '{"action": "search", "action_input": "Bob"}'],
}


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize(
    ("convention", "text"), [(name, text) for name, texts in WRITTEN.items() for text in texts]
)
def test_a_call_is_read_in_every_form(convention: str, text: str, prompted: bool) -> None:
    assert read(text, convention, prompted=prompted) == [CALLED]
    assert read(list(text), convention, prompted=prompted) == [CALLED]


@pytest.mark.parametrize("convention", ["hermes", "llama3", "react"])
def test_text_before_a_call_is_kept_without_the_space_between(convention: str) -> None:
    text = f"Let me look.\n\n{WRITTEN[convention][0]}\n"
    assert read(text, convention) == ["Let me look.", CALLED]


def test_text_is_passed_on_as_soon_as_it_can_begin_no_call() -> None:
    reader = ToolTextReader(["hermes"], TOOLS)
    assert reader.feed("Let me ") == ["Let me"]
    assert reader.feed("look <tool") == [" look"]
    assert reader.feed("s>") == [" <tools>"]
    assert reader.feed("\n<tool_call>") == []
    assert seen(reader.feed(f"{SEARCH}</tool_call>")) == [CALLED]
    assert reader.calls == 1


@pytest.mark.parametrize(
    ("convention", "text"),
    [
        ("hermes", f"{HERMES}\n<tool_call>{ADD}</tool_call>"),
        ("hermes", f"<tool_call>[{SEARCH}, {ADD}]</tool_call>"),
        ("hermes", f"<tool_call>\n{SEARCH}\n<tool_call>\n{ADD}\n"),  # closing tags forgotten
        ("llama3", f"{SEARCH}; {ADD}"),
        ("llama3", f"{SEARCH}\n{ADD}"),
        ("mistral", f"[TOOL_CALLS] [{SEARCH}, {ADD}]"),
    ],
)
def test_several_calls_in_one_answer(convention: str, text: str) -> None:
    both = [CALLED, ("add", {"a": 1, "b": 2})]
    assert read(text, convention) == both
    assert read(list(text), convention) == both


@pytest.mark.parametrize("fence", ["```", "```json", "~~~"])
@pytest.mark.parametrize("convention", ["hermes", "llama3", "mistral"])
def test_a_call_in_a_code_fence_is_text(convention: str, fence: str) -> None:
    text = f"An example:\n{fence}\n{WRITTEN[convention][0]}\n{fence[:3]}\n"
    assert read(text, convention, prompted=True) == [text]
    after = f"{text}{WRITTEN['hermes'][0]}"
    assert read(after, "hermes", convention)[-1] == CALLED


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


@pytest.mark.parametrize(
    ("convention", "text"),
    [
        ("hermes", '<tool_call>{"name": "search", "arguments": {"query": }}</tool_call>'),
        ("hermes", '<tool_call>{"name": "search", "arguments": {"query": "Bo'),
        ("llama3", '{"name": "search", "parameters": {"query": "Bo'),
        ("mistral", '[TOOL_CALLS] [{"name": "search", "arguments": {"query"'),
        ("react", 'Action:\n```json\n{"action": "search", "action_input": "Bo'),
        ("react", 'Action:\n```json\n{"action": "add", "action_input": 7}\n```'),
        ("bare", '{"name": "search", "arguments": {"qu'),
    ],
)
def test_a_broken_call_keeps_its_text(convention: str, text: str) -> None:
    [(name, arguments)] = read(text, convention)
    assert name in ("search", "add")
    assert arguments == text
    assert read(["One.\n", *text], convention)[1:] == [(name, text)] * (convention != "bare")


def test_text_after_a_broken_call_is_kept() -> None:
    text = '<tool_call>{"name": "search", "arguments": {]</tool_call> and more'
    (name, raw), rest = read(text, "hermes")
    assert (name, rest) == ("search", "and more")
    assert raw == text.removesuffix(" and more")


@pytest.mark.parametrize("convention", ["hermes", "llama3", "mistral", "react"])
def test_a_tool_that_was_not_offered_is_not_called(convention: str) -> None:
    for written in WRITTEN[convention]:
        text = f"So:\n{written}".replace("search", "delete") + " done"
        assert "".join(map(str, read(text, convention))) == text
        read_when_asked = read(text, convention, prompted=True)
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
    conventions = [name for name in CALL_MARKERS if name != "bare"]
    parts = read(text, *conventions)
    if text == 'An object:\n{"name": "search"':  # names a tool: a call that was cut off
        assert parts == ["An object:", ("search", '{"name": "search"')]
    else:
        assert "".join(map(str, parts)) == text
        assert "".join(map(str, read(list(text), *conventions))) == text


WORDS = [
    *("<tool_call>", "</tool_call>", "[TOOL_CALLS]", "Action:", "```", "```json\n", "~~~", "`"),
    *("\n", "\n", " ", ";", ", ", "{", "}", "[", "]", '"', "\\", '{"name"', '{"action": "search"'),
    *(SEARCH, ADD, '{"action": "search", "action_input": "Bob"}', "text", "Final Answer:", "é🌤"),
    *("Thought:", "<|python_tag|>", '{"name": "nope", "arguments": {}}'),
]
texts = st.lists(st.sampled_from(WORDS), max_size=12).map("".join)
conventions = st.sampled_from(
    [[name] for name in CALL_MARKERS] + [[n for n in CALL_MARKERS if n != "bare"]]
)


@given(pieces_of(texts), conventions, st.booleans(), st.booleans())
def test_any_split_is_read_as_the_whole_text(
    pieces: list[str], conventions: list[str], prompted: bool, final: bool
) -> None:
    whole = read("".join(pieces), *conventions, prompted=prompted, final=final)
    assert read(pieces, *conventions, prompted=prompted, final=final) == whole


@given(pieces_of(st.text(max_size=40)), conventions)
def test_any_other_text_is_not_changed(pieces: list[str], conventions: list[str]) -> None:
    assert "".join(map(str, read(pieces, *conventions))) == "".join(pieces)


def test_white_space_without_end_is_not_held_back() -> None:
    text = f"a{chr(10) * 3000}{HERMES}"
    assert read(text, "hermes") == read(list(text), "hermes") == ["a" + "\n" * 2000, CALLED]


@pytest.mark.parametrize(
    "text", ['{"name": "x"', "<tool_call>", "```\n", '"', "[[", "Action: ", "\n"]
)
def test_the_work_grows_with_the_text_only(text: str) -> None:
    def work(pieces: Sequence[str]) -> None:
        read(["<tool_call>{", *pieces], "hermes", "llama3", "react", prompted=True)

    assert growth(work, [text] * 300) < 40


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" I know the answer.\nFinal Answer: 42", [("thought", "I know the answer."), "42"]),
        ("Thought: I know.\n\nFinal Answer: 4\n2", [("thought", "I know."), "4\n2"]),
        ("Final Answer: 42", ["42"]),
        ("Final Answer: 42\nThought: more\nFinal Answer: 43", ["42"]),
        ("Final Answer: 42\nThou", ["42\nThou"]),
        (f"Final Answer: 42\nQuestion: Who?\n{WRITTEN['react'][0]}", ["42"]),
        (" Hello!", ["Hello!"]),
        ("Hello!\nHow are you?\nFinal Answer: 1", ["Hello!\nHow are you?\nFinal Answer: 1"]),
        (f"I look.\n{WRITTEN['react'][0]}", ["I look.", CALLED]),
        ("x" * 500 + "\nFinal Answer: 42", ["x" * 500 + "\nFinal Answer: 42"]),
        ('Action: {"action": "Final Answer", "action_input": "42"}', ["42"]),
        ("I know.\nFinal Ans", ["I know.\nFinal Ans"]),
    ],
)
def test_a_final_answer_is_told_from_the_thought_before_it(text: str, wanted: list[Seen]) -> None:
    assert read(text, "react", prompted=True, final=True) == wanted
    assert read(list(text), "react", prompted=True, final=True) == wanted


def test_a_final_answer_streams() -> None:
    reader, answer = ToolTextReader(["react"], TOOLS, prompted=True), FinalAnswer()
    pieces = [" I know.", "\nFinal", " Answer:", " Paris", " is", " it."]
    fed = [seen(answer.feed(reader.feed(piece))) for piece in pieces]
    assert fed == [[], [], [("thought", "I know.")], ["Paris"], [" is"], [" it."]]
