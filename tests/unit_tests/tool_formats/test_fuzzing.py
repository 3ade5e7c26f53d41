"""Text of a model that resembles tool calls, in every format, cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._tool_formats.call_syntax import ParsedReasoning, ParsedToolCall, Part
from langchain_easyllm._tool_formats.parser import StreamingToolCallParser, TextTools
from langchain_easyllm._tool_formats.registry import TOOL_FORMATS

from ...support.fuzzing import assert_linear, cut, examples

TOOLS = [
    {"name": "search", "parameters": {"properties": {"query": {"type": "string"}}}},
    {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}},
    {"name": "now"},
]
WORDS = [
    *(
        marker_word
        for form in TOOL_FORMATS.values()
        for m in form.markers
        for marker_word in m.words
    ),
    *(m.closer for form in TOOL_FORMATS.values() for m in form.markers if m.closer),
    *("<function=search>", "<function=", "<parameter=query>", "</parameter>", "</function>"),
    *('{"name": "search", "arguments": {"query": "Bob"}}', '{"name": "add", "parameters": "7"}'),
    *('{"action": "add", "action_input": 7}', '{"name": "nope"}', '"arguments": ', '{"type": "f'),
    *("Thought:", "Final Answer:", "Observation:", "```", "```json\n", "~~~", "`", "\n", " ", "\t"),
    *(
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        "\\ud800",
        "\\u0000",
        ",",
        ":",
        ";",
        "1e999",
        "NaN",
        "-0",
        "7",
    ),
    *("\u2028", "\x85", "\x0b", "\0", "\ufeff", "é", "🌤", "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=14).map("".join)
FORMATS = st.sampled_from([[name] for name in TOOL_FORMATS] + [[*TOOL_FORMATS], []])
PLACES = st.lists(st.integers(0, 2**16), max_size=8)


def read(pieces: Sequence[str], formats: Sequence[str], *, prompted: bool) -> list[object]:
    """What is read, with neighbouring text joined."""
    spec = TextTools(
        tuple([TOOL_FORMATS[name] for name in formats]),
        tuple(TOOLS),
        prompted=prompted,
        unmarked_json=not formats,
    )
    parser = StreamingToolCallParser(spec)
    parts: list[Part] = [part for piece in pieces for part in parser.feed(piece)]
    parts += parser.close()
    joined: list[object] = []
    for is_text, run in groupby(parts, lambda part: isinstance(part, str)):
        if is_text:
            joined.append("".join(map(str, run)))
            continue
        for part in run:
            if isinstance(part, ParsedToolCall):
                joined.append((part.name, part.arguments))
            elif isinstance(part, ParsedReasoning):
                joined.append(("reasoning", part.text))
    return joined


def check_tool_calls(
    text: str, places: Sequence[int], formats: Sequence[str], *, prompted: bool
) -> None:
    """Nothing is raised, any cut gives the same, and only offered tools are called."""
    whole = read([text], formats, prompted=prompted)
    assert read(cut(text, places), formats, prompted=prompted) == whole
    for part in whole:
        if isinstance(part, tuple) and isinstance(part[1], dict):
            assert part[0] in {tool["name"] for tool in TOOLS}


@examples(300)
@given(TEXTS, PLACES, FORMATS, st.booleans())
def test_any_text_is_read_alike_however_it_is_cut(
    text: str, places: list[int], formats: list[str], prompted: bool
) -> None:
    check_tool_calls(text, places, formats, prompted=prompted)


@pytest.mark.parametrize("tool_format", [*TOOL_FORMATS, ""])
@examples(8)
@given(
    words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    start=st.lists(st.sampled_from(WORDS), max_size=2),
)
def test_the_work_grows_with_the_text_only(
    tool_format: str, words: list[str], start: list[str]
) -> None:
    formats = [tool_format] if tool_format else []

    def work(count: int) -> None:
        text = "".join(start) + "".join(words) * count
        pieces = [text[at : at + 20] for at in range(0, len(text), 20)]
        read(pieces, formats, prompted=True)

    assert_linear(work, 400)
