"""One call of EasyLLM's clients, sync and async."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_easyllm import huggingface

__all__ = ["CLIENTS", "GIVEN", "call", "chunks", "text_of"]

CLIENTS = {"chat": huggingface.ChatCompletion, "text": huggingface.Completion}
GIVEN = {"chat": [{"role": "user", "content": "Hi"}], "text": "Hi"}


def call(mode: str, kind: str, *given: object, **kwargs: object) -> Any:
    """Call `create` ("sync") or `acreate` ("async") of a client."""
    client: Any = CLIENTS[kind]
    given = given or (GIVEN[kind],)
    if mode == "sync":
        return client.create(*given, **kwargs)
    return asyncio.run(client.acreate(*given, **kwargs))


def chunks(mode: str, kind: str, *given: object, **kwargs: object) -> list[Any]:
    """The chunks of a streamed call."""
    client: Any = CLIENTS[kind]
    given = given or (GIVEN[kind],)

    async def read() -> list[Any]:
        return [chunk async for chunk in await client.acreate(*given, stream=True, **kwargs)]

    if mode == "sync":
        return list(client.create(*given, stream=True, **kwargs))
    return asyncio.run(read())


def text_of(result: Any) -> str:
    """The text of a result, or of a list of chunks."""
    if isinstance(result, list):
        return "".join(text_of(chunk) for chunk in result)
    choice = result["choices"][0]
    if "text" in choice:
        return str(choice["text"])
    return str((choice.get("message") or choice.get("delta")).get("content", ""))
