"""A step of a flow that waits for what other threads, or other tasks, do."""

from __future__ import annotations

from concurrent.futures import Future, wait
from math import inf
from typing import NamedTuple


class FutureWait(NamedTuple):
    """Waits until a future is done, however it ends, for so many seconds at most."""

    future: Future[None]
    seconds: float = inf

    @property
    def _limit(self) -> float | None:
        return None if self.seconds == inf else self.seconds

    def run(self) -> None:
        wait([self.future], self._limit)

    async def arun(self) -> None:
        import asyncio  # noqa: PLC0415 - loaded by then

        # Not `wait_for`, which cancels what it has waited for in vain.
        await asyncio.wait([asyncio.wrap_future(self.future)], timeout=self._limit)
