"""Print what is sent to a model, what comes back as it comes, what tools say, and the times."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from itertools import takewhile

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

__all__ = ["Show", "heading"]

WIDTH = 100
"""Characters of a line before it is cut."""

SHORT = 100
"""Characters that two texts may begin with alike before the second counts as going on from the
first."""


class Show(BaseCallbackHandler):
    """A callback handler that tells what happens.

    Args:
        render: Returns the prompt that a model object's input becomes on its way, where the package
            renders it; None where messages are sent.
    """

    raise_error = True
    """What goes wrong in here ends the demo, rather than being logged for every piece."""

    def __init__(self, render: Callable[[object], str] | None = None) -> None:
        self._render = render
        self._sent = self._answer = ""
        self._start = self._first = self._tool_start = 0.0
        self._pieces = 0

    def on_chat_model_start(
        self, serialized: object, messages: list[list[BaseMessage]], **_: object
    ) -> None:
        """Print the messages, or the prompt that is made of them."""
        if self._render:
            self._call(self._render(messages[0]))
        else:
            self._call("\n".join(f"{message.type}: {message.text}" for message in messages[0]))

    def on_llm_start(self, serialized: object, prompts: list[str], **_: object) -> None:
        """Print the prompt."""
        self._call(self._render(prompts[0]) if self._render else prompts[0])

    def on_llm_new_token(self, token: object, **_: object) -> None:
        """Print a piece of the answer."""
        text = str(token)
        if not text:  # a stream's last event, or hidden thinking
            return
        self._first = self._first or time.perf_counter()
        self._pieces += 1
        self._answer += text
        start = "   < " if self._pieces == 1 else ""
        print(start + text.replace("\n", "\n   < "), end="", flush=True)

    def on_llm_end(self, response: LLMResult, **_: object) -> None:
        """Print how long the answer took."""
        if not self._pieces:  # it came in one piece
            print(textwrap.indent(response.generations[0][0].text, "   < "), end="")
        first, whole = (
            at - self._start for at in (self._first or self._start, time.perf_counter())
        )
        print(f"\n   [{self._pieces} pieces, first after {first:.2f} s, all after {whole:.2f} s]")

    def on_llm_error(self, error: BaseException, **_: object) -> None:
        """End the line that an answer stopped in."""
        if self._pieces:
            print()

    def on_tool_start(self, serialized: dict[str, object], input_str: str, **_: object) -> None:
        """Print which tool is called with what."""
        self._tool_start = time.perf_counter()
        print(f"   {serialized['name']}({input_str!r})", end="", flush=True)

    def on_tool_end(self, output: object, **_: object) -> None:
        """Print what a tool said."""
        took = 1000 * (time.perf_counter() - self._tool_start)
        print(f" -> {output}\n   [{took:.1f} ms]")

    def _call(self, text: str) -> None:
        """Print a text that is sent; of one that goes on from the last, only what is new."""
        same = alike(self._sent, text)
        if same > SHORT:
            print(f"\n   Sent again, {len(text)} characters: the above, the answer, and")
            new = text[same:].removeprefix(self._answer.strip()).lstrip("\n")
        else:
            print(f"\n   Sent, {len(text)} characters:")
            new = text
        for line in new.splitlines():
            print(f"   > {line if len(line) <= WIDTH else line[: WIDTH - 4] + ' ...'}")
        self._sent, self._answer = text, ""
        self._pieces, self._first, self._start = 0, 0.0, time.perf_counter()


def alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def heading(title: str, question: str) -> None:
    """Print the beginning of a part."""
    print(f"\n{title}\n   {question}")
