"""Questions to the bundled language model, in the formats it was trained on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from langchain_easyllm.offline.language_model import GREEDY, LanguageModel, Token
from langchain_easyllm.offline.sampling import Sampling
from langchain_easyllm.prompts import get_prompt

FORMATS = ("llama2", "zephyr", "phi-3", "chatml")


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


@contextmanager
def remembered_answers() -> Iterator[None]:
    """Let the model compute every answer that is sure to be the same only once.

    This is for tests of those that ask it, each in many modes: what it answers has its own tests.
    """
    generate = LanguageModel.generate
    known: dict[Hashable, list[Token]] = {}

    def remembering(
        model: LanguageModel, prompt: Sequence[int], sampling: Sampling = GREEDY, **settings: Any
    ) -> Iterator[Token]:
        fresh = generate(model, prompt, sampling, **settings)  # refuses what cannot be asked
        if settings.get("constraint") or not (sampling.temperature is None or sampling.seed):
            return fresh
        asked = (*prompt,), sampling, *((name, repr(settings[name])) for name in sorted(settings))
        return iter(known[asked]) if asked in known else kept(asked, fresh)

    def kept(asked: Hashable, fresh: Iterator[Token]) -> Iterator[Token]:
        tokens = []
        for token in fresh:
            tokens.append(token)
            yield token
        known[asked] = tokens

    with patch.object(LanguageModel, "generate", remembering):
        yield
