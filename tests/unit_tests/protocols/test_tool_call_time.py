"""Reading tool calls takes time that grows with their number and size only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from langchain_easyllm._protocols.tool_calls import (
    ToolCallReader,
    _unparseable_suffix,
    recover_truncated_tool_call,
)

from ...support.text_chunks import time_growth


def fragments(make: Callable[[int], dict[str, object]]) -> Callable[[Sequence[str]], None]:
    def work(chunks: Sequence[str]) -> None:
        reader = ToolCallReader()
        for number, _ in enumerate(chunks):
            reader.feed([make(number)])
        reader.close(length=False)

    return work


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"id": f"call_{n}", "function": {"name": "f", "arguments": "{}"}},
        lambda n: {"index": 0, "id": "call_x", "function": {"name": "f", "arguments": ""}},
        lambda n: {"index": 0, "function": {"name": "f" if n == 0 else "", "arguments": "[x"}},
        lambda n: {"index": n, "function": {"name": "f", "arguments": "{"}},
    ],
    ids=["ids", "empty", "long", "many"],
)
def test_many_fragments(make: Callable[[int], dict[str, object]]) -> None:
    assert time_growth(fragments(make), ["x"] * 1000) < 40


@pytest.mark.parametrize("text", ["[", "[]", "{[", '["'])
def test_the_end_of_a_broken_call(text: str) -> None:
    def work(chunks: Sequence[str]) -> None:
        half = "".join(chunks)
        _unparseable_suffix(half + "]" * len(half))

    assert time_growth(work, [text] * 10_000) < 40


@pytest.mark.parametrize("text", ["Failed to parse generated text: ", '\\"', '"', '{"error": '])
def test_a_report_of_an_unread_call(text: str) -> None:
    def work(chunks: Sequence[str]) -> None:
        words = "".join(chunks).replace("\\", "\\\\").replace('"', '\\"')
        recover_truncated_tool_call('{"error": "Failed to parse generated text: \\"' + words + '"}')

    assert time_growth(work, [text] * 500) < 40
