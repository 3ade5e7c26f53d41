"""What EasyLLM's prompt tests ask of its `prompt_utils`, asked of `langchain_easyllm.prompts`."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from langchain_easyllm import prompts

# builder: (of the string "Hello!", of a system and a user message, its name in an error)
ASKED = {
    "llama2": (
        "<s>[INST] Hello! [/INST]",
        "<s>[INST] <<SYS>>\nYou are a chat bot.\n<</SYS>>\n\nHello! [/INST]",
        "Llama 2",
    ),
    "vicuna": (
        "\n\nUSER: Hello!\nASSISTANT: ",
        "You are a chat bot.\n\nUSER: Hello!\nASSISTANT: ",
        "Vicuna",
    ),
    "chatml_starchat": (
        "<|system|>\n<|end|>\n<|user|>\nHello!<|end|>\n<|assistant|>",
        "<|system|>\nYou are a chat bot.<|end|>\n<|user|>\nHello!<|end|>\n<|assistant|>",
        "HF ChatML",
    ),
    "chatml_falcon": (
        "<|system|>\n<|endoftext|>\n<|user|>\nHello!<|endoftext|>\n<|assistant|>",
        "<|system|>\nYou are a chat bot.<|endoftext|>\n<|user|>\nHello!<|endoftext|>\n"
        "<|assistant|>",
        "HF ChatML",
    ),
    "wizardlm": (
        "USER: Hello! ASSISTANT: ",
        "You are a chat bot. USER: Hello! ASSISTANT: ",
        "WizardLM",
    ),
    "stablebeluga": (
        "### System:\n\n\n### User:\nHello!\n\n### Assistant:",
        "### System:\nYou are a chat bot.\n\n### User:\nHello!\n\n### Assistant:",
        "stablebeluga",
    ),
    "open_assistant": (
        "<|system|></s><|prompter|>Hello!</s><|assistant|>",
        "<|system|>You are a chat bot.</s><|prompter|>Hello!</s><|assistant|>",
        "Open Assistant",
    ),
    "falcon": (
        "System: \nUser: Hello!\nFalcon: ",
        "System: You are a chat bot.\nUser: Hello!\nFalcon: ",
        "falcon",
    ),
    "anthropic": (
        "\n\nHuman: Hello!\n\nAssistant: ",
        "You are a chat bot.\n\nHuman: Hello!\n\nAssistant: ",
        "anthropic",
    ),
}
STOPS = {
    "anthropic": ["\n\nUser:", "User:"],
    "chatml_falcon": ["<|endoftext|>"],
    "chatml_starchat": ["<|end|>"],
    "falcon": ["\nUser:", "<|endoftext|>", " User:", "###"],
    "llama2": ["</s>"],
    "open_assistant": ["</s>"],
    "stablebeluga": ["</s>"],
    "vicuna": ["</s>"],
    "wizardlm": ["</s>"],
}
FORMS = pytest.mark.parametrize("form", [dict, SimpleNamespace])


def builder(name):
    return getattr(prompts, f"build_{name}_prompt")


@pytest.mark.parametrize("name", ASKED)
def test_a_single_message(name):
    assert builder(name)("Hello!") == ASKED[name][0]


@FORMS
@pytest.mark.parametrize("name", ASKED)
def test_several_messages(name, form):
    messages = [
        form(content="You are a chat bot.", role="system"),
        form(content="Hello!", role="user"),
    ]
    assert builder(name)(messages) == ASKED[name][1]


@FORMS
@pytest.mark.parametrize("name", ASKED)
def test_a_function_call(name, form):
    messages = [form(content="Hello!", role="user"), form(content="f()", role="function")]
    with pytest.raises(ValueError, match=f"{ASKED[name][2]} does not support function calls."):
        builder(name)(messages)


@pytest.mark.parametrize("name", ASKED)
def test_stop_sequences(name):
    assert getattr(prompts, f"{name}_stop_sequences") == STOPS[name]
