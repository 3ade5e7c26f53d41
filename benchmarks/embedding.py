"""What is timed of embeddings, and what memory they need; as `scenarios` does for generation."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from time import perf_counter
from typing import TYPE_CHECKING

from .vectors import texts_of, vector_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .scenarios import Bench, Scenario


def check(found: object, variant: str, count: int) -> None:
    """Raise where the vectors are not those that the server sent."""
    wanted = vector_of(int(variant.partition("wait")[0]))
    if len(found) != count or any(
        len(vector) != len(wanted) or abs(vector[1] - wanted[1]) > 1e-6 for vector in found
    ):
        msg = f"the answer has {len(found)} vectors, or they are not the server's"
        raise AssertionError(msg)


def _method(model: object, name: str, variant: str) -> Callable[[list[str]], object]:
    # Nobody knows beforehand how fast a server is but the raw client.
    if name == "embed_documents" and "wait" in variant:
        name = "embed_at_once" if hasattr(model, "embed_at_once") else name
    return getattr(model, name)


def embed(variant: str, count: int, name: str = "embed_documents") -> Scenario:
    """Time one call for `count` texts."""

    def run(bench: Bench, reps: int) -> list[float]:
        call = _method(bench.model("embeddings", variant), name, variant)
        texts = texts_of(count)
        call(texts[:64])
        times = []
        for _ in range(reps):
            start = perf_counter()
            found = call(texts)
            times.append(perf_counter() - start)
            check(found, variant, count)
        return times

    return run


def aembed(variant: str, count: int) -> Scenario:
    """Time one asynchronous call for `count` texts."""

    async def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model("embeddings", variant)
        texts = texts_of(count)
        await model.aembed_documents(texts[:64])
        times = []
        for _ in range(reps):
            start = perf_counter()
            found = await model.aembed_documents(texts)
            times.append(perf_counter() - start)
            check(found, variant, count)
        return times

    return lambda bench, reps: bench.runner.run(run(bench, reps))


def _peak(call: Callable[[], object]) -> float:
    """Return the bytes that a call needs at most; what it returns is counted."""
    gc.collect()
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(peak)


def peak(variant: str, count: int) -> Scenario:
    """Return the bytes that `embed_documents` needs at most."""

    def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model("embeddings", variant)
        texts = texts_of(count)
        model.embed_documents(texts[:64])
        return [_peak(lambda: model.embed_documents(texts)) for _ in range(reps)]

    return run


def peak_of_array(variant: str, count: int, *, asynchronous: bool) -> Scenario:
    """Return how much the array call needs at most, over the array (a pure number)."""

    def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model("embeddings", variant)

        def call(texts: list[str]) -> object:
            if asynchronous:
                return asyncio.run(model.aembed_documents_array(texts))
            return model.embed_documents_array(texts)

        texts = texts_of(count)
        size = call(texts[:64]).nbytes / 64 * count
        return [_peak(lambda: call(texts)) / size for _ in range(reps)]

    return run


def peak_growth(variant: str, many: int, few: int) -> Scenario:
    """Return how much more `iter_embeddings` needs for many texts than for few (a pure number)."""

    def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model("embeddings", variant)

        def through(count: int) -> None:
            texts = (text for start in range(0, count, 1000) for text in texts_of(1000))
            if sum(map(len, model.iter_embeddings(texts))) != count:
                msg = f"not all of {count} vectors came"
                raise AssertionError(msg)

        through(2_000)
        return [_peak(lambda: through(many)) / _peak(lambda: through(few)) for _ in range(reps)]

    return run
