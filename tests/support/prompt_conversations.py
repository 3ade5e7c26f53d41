"""Conversations for the prompt tests."""

from __future__ import annotations

from hypothesis import strategies as st

FAMILIES = """
    chatml deepseek-llm gemma-2 gemma-3 llama2 llama3 llama3.1 mistral-nemo mistral-v0.1
    mistral-v0.3 openchat phi-3 phi-3.5 phi-4 qwen2 qwen2.5 smollm2 vicuna zephyr
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


def as_dicts(pairs):
    return [{"role": role, "content": content} for role, content in pairs]
