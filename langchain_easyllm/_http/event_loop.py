"""Which event loop runs, and what is said where it is another framework's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import ConfigurationError

if TYPE_CHECKING:
    import asyncio

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


def refuse_other_frameworks() -> None:
    """Refuse what is called under trio or curio, but not what is only made outside a loop."""
    trio, curio = sys.modules.get("trio"), sys.modules.get("curio.meta")
    if (trio is not None and trio.lowlevel.in_trio_run()) or (
        curio is not None and curio.curio_running()
    ):
        running_loop()  # trio-asyncio has one
