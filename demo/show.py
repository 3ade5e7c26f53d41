"""Show what is sent to a model, what comes back as it comes, what tools say, and the times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from .screen import Screen, shortened

__all__ = ["Show"]

SHORT = 100
"""Characters that two texts may begin with alike before the second counts as going on from the
first."""


class Show(BaseCallbackHandler):
    """A callback handler that tells what happens.

    Args:
        screen: Where to tell it.
        render: Returns the prompt that a model object's input becomes on its way, where the package
            renders it; None where messages are sent.
    """

    raise_error = True
    """What goes wrong in here ends the demo, rather than being logged for every piece."""

    def __init__(self, screen: Screen, render: Callable[[object], str] | None = None) -> None:
        self._screen, self._say = screen, screen.language
        self._render = render
        self._sent = self._answer = ""
        self._start = self._first = self._tool_start = 0.0
        self._pieces = 0

    def on_chat_model_start(
        self,
        serialized: object,
        messages: list[list[BaseMessage]],
        *,
        invocation_params: dict[str, Any] | None = None,
        **_: object,
    ) -> None:
        """Show the messages, or the prompt that is made of them."""
        if self._render:
            self._call(self._render(messages[0]))
            return
        tools = [each["function"]["name"] for each in (invocation_params or {}).get("tools") or []]
        lines = [self._say.tools.format(names=", ".join(tools))] if tools else []
        self._call("\n".join([*lines, *map(as_line, messages[0])]))

    def on_llm_start(self, serialized: object, prompts: list[str], **_: object) -> None:
        """Show the prompt."""
        self._call(self._render(prompts[0]) if self._render else prompts[0])

    def on_llm_new_token(self, token: object, **_: object) -> None:
        """Show a piece of the answer."""
        text = str(token)
        if not text:  # a stream's last event, hidden thinking, or a part of a tool call
            return
        if not self._pieces:
            self._first = time.perf_counter()
            self._screen.progress(self._say.writing)
        self._pieces += 1
        self._answer += text
        start = "   < " if self._pieces == 1 else ""
        self._screen.write(start + text.replace("\n", "\n   < "), "said")

    def on_llm_end(self, response: LLMResult, **_: object) -> None:
        """Show how long the answer took, and one that did not come in pieces."""
        whole = time.perf_counter() - self._start
        if self._pieces:
            self._screen.line()
            first, pieces = self._first - self._start, self._pieces
            took = self._say.pieces.format(pieces=pieces, first=first, whole=whole)
        else:
            generation = response.generations[0][0]
            calls = called(generation.message) if isinstance(generation, ChatGeneration) else []
            for line in [*generation.text.splitlines(), *calls]:
                self._screen.line(f"   < {line}", "said")
            took = self._say.whole.format(whole=whole)
        self._screen.line(f"   {took}", "note")

    def on_llm_error(self, error: BaseException, **_: object) -> None:
        """End the line that an answer stopped in."""
        if self._pieces:
            self._screen.line()

    def on_tool_start(
        self,
        serialized: dict[str, object],
        input_str: str,
        *,
        inputs: dict[str, object] | None = None,
        **_: object,
    ) -> None:
        """Show which tool is called with what."""
        self._tool_start = time.perf_counter()
        given = ", ".join(map(repr, inputs.values())) if inputs else repr(input_str)
        self._screen.write(f"   {serialized['name']}({given})", "tool")

    def on_tool_end(self, output: object, **_: object) -> None:
        """Show what a tool said."""
        took = 1000 * (time.perf_counter() - self._tool_start)
        self._screen.line(f" -> {getattr(output, 'content', output)}", "tool")
        self._screen.line(f"   [{took:.1f} ms]", "note")

    def _call(self, text: str) -> None:
        """Show a text that is sent; of one that goes on from the last, only what is new."""
        screen, length = self._screen, len(text)
        same = alike(self._sent, text)
        if same > SHORT:
            head = self._say.sent_again.format(length=length)
            new = text[same:].removeprefix(self._answer.strip()).lstrip("\n")
        else:
            head, new = self._say.sent.format(length=length), text
        screen.line()
        screen.line(f"   {head}", "note")
        for line in new.splitlines():
            screen.line(f"   > {shortened(line, screen.width - 5)}", "sent")
        screen.progress(self._say.waiting)
        self._sent, self._answer = text, ""
        self._pieces, self._start = 0, time.perf_counter()


def as_line(message: BaseMessage) -> str:
    """Write a message with its role, and the tools that it calls."""
    role = message.type.removesuffix("MessageChunk").lower()
    return f"{role}: {' '.join([message.text, *called(message)]).strip()}"


def called(message: BaseMessage) -> list[str]:
    """Write the tools that a message calls, each with its arguments as JSON."""
    return [
        f"{call['name']} {json.dumps(call['args'], ensure_ascii=False)}"
        for call in getattr(message, "tool_calls", [])
    ]


def alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
