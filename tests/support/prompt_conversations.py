"""Conversations for the prompt tests."""

from __future__ import annotations

from hypothesis import strategies as st

from langchain_easyllm.prompts import get_prompt

FAMILIES = """
    chatml command-r7b deepseek-llm deepseek-v3.1 gemma-2 gemma-3 glm-4.5 gpt-oss granite-3.3
    kimi-k2 lfm2 llama2 llama3 llama3.1 llama4 minimax-m2 mistral-nemo mistral-small-3 mistral-v0.1
    mistral-v0.3 openchat phi-3 phi-3.5 phi-4 phi-4-mini qwen2 qwen2.5 qwen3 qwen3-coder
    qwen3-instruct-2507 qwen3-thinking-2507 smollm2 smollm3 vicuna zephyr
"""
EASYLLM = "anthropic chatml_falcon chatml_starchat falcon open_assistant stablebeluga wizardlm"
FAMILIES, EASYLLM = FAMILIES.split(), EASYLLM.split()

SPACES = ["", " ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff", "\x85", "\u2028"]

words = st.sampled_from(["", "Hi", "two words", "안녕", "🌤️", "{{ x }}", "a\n\nb", '"q"', "&amp;"])
spaces = st.sampled_from(SPACES)
contents = st.tuples(spaces, words, spaces).map("".join)


def conversations(roles: str = "user assistant system", max_size: int = 7):
    """Lists of (role, content) pairs in any order."""
    pair = st.tuples(st.sampled_from(roles.split()), contents)
    return st.lists(pair, min_size=1, max_size=max_size)


def on_a_day(name):
    """Arguments that make the text of a dated template the same on every day."""
    dated = "date" in get_prompt(name).switches and name != "llama3.1"
    return {"date": "2031-05-09"} if dated else {}


def as_dicts(pairs):
    return [{"role": role, "content": content} for role, content in pairs]
