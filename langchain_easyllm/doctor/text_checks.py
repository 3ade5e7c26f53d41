"""Checks of text: plain and streamed answers, stop sequences, token counts, reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from langchain_core.messages import AIMessage

from ..errors import ConfigurationError
from .advice import advice
from .recording import Exchange
from .report import Finding, fails, not_offered, unclear, works
from .subject import COUNTING, COUNTING_TOKENS, GREETING_TOKENS, Subject

SPARE = 16
"""Characters that may come behind a stop sequence: the rest of the token that completes it."""


def plain(subject: Subject) -> Finding:
    """A whole answer of the chat model."""
    message = subject.answer()
    if reasoning := reasoning_of(message):
        return works(f"{quoted(message.text or reasoning)}, with reasoning apart from the text")
    if not message.text.strip():
        return fails("The answer has no text.", advice(subject, "plain"))
    return works(quoted(message.text))


def prompt(subject: Subject) -> Finding:
    """Text that goes on from a prompt, with `EasyLLM`."""
    text = subject.llm().invoke("One, two, three,", max_tokens=8)
    route = subject.last().path
    if not text.strip():
        return unclear(f"The answer has no text, by {route}.")
    return works(f"{quoted(text)}, by {route}")


def stream(subject: Subject) -> Finding:
    """A streamed answer."""
    found = subject.streamed()
    tokens = _written(found.message)
    if not found.pieces:
        return fails("The stream has no text.", advice(subject, "stream"))
    at_once = found.seconds > 1 and found.first > 0.95 * found.seconds
    if tokens >= 8 and (len(found.pieces) == 1 or at_once):
        return fails(
            f"{tokens} tokens come all at once, {found.first:.1f} s after the request: something "
            "on the way keeps the stream back.",
            "Switch buffering off in the proxy before the server (nginx: proxy_buffering off).",
        )
    return works(f"{len(found.pieces)} pieces: {quoted(found.message.text)}")


def first_token(subject: Subject) -> Finding:
    """The time to the first token, and the rate of the others."""
    found = subject.streamed()
    if not found.pieces:
        return unclear("The stream has no text.")
    note = f"{found.first:.2f} s to the first token"
    tokens = _written(found.message)
    rest = found.seconds - found.first
    if len(found.pieces) > 1 and tokens > 1 and rest > 0:
        note += f", then {(tokens - 1) / rest:.0f} tokens a second"
    return works(note)


def stop(subject: Subject) -> Finding:
    """A stop sequence over the border of two tokens, plain and streamed."""
    place = _stop_in(subject)
    if place is None:
        return unclear("The answer is too short to choose a stop sequence from it.")
    sequence, expected = place
    chat = subject.chat(max_tokens=COUNTING_TOKENS, stop=[sequence])
    message = chat.invoke(COUNTING)
    asked = subject.last()
    streamed = "".join(chunk.text for chunk in chat.stream(COUNTING))
    if sequence in message.text or sequence in streamed:
        return fails(f"The stop sequence {sequence!r} is in the answer.")
    raw = _raw_text(asked)
    behind = raw.partition(sequence)[2]
    if "stop" not in _keys(asked.sent):
        return works("applied by this package: the server takes no stop sequences")
    if len(behind) > SPARE:
        return fails(
            f"The server goes on behind the stop sequence {sequence!r}: {quoted(behind)}. This "
            "package cuts that off, yet its tokens are generated.",
            advice(subject, "stop"),
        )
    if message.text.strip() != expected.strip():
        return unclear(f"This time the answer is another one: {quoted(message.text)}.")
    note = f"ends before {sequence!r}, plain and streamed"
    if sequence in raw:
        note += "; the server leaves it in, and this package cuts it off"
    return works(note)


def many_stops(subject: Subject) -> Finding:
    """More stop sequences than the server takes."""
    limit = subject.server.stop_limit
    given = (4 if limit is None else limit) + 2
    place = _stop_in(subject)
    sequence = place[0] if place else "zzz"
    stops = [f"<never {number}>" for number in range(given - 1)]
    message = subject.chat(max_tokens=COUNTING_TOKENS, stop=[*stops, sequence]).invoke(COUNTING)
    if sequence in message.text:
        return fails(f"The last of {given} stop sequences is in the answer.")
    listed = _keys(subject.last().sent).get("stop")
    sent = len(listed) if isinstance(listed, list) else 0
    if sent == given:
        return works(f"takes {given} at once")
    return works(f"{given} given: {sent} sent, the others applied by this package")


def usage(subject: Subject) -> Finding:
    """The token counts of a whole answer."""
    message = subject.answer()
    return _judged(subject, message, GREETING_TOKENS, "An answer")


def stream_usage(subject: Subject) -> Finding:
    """The token counts of a streamed answer."""
    found = subject.streamed()
    if found.message.usage_metadata is None and not subject.profile.counts_streams:
        return not_offered("This server's streams have no token counts.")
    return _judged(subject, found.message, COUNTING_TOKENS, "A stream")


def reasoning(subject: Subject) -> Finding:
    """Reasoning apart from the answer; read until the first piece of text only."""
    seen = ""
    try:
        chunks = subject.chat(max_tokens=64, thinking=True).stream("What is 17 times 3?")
        for chunk in chunks:
            if thought := reasoning_of(chunk):
                return works(f"comes apart from the text, and begins {quoted(thought)}")
            seen += chunk.text
            if "<think>" in seen:
                break
            if len(seen) > 40:
                break
    except ConfigurationError as error:
        return not_offered(error.message)
    if "<think>" in seen:
        return fails(f"The reasoning comes as text: {quoted(seen)}.", advice(subject, "reasoning"))
    return not_offered("The model answers without reasoning.", advice(subject, "reasoning"))


def reasoning_of(message: AIMessage) -> str:
    return str(message.additional_kwargs.get("reasoning_content") or "")


def quoted(text: str, most: int = 40) -> str:
    """Return a text on one line, in quotes, cut where it is long."""
    line = " ".join(text.split())
    return f'"{line}"' if len(line) <= most else f'"{line[: most - 1]}…"'


def _written(message: AIMessage) -> int:
    """Return how many tokens an answer has; 0 if the server does not say, or cannot be right."""
    said = message.usage_metadata["output_tokens"] if message.usage_metadata else 0
    return said if said <= COUNTING_TOKENS else 0


def _judged(subject: Subject, message: AIMessage, most: int, what: str) -> Finding:
    counts = message.usage_metadata
    if counts is None:
        absent = f"{what} has no token counts."
        if not subject.claims:
            return not_offered(absent)
        return fails(absent, advice(subject, "usage"))
    said, read = counts["output_tokens"], counts["input_tokens"]
    text = message.text + reasoning_of(message)
    note = f"{read} tokens in, {said} out"
    if said > most:
        return fails(f"{note}: more than the {most} that were asked for at most.")
    if not read or (text.strip() and not said):
        return fails(f"{note}: neither can be zero.")
    if counts["total_tokens"] < said + read:
        return fails(f"{note}, {counts['total_tokens']} in total: that is less than their sum.")
    return works(note)


def _stop_in(subject: Subject) -> tuple[str, str] | None:
    """Return a text across two tokens of the known answer, and what stands before it.

    It ends with a token: TGI sees no stop sequence that ends within one.
    """
    found = subject.streamed()
    text = found.message.text
    for before, after in pairwise(found.pieces[2:]):
        sequence = before[-2:] + after
        if len(sequence) > 2 and sequence.strip() and text.find(sequence) > 0:
            return sequence, text[: text.find(sequence)]
    return None


def _keys(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return the fields of a request, which TGI and Ollama have one level down."""
    inner = [body.get(name) for name in ("parameters", "options")]
    found = {**body}
    for one in inner:
        if isinstance(one, Mapping):
            found.update(one)
    return found


def _raw_text(exchange: Exchange) -> str:
    """Return the text of an answer as the server sent it."""
    body = exchange.answered
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, Mapping):
        return ""
    choices = body.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        message = choices[0].get("message")
        holder: object = message if isinstance(message, Mapping) else choices[0]
        body = holder if isinstance(holder, Mapping) else {}
    texts = [body.get(name) for name in ("content", "text", "generated_text", "response")]
    return next((text for text in texts if isinstance(text, str)), "")
