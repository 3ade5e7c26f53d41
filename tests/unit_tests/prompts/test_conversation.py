"""Which forms of messages are understood, and what is said of the others."""

from __future__ import annotations

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    ToolMessage,
)
from langchain_core.prompt_values import ChatPromptValue

from langchain_easyllm.prompts import PromptError, get_prompt

CHATML = get_prompt("chatml")
EXPECTED = (
    "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n"
    "<|im_start|>assistant\na<|im_end|>\n<|im_start|>assistant\n"
)
MESSAGES = [SystemMessage("s"), HumanMessage("u"), AIMessage("a")]


@pytest.mark.parametrize(
    "messages",
    [
        MESSAGES,
        tuple(MESSAGES),
        iter(MESSAGES),
        ChatPromptValue(messages=MESSAGES),
        [("system", "s"), ("human", "u"), ("ai", "a")],
        [["developer", "s"], ["user", "u"], ["assistant", "a"]],
        [{"role": "system", "content": "s"}, ("user", "u"), AIMessageChunk("a")],
        [ChatMessage("s", role="system"), HumanMessageChunk("u"), ChatMessage("a", role="ai")],
        [
            SystemMessage([{"type": "text", "text": "s"}]),
            HumanMessage(["u"]),
            AIMessage([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "a"}]),
        ],
        [
            ("system", [{"type": "text", "text": "s"}]),
            ("user", [{"text": "u"}]),
            ("ai", [{"type": "thinking", "thinking": "hm"}, "a"]),
        ],
    ],
)
def test_forms(messages):
    assert CHATML.render(messages) == EXPECTED


def test_a_string_is_one_user_turn():
    assert CHATML.render("u") == CHATML.render([("user", "u")])


def test_no_content_is_empty_text():
    assert CHATML.render([("user", None)]) == CHATML.render([("user", "")])


def test_tool_messages_keep_their_role_where_the_template_prints_roles():
    messages = [ToolMessage("21", tool_call_id="1"), FunctionMessage("22", name="f")]
    assert "<|im_start|>tool\n21<|im_end|>\n<|im_start|>function\n22" in CHATML.render(messages)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "no messages"),
        ("", None),
        ([("user", "a"), ("wizard", "b")], r"Message 1 .*'wizard'.*known roles are user \(human\)"),
        ([{"content": "a"}], "Message 0 has the unknown role None"),
        ([("user", "a", "b")], "Message 0 has 3 parts"),
        ([{"role": ["user"], "content": "a"}], "unknown role"),
        ([("user", 7)], "Message 0 .*type int"),
        ([("user", [{"type": "image_url", "image_url": "x"}])], "'image_url'.*api=\"chat\""),
        ([("user", [{"type": "audio"}])], "'audio'"),
        ([("user", [{"type": "reasoning", "reasoning": "x"}])], "'reasoning'"),
        ([("user", [7])], "'int'"),
        ({"role": "user", "content": "a"}, "a list, not as dict"),
        (7, "not as int"),
    ],
)
def test_what_is_said_of_the_others(messages, said):
    if said is None:
        assert CHATML.render(messages)
        return
    with pytest.raises(PromptError, match=said):
        CHATML.render(messages)


@pytest.mark.parametrize("mode", [{"roles": "loose"}, {"special_tokens": "maybe"}])
def test_unknown_modes(mode):
    with pytest.raises(PromptError, match=r"not '(loose|maybe)'"):
        CHATML.render("a", **mode)


@pytest.mark.parametrize("kind", [[], {}, 5, None, ["text"], {"a": 1}], ids=str)
@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
def test_a_block_whose_type_is_no_text_is_named(kind: object, role: str) -> None:
    for name in ("chatml", "qwen3", "glm-4.5"):
        conversation = [("user", "Hi"), {"role": role, "content": [{"type": kind, "data": 1}]}]
        if role == "tool":  # to a model, what a tool returns is JSON
            assert '"data": 1' in get_prompt(name).render(conversation)
            continue
        with pytest.raises(PromptError, match=r"Message 1 .* holds a block of type"):
            get_prompt(name).render(conversation)
