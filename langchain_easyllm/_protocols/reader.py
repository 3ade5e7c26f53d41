"""From decoded events to what a caller may see: thinking apart, stops cut, completeness checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .._tool_formats.call_syntax import ParsedReasoning, Part
from .._tool_formats.parser import StreamingToolCallParser, TextTools
from ..errors import EasyLLMError, IncompleteStreamError, ProtocolError
from .events import Decoder, Delta, Failure, ToolCallDelta
from .reasoning import ThinkSplitter, has_unopened_think_tag
from .stop_sequences import StopCutter
from .tool_calls import ExpectedToolCalls, ToolCallReader, merge_calls

__all__ = ["Answer", "Chunk", "ResponseReader", "read_answers"]


Chunk = str | Delta
"""What a reader hands on: text of the answer, or a delta with more than that."""


# What decoding runs into where a server sends JSON of a shape that no protocol has.
_MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError)


@dataclass(slots=True)
class Answer:
    """One whole answer.

    Attributes:
        text: The answer, cut before the first stop sequence.
        end: What the server said of it (finish reason, usage, model, tool calls).
        reasoning: The model's thinking.
        logprobs: Log probabilities in OpenAI's chat shape.
    """

    text: str
    end: Delta = field(default_factory=Delta)
    reasoning: str = ""
    logprobs: dict[str, object] | None = None


class ResponseReader:
    """Turns the events of one stream into pieces, without any I/O.

    Args:
        decoder: Reads the protocol's events.
        stops: Stop sequences that end the answer.
        reasoning_model: Whether the model is known to reason (see `ThinkSplitter`).
        expected_calls: What is known of the tool calls that may come.
        whole: Whether the answer comes in one piece.
        text_tools: How the text may hold calls; None where they are not looked for.

    Attributes:
        over: Whether nothing more is to be read: a stop sequence was met, the server closed the
            answer, it reported a failure, or an event made no sense.
        failure: The server's report that it failed, inside a stream of status 200.
        error: What made no sense; the pieces before it are handed on first.
        end: What the server said of the answer as a whole (finish reason, usage, model).
        reasoned: Whether reasoning was seen.
    """

    def __init__(
        self,
        decoder: Decoder,
        stops: tuple[str, ...] = (),
        *,
        reasoning_model: bool = False,
        expected_calls: ExpectedToolCalls = ExpectedToolCalls(),  # noqa: B008 - it cannot change
        text_tools: TextTools | None = None,
        whole: bool = False,
    ) -> None:
        self._decoder = decoder
        self._cutter = StopCutter(stops)
        self._parser = StreamingToolCallParser(text_tools) if text_tools else None
        # What ends a call in text is cut before it is parsed, the caller's own stops after.
        self._call_cutter = StopCutter(text_tools.stops if text_tools else ())
        self._splitter = ThinkSplitter(reasoning_model=reasoning_model)
        self._expected_calls = expected_calls
        self._whole = whole
        self._calls: ToolCallReader | None = None
        self._shown = bytearray()  # a byte a character; StringIO would keep every piece alive
        self.over = False
        self.failure: Failure | None = None
        self.error: EasyLLMError | None = None
        self.end = Delta()
        self.reasoned = False

    @property
    def partial(self) -> str:
        """The text of the answer that was handed on so far."""
        return self._shown.decode("utf-8", "surrogatepass")

    def feed(self, events: Iterable[bytes]) -> list[Chunk]:
        """Take the data of some events and return the pieces that can be shown."""
        pieces: list[Chunk] = []
        read = self._decoder.read
        plain = self._is_plain()
        for data in events:
            try:
                # The transport marks the data of an event named "error" by a type of its own.
                item = read(data) if type(data) is bytes else Failure(data)
            except EasyLLMError as error:
                self.error, self.over = error, True
                break
            except _MISSHAPEN as error:
                self.error, self.over = _misshapen(data, error), True
                break
            if type(item) is str:
                if plain:
                    pieces.append(item)
                    continue
                self._take_text(item, pieces)
                plain = self._is_plain()
            elif type(item) is Delta:
                self._take_delta(item, pieces)
            elif type(item) is Failure:
                self.failure, self.over = item, True
                break
            if self._stopped:
                self.over = True
                break
        if self._decoder.closed:
            self.over = True
        self._keep(pieces)
        return pieces

    def _is_plain(self) -> bool:
        """Whether text goes through as it comes: there is nothing to look for in it."""
        return self._splitter.settled and self._cutter.idle and self._parser is None

    @property
    def _stopped(self) -> bool:
        """Whether a stop sequence was met."""
        return self._cutter.found or self._call_cutter.found

    def _keep(self, pieces: list[Chunk]) -> None:
        """Keep the text that is handed on, for an error to hold."""
        text = "".join([piece for piece in pieces if type(piece) is str])
        self._shown += text.encode("utf-8", "surrogatepass")

    def close(self) -> list[Chunk]:
        """Return the last pieces, after the stream's end.

        Raises:
            IncompleteStreamError: If the server never said that the answer is complete.
            ProtocolError: If an event made no sense.
        """
        if self.error is not None:
            self.error.partial = self.partial
            raise self.error
        pieces: list[Chunk] = []
        if not self._stopped and not self._decoder.done:
            self._release(pieces)
            self._flush(pieces)
            raise IncompleteStreamError(
                "The stream ended before the server said that the answer is complete: "
                "what arrived is in .partial. Ask again, or raise max_retries or timeout.",
                partial=self.partial,
            )
        self._release(pieces)
        calls, said = self._close_calls()
        self._flush(pieces, said)
        if calls:
            pieces.append(Delta(calls=calls))
        self._conclude()
        # Too late for this answer's thinking, but the next one's will be known for it.
        self.reasoned = self.reasoned or has_unopened_think_tag(self.partial)
        return pieces

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, whatever becomes of the rest of the stream."""
        return self._stopped or self.end.finish_reason is not None

    def _take_text(self, text: str, pieces: list[Chunk]) -> None:
        if not self._splitter.settled:
            thought, text = self._splitter.feed(text)
            if thought:
                self._take_thought(thought, "think", pieces)
        self._take_answer(text, pieces)

    def _take_answer(self, text: str, pieces: list[Chunk]) -> None:
        if text and self._parser is not None:
            self._take_parts(self._parser.feed(self._call_cutter.feed(text)), pieces)
        elif text:
            self._show(self._cutter.feed(text), pieces)

    def _take_parts(self, parts: Iterable[Part], pieces: list[Chunk]) -> None:
        """Take text and what was found in it."""
        for part in parts:
            if isinstance(part, str):
                self._show(self._cutter.feed(part), pieces)
            elif isinstance(part, ParsedReasoning):
                pieces.append(Delta(reasoning=part.text))
            elif not self._cutter.found:
                # No stop sequence goes on beyond a call.
                self._show(self._cutter.close(), pieces)
                function = {"name": part.name, "arguments": part.arguments}
                if calls := self._take_calls(({"function": function},)):
                    pieces.append(Delta(calls=calls))

    def _show(self, text: str, pieces: list[Chunk]) -> None:
        if text:
            pieces.append(text)

    def _take_thought(self, thought: str, name: str, pieces: list[Chunk]) -> None:
        pieces.append(Delta(reasoning=thought, reasoning_field=None if self.reasoned else name))
        self.reasoned = True

    def _take_delta(self, delta: Delta, pieces: list[Chunk]) -> None:
        self._note(delta)
        if delta.reasoning:
            held = self._splitter.answer_only()
            self._take_thought(delta.reasoning, delta.reasoning_field or "reasoning", pieces)
            self._take_text(held, pieces)
        if delta.text:
            self._take_text(delta.text, pieces)
        if self._stopped:
            return
        calls = self._take_calls(delta.tool_calls) if delta.tool_calls else ()
        if delta.logprobs or calls:
            pieces.append(Delta(logprobs=delta.logprobs, calls=calls))

    def _take_calls(self, calls: tuple[Mapping[str, object], ...]) -> tuple[ToolCallDelta, ...]:
        if self._calls is None:
            self._calls = ToolCallReader(self._expected_calls, whole=self._whole)
        return tuple(self._calls.feed(calls))

    def _close_calls(self) -> tuple[tuple[ToolCallDelta, ...], str]:
        if self._calls is None:
            return (), ""
        calls, said = self._calls.close(length=self.end.finish_reason == "length")
        return tuple(calls), said

    def _conclude(self) -> None:
        """Say why the answer ended, in the same words on every server."""
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

    def _release(self, pieces: list[Chunk]) -> None:
        """Hand on what was held back, now that nothing more comes."""
        thought, text = self._splitter.close()
        if thought:
            self._take_thought(thought, "think", pieces)
        self._take_answer(text, pieces)
        if self._parser is not None:
            parts = self._parser.feed(self._call_cutter.close())
            self._take_parts([*parts, *self._parser.close()], pieces)

    def _flush(self, pieces: list[Chunk], said: str = "") -> None:
        """Hand on the last text."""
        self._show(self._cutter.feed(said) + self._cutter.close(), pieces)
        self._keep(pieces)


def _misshapen(data: bytes, cause: Exception) -> ProtocolError:
    text = data[:2000].decode("utf-8", "replace")
    error = ProtocolError(
        f"The server sent JSON that this protocol does not have: {text[:200]!r}. "
        "Check that base_url and api belong together.",
        body=text,
    )
    error.__cause__ = cause
    return error


class _Ready:
    """A decoder whose one event has been decoded already."""

    def __init__(self, delta: Delta) -> None:
        self.done = True
        self.closed = False
        self._delta = delta

    def read(self, data: bytes) -> Delta:  # noqa: ARG002 - the event is ready
        return self._delta

    def read_whole(self, body: bytes) -> list[Delta]:  # noqa: ARG002 - the answer is ready
        return [self._delta]


def read_answers(
    decoder: Decoder,
    body: bytes,
    stops: tuple[str, ...],
    *,
    prompt: str | None = None,
    reasoning_model: bool = False,
    expected_calls: ExpectedToolCalls = ExpectedToolCalls(),  # noqa: B008 - it cannot change
    text_tools: TextTools | None = None,
) -> list[Answer] | Failure:
    """Read a response that was not streamed, with the same cuts as a stream.

    Args:
        decoder: Reads the protocol.
        body: The response.
        stops: Stop sequences that end each answer.
        prompt: The prompt, where the server was asked to repeat it: it stays whole, whatever stop
            sequences it holds.
        reasoning_model: Whether the model is known to reason.
        expected_calls: What is known of the tool calls that may come.
        text_tools: How the text may hold calls; None where they are not looked for.

    Raises:
        ProtocolError: If the answer cannot be understood.
    """
    try:
        deltas = decoder.read_whole(body)
    except _MISSHAPEN as error:
        raise _misshapen(body, error) from error
    if isinstance(deltas, Failure):
        return deltas
    answers = []
    for delta in deltas:
        if prompt is not None:
            delta.text = delta.text.removeprefix(prompt)
        if delta.finish_reason == "length":
            # The half of a character that max_tokens cut through: no server streams it either.
            delta.text = delta.text.rstrip("\ufffd")
        if _is_plain(delta, looks_for=bool(stops or text_tools)):
            answer = Answer(delta.text, delta)
        else:
            reader = ResponseReader(
                _Ready(delta),
                stops,
                # All text is here: a closing tag without an opening one can be told from mere text.
                reasoning_model=reasoning_model or has_unopened_think_tag(delta.text),
                expected_calls=expected_calls,
                text_tools=text_tools,
                whole=True,
            )
            answer = _read_whole(reader)
        answer.text = answer.text if prompt is None else prompt + answer.text
        answer.logprobs = dict(delta.logprobs) if delta.logprobs else None
        answers.append(answer)
    return answers


def _is_plain(delta: Delta, *, looks_for: bool) -> bool:
    """Whether an answer is the text that came, with nothing to look for in it."""
    special = delta.reasoning or delta.tool_calls or delta.finish_reason == "tool_calls"
    return not (looks_for or special or "think>" in delta.text)


def _read_whole(reader: ResponseReader) -> Answer:
    chunks = [*reader.feed((b"",)), *reader.close()]
    deltas = [chunk for chunk in chunks if type(chunk) is Delta]
    end = reader.end
    end.calls = merge_calls(call for delta in deltas for call in delta.calls)
    end.reasoning_field = next((d.reasoning_field for d in deltas if d.reasoning_field), None)
    return Answer(
        text="".join(chunk for chunk in chunks if type(chunk) is str),
        end=end,
        reasoning="".join(delta.reasoning for delta in deltas),
    )
