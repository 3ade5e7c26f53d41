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

GREEDY = Sampling()
_BOS = "<s>"
_LOADING = Lock()
_ENDS = ("</s>", "<|end|>", "<|endoftext|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
class Token:
    id: int
    text: str  # empty while a character is incomplete; of a special token not part of the answer
    logprob: float
    special: bool
    top: tuple[tuple[int, str, float], ...] = ()  # (id, text, logprob) of the likeliest, descending
    finish_reason: str | None = None  # of the last token: "length", "eos_token", "stop_sequence"


class LanguageModel:
    """The model and its tokenizer. Any number of threads may use one at once.

    It is made of the content of `config.json`, `model.safetensors` and `tokenizer.json` by name.
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
        self.vocab_size = len(self._bytes)
        self.eos_ids = tuple(vocabulary[end] for end in _ENDS)

    @classmethod
    def load(cls) -> LanguageModel:
        """Return the bundled model, read and verified once in a process."""
        with _LOADING:
            return _load()

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[TokenText]:
        """Return a text's tokens, with `<s>` first, unless the text begins with it.

        The spelling of a special token becomes that token.
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

        The answer ends with the complete token that completes a stop sequence. The last token has a
        finish reason; when several apply, the first of length, end token and stop sequence, as with
        TGI. `top_n` of the likeliest tokens are reported at each position. A constraint that cannot
        be followed any further is a `ConstraintError` of `next`.
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
        sampler = Sampler(sampling, prompt, self.vocab_size, self.eos_ids)
        ending = _Ending(max_new_tokens, tuple(stop), self.eos_ids)
        return self._answer(tuple(prompt), sampler, ending, top_n, guide)

    def prompt_logprobs(self, prompt: Sequence[int]) -> list[float | None]:
        """Return the logprob of each token of a prompt; None for the first."""
        self._check(prompt)
        hidden = self._llama.hidden(prompt, self._llama.cache(len(prompt)))
        logprobs = log_softmax(self._llama.logits(hidden[:-1]).astype(np.float64))
        rest: list[float] = logprobs[np.arange(len(prompt) - 1), list(prompt[1:])].tolist()
        return [None, *rest]

    def _check(self, prompt: Sequence[int]) -> None:
        if not prompt or not 0 <= min(prompt) <= max(prompt) < self.vocab_size:
            raise ConfigurationError(
                f"A prompt is at least one token id below {self.vocab_size}: encode() gives them."
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
            added = self._spelling(token) if special else text.push(token)
            reason = ending.after(token, added)
            top = self._top(logprobs, top_n)
            yield Token(token, added, float(logprobs[token]), special, top, reason)
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
    max_new_tokens: int
    stop: Sequence[str]
    eos_ids: Sequence[int]
    count: int = 0
    tail: str = ""

    def after(self, token: int, text: str) -> str | None:
        self.count += 1
        if self.count == self.max_new_tokens:
            return "length"
        if token in self.eos_ids:
            return "eos_token"
        seen = self.tail + text
        if any(stop in seen for stop in self.stop):
            return "stop_sequence"
        # This may be the beginning of a stop sequence.
        keep = max(map(len, self.stop), default=0) - 1
        self.tail = seen[-keep:] if keep > 0 else ""
        return None


@lru_cache(maxsize=1)
def _load() -> LanguageModel:
    return LanguageModel(read_verified(bundled("chat")))
