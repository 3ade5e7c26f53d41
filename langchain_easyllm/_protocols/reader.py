"""From decoded events to what a caller sees: reasoning apart, stops cut, completeness checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .._tool_formats.call_syntax import ParsedReasoning, Part
from .._tool_formats.parser import StreamingToolCallParser, TextTools
from ..errors import EasyLLMError, IncompleteStreamError, ProtocolError, beginning_of
from .events import Decoder, Delta, Failure, Media, ToolCallDelta
from .json import quoted
from .media import MediaReader
from .reasoning import ResponseTags, ThinkSplitter, has_unopened_think_tag, may_hold_reasoning
from .stop_sequences import StopCutter
from .tool_calls import ExpectedToolCalls, ToolCallReader, merge_calls

Chunk = str | Delta
"""What a reader hands on: text of the answer, or a delta with more than that."""


# What decoding raises where a server sends JSON that no protocol has.
_UNEXPECTED = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError)


@dataclass(slots=True)
class Answer:
    text: str
    end: Delta = field(default_factory=Delta)  # finish reason, usage, model, tool calls
    reasoning: str = ""
    refusal: str = ""
    media: tuple[Media, ...] = ()
    logprobs: dict[str, object] | None = None


class ResponseReader:
    """Turns the events of one stream into chunks, without any I/O."""

    def __init__(
        self,
        decoder: Decoder,
        stops: tuple[str, ...] = (),
        *,
        reasoning_model: bool = False,
        expected_calls: ExpectedToolCalls = ExpectedToolCalls(),  # noqa: B008 - it cannot change
        text_tools: TextTools | None = None,
        response_tags: bool = False,
        whole: bool = False,
    ) -> None:
        self._decoder = decoder
        self._cutter = StopCutter(stops)
        self._parser = StreamingToolCallParser(text_tools) if text_tools else None
        # What ends a call in text is cut before it is parsed, the caller's own stops after.
        self._call_cutter = StopCutter(text_tools.stops if text_tools else ())
        self._splitter = ThinkSplitter(reasoning_model=reasoning_model)
        self._response_tags = ResponseTags() if response_tags else None
        self._expected_calls = expected_calls  # what is known of the tool calls that may come
        self._whole = whole
        self._calls: ToolCallReader | None = None
        self._media: MediaReader | None = None
        self._shown = bytearray()  # a byte a character; StringIO would keep every chunk alive
        self._spoke = False  # whether any of the answer came but text that went through as it was
        self._details: dict[object, dict[str, object]] = {}
        # whether nothing more is to be read: a stop sequence was met, the server closed the answer,
        # it reported a failure, or an event made no sense
        self.over = False
        self.failure: Failure | None = None  # the server's report, in a stream of status 200
        self.error: EasyLLMError | None = None  # raised after the chunks before it
        self.end = Delta()
        self.reasoned = False  # whether reasoning was seen

    @property
    def partial(self) -> str:
        """The text of the answer that was handed on so far."""
        return self._shown.decode("utf-8", "surrogatepass")

    def feed(self, events: Iterable[bytes]) -> list[Chunk]:
        """Take the data of some events and return the chunks that can be shown."""
        chunks: list[Chunk] = []
        read = self._decoder.read
        plain = self._is_plain()
        for data in events:
            try:
                # The transport marks the data of an event named "error" by a type of its own.
                item = read(data) if type(data) is bytes else Failure(data)
            except EasyLLMError as error:
                if data.lstrip().startswith(b":"):
                    continue  # a comment that a proxy wrapped as data
                self.error, self.over = error, True
                break
            except _UNEXPECTED as error:
                self.error, self.over = _unexpected(data, error), True
                break
            if type(item) is str:
                if plain:
                    chunks.append(item)
                    continue
                self._take_text(item, chunks)
                plain = self._is_plain()
            elif type(item) is Delta:
                self._take_delta(item, chunks)
            elif type(item) is Failure:
                self._take_text(item.text, chunks)
                self.failure, self.over = item, True
                break
            # A server that met it too, and shows it, has the token counts still to send.
            if self._stopped and self.end.finish_reason is None:
                self.over = True
                break
        if self._decoder.closed:
            self.over = True
        self._keep(chunks)
        return chunks

    def take(self, delta: Delta) -> list[Chunk]:
        """Take a whole answer and return the chunks that can be shown."""
        chunks: list[Chunk] = []
        self._take_delta(delta, chunks)
        self._keep(chunks)
        return chunks

    def _is_plain(self) -> bool:
        """Whether text goes through as it comes: nothing has to be found in it."""
        if self._parser is not None or self._response_tags is not None:
            return False
        return self._splitter.settled and self._cutter.idle

    @property
    def _stopped(self) -> bool:
        return self._cutter.found or self._call_cutter.found

    def _keep(self, chunks: list[Chunk]) -> None:
        """Keep the text that is handed on, for an error to hold."""
        text = "".join([chunk for chunk in chunks if type(chunk) is str])
        self._shown += text.encode("utf-8", "surrogatepass")

    def close(self) -> list[Chunk]:
        """Return the last chunks, after the stream's end."""
        if self.error is not None:
            self.error.partial = self.partial
            raise self.error
        chunks: list[Chunk] = []
        if not self._stopped and not self._decoder.done:
            self._release(chunks)
            self._flush(chunks)
            raise IncompleteStreamError(
                "The stream ended before the server said that the answer is complete: "
                "what arrived is in .partial. Ask again, or raise max_retries or timeout.",
                body=self._unread,
                partial=self.partial,
            )
        if not (self.complete or self._shown or self._spoke or self._whole):
            raise self._without_answer()
        self._release(chunks)
        calls: tuple[ToolCallDelta, ...] = ()
        said = ""
        if self._calls is not None:
            calls, said = self._calls.close(length=self.end.finish_reason == "length")
        self._flush(chunks, said)
        if calls:
            chunks.append(Delta(calls=calls))
        if self._media is not None and (media := self._media.close()):
            chunks.append(Delta(media=media))
        self._conclude()
        # Too late for this answer's reasoning; the model's next one will be known for it.
        self.end.unopened = self._splitter.unopened or has_unopened_think_tag(self.partial)
        self.reasoned = self.reasoned or self.end.unopened
        return chunks

    def _without_answer(self) -> EasyLLMError:
        if self._decoder.unread is not None:
            return _unexpected(self._decoder.unread)
        return IncompleteStreamError(
            "The server ended the stream without an answer, and without a reason why it "
            "finished. Ask again, or see its log."
        )

    @property
    def _unread(self) -> str | None:
        """The event of a stream without an answer that is none of its protocol."""
        data = None if self._shown or self._spoke else self._decoder.unread
        return None if data is None else beginning_of(data)

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, whatever becomes of the rest of the stream."""
        return self._stopped or self.end.finish_reason is not None

    def _take_text(self, text: str, chunks: list[Chunk]) -> None:
        self._spoke = self._spoke or bool(text)
        if self._splitter.settled:
            self._take_answer(text, chunks)
            return
        self._split(text, chunks)
        while self._splitter.behind and not self._stopped:
            self._split("", chunks)

    def _split(self, text: str, chunks: list[Chunk]) -> None:
        reasoning, answer = self._splitter.feed(text)
        if reasoning:
            self._take_reasoning(reasoning, self._splitter.name, chunks)
        self._take_answer(answer, chunks)

    def _take_answer(self, text: str, chunks: list[Chunk]) -> None:
        if text and self._response_tags is not None:
            text = self._response_tags.feed(text)
        self._take_untagged(text, chunks)

    def _take_untagged(self, text: str, chunks: list[Chunk]) -> None:
        if text and self._parser is not None:
            self._take_parts(self._parser.feed(self._call_cutter.feed(text)), chunks)
        elif text:
            self._show(self._cutter.feed(text), chunks)

    def _take_parts(self, parts: Iterable[Part], chunks: list[Chunk]) -> None:
        for part in parts:
            if isinstance(part, str):
                self._show(self._cutter.feed(part), chunks)
            elif isinstance(part, ParsedReasoning):
                chunks.append(Delta(reasoning=part.text))
            elif not self._cutter.found:
                # No stop sequence goes on beyond a call.
                self._show(self._cutter.close(), chunks)
                function = {"name": part.name, "arguments": part.arguments}
                if calls := self._take_calls(({"function": function},), whole=True):
                    chunks.append(Delta(calls=calls))

    def _show(self, text: str, chunks: list[Chunk]) -> None:
        if text:
            chunks.append(text)

    def _take_reasoning(self, reasoning: str, name: str, chunks: list[Chunk]) -> None:
        chunks.append(Delta(reasoning=reasoning, reasoning_field=None if self.reasoned else name))
        self.reasoned = True

    def _take_delta(self, delta: Delta, chunks: list[Chunk]) -> None:
        self._note(delta)
        if delta.repeats and (self._spoke or self._shown or chunks):
            return
        if delta.refusal or delta.reasoning or delta.tool_calls or delta.media_parts:
            self._spoke = True
        if delta.refusal:
            chunks.append(Delta(refusal=delta.refusal))
        if delta.reasoning:
            held = self._splitter.answer_only()
            self._take_reasoning(delta.reasoning, delta.reasoning_field or "reasoning", chunks)
            self._take_text(held, chunks)
        if delta.text:
            self._take_text(delta.text, chunks)
        if delta.media_parts:
            self._take_media(delta.media_parts, chunks)
        if self._stopped:
            return
        calls: tuple[ToolCallDelta, ...] = ()
        if delta.tool_calls:
            whole = delta.whole and self._calls is None
            calls = self._take_calls(delta.tool_calls, whole=whole)
        if delta.logprobs or calls:
            chunks.append(Delta(logprobs=delta.logprobs, calls=calls))

    def _take_media(self, parts: Iterable[Mapping[str, object]], chunks: list[Chunk]) -> None:
        self._media = self._media or MediaReader()
        if media := self._media.feed(parts):
            chunks.append(Delta(media=media))

    def _take_calls(
        self, calls: tuple[Mapping[str, object], ...], *, whole: bool = False
    ) -> tuple[ToolCallDelta, ...]:
        if self._calls is None:
            self._calls = ToolCallReader(self._expected_calls, whole=self._whole)
        return self._calls.feed(calls, whole=whole)

    def _conclude(self) -> None:
        """Set the finish reason, the same on every server."""
        end, calls = self.end, self._calls
        if self._stopped:
            end.finish_reason = "stop"
        if calls and calls.cut:
            end.finish_reason = "length"
        elif calls and calls.valid and end.finish_reason != "length":
            end.finish_reason = "tool_calls"
        elif end.finish_reason == "tool_calls" and not (calls and calls.any):
            end.finish_reason = "stop"

    def _note(self, delta: Delta) -> None:
        end = self.end
        end.finish_reason = delta.finish_reason or end.finish_reason
        end.usage = delta.usage or end.usage
        end.model = delta.model or end.model
        if delta.extra:
            end.extra = {**(end.extra or {}), **delta.extra}
        if delta.reasoning_details:
            self._note_details(delta.reasoning_details)

    def _note_details(self, details: Iterable[Mapping[str, object]]) -> None:
        """Put the pieces of each block together, by their numbers."""
        for number, detail in enumerate(details):
            block = self._details.setdefault(detail.get("index", number), {})
            for key, value in detail.items():
                grows = key in ("text", "summary", "data") and isinstance(value, str)
                block[key] = f"{block.get(key) or ''}{value}" if grows else value
        self.end.reasoning_details = tuple(self._details.values())

    def _release(self, chunks: list[Chunk]) -> None:
        """Hand on what was held back, now that nothing more comes."""
        cut = self.end.finish_reason in (None, "length")
        reasoning, text = ("", "") if self._stopped else self._splitter.close(cut=cut)
        if reasoning:
            self._take_reasoning(reasoning, self._splitter.name, chunks)
        self._take_answer(text, chunks)
        if self._response_tags is not None and not self._stopped:
            self._take_untagged(self._response_tags.close(), chunks)
        if self._parser is not None:
            parts = self._parser.feed(self._call_cutter.close())
            self._take_parts([*parts, *self._parser.close()], chunks)

    def _flush(self, chunks: list[Chunk], said: str = "") -> None:
        self._show(self._cutter.feed(said) + self._cutter.close(), chunks)
        self._keep(chunks)


def _unexpected(data: bytes, cause: Exception | None = None) -> ProtocolError:
    error = ProtocolError(
        f"The server sent JSON that this protocol does not have: {quoted(data)}. "
        "Check that base_url and api belong together.",
        body=beginning_of(data),
    )
    error.__cause__ = cause
    return error


def read_answers(
    decoder: Decoder,
    body: bytes,
    stops: tuple[str, ...],
    *,
    prompt: str | None = None,
    repeated: str = "",
    reasoning_model: bool = False,
    expected_calls: ExpectedToolCalls = ExpectedToolCalls(),  # noqa: B008 - it cannot change
    text_tools: TextTools | None = None,
    response_tags: bool = False,
) -> list[Answer] | Failure:
    """Read a response that was not streamed, with the same cuts as a stream."""
    try:
        deltas = decoder.read_whole(body)
    except _UNEXPECTED as error:
        raise _unexpected(body, error) from error
    if isinstance(deltas, Failure):
        return deltas
    answers = []
    for delta in deltas:
        if repeated:
            delta.text = delta.text.removeprefix(repeated)
        if prompt is not None:
            delta.text = delta.text.removeprefix(prompt)
        if delta.finish_reason == "length":
            # The half of a character that max_tokens cut through: no server streams it either.
            delta.text = delta.text.rstrip("\ufffd")
        if _is_plain(delta, searched=bool(stops or text_tools or response_tags)):
            answer = Answer(delta.text, delta)
        else:
            reader = ResponseReader(
                decoder,
                stops,
                # All text is here: a closing tag without an opening one differs from mere text.
                reasoning_model=reasoning_model or has_unopened_think_tag(delta.text),
                expected_calls=expected_calls,
                text_tools=text_tools,
                response_tags=response_tags,
                whole=True,
            )
            answer = gather_chunks([*reader.take(delta), *reader.close()], reader.end)
        answer.text = answer.text if prompt is None else prompt + answer.text
        answer.logprobs = dict(delta.logprobs) if delta.logprobs else None
        answers.append(answer)
    return answers


def _is_plain(delta: Delta, *, searched: bool) -> bool:
    """Whether an answer is the text that came, and nothing has to be found in it."""
    special = delta.reasoning or delta.tool_calls or delta.finish_reason == "tool_calls"
    special = special or delta.refusal or delta.reasoning_details or delta.media_parts
    return not (searched or special or may_hold_reasoning(delta.text))


def gather_chunks(chunks: Sequence[Chunk], end: Delta) -> Answer:
    deltas = [chunk for chunk in chunks if type(chunk) is Delta]
    logprobs = [token for delta in deltas for token in _tokens(delta)]
    end.calls = merge_calls(call for delta in deltas for call in delta.calls)
    end.reasoning_field = next((d.reasoning_field for d in deltas if d.reasoning_field), None)
    return Answer(
        text="".join(chunk for chunk in chunks if type(chunk) is str),
        end=end,
        reasoning="".join(delta.reasoning for delta in deltas),
        refusal="".join(delta.refusal for delta in deltas),
        media=tuple(media for delta in deltas for media in delta.media),
        logprobs={"content": logprobs} if logprobs else None,
    )


def _tokens(delta: Delta) -> list[object]:
    content = delta.logprobs.get("content") if delta.logprobs else None
    return content if isinstance(content, list) else []
