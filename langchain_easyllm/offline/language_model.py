"""A language model: text to tokens, tokens to an answer, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ..errors import ConfigurationError, ContextOverflowError
from ..prompts import PROMPT_MAPPING
from ._extra import needs_extra
from .checkpoint import Checkpoint
from .constraint import Constraint, Guide
from .known_models import check_name, read_checkpoint
from .limits import MODELS
from .llama import Llama
from .loading import loading
from .sampling import Sampler, Sampling, log_softmax
from .tokenizing import Detokenizer, TokenText, encoded, token_bytes

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

GREEDY = Sampling()
_LOGITS = 128  # positions of a prompt whose logits are held at once, a number for each token


@dataclass(frozen=True, slots=True)
class Token:
    id: int
    text: str  # empty while a character is incomplete; of a special token not part of the answer
    logprob: float
    special: bool
    top: tuple[tuple[int, str, float], ...] = ()  # (id, text, logprob) of the likeliest, descending
    finish_reason: str | None = None  # of the last token: "length", "eos_token", "stop_sequence"


class LanguageModel:
    """A model and its tokenizer. Any number of threads may use one at once."""

    def __init__(self, files: Checkpoint) -> None:
        self.name = files.name
        self.prompt = PROMPT_MAPPING[files.prompt]
        self.chat_template = files.chat_template
        self.eos_ids = files.eos_ids
        self._spelled = files.tokenizer
        self._tokenizer = Tokenizer.from_str(self._spelled)
        self._llama = Llama(files.config, files.tensors)
        self.context: int = self._llama.context
        self._special = frozenset(self._tokenizer.get_added_tokens_decoder())
        self._bytes = token_bytes(self._tokenizer.get_vocab(), tuple(self._special))
        self.vocab_size = len(self._bytes)
        self.bos_token = self._spelling(files.bos_id)
        self.eos_token = self._spelling(files.eos_ids[0])
        self._starts: list[int] = self._tokenizer.encode("").ids  # what every text begins with

    @classmethod
    def load(cls, model: str = MODELS[0]) -> LanguageModel:
        """Return a model by its name, read once in a process."""
        check_name(model)
        with loading():
            return _load(model)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[TokenText]:
        """Return a text's tokens, with those that the model's texts begin with, but only once.

        The spelling of a special token becomes that token.
        """
        tokens = encoded(self._tokenizer, text, add_special_tokens=add_special_tokens)
        if not (add_special_tokens and self._starts):
            return tokens
        count = len(self._starts)
        ids = [token.id for token in tokens[: 2 * count]]
        return tokens[count:] if ids == 2 * self._starts else tokens

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """Return the text of tokens, as `generate` puts it together."""
        text, skipped = Detokenizer(self._bytes), self._special if skip_special_tokens else ()
        return "".join(text.push(token) for token in ids if token not in skipped)

    def spelling(self, token: int) -> bytes:
        """Return what a token stands for, which may be a part of a character."""
        return self._bytes[token]

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
        ending = _Ending(max_new_tokens, tuple(stop), self.eos_ids, sampling.min_tokens)
        return self._answer(tuple(prompt), sampler, ending, top_n, guide)

    def prompt_logprobs(self, prompt: Sequence[int]) -> list[float | None]:
        """Return the logprob of each token of a prompt; None for the first."""
        self._check(prompt)
        hidden = self._llama.hidden(prompt, self._llama.cache(len(prompt)))
        rest = list[float]()
        for start in range(0, len(prompt) - 1, _LOGITS):
            following = prompt[start + 1 : start + 1 + _LOGITS]
            logits = self._llama.logits(hidden[start : start + len(following)])
            logprobs = log_softmax(logits.astype(np.float64))
            rest += logprobs[np.arange(len(following)), list(following)].tolist()
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
    min_tokens: int = 0  # within which no stop sequence ends
    count: int = 0
    tail: str = ""

    def after(self, token: int, text: str) -> str | None:
        self.count += 1
        if self.count == self.max_new_tokens:
            return "length"
        if token in self.eos_ids:
            return "eos_token"
        seen = self.tail + text
        if self.count > self.min_tokens and any(stop in seen for stop in self.stop):
            return "stop_sequence"
        # This may be the beginning of a stop sequence.
        keep = max(map(len, self.stop), default=0) - 1
        self.tail = seen[-keep:] if keep > 0 else ""
        return None


@lru_cache
def _load(model: str) -> LanguageModel:
    return LanguageModel(read_checkpoint(model))
