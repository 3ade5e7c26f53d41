"""Which event loop runs, and what is said where it is another framework's."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

LOOP_TIMEOUT = 2.0
"""Seconds that an event loop waits at most where an attribute is read that a server has to tell."""

_ADVICE = (
    "Asynchronous calls run on asyncio's event loops (uvloop's too), and none is running here: "
    "under trio call `await trio.to_thread.run_sync(llm.invoke, ...)`, or use trio-asyncio."
)


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that an asynchronous call runs on."""
    import asyncio  # noqa: PLC0415 - loaded by then

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(_ADVICE) from None


def loop_of_thread() -> asyncio.AbstractEventLoop | None:
    """The loop that runs in this thread, if one does."""
    loaded = sys.modules.get("asyncio")
    return None if loaded is None else loaded._get_running_loop()  # noqa: SLF001 - it is documented


def refuse_other_frameworks() -> None:
    """Refuse what is called under trio or curio, but not what is only made outside a loop."""
    if _other_framework_runs():
        running_loop()  # trio-asyncio has one


def runs_in_loop() -> bool:
    """Whether an event loop of any framework runs in this thread, and would wait for it."""
    import asyncio  # noqa: PLC0415 - loaded by then

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _other_framework_runs()
    return True


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Start blocking work in a daemon thread, which nobody has to wait for."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="easyllm-ask", daemon=True).start()
    return done


def beside_loop(work: Callable[[], T], seconds: float = LOOP_TIMEOUT) -> T | None:
    """Return what blocking work returns, done in a thread while the event loop waits.

    None where the time is not enough: the thread then goes on by itself.
    """
    done = in_thread(work)
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            raise
        return None


def _other_framework_runs() -> bool:
    trio, curio = sys.modules.get("trio"), sys.modules.get("curio.meta")
    return bool(
        (trio is not None and trio.lowlevel.in_trio_run())
        or (curio is not None and curio.curio_running())
    )
