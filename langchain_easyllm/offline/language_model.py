"""The bundled language model: text to tokens, tokens to an answer, one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import cast

from ..errors import ConfigurationError, ContextOverflowError
from ._extra import needs_extra
from .constraint import Constraint, Guide
from .llama import Config, Llama
from .sampling import Sampler, Sampling, log_softmax
from .tokenizing import Detokenizer, TokenText, encoded, token_bytes
from .weights import bundled, read_tensors, read_verified

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

__all__ = ["GREEDY", "LanguageModel", "Sampling", "Token", "TokenText"]

GREEDY = Sampling()
"""Takes the most likely token each time."""

_BOS = "<s>"
_LOADING = Lock()
_ENDS = ("</s>", "<|end|>", "<|endoftext|>")


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer.

    Attributes:
        id: The token's id.
        text: What it adds to the answer: empty while a character is incomplete. A special token
            has its own spelling, which is no part of the answer.
        logprob: Logarithm of the probability that it was drawn with.
        special: Whether it is a special token.
        top: The most likely tokens of that place as (id, text, logprob), likeliest first.
        finish_reason: On the last token only: "length", "eos_token" or "stop_sequence".
    """

    id: int
    text: str
    logprob: float
    special: bool
    top: tuple[tuple[int, str, float], ...] = ()
    finish_reason: str | None = None


class LanguageModel:
    """The model and its tokenizer. Any number of threads may use one at once.

    Args:
        files: Content of `config.json`, `model.safetensors` and `tokenizer.json` by name.

    Attributes:
        name: What servers call it.
        context: How many tokens a prompt and its answer may have together.
        eos_ids: Ids of the tokens that end an answer.
    """

    name = "langchain-easyllm/offline"

    def __init__(self, files: dict[str, bytes]) -> None:
        self._spelled = files["tokenizer.json"].decode("utf-8")
        self._tokenizer = Tokenizer.from_str(self._spelled)
        config = cast("Config", json.loads(files["config.json"]))
        self._llama = Llama(config, read_tensors(files["model.safetensors"]))
        self.context: int = self._llama.context
        self._special = frozenset(self._tokenizer.get_added_tokens_decoder())
        vocabulary = self._tokenizer.get_vocab()
        self._bytes = token_bytes(vocabulary, tuple(self._special))
        self._bos = vocabulary[_BOS]
        self.eos_ids = tuple(vocabulary[end] for end in _ENDS)

    @classmethod
    def load(cls) -> LanguageModel:
        """Return the bundled model, read and verified once in a process.

        Raises:
            ConfigurationError: If a file of it is missing or damaged.
        """
        with _LOADING:
            return _load()

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[TokenText]:
        """Return a text's tokens.

        Args:
            text: Any text; the spelling of a special token becomes that token.
            add_special_tokens: Whether `<s>` is put first, unless the text begins with it.
        """
        tokens = encoded(self._tokenizer, text, add_special_tokens=add_special_tokens)
        ids = [token.id for token in tokens[:2]]
        return tokens[1:] if add_special_tokens and ids == [self._bos, self._bos] else tokens

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of tokens, without special tokens, as `generate` puts it together."""
        text = Detokenizer(self._bytes)
        return "".join(text.push(token) for token in ids if token not in self._special)

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling = GREEDY,
        *,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        top_n: int = 0,
        constraint: Constraint | None = None,
    ) -> Iterator[Token]:
        """Answer a prompt, a token for each `next`; nothing is computed ahead.

        Args:
            prompt: The prompt's token ids, as `encode` gives them.
            sampling: How to choose tokens; the likeliest each time if left out.
            max_new_tokens: The most tokens that the answer may have.
            stop: Texts that end the answer. It ends with the token that completes one, whole.
            top_n: How many of the likeliest tokens to report for each place.
            constraint: What the answer must be.

        Returns:
            The tokens. The last has a finish reason; when several apply, the first of length, end
            token and stop sequence, as TGI has it.

        Raises:
            ConfigurationError: For an empty prompt, an unknown token id or no token to write.
            ContextOverflowError: If prompt and answer do not fit into the context.
            ConstraintError: If the constraint cannot be followed (any further, where it is raised
                by `next`).
        """
        self._check(prompt)
        if max_new_tokens < 1:
            raise ConfigurationError(f"max_new_tokens must be at least 1, not {max_new_tokens}.")
        if len(prompt) + max_new_tokens > self.context:
            raise ContextOverflowError(
                f"The prompt has {len(prompt)} tokens and the answer may have {max_new_tokens}, "
                f"but the model takes {self.context} together: shorten the prompt or lower "
                "max_new_tokens."
            )
        guide = constraint.start(self._spelled, self.eos_ids) if constraint else None
        sampler = Sampler(sampling, prompt, len(self._bytes))
        ending = _Ending(max_new_tokens, tuple(stop), self.eos_ids)
        return self._answer(tuple(prompt), sampler, ending, top_n, guide)

    def prompt_logprobs(self, prompt: Sequence[int]) -> list[float | None]:
        """Return the logprob of each token of a prompt after those before it; None for the first.

        Raises:
            ConfigurationError: For an empty prompt or an unknown token id.
            ContextOverflowError: If it is longer than the context.
        """
        self._check(prompt)
        hidden = self._llama.hidden(prompt, self._llama.cache(len(prompt)))
        logprobs = log_softmax(self._llama.logits(hidden[:-1]).astype(np.float64))
        rest: list[float] = logprobs[np.arange(len(prompt) - 1), list(prompt[1:])].tolist()
        return [None, *rest]

    def _check(self, prompt: Sequence[int]) -> None:
        if not prompt or not 0 <= min(prompt) <= max(prompt) < len(self._bytes):
            raise ConfigurationError(
                f"A prompt is at least one token id below {len(self._bytes)}: encode() gives them."
            )
        if len(prompt) > self.context:
            raise ContextOverflowError(
                f"The prompt has {len(prompt)} tokens, but the model takes {self.context}: "
                "shorten it."
            )

    def _answer(
        self,
        prompt: Sequence[int],
        sampler: Sampler,
        ending: _Ending,
        top_n: int,
        guide: Guide | None,
    ) -> Iterator[Token]:
        cache = self._llama.cache(len(prompt) + ending.max_new_tokens)
        text = Detokenizer(self._bytes)
        fresh, reason = prompt, None
        while reason is None:
            logits = self._llama.logits(self._llama.hidden(fresh, cache)[-1])
            token, logprobs = sampler.choose(logits, guide.allowed() if guide else None)
            if guide:
                guide.accept(token)
            special = token in self._special
            piece = self._spelling(token) if special else text.push(token)
            reason = ending.after(token, piece)
            top = self._top(logprobs, top_n)
            yield Token(token, piece, float(logprobs[token]), special, top, reason)
            fresh = [token]

    def _spelling(self, token: int) -> str:
        return self._bytes[token].decode("utf-8", "replace")

    def _top(self, logprobs: NDArray[np.float64], count: int) -> tuple[tuple[int, str, float], ...]:
        if not count:  # sorting the vocabulary takes a tenth of a token's time
            return ()
        best = np.argsort(-logprobs, kind="stable")[:count].tolist()
        return tuple(
            (token, self._spelling(token), float(logprobs[token]))
            for token in best
            if logprobs[token] > -np.inf
        )


@dataclass(slots=True)
class _Ending:
    """Tells when an answer ends."""

    max_new_tokens: int
    stop: Sequence[str]
    eos_ids: Sequence[int]
    count: int = 0
    tail: str = ""

    def after(self, token: int, text: str) -> str | None:
        """Return why the answer ends with this token; None if it goes on."""
        self.count += 1
        if self.count == self.max_new_tokens:
            return "length"
        if token in self.eos_ids:
            return "eos_token"
        seen = self.tail + text
        if any(stop in seen for stop in self.stop):
            return "stop_sequence"
        # What may still be the beginning of a stop sequence.
        keep = max(map(len, self.stop), default=0) - 1
        self.tail = seen[-keep:] if keep > 0 else ""
        return None


@lru_cache(maxsize=1)
def _load() -> LanguageModel:
    return LanguageModel(read_verified(bundled("chat")))
