"""The models, and the threads in which they run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from .bodies import HTTPError
from .constraint import ConstraintError
from .embedding_model import EmbeddingModel
from .faults import Faults
from .language_model import LanguageModel, Token
from .limits import MODELS
from .plan import Plan

_Result = TypeVar("_Result")


class ConnectionCut(Exception):  # noqa: N818 - a signal, not an error
    """`Faults.cut_after` closes the connection in the middle of an answer."""


class Engine:
    """Runs the models in worker threads, so that the event loop stays free."""

    def __init__(self, faults: Faults, model: str = MODELS[0]) -> None:
        self.faults = faults
        self.language = LanguageModel.load(model)
        self.embeddings = EmbeddingModel.load()
        self.in_flight = 0  # requests that are being answered
        self._threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1), "easyllm-offline")

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def tokens(self, plan: Plan) -> AsyncGenerator[Token]:
        """Yield the tokens of a run as they are generated.

        Each token is a step of its own in the threads, so that concurrent answers take turns; an
        answer that nobody waits for any more takes no further step.
        """
        try:
            generate = partial(
                self.language.generate,
                plan.ids,
                plan.sampling,
                max_new_tokens=plan.max_new_tokens,
                stop=plan.stop,
                top_n=plan.top_n,
                constraint=plan.constraint,
            )
            steps = await self.run(generate)
            count = 0
            await self._misbehave(count)
            while (token := await self.run(partial(next, steps, None))) is not None:
                yield token
                count += 1
                await self._misbehave(count)
        except ConstraintError as error:
            raise _failed(str(error)) from error

    async def _misbehave(self, count: int) -> None:
        faults = self.faults
        if count == faults.error_after:
            raise _failed("the fault error_after makes it fail here")
        if count == faults.cut_after:
            raise ConnectionCut
        if count == faults.stall_after:
            await asyncio.get_running_loop().create_future()  # until the client gives up
        if faults.delay:
            await asyncio.sleep(faults.delay)


def _failed(reason: str) -> HTTPError:
    return HTTPError(f"Request failed during generation: {reason}", "generation", 424)
