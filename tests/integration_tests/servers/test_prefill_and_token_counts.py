"""Answers that real servers continue, and counts that are what they charge for."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, trim_messages

from langchain_easyllm.errors import ConfigurationError

COUNT = HumanMessage("Count from one to ten in words.")
SAID = ("One, two, three,", "One, two, three, \n", " One, two,\n\nthree", "안녕, ☕")
CONTINUING = ("llama-server", "vllm")
TALK = [
    (HumanMessage if n % 2 == 0 else AIMessage)(f"It is {'really ' * (n % 7)}number {n}: ☕ 안녕.")
    for n in range(80)
]


AGE = {
    "title": "Age",
    "type": "object",
    "properties": {"age": {"type": "integer", "maximum": 99}},
    "required": ["age"],
    "additionalProperties": False,
}


def look(where: str) -> str:
    """Look at a place."""
    return where


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("builder", [None, "smollm2"])
def test_an_answer_is_continued(server, tokenizer, builder, said):
    talk = [COUNT, AIMessage(said)]
    chat = server.chat(prompt_builder=builder, max_tokens=8)
    if builder is None and server.name not in CONTINUING:
        if server.profile != "openai":
            with pytest.raises(ConfigurationError, match="anew in place of continuing"):
                chat.invoke(talk)
        return
    messages = [{"role": "user", "content": COUNT.text}, {"role": "assistant", "content": said}]
    ids = tokenizer.apply_chat_template(messages, continue_final_message=True)["input_ids"]
    whole = chat.invoke(talk)
    streamed = reduce(add, chat.stream(talk))
    assert not whole.text.startswith(said[:8])
    assert whole.text == streamed.text
    for one in (whole, streamed):
        assert one.usage_metadata["input_tokens"] == len(ids)
    if said == SAID[0]:
        assert whole.text.startswith(" four, five,")


@pytest.mark.parametrize("said", ["Ann is 7 years old.", ""])
def test_an_object_is_asked_for_behind_an_answer(server, said):
    server.needs("constraints")
    if said:
        server.known_fault("it does not say that llama-server is behind it", "litellm")
    talk = [HumanMessage("How old is Ann?"), AIMessage(said)]
    chat = server.chat(max_tokens=40).with_structured_output(AGE, method="json_schema")
    for found in (chat.invoke(talk), list(chat.stream(talk))[-1]):
        assert isinstance(found["age"], int)


@pytest.mark.parametrize("tools", [None, [look]])
@pytest.mark.parametrize("builder", [None, "smollm2"])
@pytest.mark.parametrize(
    "talk",
    [
        [COUNT],
        [SystemMessage("Be brief: 안녕."), COUNT, AIMessage("One, two. "), HumanMessage("Go on")],
        [COUNT, AIMessage("One, two, three,")],
    ],
    ids=len,
)
def test_a_count_is_what_the_server_charges_for(server, builder, tools, talk):
    server.needs("tokenize")
    if tools and builder is None:
        server.needs("tools")
    chat = server.chat(prompt_builder=builder, max_tokens=1)
    counted = chat.get_num_tokens_from_messages(talk, tools=tools)
    said = (chat.bind_tools(tools) if tools else chat).invoke(talk)
    assert said.usage_metadata["input_tokens"] == counted


@pytest.mark.parametrize("builder", [None, "smollm2"])
def test_what_is_trimmed_to_a_size_has_that_size(server, builder):
    server.needs("tokenize")
    chat = server.chat(prompt_builder=builder, max_tokens=1)
    trimmed = trim_messages(
        TALK, max_tokens=600, token_counter=chat, strategy="last", start_on="human"
    )
    assert 10 < len(trimmed) < 60
    for part in (trimmed, TALK[:9], TALK[4:13], TALK[7:]):
        counted = chat.get_num_tokens_from_messages(part)
        assert chat.invoke(part).usage_metadata["input_tokens"] == counted
