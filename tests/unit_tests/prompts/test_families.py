"""The official renderings, each written out by hand from the family's own template."""

from __future__ import annotations

import pytest

from langchain_easyllm.prompts import PROMPT_MAPPING, get_prompt

from ...support.cases import each_case
from ...support.prompt_conversations import EASYLLM, FAMILIES, on_a_day

CHAT = [("system", "S"), ("user", "A"), ("assistant", "B"), ("user", "C")]
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
H = "<|start_header_id|>{}<|end_header_id|>\n\n".format
H4 = "<|header_start|>{}<|header_end|>\n\n".format
R = "<|start_of_role|>{}<|end_of_role|>".format
C = "<|START_OF_TURN_TOKEN|><|{}_TOKEN|>".format
DATED = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"


def turns(before, after, roles=("system", "user", "assistant", "user")):
    return "".join(
        before.replace("{}", role) + text + after for role, text in zip(roles, "SABC", strict=True)
    )


RENDERED = {
    "llama2": "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nA [/INST] B </s><s>[INST] C [/INST]",
    "llama3": "<|begin_of_text|>" + turns(H("{}"), "<|eot_id|>") + H("assistant"),
    "llama3.1": (
        f"<|begin_of_text|>{H('system')}{DATED}S<|eot_id|>{H('user')}A<|eot_id|>"
        f"{H('assistant')}B<|eot_id|>{H('user')}C<|eot_id|>{H('assistant')}"
    ),
    "zephyr": turns("<|{}|>\n", "</s>\n") + "<|assistant|>\n",
    "phi-3": turns("<|{}|>\n", "<|end|>\n") + "<|assistant|>\n",
    "phi-3.5": turns("<|{}|>\n", "<|end|>\n") + "<|assistant|>\n",
    "phi-4": turns("<|im_start|>{}<|im_sep|>", "<|im_end|>") + "<|im_start|>assistant<|im_sep|>",
    "mistral-v0.1": "<s> [INST] S\n\nA [/INST] B</s> [INST] C [/INST]",
    "mistral-v0.3": "<s>[INST] A[/INST] B</s>[INST] S\n\nC[/INST]",
    "mistral-nemo": "<s>[INST]A[/INST]B</s>[INST]S\n\nC[/INST]",
    "gemma-3": (
        "<bos><start_of_turn>user\nS\n\nA<end_of_turn>\n<start_of_turn>model\nB<end_of_turn>\n"
        "<start_of_turn>user\nC<end_of_turn>\n<start_of_turn>model\n"
    ),
    "chatml": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "qwen2": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "qwen2.5": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "smollm2": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "openchat": (
        "<s>GPT4 Correct System: S<|end_of_turn|>GPT4 Correct User: A<|end_of_turn|>"
        "GPT4 Correct Assistant: B<|end_of_turn|>GPT4 Correct User: C<|end_of_turn|>"
        "GPT4 Correct Assistant:"
    ),
    "deepseek-llm": (
        "<｜begin▁of▁sentence｜>S\n\nUser: A\n\nAssistant: B<｜end▁of▁sentence｜>"
        "User: C\n\nAssistant:"
    ),
    "vicuna": "S USER: A ASSISTANT: B</s>USER: C ASSISTANT:",
    "qwen3": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "qwen3-instruct-2507": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "qwen3-thinking-2507": (
        turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n<think>\n"
    ),
    "qwen3-coder": turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n",
    "llama4": "<|begin_of_text|>" + turns(H4("{}"), "<|eot|>") + H4("assistant"),
    "gpt-oss": (
        "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
        "Knowledge cutoff: 2024-06\nCurrent date: 2031-05-09\n\nReasoning: medium\n\n"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message."
        "<|end|><|start|>developer<|message|># Instructions\n\nS\n\n<|end|>"
        "<|start|>user<|message|>A<|end|><|start|>assistant<|channel|>final<|message|>B<|end|>"
        "<|start|>user<|message|>C<|end|><|start|>assistant"
    ),
    "smollm3": (
        "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n"
        "Today Date: 09 May 2031\nReasoning Mode: /think\n\n## Custom Instructions\n\nS\n\n"
        "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n"
        "<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\n"
    ),
    "mistral-small-3": "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]A[/INST]B</s>[INST]C[/INST]",
    "deepseek-v3.1": (
        "<｜begin▁of▁sentence｜>S<｜User｜>A<｜Assistant｜></think>B<｜end▁of▁sentence｜>"
        "<｜User｜>C<｜Assistant｜></think>"
    ),
    "glm-4.5": (
        "[gMASK]<sop><|system|>\nS<|user|>\nA<|assistant|>\n<think></think>\nB<|user|>\nC"
        "<|assistant|>"
    ),
    "kimi-k2": (
        "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|>A<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>B<|im_end|><|im_user|>user<|im_middle|>C<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>"
    ),
    "granite-3.3": turns(R("{}"), "<|end_of_text|>\n") + R("assistant"),
    "command-r7b": (
        f"{C('SYSTEM')}S<|END_OF_TURN_TOKEN|>{C('USER')}A<|END_OF_TURN_TOKEN|>"
        f"{C('CHATBOT')}<|START_RESPONSE|>B<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"
        f"{C('USER')}C<|END_OF_TURN_TOKEN|>{C('CHATBOT')}<|START_RESPONSE|>"
    ),
    "phi-4-mini": turns("<|{}|>", "<|end|>") + "<|assistant|>",
    "minimax-m2": (
        turns("]~b]{}\n", "[e~[\n", ("system", "user", "ai", "user")).join(["]~!b[", "]~b]ai\n"])
        + "<think>\n"
    ),
    "lfm2": (
        "<|startoftext|>" + turns("<|im_start|>{}\n", "<|im_end|>\n") + "<|im_start|>assistant\n"
    ),
    "chatml_falcon": turns("<|{}|>\n", "<|endoftext|>\n") + "<|assistant|>",
    "chatml_starchat": turns("<|{}|>\n", "<|end|>\n") + "<|assistant|>",
    "open_assistant": (
        "<|system|>S</s><|prompter|>A</s><|assistant|>B</s><|prompter|>C</s><|assistant|>"
    ),
    "stablebeluga": (
        "### System:\nS\n\n### User:\nA\n\n### Assistant:\nB\n\n### User:\nC\n\n### Assistant:"
    ),
    "wizardlm": "S USER: A ASSISTANT: B USER: C ASSISTANT: ",
    "falcon": "System: S\nUser: A\nFalcon: B\nUser: C\nFalcon: ",
    "anthropic": "S\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant: ",
}


@each_case("name", RENDERED)
@each_case("mode", [{}, {"roles": "strict", "special_tokens": "allow"}])
def test_a_plain_chat(name, mode):
    assert get_prompt(name).render(CHAT, **on_a_day(name), **mode) == RENDERED[name]


def test_every_name_but_gemma_2_which_has_no_system_role_is_covered():
    assert sorted(RENDERED) == sorted({*FAMILIES, *EASYLLM} - {"gemma-2"})


@pytest.mark.parametrize(
    ("alias", "name"), [("phi3", "phi-3"), ("mistral", "mistral-v0.3"), ("gemma", "gemma-2")]
)
def test_aliases(alias, name):
    assert PROMPT_MAPPING[alias] is PROMPT_MAPPING[name]


# What a text is trimmed of, what an empty system text does, who writes a default one, and so on.
DETAILS = [
    ("llama2", [("user", "\u3000 x\u200b \n")], "<s>[INST] x\u200b [/INST]"),
    ("llama2", [("user", "a"), ("assistant", " b ")], "<s>[INST] a [/INST] b </s>"),
    (
        "llama2",
        [("system", " s "), ("user", "  u  ")],
        "<s>[INST] <<SYS>>\n s \n<</SYS>>\n\n  u [/INST]",
    ),
    ("llama2", [("system", ""), ("user", " ")], "<s>[INST] <<SYS>>\n\n<</SYS>> [/INST]"),
    (
        "llama2",
        [("user", "a"), ("system", "dropped there by the official template"), ("user", "b")],
        "<s>[INST] a [/INST]<s>[INST] b [/INST]",
    ),
    ("mistral-v0.3", [("user", " a "), ("assistant", " b ")], "<s>[INST]  a [/INST] b</s>"),
    ("mistral-nemo", [("user", " a "), ("assistant", " b ")], "<s>[INST] a [/INST] b </s>"),
    ("mistral-v0.1", [("user", " a "), ("assistant", " b ")], "<s> [INST]  a  [/INST]  b </s>"),
    (
        "gemma-3",
        [("system", " s "), ("user", " u ")],
        "<bos><start_of_turn>user\n s \n\nu<end_of_turn>\n<start_of_turn>model\n",
    ),
    (
        "gemma-2",
        [("user", " u "), ("system", "s"), ("user", "v")],
        "<bos><start_of_turn>user\nu<end_of_turn>\n<start_of_turn>system\ns<end_of_turn>\n"
        "<start_of_turn>user\nv<end_of_turn>\n<start_of_turn>model\n",
    ),
    (
        "qwen2",
        [("user", "u")],
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n",
    ),
    (
        "qwen2.5",
        [("system", ""), ("user", "u")],
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n",
    ),
    ("chatml", [("user", "u")], "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"),
    ("phi-3", [("system", "")], "<|system|>\n<|end|>\n<|assistant|>\n"),
    ("phi-3.5", [("system", "")], "<|assistant|>\n"),
    (
        "llama3.1",
        [("user", " u ")],
        f"<|begin_of_text|>{H('system')}{DATED}<|eot_id|>{H('user')}u<|eot_id|>{H('assistant')}",
    ),
    ("vicuna", [("user", "a"), ("user", "b")], f"{VICUNA} USER: a USER: b</s>ASSISTANT:"),
    ("vicuna", [("user", "a"), ("system", "s"), ("user", "")], "s USER: a USER:ASSISTANT:"),
    ("wizardlm", [("system", " "), ("user", "u")], "USER: u ASSISTANT: "),
]


@each_case(("name", "messages", "expected"), DETAILS)
@each_case("roles", ["fold", "strict"])
def test_details(name, messages, expected, roles):
    assert get_prompt(name).render(messages, roles=roles) == expected


@each_case(
    ("name", "end"),
    [
        ("llama2", " [/INST]"),
        ("llama3", "<|eot_id|>"),
        ("zephyr", "</s>\n"),
        ("phi-3", "<|end|>\n<|endoftext|>"),
        ("phi-3.5", "<|end|>\n<|endoftext|>"),
        ("phi-4", "<|im_end|>"),
        ("gemma-3", "<end_of_turn>\n"),
        ("qwen2.5", "<|im_end|>\n"),
        ("deepseek-llm", "\n\n"),
        ("vicuna", "USER: C "),
        ("falcon", "User: C\n"),
        ("mistral-small-3", "[INST]C[/INST]"),
        ("granite-3.3", "<|end_of_text|>\n"),
        ("command-r7b", "<|END_OF_TURN_TOKEN|>"),
        ("phi-4-mini", "<|end|><|endoftext|>"),
        ("lfm2", "<|im_end|>\n"),
        ("qwen3", "<|im_end|>\n"),
        ("qwen3-thinking-2507", "<|im_end|>\n"),
        ("llama4", "<|eot|>"),
        ("gpt-oss", "<|end|>"),
        ("smollm3", "<|im_end|>\n"),
        ("deepseek-v3.1", "<｜User｜>C"),
        ("glm-4.5", "<|user|>\nC"),
        ("kimi-k2", "<|im_end|>"),
        ("minimax-m2", "[e~[\n"),
    ],
)
def test_without_a_generation_prompt(name, end):
    text = get_prompt(name).render(CHAT, add_generation_prompt=False)
    assert text.endswith(("C" + end, end))
    assert not text.endswith(RENDERED[name][-9:]) or name in ("llama2", "mistral-small-3")


BOS = {
    "llama2": "<s>",
    "llama3": "<|begin_of_text|>",
    "llama3.1": "<|begin_of_text|>",
    "mistral-v0.1": "<s>",
    "mistral-v0.3": "<s>",
    "mistral-nemo": "<s>",
    "gemma-2": "<bos>",
    "gemma-3": "<bos>",
    "openchat": "<s>",
    "deepseek-llm": "<｜begin▁of▁sentence｜>",
    "deepseek-v3.1": "<｜begin▁of▁sentence｜>",
    "lfm2": "<|startoftext|>",
    "llama4": "<|begin_of_text|>",
    "mistral-small-3": "<s>",
}


@each_case("name", [*FAMILIES, *EASYLLM])
def test_bos_says_how_the_string_begins(name):
    prompt = get_prompt(name)
    assert prompt.bos == BOS.get(name)
    assert prompt.bos is None or prompt.render("Hi").startswith(prompt.bos)
    assert prompt.bos is not None or not prompt.render("Hi").startswith((*BOS.values(),))


STOPS = {
    "llama2": ("</s>",),
    "llama3": ("<|eot_id|>", "<|end_of_text|>"),
    "llama3.1": ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>"),
    "zephyr": ("</s>",),
    "phi-3": ("<|end|>", "<|endoftext|>"),
    "phi-4": ("<|im_end|>", "<|endoftext|>"),
    "mistral": ("</s>",),
    "gemma": ("<end_of_turn>", "<eos>"),
    "chatml": ("<|im_end|>",),
    "qwen2.5": ("<|im_end|>", "<|endoftext|>"),
    "smollm2": ("<|im_end|>", "<|endoftext|>"),
    "openchat": ("<|end_of_turn|>",),
    "deepseek-llm": ("<｜end▁of▁sentence｜>",),
    "vicuna": ("</s>",),
    "qwen3": ("<|im_end|>", "<|endoftext|>"),
    "qwen3-instruct-2507": ("<|im_end|>", "<|endoftext|>"),
    "qwen3-thinking-2507": ("<|im_end|>", "<|endoftext|>"),
    "qwen3-coder": ("<|im_end|>", "<|endoftext|>"),
    "llama4": ("<|eot|>", "<|end_of_text|>", "<|eom|>"),
    "gpt-oss": ("<|return|>", "<|call|>"),
    "smollm3": ("<|im_end|>",),
    "mistral-small-3": ("</s>",),
    "deepseek-v3.1": ("<｜end▁of▁sentence｜>",),
    "glm-4.5": ("<|user|>", "<|observation|>", "<|endoftext|>"),
    "kimi-k2": ("<|im_end|>", "[EOS]"),
    "granite-3.3": ("<|end_of_text|>",),
    "command-r7b": ("<|END_OF_TURN_TOKEN|>", "<|END_RESPONSE|>"),
    "phi-4-mini": ("<|end|>", "<|endoftext|>"),
    "minimax-m2": ("[e~[",),
    "lfm2": ("<|im_end|>", "<|endoftext|>"),
    "falcon": ("\nUser:", "<|endoftext|>", " User:", "###"),
    "anthropic": ("\n\nUser:", "User:"),
}


@each_case(("name", "stop"), STOPS.items())
def test_stops(name, stop):
    assert get_prompt(name).stop == stop
