"""One call of each kind, and what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from .answers import LARGE, fault_of, tokens_of, vector_of

__all__ = ["BAD", "OUTCOMES", "Kit", "Tally", "call", "call_async", "easyllm_kit", "openai_kit"]

TIMEOUT = 3.0
HUNG = 60.0
"""Seconds after which a call counts as one that never ends."""

OUTCOMES = ("right", "error", "cancelled", "wrong", "short", "foreign", "hung")
"""What can become of a call. `foreign`: an exception that is none of the client's own."""

BAD = ("wrong", "short", "foreign", "hung")


@dataclass(frozen=True)
class Kit:
    """The objects of one client library, and the errors that are its own."""

    name: str
    chat: Any
    errors: tuple[type[BaseException], ...]
    llm: Any = None
    embeddings: Any = None
    keeps_partial: bool = False  # whether an error of a stream has the text so far
    closes: bool = False  # whether the objects can be closed and used again

    @property
    def objects(self) -> list[Any]:
        """All that it has."""
        return [each for each in (self.chat, self.llm, self.embeddings) if each is not None]


def easyllm_kit(url: str, timeout: float = TIMEOUT) -> Kit:
    """This package's classes."""
    from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings
    from langchain_easyllm.errors import EasyLLMError

    options: dict[str, Any] = {"base_url": url, "timeout": timeout, "model": "m"}
    return Kit(
        "langchain-easyllm",
        EasyLLMChat(api="chat", **options),
        (EasyLLMError,),
        EasyLLM(api="generate", **options),
        EasyLLMEmbeddings(api="embeddings", **options),
        keeps_partial=True,
        closes=True,
    )


def openai_kit(url: str) -> Kit:
    """langchain-openai's chat model, which raises its SDK's errors."""
    from langchain_openai import ChatOpenAI
    from openai import OpenAIError

    chat = ChatOpenAI(base_url=f"{url}/v1", api_key="none", timeout=TIMEOUT, model="m")
    return Kit("langchain-openai", chat, (OpenAIError,))


@dataclass
class Tally:
    """How often what became of calls, by the fault that their first attempt met."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, fault: str, operation: str, outcome: str, why: str) -> None:
        self.counts[fault, operation, outcome] += 1
        if outcome in BAD and len(self.examples) < 20:
            self.examples.append(f"{operation} after {fault}: {outcome}: {why}")

    def total(self, *outcomes: str, fault: str | None = None) -> int:
        """The calls with one of these outcomes; with all of them for none."""
        return sum(
            count
            for (met, _, outcome), count in self.counts.items()
            if (not outcomes or outcome in outcomes) and fault in (None, met)
        )


class _WrongError(Exception):
    """An answer, or a part of one, that is not the right one."""


@dataclass
class _Call:
    """What is asked for, and what has come of it."""

    kit: Kit
    random: Random
    operation: str
    ident: str
    large: bool
    got: str = ""

    @property
    def right(self) -> str:
        return "".join(tokens_of(self.ident))

    @property
    def fault(self) -> str:
        return "413 before the upload's end" if self.large else fault_of(self.ident, 0)

    @property
    def prompt(self) -> str:
        return self.ident + " padding" * (LARGE // 6 if self.large else 3)

    def texts(self) -> list[str]:
        count = 1 + self.random.randrange(20)
        return [self.prompt, *(f"text {n} of {self.ident}" for n in range(1, count))]

    def take(self, chunk: object) -> None:
        self.got += chunk if isinstance(chunk, str) else str(chunk.text)  # type: ignore[attr-defined]
        if not self.right.startswith(self.got):
            raise _WrongError(f"the stream gave {self.got[-80:]!r}")

    def judge(self, answer: object) -> str:
        """The outcome of a call that returned something."""
        text = answer if isinstance(answer, str) else str(answer.text)  # type: ignore[attr-defined]
        if text == self.right:
            return "right"
        raise _ShortError(text) if self.right.startswith(text) else _WrongError(text[:80])

    def judge_error(self, error: BaseException) -> tuple[str, str]:
        why = f"{type(error).__name__}: {error}"[:200]
        if isinstance(error, _WrongError):
            return "wrong", why
        if isinstance(error, _ShortError):
            return "short", why
        if not isinstance(error, self.kit.errors):
            return "foreign", why
        partial = getattr(error, "partial", None)
        if self.kit.keeps_partial and (partial or "") != self.got:
            return "wrong", f"partial {partial!r} is not what was streamed, {self.got!r}"
        return "error", why


class _ShortError(Exception):
    """The beginning of the right answer, given as the whole."""


OPERATIONS = {"invoke": 4, "stream": 4, "llm invoke": 2, "llm stream": 2, "embed": 2}


def _draw(kit: Kit, random: Random) -> _Call:
    operations = OPERATIONS if kit.llm is not None else {"invoke": 1, "stream": 1}
    operation = random.choices([*operations], [*operations.values()])[0]
    return _Call(kit, random, operation, f"q-{random.getrandbits(64):016x}", random.random() < 0.01)


def call(kit: Kit, random: Random, tally: Tally) -> None:
    """Make a call of a random kind in this thread."""
    made = _draw(kit, random)
    leaves_after = random.randrange(1, 20) if random.random() < 0.1 else -1
    try:
        outcome, why = _run(made, leaves_after), ""
    except Exception as error:
        outcome, why = made.judge_error(error)
    tally.add(made.fault, made.operation, outcome, why)


def _run(made: _Call, leaves_after: int) -> str:
    if made.operation == "embed":
        texts = made.texts()
        return _judge_vectors(texts, made.kit.embeddings.embed_documents(texts))
    model = made.kit.llm if made.operation.startswith("llm") else made.kit.chat
    if made.operation.endswith("invoke"):
        return made.judge(model.invoke(made.prompt))
    stream = model.stream(made.prompt)
    for count, chunk in enumerate(stream):
        made.take(chunk)
        if count == leaves_after:
            stream.close()
            return "cancelled"
    return made.judge(made.got)


def _judge_vectors(texts: list[str], vectors: list[list[float]]) -> str:
    if vectors != [vector_of(text) for text in texts]:
        raise _WrongError(f"{len(vectors)} vectors of {len(texts)} texts, or others than theirs")
    return "right"


async def call_async(kit: Kit, random: Random, tally: Tally) -> None:
    """Make a call of a random kind on this loop; one in ten is cancelled on the way."""
    made = _draw(kit, random)
    leaves_after = random.randrange(1, 20) if random.random() < 0.05 else -1
    cancelled_after = random.random() / 5 if random.random() < 0.1 else None
    task = asyncio.ensure_future(_arun(made, leaves_after))
    done, _ = await asyncio.wait([task], timeout=cancelled_after or HUNG)
    if not done:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=HUNG)
    if not done:
        outcome, why = "hung", "it does not end"
    elif task.cancelled():
        outcome, why = ("cancelled", "") if cancelled_after else ("hung", f"for {HUNG} s")
    elif error := task.exception():
        outcome, why = made.judge_error(error)
    else:
        outcome, why = task.result(), ""
    tally.add(made.fault, made.operation, outcome, why)


async def _arun(made: _Call, leaves_after: int) -> str:
    if made.operation == "embed":
        texts = made.texts()
        return _judge_vectors(texts, await made.kit.embeddings.aembed_documents(texts))
    model = made.kit.llm if made.operation.startswith("llm") else made.kit.chat
    if made.operation.endswith("invoke"):
        return made.judge(await model.ainvoke(made.prompt))
    count = 0
    stream = model.astream(made.prompt)
    async for chunk in stream:
        made.take(chunk)
        count += 1
        if count == leaves_after:
            await stream.aclose()
            return "cancelled"
    return made.judge(made.got)
