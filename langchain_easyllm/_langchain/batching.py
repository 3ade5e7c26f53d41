"""Batches that keep up to `max_concurrency` requests in flight, and wait for a busy server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from langchain_core.outputs import LLMResult
from langchain_core.runnables import Runnable, RunnableConfig

from .._http.event_loop import running_loop
from .outputs import combined_llm_output

Config = RunnableConfig | Sequence[RunnableConfig] | None

IN_BATCH: ContextVar[bool] = ContextVar("in_batch", default=False)
"""Whether a call is one of many, which wait for their turns where the server is busy."""


@contextmanager
def batched() -> Iterator[None]:
    """Mark the calls of this block, and of the threads and tasks that it starts, as a batch's."""
    token = IN_BATCH.set(True)
    try:
        yield
    finally:
        with suppress(ValueError):  # an abandoned coroutine is closed in any context
            IN_BATCH.reset(token)


def capped(config: Config, limit: int) -> Any:  # noqa: ANN401 - whichever form the caller used
    """Return a config whose `max_concurrency` is set, and at most `limit`."""
    if isinstance(config, Sequence):
        return [capped(one, limit) for one in config]
    wanted = (config or {}).get("max_concurrency")
    return {**(config or {}), "max_concurrency": limit if wanted is None else min(wanted, limit)}


# Called with a mixin, which no type of langchain-core describes.
_PLAIN: Any = Runnable


class BatchingMixin:
    """Runs the inputs of a batch separately, `max_concurrency` at a time.

    langchain-core's language models send an LLM's batch one after the other, or in waves that
    wait for their slowest; a plain runnable's batch starts the next input as soon as one is done,
    and a failure concerns one input only.
    """

    max_concurrency: int

    def batch(self, inputs: list[Any], config: Config = None, **kwargs: Any) -> list[Any]:
        """Run many inputs, in threads; see `Runnable.batch`."""
        cap = capped(config, self.max_concurrency)
        with batched():
            answers: list[Any] = _PLAIN.batch(self, inputs, cap, **kwargs)
        return answers

    async def abatch(self, inputs: list[Any], config: Config = None, **kwargs: Any) -> list[Any]:
        """Run many inputs; see `Runnable.abatch`."""
        running_loop()
        cap = capped(config, self.max_concurrency)
        with batched():
            answers: list[Any] = await _PLAIN.abatch(self, inputs, cap, **kwargs)
        return answers

    def batch_as_completed(
        self, inputs: Sequence[Any], config: Config = None, **kwargs: Any
    ) -> Iterator[tuple[int, Any]]:
        """Run many inputs; yield results as they finish; see `Runnable`."""
        cap = capped(config, self.max_concurrency)
        answers = _PLAIN.batch_as_completed(self, inputs, cap, **kwargs)
        with closing(answers):
            with batched():  # by its first answer it has started them all
                first = next(answers, None)
            if first is not None:
                yield first
            yield from answers

    async def abatch_as_completed(
        self, inputs: Sequence[Any], config: Config = None, **kwargs: Any
    ) -> AsyncIterator[tuple[int, Any]]:
        """Run many inputs; yield results as they finish; see `Runnable`."""
        running_loop()
        cap = capped(config, self.max_concurrency)
        answers = _PLAIN.abatch_as_completed(self, inputs, cap, **kwargs)
        async with aclosing(answers):
            with batched():
                first = await anext(answers, None)
            if first is not None:
                yield first
            async for answer in answers:
                yield answer


def split_run_id(kwargs: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the keyword arguments of each input of a call; the first one gets the run id."""
    rest = {key: value for key, value in kwargs.items() if key != "run_id"}
    return [dict(kwargs), *(dict(rest) for _ in range(count - 1))]


def joined(results: Iterable[LLMResult]) -> LLMResult:
    each = list(results)
    return LLMResult(
        generations=[group for result in each for group in result.generations],
        llm_output=combined_llm_output([result.llm_output for result in each]),
        run=[run for result in each for run in result.run or []],
    )
