"""What is done with conversations that a template cannot express."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_easyllm.prompts import PromptError, get_prompt

from ...support.prompt_conversations import EASYLLM, FAMILIES, conversations

GEMMA_END = "<end_of_turn>\n<start_of_turn>model\n"
FOLDED = [
    ("llama2", [("user", "a"), ("user", "b")], "<s>[INST] a\n\nb [/INST]"),
    ("llama2", [("user", ""), ("user", "b")], "<s>[INST] b [/INST]"),
    ("llama2", [("assistant", "a")], "<s>[INST]  [/INST] a </s>"),
    (
        "llama2",
        [("user", "a"), ("assistant", "b"), ("system", "s"), ("user", "c")],
        "<s>[INST] <<SYS>>\ns\n<</SYS>>\n\na [/INST] b </s><s>[INST] c [/INST]",
    ),
    ("llama2", [("system", "s"), ("system", "t")], "<s>[INST] s\n\nt [/INST]"),
    (
        "gemma-2",
        [("system", "s"), ("user", "u")],
        f"<bos><start_of_turn>user\ns\n\nu{GEMMA_END}",
    ),
    (
        "mistral",
        [("user", "a"), ("assistant", "b"), ("assistant", "c"), ("user", "d")],
        "<s>[INST] a[/INST] b\n\nc</s>[INST] d[/INST]",
    ),
    # Its place for system text is the last user turn; where none follows, the text goes first.
    (
        "mistral",
        [("system", "s"), ("assistant", "a")],
        "<s>[INST] s[/INST] a</s>",
    ),
    ("mistral", [("user", "a"), ("tool", "t")], "<s>[INST] a\n\nTool result: t[/INST]"),
    ("zephyr", [("function", "t")], "<|user|>\nTool result: t</s>\n<|assistant|>\n"),
    (
        "falcon",
        [("user", "a"), ("system", "s")],
        "System: s\nUser: a\nFalcon: ",
    ),
]


@pytest.mark.parametrize(("name", "messages", "expected"), FOLDED)
def test_folding(name, messages, expected):
    prompt = get_prompt(name)
    assert prompt.render(messages) == expected
    with pytest.raises(PromptError, match=rf"Message \d .*{prompt.name}"):
        prompt.render(messages, roles="strict")


TOOLS = [
    HumanMessage("Weather?"),
    AIMessage("", tool_calls=[{"name": "look", "args": {"city": "서울"}, "id": "1"}]),
    ToolMessage('{"t": 21}', tool_call_id="1", name="look"),
]


def test_tools_are_described_in_plain_text():
    assert get_prompt("zephyr").render(TOOLS) == (
        "<|user|>\nWeather?</s>\n"
        '<|assistant|>\nTool call: {"name": "look", "arguments": {"city": "서울"}}</s>\n'
        '<|user|>\nTool result (look): {"t": 21}</s>\n<|assistant|>\n'
    )


def test_text_beside_a_call_is_kept():
    message = AIMessage("I look.", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    assert 'I look.\nTool call: {"name": "f", "arguments": {}}' in get_prompt("phi-3").render(
        [message]
    )


def test_strict_refuses_calls_that_the_template_has_no_form_for():
    with pytest.raises(PromptError, match=r"Message 1 \(assistant\).*tool calls"):
        get_prompt("zephyr").render(TOOLS, roles="strict")


def test_qwen_writes_tools_its_own_way():
    messages = [*TOOLS, ToolMessage("22", tool_call_id="2")]
    assert get_prompt("qwen2.5").render(messages, roles="strict").partition("user\n")[2] == (
        "Weather?<|im_end|>\n<|im_start|>assistant\n"
        '<tool_call>\n{"name": "look", "arguments": {"city": "서울"}}\n</tool_call><|im_end|>\n'
        '<|im_start|>user\n<tool_response>\n{"t": 21}\n</tool_response>\n'
        "<tool_response>\n22\n</tool_response><|im_end|>\n<|im_start|>assistant\n"
    )


def test_llama_writes_tools_its_own_way():
    text = get_prompt("llama3.1").render(TOOLS, roles="strict")
    assert '\n\n{"name": "look", "parameters": {"city": "서울"}}<|eot_id|>' in text
    assert 'ipython<|end_header_id|>\n\n"{\\"t\\": 21}"<|eot_id|>' in text


def test_openai_calls_with_arguments_as_text():
    function = {"name": "f", "arguments": '{"a": 1}'}
    call = {"id": "1", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    assert 'Tool call: {"name": "f", "arguments": {"a": 1}}' in get_prompt("zephyr").render(
        [message]
    )


@pytest.mark.parametrize("name", [*FAMILIES, *EASYLLM])
@settings(max_examples=40)
@given(messages=conversations("user assistant system tool"))
def test_what_strict_accepts_is_never_changed_and_the_rest_never_lost(name, messages):
    prompt = get_prompt(name)
    folded = prompt.render(messages)
    try:
        strict = prompt.render(messages, roles="strict")
    except PromptError:
        for _, content in messages:
            assert content.strip() in folded
    else:
        assert folded == strict


@pytest.mark.parametrize("name", [*FAMILIES, *EASYLLM])
@settings(max_examples=40)
@given(messages=conversations("user assistant"))
def test_users_and_assistants_keep_their_order(name, messages):
    numbered = [(role, f"{content}#{i}#") for i, (role, content) in enumerate(messages)]
    text = get_prompt(name).render(numbered)
    places = [text.index(f"#{i}#") for i in range(len(messages))]
    assert places == sorted(places)


def test_many_neighbours_merge_in_linear_time():
    start = time.perf_counter()
    text = get_prompt("llama2").render([("user", "word " * 20)] * 50_000)
    assert time.perf_counter() - start < 5
    assert text.count("word") == 1_000_000


def test_messages_are_not_changed():
    messages = [{"role": "user", "content": "a"}, {"role": "user", "content": "[INST]"}]
    before = [dict(message) for message in messages]
    get_prompt("llama2").render(messages)
    assert messages == before
