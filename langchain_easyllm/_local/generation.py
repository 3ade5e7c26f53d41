"""Hooks into transformers' `generate`, which see each token as soon as it is drawn.

They work on tensors without importing torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ContextOverflowError
from .forking import renew_in_children
from .requests import Job, LocalSequence, Token
from .settings import DEFAULT_LIMIT, Limits

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


_DECODE_CONTEXT = 5  # preceding tokens, which decide how a text's first tokens are decoded


class Detokenizer:
    """Decodes tokens one by one, whole characters at a time; the prompt decides the beginning."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt[-_DECODE_CONTEXT:])
        self._start, self._read = 0, len(self._ids)

    def push(self, token: int, *, last: bool = False) -> str:
        """Return the text that a token adds; an incomplete character only with the last token."""
        self._ids.append(token)
        before = self._decoded(self._ids[self._start : self._read])
        after = self._decoded(self._ids[self._start :])
        if len(after) <= len(before) or (after.endswith("\ufffd") and not last):
            return ""
        self._start, self._read = self._read, len(self._ids)
        return after[len(before) :]

    def _decoded(self, ids: Sequence[int]) -> str:
        text = self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)


@dataclass(slots=True)
class RunningSequence:
    """A sequence in the batch that the model is generating."""

    sequence: LocalSequence
    text: str  # the prompt, truncated
    prompt: Sequence[int]  # its token ids
    limit: int  # maximum number of new tokens
    detokenizer: Detokenizer
    count: int = 0  # of its new tokens
    done: bool = False


def prepare(
    sequence: LocalSequence, tokenizer: PreTrainedTokenizerBase, limits: Limits
) -> RunningSequence:
    """Tokenize a prompt and check that it fits into the model's context with its answer."""
    text = sequence.prompt
    if sequence.job.truncate is not None:
        text = _last_tokens(text, sequence.job.truncate, tokenizer)
    prompt = tokenizer(text)["input_ids"]
    wanted = sequence.job.limit or limits.new_tokens
    room = None if limits.context is None else limits.context - len(prompt)
    least = max(wanted or 1, sequence.job.least)
    if room is not None and room < least:
        answer = f" and the answer may have {least}" if least > 1 else ""
        raise ContextOverflowError(
            f"The prompt has {len(prompt)} tokens{answer}, and the model takes {limits.context} "
            "together: shorten the prompt (truncate cuts it), or lower max_tokens."
        )
    limit = wanted or min(DEFAULT_LIMIT, DEFAULT_LIMIT if room is None else room)
    limit = max(limit, sequence.job.least)
    return RunningSequence(sequence, text, prompt, limit, Detokenizer(tokenizer, prompt))


def _last_tokens(text: str, count: int, tokenizer: PreTrainedTokenizerBase) -> str:
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    return text if len(offsets) <= count else text[offsets[-count][0] :]


class Progress:
    """A stopping criterion, called after each token, through which sequences emit their tokens.

    Stop sequences are looked for in the answer alone: a prompt may hold one, or its beginning.
    `width` is the number of tokens of the padded prompts.
    """

    def __init__(
        self,
        sequences: Sequence[RunningSequence],
        tokenizer: PreTrainedTokenizerBase,
        job: Job,
        ends: frozenset[int],
        stops: Callable[[torch.LongTensor, object], torch.BoolTensor] | None,
    ) -> None:
        self._sequences = sequences
        self._tokenizer = tokenizer
        self._job = job
        self._ends = ends
        self._stops = stops
        self.width = max(len(sequence.prompt) for sequence in sequences)

    def __call__(
        self, input_ids: torch.LongTensor, scores: tuple[torch.FloatTensor, ...] | None
    ) -> torch.BoolTensor:
        fresh = input_ids[:, self.width :]
        stopped = self._stops(fresh, scores).tolist() if self._stops else None
        tokens = fresh[:, -1].tolist()
        logprobs = scores[-1].float().log_softmax(-1) if scores else None
        for index, sequence in enumerate(self._sequences):
            if not sequence.done:
                reason = self._finish_reason(sequence, tokens[index], stopped and stopped[index])
                row = None if logprobs is None else logprobs[index]
                self._emit(sequence, tokens[index], reason, row)
        return input_ids.new_tensor([sequence.done for sequence in self._sequences]).bool()

    def finish(self) -> None:
        """End the sequences at which the model stopped by itself."""
        for running in self._sequences:
            if not running.done:
                running.done = True
                running.sequence.emit(Token(-1, "", reason="length"))

    def _finish_reason(
        self, running: RunningSequence, token: int, stopped: bool | None
    ) -> str | None:
        running.count += 1
        if token in self._ends:
            return "eos_token"
        if stopped:
            return "stop_sequence"
        return "length" if running.count >= running.limit else None

    def _emit(
        self,
        running: RunningSequence,
        token: int,
        reason: str | None,
        logprobs: torch.Tensor | None,
    ) -> None:
        running.done = reason is not None or running.sequence.cancelled
        text = "" if reason == "eos_token" else running.detokenizer.push(token, last=bool(reason))
        logprob: float | None = None
        top: tuple[tuple[str, float], ...] = ()
        if logprobs is not None:
            logprob, top = logprobs[token].item(), self._top(logprobs)
        running.sequence.emit(Token(token, text, logprob, top, reason))

    def _top(self, logprobs: torch.Tensor) -> tuple[tuple[str, float], ...]:
        if not self._job.top:
            return ()
        values, tokens = logprobs.topk(self._job.top)
        pairs = zip(tokens.tolist(), values.tolist(), strict=True)
        possible = ((token, value) for token, value in pairs if value > float("-inf"))
        return tuple((str(self._tokenizer.decode([token])), value) for token, value in possible)


class Penalties:
    """A logits processor: OpenAI's penalties for tokens that the answer has already."""

    def __init__(self, job: Job, width: int) -> None:
        self._job = job
        self._width = width

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        answer = input_ids[:, self._width :]
        counts = scores.new_zeros(scores.shape)
        counts.scatter_add_(1, answer, scores.new_ones(answer.shape))
        penalty = self._job.frequency_penalty * counts
        return scores - penalty - self._job.presence_penalty * (counts > 0)


class _RNGUsers:
    """The number of generations that use the process's random number generators."""

    def renew(self) -> None:
        self.changed = threading.Condition()
        self.count = 0


_rng_users = _RNGUsers()
renew_in_children(_rng_users)


@contextmanager
def rng_scope(seed: int | None, device: torch.device) -> Iterator[None]:
    """Generate with the process's random number generators, seeded for as long as it takes.

    Without a seed, several models may use them at once. With one, they are used alone, so that the
    answer depends on nothing else, and get their former state back. Each GPU has one of its own.
    """
    if seed is None:
        with _rng_users.changed:
            _rng_users.count += 1
        try:
            yield
        finally:
            with _rng_users.changed:
                _rng_users.count -= 1
                _rng_users.changed.notify_all()
        return
    import torch  # noqa: PLC0415 - heavy

    with _rng_users.changed:
        _rng_users.changed.wait_for(lambda: _rng_users.count == 0)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
