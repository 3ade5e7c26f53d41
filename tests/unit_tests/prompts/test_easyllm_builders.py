"""EasyLLM's nine builders, which the official templates of the same names are not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_easyllm import prompts

from ...support.cases import each_case
from ...support.prompt_conversations import as_dicts

CHAT = [("system", " S "), ("user", " A "), ("assistant", " B "), ("user", "C")]
EXPECTED = {
    "anthropic": " S \n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant: ",
    "chatml_falcon": (
        "<|system|>\nS<|endoftext|>\n<|user|>\nA<|endoftext|>\n<|assistant|>\nB<|endoftext|>\n"
        "<|user|>\nC<|endoftext|>\n<|assistant|>"
    ),
    "chatml_starchat": (
        "<|system|>\nS<|end|>\n<|user|>\nA<|end|>\n<|assistant|>\nB<|end|>\n<|user|>\nC<|end|>\n"
        "<|assistant|>"
    ),
    "falcon": "System:  S \nUser: A\nFalcon: B\nUser: C\nFalcon: ",
    "llama2": "<s>[INST] <<SYS>>\n S \n<</SYS>>\n\nA [/INST]  B  </s><s>[INST] C [/INST]",
    "open_assistant": (
        "<|system|>S</s><|prompter|>A</s><|assistant|>B</s><|prompter|>C</s><|assistant|>"
    ),
    "stablebeluga": (
        "### System:\nS\n\n### User:\nA\n\n### Assistant:\nB\n\n### User:\nC\n\n### Assistant:"
    ),
    "vicuna": "S\n\nUSER: A\nASSISTANT: B</s>\nUSER: C\nASSISTANT: ",
    "wizardlm": "S USER: A ASSISTANT: B USER: C ASSISTANT: ",
}
FROM_STRING = {
    "anthropic": "\n\nHuman: Hi\n\nAssistant: ",
    "chatml_falcon": "<|system|>\n<|endoftext|>\n<|user|>\nHi<|endoftext|>\n<|assistant|>",
    "chatml_starchat": "<|system|>\n<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>",
    "falcon": "System: \nUser: Hi\nFalcon: ",
    "llama2": "<s>[INST] Hi [/INST]",
    "open_assistant": "<|system|></s><|prompter|>Hi</s><|assistant|>",
    "stablebeluga": "### System:\n\n\n### User:\nHi\n\n### Assistant:",
    "vicuna": "\n\nUSER: Hi\nASSISTANT: ",
    "wizardlm": "USER: Hi ASSISTANT: ",
}


def builder(name):
    return getattr(prompts, f"build_{name}_prompt")


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items())
def test_messages(name, expected):
    assert builder(name)(as_dicts(CHAT)) == expected
    assert builder(name)([SimpleNamespace(**message) for message in as_dicts(CHAT)]) == expected


@pytest.mark.parametrize(("name", "expected"), FROM_STRING.items())
def test_a_string(name, expected):
    assert builder(name)(" Hi ") == expected


@each_case("name", EXPECTED)
@each_case(
    "messages",
    [
        [],
        [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
        [{"role": "function", "content": "a"}],
        [{"role": "nobody", "content": "a"}],
        [{"role": "user", "content": None}],
        7,
    ],
)
def test_what_easyllm_refuses(name, messages):
    with pytest.raises(ValueError, match=r"\w"):
        builder(name)(messages)


def test_langchain_messages():
    assert builder("vicuna")([HumanMessage("a"), AIMessage("b")]) == (
        "USER: a\nASSISTANT: b</s>\nASSISTANT: "
    )


def test_nothing_is_escaped():
    assert builder("llama2")("[INST]") == "<s>[INST] [INST] [/INST]"


def test_stop_sequences():
    assert prompts.llama2_stop_sequences == ["</s>"]
    assert prompts.anthropic_stop_sequences == ["\n\nUser:", "User:"]
    assert prompts.falcon_stop_sequences == ["\nUser:", "<|endoftext|>", " User:", "###"]


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (prompts.build_zephyr_prompt, "zephyr"),
        (prompts.build_phi3_prompt, "phi-3"),
        (prompts.build_llama3_1_prompt, "llama3.1"),
        (prompts.build_mistral_prompt, "mistral"),
    ],
)
def test_builders_of_official_prompts(build, name):
    assert build(CHAT) == prompts.get_prompt(name).render(CHAT)
    assert build.__name__.startswith("build_")
    assert build.__doc__
