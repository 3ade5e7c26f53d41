"""The models, and the threads that they run in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from .constraint import ConstraintError
from .embedding_model import EmbeddingModel
from .faults import Faults
from .language_model import LanguageModel, Token
from .plan import Plan
from .refusals import Refusal

__all__ = ["ConnectionCut", "Engine"]

_Result = TypeVar("_Result")


class ConnectionCut(Exception):  # noqa: N818 - a signal, not an error
    """The connection is to be closed in the middle of an answer, as `Faults.cut_after` says."""


class Engine:
    """Runs the bundled models in worker threads, so that the event loop stays free.

    Args:
        faults: What goes wrong while tokens are generated.

    Attributes:
        faults: The same.
        language: The language model.
        embeddings: The embedding model.
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.language = LanguageModel.load()
        self.embeddings = EmbeddingModel.load()
        self._threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "easyllm-offline")

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Run a function in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def tokens(self, plan: Plan) -> AsyncIterator[Token]:
        """Yield the tokens of a run, each once it is there.

        Each token is a step of its own in the threads, so that concurrent answers take turns; an
        answer that nobody waits for any more takes no further step.

        Raises:
            Refusal: If generation fails.
            ConnectionCut: Where the connection is to be closed.
        """
        try:
            steps = await self.run(partial(self._start, plan))
            count = 0
            await self._misbehave(count)
            while (token := await self.run(partial(next, steps, None))) is not None:
                yield token
                count += 1
                await self._misbehave(count)
        except ConstraintError as error:
            raise _failed(str(error)) from error

    def _start(self, plan: Plan) -> Iterator[Token]:
        return self.language.generate(
            plan.ids,
            plan.sampling,
            max_new_tokens=plan.max_new_tokens,
            stop=plan.stop,
            top_n=plan.top_n,
            constraint=plan.constraint,
        )

    async def _misbehave(self, count: int) -> None:
        faults = self.faults
        if count == faults.error_after:
            raise _failed("the server was told to fail here")
        if count == faults.cut_after:
            raise ConnectionCut
        if count == faults.stall_after:
            await asyncio.get_running_loop().create_future()  # until the client gives up
        if faults.delay:
            await asyncio.sleep(faults.delay)


def _failed(reason: str) -> Refusal:
    return Refusal(f"Request failed during generation: {reason}", "generation", 424)
