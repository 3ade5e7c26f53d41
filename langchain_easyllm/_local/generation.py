"""What happens inside of transformers' `generate`: each token is seen as soon as it is drawn.

Tensors come in and go out; torch itself need not be imported for what is done with them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ContextOverflowError
from .forking import renew_in_children
from .requests import Job, Row, Token
from .settings import DEFAULT_LIMIT, Limits

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

__all__ = ["Answering", "Penalties", "Progress", "prepare", "rng_scope"]


_CONTEXT = 5
"""How many tokens before a text decide how its first ones are written."""


class Detokenizer:
    """Turns tokens into text as they come, whole characters at a time.

    Args:
        tokenizer: The model's.
        prompt: Ids of the prompt's tokens, whose last ones decide how the answer begins.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt[-_CONTEXT:])
        self._start, self._read = 0, len(self._ids)

    def push(self, token: int, *, last: bool = False) -> str:
        """Return what a token adds; of an incomplete character nothing, unless it is the last."""
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
class Answering:
    """One row on its way through the model.

    Attributes:
        row: The row.
        text: The prompt as it goes in.
        prompt: Ids of its tokens.
        limit: Most new tokens.
        detokenizer: Writes its tokens.
        count: How many tokens it has.
        done: Whether it is complete, or nobody waits for it.
    """

    row: Row
    text: str
    prompt: Sequence[int]
    limit: int
    detokenizer: Detokenizer
    count: int = 0
    done: bool = False


def prepare(row: Row, tokenizer: PreTrainedTokenizerBase, limits: Limits) -> Answering:
    """Measure a prompt.

    Raises:
        ContextOverflowError: If prompt and answer do not fit into the model's context.
    """
    text = row.prompt
    if row.job.truncate is not None:
        text = _last_tokens(text, row.job.truncate, tokenizer)
    prompt = tokenizer(text)["input_ids"]
    wanted = row.job.limit or limits.new_tokens
    room = None if limits.context is None else limits.context - len(prompt)
    if room is not None and room < (wanted or 1):
        answer = f" and the answer may have {wanted}" if wanted else ""
        raise ContextOverflowError(
            f"The prompt has {len(prompt)} tokens{answer}, and the model takes {limits.context} "
            "together: shorten the prompt (truncate cuts it), or lower max_tokens."
        )
    limit = wanted or min(DEFAULT_LIMIT, DEFAULT_LIMIT if room is None else room)
    return Answering(row, text, prompt, limit, Detokenizer(tokenizer, prompt))


def _last_tokens(text: str, count: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the end of a text that its last tokens make."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    return text if len(offsets) <= count else text[offsets[-count][0] :]


class Progress:
    """A stopping criterion that tells each row of its tokens.

    It is asked after each token. Stop sequences are looked for in the answer alone: a prompt may
    hold one, or its beginning.

    Args:
        answers: The rows, in the order of the batch.
        tokenizer: The model's.
        job: What they have in common.
        ends: Ids of the tokens that end an answer.
        stops: transformers' own criterion for stop sequences, if there are any.

    Attributes:
        width: How many tokens the padded prompts have.
    """

    def __init__(
        self,
        answers: Sequence[Answering],
        tokenizer: PreTrainedTokenizerBase,
        job: Job,
        ends: frozenset[int],
        stops: Callable[[torch.LongTensor, object], torch.BoolTensor] | None,
    ) -> None:
        self._answers = answers
        self._tokenizer = tokenizer
        self._job = job
        self._ends = ends
        self._stops = stops
        self.width = max(len(answer.prompt) for answer in answers)

    def __call__(
        self, input_ids: torch.LongTensor, scores: tuple[torch.FloatTensor, ...] | None
    ) -> torch.BoolTensor:
        """Return which rows are done."""
        fresh = input_ids[:, self.width :]
        stopped = self._stops(fresh, scores).tolist() if self._stops else None
        tokens = fresh[:, -1].tolist()
        logprobs = scores[-1].float().log_softmax(-1) if scores else None
        for number, answer in enumerate(self._answers):
            if not answer.done:
                reason = self._reason(answer, tokens[number], stopped and stopped[number])
                row = None if logprobs is None else logprobs[number]
                self._tell(answer, tokens[number], reason, row)
        return input_ids.new_tensor([answer.done for answer in self._answers]).bool()

    def finish(self) -> None:
        """Tell rows of the end that the model came to by itself."""
        for answer in self._answers:
            if not answer.done:
                answer.done = True
                answer.row.emit(Token(-1, "", reason="length"))

    def _reason(self, answer: Answering, token: int, stopped: bool | None) -> str | None:
        answer.count += 1
        if token in self._ends:
            return "eos_token"
        if stopped:
            return "stop_sequence"
        return "length" if answer.count >= answer.limit else None

    def _tell(
        self, answer: Answering, token: int, reason: str | None, logprobs: torch.Tensor | None
    ) -> None:
        answer.done = reason is not None or answer.row.cancelled
        text = "" if reason == "eos_token" else answer.detokenizer.push(token, last=bool(reason))
        logprob: float | None = None
        top: tuple[tuple[str, float], ...] = ()
        if logprobs is not None:
            logprob, top = logprobs[token].item(), self._top(logprobs)
        answer.row.emit(Token(token, text, logprob, top, reason))

    def _top(self, logprobs: torch.Tensor) -> tuple[tuple[str, float], ...]:
        if not self._job.top:
            return ()
        values, tokens = logprobs.topk(self._job.top)
        pairs = zip(tokens.tolist(), values.tolist(), strict=True)
        possible = ((token, value) for token, value in pairs if value > float("-inf"))
        return tuple((str(self._tokenizer.decode([token])), value) for token, value in possible)


class Penalties:
    """A logits processor: OpenAI's penalties for tokens that the answer holds already.

    Args:
        job: The penalties.
        width: How many tokens the padded prompts have.
    """

    def __init__(self, job: Job, width: int) -> None:
        self._job = job
        self._width = width

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return the logits less the penalties."""
        answer = input_ids[:, self._width :]
        counts = scores.new_zeros(scores.shape)
        counts.scatter_add_(1, answer, scores.new_ones(answer.shape))
        penalty = self._job.frequency_penalty * counts
        return scores - penalty - self._job.presence_penalty * (counts > 0)


class _Drawing:
    """How many generations draw from the process's sequence right now."""

    def renew(self) -> None:
        self.changed = threading.Condition()
        self.count = 0


_drawing = _Drawing()
renew_in_children(_drawing)


@contextmanager
def rng_scope(seed: int | None, device: torch.device) -> Iterator[None]:
    """Generate inside of this.

    Several models may draw from the process's sequence at once. One with a seed has a sequence of
    its own, so that its answer depends on nothing else, and the others wait for it; the process's
    goes on behind it where it was.

    Args:
        seed: The seed, or None to draw from the process's sequence.
        device: Where it is drawn; each GPU has a sequence of its own.
    """
    if seed is None:
        with _shared():
            yield
        return
    import torch  # noqa: PLC0415 - heavy

    with _drawing.changed:
        _drawing.changed.wait_for(lambda: _drawing.count == 0)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield


@contextmanager
def _shared() -> Iterator[None]:
    with _drawing.changed:
        _drawing.count += 1
    try:
        yield
    finally:
        with _drawing.changed:
            _drawing.count -= 1
            _drawing.changed.notify_all()
