"""Answers as the events of langchain-core's protocol for streams (`version="v3"`).

langchain-core can make them of a stream's chunks, but chunks have no place for why a tool call is
invalid, and it drops refusals. The events of a block surround those of others, as langchain-core's
own do: every block is open until the message ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import LC_ID_PREFIX, AIMessage
from langchain_core.version import VERSION

from .._protocols.events import Delta
from .._protocols.tool_calls import merge_calls
from .outputs import PROVIDER, additional_kwargs, call_block, info_of, media_block, usage_metadata

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
    from langchain_core.outputs import ChatResult
    from langchain_protocol.protocol import MessagesData

    from .._protocols.events import ToolCallDelta, Usage
    from .._protocols.reader import Chunk

    RunManager = CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None

Block = dict[str, Any]

SUPPORTED = tuple(int(part) for part in VERSION.split(".")[:2]) >= (1, 7)
"""Whether langchain-core reads a tool call's pieces from events in today's form."""

# What may be large, and goes with the end of a block only.
_HEAVY = frozenset({"args", "base64", "value"})
_EMPTY: Mapping[str, Block] = {"tool_call": {"args": {}}, "non_standard": {"value": {}}}


class MessageEvents:
    """Turns the chunks of one streamed answer into events."""

    def __init__(self, run_manager: RunManager) -> None:
        self._id = _message_id(run_manager)
        self._started = False
        self._blocks: list[Block] = []  # as they are known, in the order in which they began
        self._numbers: dict[object, int] = {}  # of blocks that go on, by what they are
        self._texts: dict[str, list[str]] = {}
        self._calls: list[ToolCallDelta] = []
        self._logprobs: list[object] = []
        self._end = Delta()
        self._usage: Usage | None = None
        self._info: dict[str, Any] = {}

    def feed(self, chunks: Iterable[Chunk]) -> Iterator[MessagesData]:
        if not self._started:
            self._started = True
            yield _start_of_message(self._id)
        for chunk in chunks:
            if isinstance(chunk, str):
                yield from self._feed_text("text", chunk)
            else:
                yield from self._feed_delta(chunk)

    def _feed_delta(self, delta: Delta) -> Iterator[MessagesData]:
        yield from self._feed_text("reasoning", delta.reasoning)
        yield from self._feed_text("text", delta.text)
        if delta.refusal:
            if "refusal" not in self._numbers:
                yield self._open("refusal", {"type": "non_standard"})
            self._texts.setdefault("refusal", []).append(delta.refusal)
        for media in delta.media:
            yield self._open(media, _without_index(media_block(media)))
        for call in delta.calls:
            yield from self._feed_call(call)
        tokens = delta.logprobs.get("content") if delta.logprobs else None
        self._logprobs += tokens if isinstance(tokens, list) else []
        self._info |= info_of(delta, None)
        if delta.reasoning_details:
            self._end = delta
        self._usage = delta.usage or self._usage

    def _feed_text(self, kind: str, text: str) -> Iterator[MessagesData]:
        if not text:
            return
        if kind not in self._numbers:
            yield self._open(kind, {"type": kind, kind: ""})
        self._texts.setdefault(kind, []).append(text)
        yield _delta(self._numbers[kind], {"type": f"{kind}-delta", kind: text})

    def _feed_call(self, call: ToolCallDelta) -> Iterator[MessagesData]:
        if call.index not in self._numbers:
            named = {"id": call.id, "name": call.name, "args": "", "index": call.index}
            yield self._open(call.index, {"type": "tool_call_chunk", **named})
        self._calls.append(call)
        if call.arguments:
            delta = {"type": "tool-call-delta", "args": call.arguments}
            yield _delta(self._numbers[call.index], delta)

    def _open(self, key: object, block: Block) -> MessagesData:
        number = self._numbers[key] = len(self._blocks)
        self._blocks.append(block)
        return _start(number, block)

    def close(self) -> Iterator[MessagesData]:
        """Yield the ends of all blocks, and of the message."""
        texts = {kind: "".join(pieces) for kind, pieces in self._texts.items()}
        for kind in texts.keys() - {"refusal"}:
            self._blocks[self._numbers[kind]][kind] = texts[kind]
        if refusal := texts.get("refusal"):
            value = {"type": "refusal", "refusal": refusal}
            self._blocks[self._numbers["refusal"]]["value"] = value
        for call in merge_calls(self._calls):
            self._blocks[self._numbers[call.index]] = call_block(call)
        for number, block in enumerate(self._blocks):
            yield _finish(number, block)
        if self._logprobs:
            self._info["logprobs"] = {"content": self._logprobs}
        kept = additional_kwargs(texts.get("reasoning", ""), self._end)
        yield _end_of_message(usage_metadata(self._usage), self._info, kept)


def events_of_chunks(
    batches: Iterable[Iterable[Chunk]], run_manager: RunManager
) -> Iterator[MessagesData]:
    """Yield the events of a streamed answer."""
    events = MessageEvents(run_manager)
    for chunks in batches:
        yield from events.feed(chunks)
    yield from events.close()


async def aevents_of_chunks(
    batches: AsyncIterable[Iterable[Chunk]], run_manager: RunManager
) -> AsyncIterator[MessagesData]:
    events = MessageEvents(run_manager)
    async for chunks in batches:
        for event in events.feed(chunks):
            yield event
    for event in events.close():
        yield event


async def aevents_of_result(
    result: Awaitable[ChatResult], run_manager: RunManager
) -> AsyncIterator[MessagesData]:
    for event in events_of_result(await result, run_manager):
        yield event


def events_of_result(result: ChatResult, run_manager: RunManager) -> Iterator[MessagesData]:
    """Yield the events of an answer that was not streamed."""
    message = cast("AIMessage", result.generations[0].message)
    yield _start_of_message(_message_id(run_manager))
    blocks = [_protocol_block(cast("Block", block)) for block in message.content_blocks]
    if not any(block["type"] == "invalid_tool_call" for block in blocks):
        blocks += ({**call, "type": "invalid_tool_call"} for call in message.invalid_tool_calls)
    for number, block in enumerate(blocks):
        kind = block["type"]
        yield _start(number, block)
        if kind in ("text", "reasoning"):
            yield _delta(number, {"type": f"{kind}-delta", kind: block[kind]})
        yield _finish(number, block)
    metadata = message.response_metadata
    yield _end_of_message(message.usage_metadata, metadata, message.additional_kwargs)


def _protocol_block(block: Block) -> Block:
    block = _without_index(block)
    # The protocol has no block for it.
    return {"type": "non_standard", "value": block} if block["type"] == "refusal" else block


def _without_index(block: Block) -> Block:
    return {key: value for key, value in block.items() if key != "index"}


def _message_id(run_manager: RunManager) -> str:
    return f"{LC_ID_PREFIX}-{run_manager.run_id}" if run_manager else ""


def _event(name: str, **more: object) -> MessagesData:
    return cast("MessagesData", {"event": name, **more})


def _start_of_message(identity: str) -> MessagesData:
    return _event("message-start", role="ai", id=identity, metadata={"provider": PROVIDER})


def _start(number: int, block: Block) -> MessagesData:
    kind = block["type"]
    shown = {key: value for key, value in block.items() if key not in _HEAVY}
    shown |= _EMPTY.get(kind, {})
    if kind == "tool_call_chunk":
        shown["args"] = ""
    elif kind in ("text", "reasoning"):
        shown[kind] = ""
    return _event("content-block-start", index=number, content=shown)


def _delta(number: int, delta: Block) -> MessagesData:
    return _event("content-block-delta", index=number, delta=delta)


def _finish(number: int, block: Block) -> MessagesData:
    return _event("content-block-finish", index=number, content=dict(block))


def _end_of_message(
    usage: object, metadata: Mapping[str, object], kept: Mapping[str, object]
) -> MessagesData:
    more: Block = {"usage": usage} if usage else {}
    more["metadata"] = dict(metadata)
    if kept:
        more["additional_kwargs"] = dict(kept)
    return _event("message-finish", **more)
