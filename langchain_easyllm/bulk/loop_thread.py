"""Coroutines for callers that block: in this thread, or beside an event loop that runs here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from typing import TypeVar

from .._http.background_loop import Background

T = TypeVar("T")


@contextmanager
def _own_loop() -> Iterator[Background]:
    """An event loop in a thread of its own: a chain on it may call what uses the shared one."""
    loop = Background()
    try:
        yield loop
    finally:
        loop.stop()


def run_blocking(work: Coroutine[object, object, T]) -> T:
    """Return what a coroutine returns, also where an event loop is running (in a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with _own_loop() as loop:
        return loop.run(work)


def iterate_blocking(items: AsyncGenerator[T, None]) -> Iterator[T]:
    """Yield what an asynchronous generator yields; it goes on while the caller works."""

    async def following() -> list[T]:
        try:
            return [await anext(items)]
        except StopAsyncIteration:
            return []

    with _own_loop() as loop:
        try:
            while found := loop.run(following()):
                yield found[0]
        finally:
            loop.run(_closed(items))


async def _closed(items: AsyncGenerator[T, None]) -> None:
    await items.aclose()
