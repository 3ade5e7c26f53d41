"""Questions to the bundled language model, in the formats it was trained on."""

from __future__ import annotations

from langchain_easyllm.offline.language_model import GREEDY, LanguageModel, Token
from langchain_easyllm.offline.sampling import Sampling
from langchain_easyllm.prompts import get_prompt

FORMATS = ("llama2", "zephyr", "phi-3")


def prompt_of(question: str, style: str = "zephyr", system: str | None = None) -> list[int]:
    """Return the token ids of a question."""
    messages = [("system", system)] * bool(system) + [("user", question)]
    text = get_prompt(style).render(messages)
    return [token.id for token in LanguageModel.load().encode(text)]


def tokens_of(
    question: str,
    style: str = "zephyr",
    sampling: Sampling = GREEDY,
    *,
    max_new_tokens: int = 120,
    **settings,
) -> list[Token]:
    """Return the tokens of an answer."""
    prompt = prompt_of(question, style)
    model = LanguageModel.load()
    return [*model.generate(prompt, sampling, max_new_tokens=max_new_tokens, **settings)]


def text_of(tokens: list[Token]) -> str:
    """Return the text that tokens make, without special tokens."""
    return "".join(token.text for token in tokens if not token.special)


def answer_of(question: str, style: str = "zephyr", **settings) -> str:
    """Return an answer's text."""
    return text_of(tokens_of(question, style, **settings)).strip()
