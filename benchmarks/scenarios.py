"""What is timed, and how. Each scenario takes a `Bench` and returns one value per repetition.

Values are seconds, unless a figure says otherwise. Every scenario that answers something checks
what was answered, outside the clock: a failure that is fast would look like a success.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

from .prompts import conversation, hostile
from .server import SHORT_ANSWER, text_of
from .targets import TARGETS, Target, UnsupportedError

PROMPT = "What is the boiling point of water on a mountain?"
STOPS = ["\nObservation", "</s>", "###", "\n\nHuman:"]
Scenario = Callable[["Bench", int], list[float]]


@dataclass
class Bench:
    """A target in its own process: its models by server variant, and one event loop for all.

    Args:
        target: What is measured.
        ports: The server's port of each variant.
    """

    target: Target
    ports: dict[str, int]
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    models: dict[tuple[str, str], object] = field(default_factory=dict)

    def model(self, kind: str, variant: str) -> object:
        """Return the target's model for a server variant, built once; `kind` is chat or llm."""
        key = kind, variant
        if key not in self.models:
            self.models[key] = getattr(self.target, kind)(self.ports[variant])
        return self.models[key]

    def close(self) -> None:
        """Close the event loop, and the raw client's session on it."""
        for model in self.models.values():
            if type(model).__name__ == "RawClient":
                self.runner.run(model.aclose())
        self.runner.close()


def piece_text(piece: object) -> str:
    """Return the text of a streamed piece or of an answer, whatever class it has."""
    return piece if isinstance(piece, str) else piece.content


def expect(got: str, wanted: str) -> None:
    """Raise where an answer is not what the server sent."""
    if got != wanted:
        msg = f"the answer has {len(got)} characters, the server sent {len(wanted)}"
        raise AssertionError(msg)


def fill(model: object, streams: int, tokens: int, *, ready: bool = True) -> None:
    """Make the floor's chunks ready, outside the clock; other targets have nothing to prepare."""
    if hasattr(model, "fill"):
        model.fill(streams, tokens, ready=ready)


# ------------------------------------------------------------------ one request


def stream(kind: str, tokens: int, *, ready: bool = True, **options: object) -> Scenario:
    """Time a whole synchronous stream of `tokens` pieces; `ready` is for `fill`."""

    def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, str(tokens))
        fill(model, 1, tokens)
        expect("".join(map(piece_text, model.stream(PROMPT, **options))), text_of(tokens))
        times = []
        for _ in range(reps):
            fill(model, 1, tokens, ready=ready)
            start = perf_counter()
            for _piece in model.stream(PROMPT, **options):
                pass
            times.append(perf_counter() - start)
        return times

    return run


async def _drain(model: object, **options: object) -> None:
    async for _piece in model.astream(PROMPT, **options):
        pass


def astream(kind: str, tokens: int, *, ready: bool = True, **options: object) -> Scenario:
    """Time a whole asynchronous stream of `tokens` pieces; `ready` is for `fill`."""

    async def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, str(tokens))
        fill(model, 1, tokens)
        pieces = [piece_text(piece) async for piece in model.astream(PROMPT, **options)]
        expect("".join(pieces), text_of(tokens))
        times = []
        for _ in range(reps):
            fill(model, 1, tokens, ready=ready)
            start = perf_counter()
            await _drain(model, **options)
            times.append(perf_counter() - start)
        return times

    return lambda bench, reps: bench.runner.run(run(bench, reps))


def growth(scenario: Callable[..., Scenario], kind: str) -> Scenario:
    """Return how much longer 20,000 tokens with four stops take than 2,000 (a pure number).

    The floor builds its chunks inside the clock here: langchain-core keeps all of them, and what
    Python's collector makes of so many objects would else be counted for the others only.
    """
    short, long = (scenario(kind, n, ready=False, stop=STOPS) for n in (2_000, 20_000))

    def run(bench: Bench, reps: int) -> list[float]:
        return [median(long(bench, 1)) / median(short(bench, 3)) for _ in range(reps)]

    return run


def invoke(kind: str) -> Scenario:
    """Time `invoke`."""

    def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, "short")
        expect(piece_text(model.invoke(PROMPT)), SHORT_ANSWER)
        times = []
        for _ in range(reps):
            start = perf_counter()
            model.invoke(PROMPT)
            times.append(perf_counter() - start)
        return times

    return run


def ainvoke(kind: str) -> Scenario:
    """Time `ainvoke`, one after the other on one event loop."""

    async def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, "short")
        expect(piece_text(await model.ainvoke(PROMPT)), SHORT_ANSWER)
        times = []
        for _ in range(reps):
            start = perf_counter()
            await model.ainvoke(PROMPT)
            times.append(perf_counter() - start)
        return times

    return lambda bench, reps: bench.runner.run(run(bench, reps))


# ------------------------------------------------------------------ many at once


def ainvoke_at_once(kind: str, count: int, variant: str = "short") -> Scenario:
    """Time `count` calls of `ainvoke` gathered on one event loop."""

    async def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, variant)
        await model.ainvoke(PROMPT)
        times = []
        for _ in range(reps):
            start = perf_counter()
            answers = await asyncio.gather(*[model.ainvoke(PROMPT) for _ in range(count)])
            times.append(perf_counter() - start)
            expect("".join(map(piece_text, answers)), SHORT_ANSWER * count)
        return times

    return lambda bench, reps: bench.runner.run(run(bench, reps))


def astream_at_once(kind: str, count: int, tokens: int) -> Scenario:
    """Time `count` streams of `tokens` pieces gathered on one event loop."""

    async def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, str(tokens))
        times = []
        for _ in range(reps):
            fill(model, count, tokens)
            start = perf_counter()
            await asyncio.gather(*[_drain(model) for _ in range(count)])
            times.append(perf_counter() - start)
        return times

    return lambda bench, reps: bench.runner.run(run(bench, reps))


def batch(kind: str, count: int, *, chain: bool = False) -> Scenario:
    """Time `batch` of `count` on default settings, the server answering after 50 ms."""

    def run(bench: Bench, reps: int) -> list[float]:
        runnable = bench.model(kind, "wait50")
        inputs: list[object] = [PROMPT] * count
        if chain:
            from langchain_core.prompts import ChatPromptTemplate

            runnable = ChatPromptTemplate.from_messages([("user", "{question}")]) | runnable
            inputs = [{"question": PROMPT}] * count
        times = []
        for _ in range(reps):
            start = perf_counter()
            answers = runnable.batch(inputs)
            times.append(perf_counter() - start)
            expect("".join(map(piece_text, answers)), SHORT_ANSWER * count)
        return times

    return run


# ------------------------------------------------------------------ first piece


def first_piece(kind: str) -> Scenario:
    """Time the way to the first piece that has text; the server then waits before the rest."""

    def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, "first")
        times = []
        for _ in range(reps + 1):
            start = perf_counter()
            pieces = model.stream(PROMPT)
            while not piece_text(next(pieces)):
                pass
            times.append(perf_counter() - start)
            list(pieces)
        return times[1:]

    return run


def afirst_piece(kind: str) -> Scenario:
    """Time the way to the first piece that has text, asynchronously."""

    async def run(bench: Bench, reps: int) -> list[float]:
        model = bench.model(kind, "first")
        times = []
        for _ in range(reps + 1):
            start = perf_counter()
            pieces = model.astream(PROMPT)
            while not piece_text(await anext(pieces)):
                pass
            times.append(perf_counter() - start)
            async for _piece in pieces:
                pass
        return times[1:]

    return lambda bench, reps: bench.runner.run(run(bench, reps))


# ------------------------------------------------------------------ start, memory, rendering


def importing(bench: Bench, reps: int) -> list[float]:
    """Time the target's import statement in a fresh interpreter, langchain-core's being loaded.

    The difference of two imports of half a second each would mostly be noise.
    """
    core = TARGETS["floor"].importing
    before = "" if bench.target.importing == core else f"{core}; "
    code = (
        f"from time import perf_counter as now; {before}start = now(); "
        f"{bench.target.importing}; print(now() - start)"
    )
    command = [sys.executable, "-c", code]
    return [float(subprocess.check_output(command, text=True)) for _ in range(reps)]


HEAVY = ("aiohttp", "huggingface_hub", "httpx", "jinja2", "numpy", "torch", "transformers")


def heavy_modules(target: Target) -> list[str]:
    """Return which of the heavy packages the target's import statement loads."""
    code = (
        f"{target.importing}; import json, sys; "
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    return json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))


def construct(kind: str) -> Scenario:
    """Time construction, after the first."""

    def run(bench: Bench, reps: int) -> list[float]:
        build = getattr(bench.target, kind)
        port = bench.ports["short"]
        build(port)
        times = []
        for _ in range(reps):
            start = perf_counter()
            build(port)
            times.append(perf_counter() - start)
        return times

    return run


def _hook(bench: Bench, kind: str, tokens: int, hook: str = "_stream") -> Callable[[], object]:
    """Return what starts the model's own stream, without langchain-core, which keeps each chunk."""
    from langchain_core.messages import HumanMessage

    model = bench.model(kind, str(tokens))
    if not hasattr(model, hook):
        raise UnsupportedError
    given = [HumanMessage(PROMPT)] if kind == "chat" else PROMPT
    return lambda: getattr(model, hook)(given, stop=STOPS)


def peak_memory(kind: str, tokens: int) -> Scenario:
    """Return the bytes that one stream of `tokens` needs at most, its pieces not kept."""

    def run(bench: Bench, reps: int) -> list[float]:
        start_stream = _hook(bench, kind, tokens)
        peaks = []
        for _ in range(reps):
            for _piece in start_stream():
                pass
            tracemalloc.start()
            for _piece in start_stream():
                pass
            peaks.append(float(tracemalloc.get_traced_memory()[1]))
            tracemalloc.stop()
        return peaks

    return run


def apeak_memory(kind: str, tokens: int) -> Scenario:
    """Return the same for an asynchronous stream."""

    async def run(bench: Bench, reps: int) -> list[float]:
        start_stream = _hook(bench, kind, tokens, "_astream")
        peaks = []
        for _ in range(reps):
            async for _piece in start_stream():
                pass
            tracemalloc.start()
            async for _piece in start_stream():
                pass
            peaks.append(float(tracemalloc.get_traced_memory()[1]))
            tracemalloc.stop()
        return peaks

    return lambda bench, reps: bench.runner.run(run(bench, reps))


def memory_growth(peak: Callable[[str, int], Scenario], kind: str) -> Scenario:
    """Return how much more 20,000 tokens need than 2,000 (a pure number)."""
    short, long = peak(kind, 2_000), peak(kind, 20_000)
    return lambda bench, reps: [long(bench, 1)[0] / short(bench, 1)[0] for _ in range(reps)]


def open_memory(kind: str, streams: int = 50) -> Scenario:
    """Return the bytes that one open stream holds after 100 pieces, over `streams` open ones."""

    def run(bench: Bench, reps: int) -> list[float]:
        start_stream = _hook(bench, kind, 2_000)
        for _piece in start_stream():
            pass
        held = []
        for _ in range(reps):
            tracemalloc.start()
            opened = [start_stream() for _ in range(streams)]
            for pieces in opened:
                for _ in range(100):
                    next(pieces)
            held.append(tracemalloc.get_traced_memory()[0] / streams)
            tracemalloc.stop()
            for pieces in opened:
                pieces.close()
        return held

    return run


def render(name: str, messages: Callable[[str], list[dict[str, str]]]) -> Scenario:
    """Time one rendering by the prompt template `name`."""

    def run(bench: Bench, reps: int) -> list[float]:
        renderer = bench.target.renderer(name)
        given = messages(name)
        renderer(given)
        times = []
        for _ in range(reps):
            start = perf_counter()
            renderer(given)
            times.append(perf_counter() - start)
        return times

    return run


def render_conversation(name: str) -> Scenario:
    """Time the rendering of 200 messages, 20 KB in all."""
    return render(name, lambda _name: conversation())


def render_hostile(name: str) -> Scenario:
    """Time the rendering of 1 MB of text that tries to forge turns."""
    return render(name, hostile)
