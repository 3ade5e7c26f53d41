"""Choose the next token: penalties, biases, a constraint, then temperature and filters.

The order is that of TGI's `NextTokenChooser`, which has no biases and no min-p; temperature, top-k,
top-p, min-p, typical and the repetition penalty are those of transformers, frequency and presence
penalty are OpenAI's. Like TGI, logprobs are of the distribution that the token was really drawn
from, so after all of these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError
from ._extra import needs_extra

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sampling:
    temperature: float | None = None  # None: the most likely token each time, without filters
    top_k: int | None = None  # the most likely tokens, and those as likely as the last
    top_p: float | None = None  # the fewest tokens whose probabilities add up to this
    # The tokens nearest to the expected information, up to this mass
    # (https://arxiv.org/abs/2202.00666).
    typical_p: float | None = None
    # Divides positive and multiplies negative logits of every token that has occurred, in the
    # prompt too (https://arxiv.org/abs/1909.05858).
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0  # taken off a token's logit for each time that the answer has it
    presence_penalty: float = 0.0  # taken off once if the answer has it
    # The tokens that are at least this share as probable as the likeliest
    # (https://arxiv.org/abs/2407.01082).
    min_p: float | None = None
    biases: tuple[tuple[int, float], ...] = ()  # tokens, and what is added to their logits
    min_tokens: int = 0  # the number of tokens before which nothing ends the answer
    seed: int | None = None

    def __post_init__(self) -> None:
        for name, top in _LIMITS.items():
            value: float | None = getattr(self, name)
            if value is not None and not (0 < value <= top and value != math.inf):
                above = "" if math.isinf(top) else f" and at most {top:g}"
                raise ConfigurationError(f"{name} must be above 0{above}, not {value!r}.")
        if self.seed is not None and self.seed < 0:
            raise ConfigurationError(f"seed must not be below 0, not {self.seed}.")


# Numbers that must be above zero, and the most that they may be.
_LIMITS = {
    "temperature": math.inf,
    "top_k": math.inf,
    "top_p": 1.0,
    "typical_p": 1.0,
    "repetition_penalty": math.inf,
    "min_p": 1.0,
}


class Sampler:
    """Chooses the tokens of one answer; the prompt counts for the repetition penalty.

    `ends` are the tokens that end it.
    """

    def __init__(
        self, sampling: Sampling, prompt: Sequence[int], vocab_size: int, ends: Sequence[int] = ()
    ) -> None:
        self._sampling = sampling
        self._ends = list(ends)
        self._bias: Scores | None = None
        if sampling.biases:
            self._bias = np.zeros(vocab_size)
            for token, bias in sampling.biases:
                self._bias[token] = bias
        self._occurred = np.zeros(vocab_size, np.bool_)
        self._occurred[list(prompt)] = True
        self._counts = np.zeros(vocab_size)
        self._random = np.random.default_rng(sampling.seed)

    def choose(self, logits: NDArray[np.float32], allowed: Mask | None) -> tuple[int, Scores]:
        """Return the id of the next token, and the logprob of each token.

        A constraint allows at least one token; None allows all. Where biases and `min_tokens` leave
        no token, they are passed over.
        """
        free = self._penalised(logits.astype(np.float64))
        if allowed is not None:
            free[~allowed] = -np.inf
        biased = self._biased(free)
        scores = free if biased.max() == -np.inf else biased
        logprobs = log_softmax(_warped(scores, self._sampling))
        chosen = self._drawn(logprobs)
        self._occurred[chosen] = True
        self._counts[chosen] += 1
        return chosen, logprobs

    def _penalised(self, scores: Scores) -> Scores:
        sampling = self._sampling
        if sampling.repetition_penalty != 1:
            # Beyond these bounds the only difference is an overflow.
            penalty = min(max(sampling.repetition_penalty, 1e-30), 1e30)
            lowered = np.where(scores < 0, scores * penalty, scores / penalty)
            scores = np.where(self._occurred, lowered, scores)
        scores -= sampling.frequency_penalty * self._counts
        scores -= sampling.presence_penalty * (self._counts > 0)
        return scores

    def _biased(self, scores: Scores) -> Scores:
        if self._bias is not None:
            scores = scores + self._bias
        if self._sampling.min_tokens and self._counts.sum() < self._sampling.min_tokens:
            scores = scores.copy()
            scores[self._ends] = -np.inf
        return scores

    def _drawn(self, logprobs: Scores) -> int:
        if self._sampling.temperature is None:
            return int(logprobs.argmax())
        # The first of exponential clocks of these rates rings by the tokens' probabilities.
        return int((np.exp(logprobs) / self._random.exponential(size=len(logprobs))).argmax())


def log_softmax(scores: Scores) -> Scores:
    """Return the log probabilities of logits, over the last axis."""
    shifted = scores - scores.max(-1, keepdims=True)
    result: Scores = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def _warped(scores: Scores, sampling: Sampling) -> Scores:
    if sampling.temperature is None:
        return scores
    with np.errstate(over="ignore"):  # next to no temperature: all but the best become -inf
        scores = (scores - scores.max()) / sampling.temperature
    for keep, value in (
        (_min_p, sampling.min_p),
        (_top_k, sampling.top_k),
        (_top_p, sampling.top_p),
        (_typical, sampling.typical_p),
    ):
        if value is not None:
            scores = np.where(keep(scores, value), scores, -np.inf)
    return scores


def _min_p(scores: Scores, share: float) -> Mask:
    kept: Mask = scores >= scores.max() + math.log(share)
    return kept


def _top_k(scores: Scores, count: float) -> Mask:
    index = max(len(scores) - int(count), 0)
    kept: Mask = scores >= np.partition(scores, index)[index]
    return kept


def _top_p(scores: Scores, mass: float) -> Mask:
    order = np.argsort(scores, kind="stable")
    kept = np.zeros(len(scores), np.bool_)
    kept[order] = np.exp(log_softmax(scores[order])).cumsum() > 1 - mass
    kept[order[-1]] = True
    return kept


def _typical(scores: Scores, mass: float) -> Mask:
    logprobs = log_softmax(scores)
    shares = np.exp(logprobs)
    finite = np.where(shares > 0, logprobs, 0)
    strangeness = np.abs(-logprobs + (finite * shares).sum())
    order = np.argsort(strangeness, kind="stable")
    before = int((shares[order].cumsum() < mass).sum())
    kept: Mask = strangeness <= strangeness[order[min(before, len(order) - 1)]]
    return kept
