"""One call, made in each of LangChain's invocation modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from langchain_core.runnables import Runnable

from langchain_easyllm import EasyLLM, EasyLLMChat

from .text_servers import TEXT_SERVERS

__all__ = [
    "ALL_MODES",
    "CLASSES",
    "MODES",
    "SERVER_NAMES",
    "STREAM_MODES",
    "WHOLE_MODES",
    "answer",
    "body_of",
    "text_of",
]

CLASSES = (EasyLLMChat, EasyLLM)
SERVER_NAMES = tuple(
    name for name, row in TEXT_SERVERS.items() if name != "router" and not row.plain
)

Model = Runnable[Any, Any]


def text_of(answer: object) -> str:
    """The text of a string, a message or a chunk."""
    return answer if isinstance(answer, str) else str(answer.text)  # type: ignore[attr-defined]


def _joined(chunks: Iterable[object]) -> object:
    whole: Any = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


async def _list(chunks: AsyncIterable[object]) -> list[object]:
    return [chunk async for chunk in chunks]


def _invoke(model: Model, given: object, /, **kwargs: object) -> object:
    return model.invoke(given, **kwargs)


def _ainvoke(model: Model, given: object, /, **kwargs: object) -> object:
    return asyncio.run(model.ainvoke(given, **kwargs))


def _stream(model: Model, given: object, /, **kwargs: object) -> object:
    return _joined(model.stream(given, **kwargs))


def _astream(model: Model, given: object, /, **kwargs: object) -> object:
    return _joined(asyncio.run(_list(model.astream(given, **kwargs))))


def _batch(model: Model, given: object, /, **kwargs: object) -> object:
    return model.batch([given], **kwargs)[0]


def _abatch(model: Model, given: object, /, **kwargs: object) -> object:
    return asyncio.run(model.abatch([given], **kwargs))[0]


def _completed(model: Model, given: object, /, **kwargs: object) -> object:
    [(_, answer)] = model.batch_as_completed([given], **kwargs)
    return answer


def _acompleted(model: Model, given: object, /, **kwargs: object) -> object:
    [(_, answer)] = asyncio.run(_list(model.abatch_as_completed([given], **kwargs)))
    return answer


BATCHES: dict[str, Callable[..., object]] = {
    "batch": _batch,
    "abatch": _abatch,
    "batch_as_completed": _completed,
    "abatch_as_completed": _acompleted,
}
WHOLE_MODES: dict[str, Callable[..., object]] = {"invoke": _invoke, "ainvoke": _ainvoke}
STREAM_MODES: dict[str, Callable[..., object]] = {"stream": _stream, "astream": _astream}
MODES = WHOLE_MODES | STREAM_MODES
ALL_MODES = MODES | BATCHES


def answer(mode: str, asked: Model, given: object = "Hi", /, **kwargs: object) -> Any:
    """Ask in one of `ALL_MODES`; a stream's chunks are added up."""
    return ALL_MODES[mode](asked, given, **kwargs)


def body_of(server: Any, path: str | None = None) -> dict[str, Any]:
    """The body of the last request that had one."""
    asked = [r for r in server.requests if r.body and (path is None or r.path == path)]
    body = asked[-1].json
    assert isinstance(body, dict)
    return body
