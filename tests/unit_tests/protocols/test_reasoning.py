"""Thinking apart from the answer, however the text is split."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm._protocols.reasoning import (
    CLOSE,
    OPEN,
    ThinkSplitter,
    has_unopened_think_tag,
    is_reasoning_model,
)

from ...support.cases import each_case
from ...support.text_chunks import chunks_of, time_growth

PARTS = [OPEN, CLOSE, "<", "</", "think", ">", "</thi", "nk>", "\n", " ", "a", "bc"]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)


def split_whole(text: str, *, reasoning_model: bool) -> tuple[str, str]:
    """Split a whole text: thinking, answer."""
    if text.lstrip().startswith(OPEN):
        return split_tags(text.lstrip().removeprefix(OPEN))
    if reasoning_model and CLOSE in text:
        return split_tags(text)
    return "", text


def split_tags(text: str) -> tuple[str, str]:
    thought, _, rest = text.partition(CLOSE)
    rest = rest.lstrip("\n")
    opened = re.search(rf"^ *{OPEN}", rest, re.MULTILINE)
    if opened is None or CLOSE not in rest[opened.end() :]:
        return thought, rest
    again, end = split_tags(rest[opened.end() :])
    return thought + again, rest[: opened.end() - len(OPEN)] + end


def run(chunks: Sequence[str], *, reasoning_model: bool) -> tuple[str, str]:
    splitter = ThinkSplitter(reasoning_model=reasoning_model)
    parts = []
    for chunk in chunks:
        parts.append(splitter.feed(chunk))
        while splitter.behind:
            parts.append(splitter.feed(""))
    parts.append(splitter.close())
    return "".join(thought for thought, _ in parts), "".join(answer for _, answer in parts)


@given(chunks_of(TEXTS), st.booleans())
def test_any_split_is_split_as_the_whole_text(chunks: list[str], reasoning_model: bool) -> None:
    assert run(chunks, reasoning_model=reasoning_model) == split_whole(
        "".join(chunks), reasoning_model=reasoning_model
    )


@given(chunks_of(TEXTS), st.booleans())
def test_nothing_is_lost(chunks: list[str], reasoning_model: bool) -> None:
    text = "".join(chunks)
    splitter = ThinkSplitter(reasoning_model=reasoning_model)
    parts = [*map(splitter.feed, chunks), splitter.close()]
    thought = "".join(one for one, _ in parts)
    answer = "".join(one for _, one in parts)
    if OPEN in text.partition(CLOSE)[2]:
        return  # reasoning and answer take turns
    if not (text.lstrip().startswith(OPEN) or (reasoning_model and CLOSE in text)):
        assert (thought, answer) == ("", text)
        return
    rest = text.lstrip().removeprefix(OPEN) if text.lstrip().startswith(OPEN) else text
    assert rest.startswith(thought)
    gap = rest.removeprefix(thought).removeprefix(CLOSE).removesuffix(answer)
    assert gap.strip("\n") == ""
    assert rest.endswith(answer)


@given(chunks_of(TEXTS.filter(lambda text: not text.lstrip().startswith("<"))))
def test_an_answer_without_a_tag_is_shown_at_once(chunks: list[str]) -> None:
    splitter = ThinkSplitter()
    fed = shown = ""
    for chunk in chunks:
        fed += chunk
        thought, answer = splitter.feed(chunk)
        shown += answer
        assert thought == ""
        assert shown == fed or not fed.strip()  # white space may stand before a tag


@given(chunks_of(TEXTS))
def test_thinking_is_shown_up_to_what_may_be_its_closing_tag(chunks: list[str]) -> None:
    splitter = ThinkSplitter()
    splitter.feed(OPEN)
    fed = shown = ""
    for chunk in chunks:
        fed += chunk
        shown += splitter.feed(chunk)[0]
        if CLOSE in fed:
            break
        assert CLOSE.startswith(fed.removeprefix(shown))


@each_case(
    ("text", "reasoning_model", "expected"),
    [
        ("<think>\nHm.\n</think>\n\nYes.", False, ("\nHm.\n", "Yes.")),
        ("<think>\n\n</think>\n\nYes.", True, ("\n\n", "Yes.")),
        ("Hm.\n</think>\n\nYes.", True, ("Hm.\n", "Yes.")),
        ("Hm.\n</think>\n\nYes.", False, ("", "Hm.\n</think>\n\nYes.")),
        ("Yes.", True, ("", "Yes.")),
        ("\n <think>Hm", False, ("Hm", "")),
        ("<think>a<think>b</think>c</think>d", False, ("a<think>b", "c</think>d")),
        ("I write <think> tags.", False, ("", "I write <think> tags.")),
        ("<thinking>Hm</thinking>", False, ("", "<thinking>Hm</thinking>")),
        ("<thi", False, ("", "<thi")),
        ("<think>a</think><think>b</think> <think>c</think>two", False, ("abc", " two")),
        ("<think>a</think>One <think>b</think>two", False, ("a", "One <think>b</think>two")),
        ("<think>a</think>The <think> tag.\nSo.", False, ("a", "The <think> tag.\nSo.")),
        ("[THINK]a[/THINK]The [THINK] mark", False, ("a", "The [THINK] mark")),
        ("◁think▷a◁/think▷The ◁think▷ mark", False, ("a", "The ◁think▷ mark")),
        ("<think>a</think>Text:\n <think> it is", False, ("a", "Text:\n <think> it is")),
        ("Close it with `</think>`.", True, ("", "Close it with `</think>`.")),
        ("Close it: '</think>' or `</think>`", True, ("", "Close it: '</think>' or `</think>`")),
        ('It is "b"</think>Yes', True, ('It is "b"', "Yes")),
        ('It is "b"</think>', True, ('It is "b"', "")),
        ("```\n</think>\n```\nit", True, ("", "```\n</think>\n```\nit")),
        ("```\n</think>\n```\nHm\n</think>\n\nIt", True, ("```\n</think>\n```\nHm\n", "It")),
        ("Hm ```\nb\n</think>\n\nIt </think>", True, ("Hm ```\nb\n", "It </think>")),
        ("a</think>One\n<think>b</think>\n\ntwo", True, ("ab", "One\ntwo")),
        (
            "<think>a</think>`<think>` is\n```\n<think>\n```\nit\n<think>b</think>",
            False,
            ("ab", "`<think>` is\n```\n<think>\n```\nit\n"),
        ),
        ("One <think>b</think>two", False, ("", "One <think>b</think>two")),
        ("[THINK]Hm[/THINK]Yes.", False, ("Hm", "Yes.")),
        ("Hm[/THINK]Yes.", True, ("Hm", "Yes.")),
        ("<seed:think>Hm</seed:think>\nYes.", False, ("Hm", "Yes.")),
        ("◁think▷Hm◁/think▷Yes.", False, ("Hm", "Yes.")),
        ("<|channel>thought\nHm<channel|>Yes.", False, ("Hm", "Yes.")),
        ("<|channel>thought\n<channel|>Yes.", False, ("", "Yes.")),
        (
            "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
            False,
            ("Hm", "Yes."),
        ),
        (
            "<|channel|>analysis<|message|>H<|end|><|start|>assistant<|channel|>analysis<|message|>m"
            "<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
            False,
            ("Hm", "Yes."),
        ),
        ("<|channel|>final<|message|>Yes.", False, ("", "Yes.")),
        ("  \n", False, ("", "  \n")),
        ("</think>Yes.", True, ("", "Yes.")),
        ("", True, ("", "")),
    ],
)
def test_whole_answers(text: str, reasoning_model: bool, expected: tuple[str, str]) -> None:
    assert run([text], reasoning_model=reasoning_model) == expected
    assert run(list(text), reasoning_model=reasoning_model) == expected


@given(chunks_of(TEXTS), st.booleans())
def test_a_server_that_keeps_thinking_apart_sends_nothing_but_the_answer(
    chunks: list[str], reasoning_model: bool
) -> None:
    splitter = ThinkSplitter(reasoning_model=reasoning_model)
    assert splitter.answer_only() == ""
    assert splitter.settled
    assert [splitter.feed(chunk) for chunk in chunks] == [("", chunk) for chunk in chunks]


@pytest.mark.parametrize("reasoning_model", [False, True])
def test_text_held_back_before_the_server_shows_that_it_keeps_thinking_apart(
    reasoning_model: bool,
) -> None:
    splitter = ThinkSplitter(reasoning_model=reasoning_model)
    assert splitter.feed("\n<th") == ("", "")
    assert splitter.answer_only() == "\n<th"
    assert splitter.feed("ree>") == ("", "ree>")
    assert splitter.close() == ("", "")


@given(chunks_of(TEXTS), st.booleans())
def test_only_the_beginning_of_a_tag_is_read_again(
    chunks: list[str], reasoning_model: bool
) -> None:
    splitter = ThinkSplitter(reasoning_model=reasoning_model)
    for chunk in [" ", "\n" * 20, *chunks]:
        splitter.feed(chunk)
        while splitter.behind:
            splitter.feed("")
        assert not splitter._held or any(tag.startswith(splitter._held) for tag in (OPEN, CLOSE))


@pytest.mark.parametrize(
    "chunks",
    [[" "] * 2000, ["<think>", *["a"] * 2000], ["a<", "/think"] * 1000],
    ids=["white space", "thinking", "almost a tag"],
)
@pytest.mark.parametrize("reasoning_model", [False, True])
def test_time_is_linear(chunks: list[str], reasoning_model: bool) -> None:
    assert time_growth(lambda many: run(many, reasoning_model=reasoning_model), chunks) < 40


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("Hm.\n</think>\n\nYes.", True),
        ("Hm.</think>\nYes.", True),
        ("Hm.\n</think>Yes.", False),
        ("Hm.</think>", True),
        ("Hm.</think> \t\nYes.", True),
        ("Hm.</think>Yes.", False),
        ("End it with </think>", False),
        ("Write `</think>` at the end.", False),
        ("```\nHm.\n</think>\n```\nYes.", False),
        ("```\ncode\n```\nHm.\n</think>\n\nYes.", True),
        ("Hm.\n</think>\n\nYes.\n</think>\n", False),
        ("<think>Hm.\n</think>\nYes.", False),
        ("Write <think> and\n</think>\n.", False),
        ("Yes.", False),
        ("", False),
    ],
)
def test_a_closing_tag_without_an_opening_one_ends_thinking(text: str, thought: bool) -> None:
    assert has_unopened_think_tag(text) is thought


@pytest.mark.parametrize("chunk", ["a", "</think> a", "\n</thin", "</think>\t\t\t a", "<thin"])
def test_detecting_it_takes_linear_time(chunk: str) -> None:
    assert time_growth(lambda chunks: has_unopened_think_tag("".join(chunks)), [chunk] * 2000) < 40


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("deepseek-ai/DeepSeek-R1", True),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B:together", True),
        ("Qwen/QwQ-32B", True),
        ("Qwen/Qwen3-8B", True),
        ("Qwen/Qwen3-4B-Thinking-2507", True),
        ("Qwen/Qwen3-4B-Instruct-2507", False),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", False),
        ("Qwen/Qwen2.5-7B-Instruct", False),
        ("HuggingFaceTB/SmolLM3-3B", True),
        ("HuggingFaceTB/SmolLM2-1.7B-Instruct", False),
        ("meta-llama/Llama-3.1-8B-Instruct", False),
        ("", False),
        (None, False),
    ],
)
def test_reasoning_models_are_known_by_name(model: str | None, thinks: bool) -> None:
    assert is_reasoning_model(model) is thinks
