"""Many callers at once, threads and tasks, and what they leave behind."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .answers import PLAIN
from .calls import BAD, HUNG, Kit, Tally, call, call_async

__all__ = ["Handles", "Load", "Report", "soak"]

FREE_PER_CALL = 0.05
"""Objects that may be left for each call: far fewer than any leak that grows with the calls."""

FREE = 3000
"""Objects that may be left of any number of calls: caches that were not full yet."""

FREE_MEBIBYTES = 32
"""By which a process may have grown: threads and buffers leave holes."""

FREE_TRACED = 256 * 1024
"""Bytes that may be left of any number of plain calls."""

FREE_BYTES_PER_CALL = 20

DESCRIPTORS = Path("/proc/self/fd" if Path("/proc/self/fd").is_dir() else "/dev/fd")


@dataclass(frozen=True)
class Load:
    """How much, for how long."""

    seconds: float = 120.0
    tasks: int = 140
    threads: int = 60
    calls: int = 0  # the number of calls of each caller, instead of a time
    plain_calls: int = 10_000  # those that follow, without faults
    seed: int = 1

    @property
    def callers(self) -> int:
        return self.tasks + self.threads


@dataclass(frozen=True)
class Handles:
    """What a process holds, with every client closed and all garbage collected."""

    files: int
    threads: int
    tasks: int
    objects: int
    blocks: int
    mebibytes: float

    def leaks(self, before: Handles, calls: int) -> list[str]:
        """What has grown since then by more than the caches may."""
        free = FREE + calls * FREE_PER_CALL
        bounds: dict[str, float] = {"files": 0, "threads": 0, "tasks": 0}
        bounds |= {"objects": free, "blocks": 4 * free, "mebibytes": FREE_MEBIBYTES}
        grown = {name: getattr(self, name) - getattr(before, name) for name in bounds}
        return [f"{more:+.0f} {name}" for name, more in grown.items() if more > bounds[name]]


@dataclass(frozen=True)
class Report:
    """What became of the calls of one client, and what is left of them."""

    name: str
    load: Load
    tally: Tally
    seconds: float
    warm: Handles
    after_load: Handles
    after_plain: Handles
    traced: int  # bytes that plain calls have left
    closes: bool  # whether the client lets go of its connections, so that they can be compared

    @property
    def problems(self) -> list[str]:
        """Wrong outcomes, and what was left behind."""
        wrong = [(self.tally.total(bad), bad) for bad in BAD]
        if not self.closes:
            return [f"{count:,} calls {bad}" for count, bad in wrong if count]
        leaks = [
            *self.after_load.leaks(self.warm, self.tally.total()),
            *self.after_plain.leaks(self.after_load, self.load.plain_calls),
        ]
        if self.traced > FREE_TRACED + FREE_BYTES_PER_CALL * self.load.plain_calls:
            leaks.append(f"{self.traced:,} bytes after plain calls")
        return [
            *(f"{count:,} calls {bad}" for count, bad in wrong if count),
            *(f"left behind: {leak}" for leak in leaks),
        ]


def _resident() -> float:
    """Memory in use; what the C library keeps for later is given back first, where it can be."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _handles(kit: Kit) -> Handles:
    """Close what is open, wait for what closes, and count the rest."""
    if kit.closes:
        for each in kit.objects:
            await each.aclose()
    counted: list[tuple[int, int, int]] = []
    gc.collect()
    for _ in range(100):
        await asyncio.sleep(0.05)
        files = len(os.listdir(DESCRIPTORS))  # noqa: PTH208 - no file of a disk
        # asyncio keeps the threads of its executor, which grows as it is used.
        threads = [one for one in threading.enumerate() if not one.name.startswith("asyncio_")]
        counted.append((files, len(threads), len(asyncio.all_tasks())))
        if len(counted) > 5 and counted[-1] == counted[-5]:
            break
    gc.collect()
    objects, blocks = len(gc.get_objects()), sys.getallocatedblocks()
    return Handles(*counted[-1], objects, blocks, _resident())


def _goes_on(load: Load) -> Callable[[int], bool]:
    if load.calls:
        return lambda made: made < load.calls
    end = time.monotonic() + load.seconds
    return lambda _: time.monotonic() < end


async def _run(load: Load, kit: Kit, tally: Tally, seed: str) -> None:
    goes_on = _goes_on(load)
    own: list[Tally] = [Tally() for _ in range(load.threads)]

    def in_thread(number: int) -> None:
        random, made = Random(f"{seed} thread {number}"), 0
        while goes_on(made):
            call(kit, random, own[number])
            made += 1

    async def in_task(number: int) -> None:
        random, made = Random(f"{seed} task {number}"), 0
        while goes_on(made):
            await call_async(kit, random, tally)
            made += 1

    threads = [
        threading.Thread(target=in_thread, args=(n,), daemon=True) for n in range(load.threads)
    ]
    for thread in threads:
        thread.start()
    await asyncio.gather(*(in_task(number) for number in range(load.tasks)))
    limit = time.monotonic() + HUNG
    for thread, part in zip(threads, own, strict=True):
        await asyncio.to_thread(thread.join, max(limit - time.monotonic(), 0))
        if thread.is_alive():
            part.add("?", "a thread's call", "hung", "it does not end")
        tally.counts += part.counts
        tally.examples += part.examples


def soak(kit: Kit, load: Load, warm_up: Load) -> Report:
    """Run a load twice, the first time to warm up, then plain calls; the second load counts."""

    async def run() -> Report:
        await _run(warm_up, kit, Tally(), f"{load.seed} warm-up")
        await _call_plainly(kit, max(load.plain_calls // 20, 20))
        warm = await _handles(kit)
        tally = Tally()
        started = time.monotonic()
        await _run(load, kit, tally, str(load.seed))
        seconds = time.monotonic() - started
        after_load = await _handles(kit)
        traced = await _traced_growth(kit, load.plain_calls)
        plain = await _handles(kit)
        return Report(kit.name, load, tally, seconds, warm, after_load, plain, traced, kit.closes)

    return asyncio.run(run())


async def _traced_growth(kit: Kit, count: int) -> int:
    """Make plain calls and return how many bytes all but the first tenth of them have left."""
    tracemalloc.start()
    await _call_plainly(kit, count // 10)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    await _call_plainly(kit, count - count // 10)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown


async def _call_plainly(kit: Kit, count: int) -> None:
    """Make calls that succeed, half of them on this loop and half in a thread."""

    def in_thread() -> None:
        for _ in range(count - count // 2):
            kit.chat.invoke(PLAIN)

    for _ in range(count // 2):
        await kit.chat.ainvoke(PLAIN)
    await asyncio.to_thread(in_thread)
