"""The parts of the demo in their order, and a question of the user's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConnectionError, EasyLLMError

from .agents import react_agent, tool_calling_agent
from .chat import chat
from .languages import Part
from .place import Place, find_place
from .retrieval import retrieval
from .screen import Screen, cells, folded
from .structured import structured

__all__ = ["run"]

NARROW = 30
"""Columns that are too few for a sentence."""

Shower = Callable[[Place, Screen, str], object]


def run(screen: Screen, question: str = "") -> None:
    """Show the tour, or answer one question.

    Args:
        screen: Where to show it, and in which language.
        question: The question; none means the tour.
    """
    screen.progress(screen.language.preparing)
    with find_place(screen.language) as place:
        screen.line(screen.language.asking.format(name=place.name))
        if question:
            ask(place, screen, question)
        else:
            tour(place, screen)


def tour(place: Place, screen: Screen) -> None:
    """Show every part."""
    start, say = time.perf_counter(), screen.language
    parts: list[tuple[Part, Shower]] = [
        (say.chat, chat),
        (say.react, partial(react_agent, variant="react", model=EasyLLM)),
        (say.react_json, partial(react_agent, variant="react-json", model=EasyLLMChat)),
        (say.tool_calls, tool_calling_agent),
        (say.structured, structured),
        (say.retrieval, retrieval),
    ]
    for number, (part, show) in enumerate(parts):
        screen.progress(say.waiting, number / len(parts))
        _heading(screen, f"{number + 1}. {part.title}", part.question)
        try:
            show(place, screen, part.question)
        except EasyLLMError as error:
            if not number or type(error) is ConnectionError:  # nothing can be asked there
                raise
            screen.line(f"   {error}", "note")  # some servers cannot do some parts
    screen.progress("", 1)
    screen.line(f"\n{say.took.format(seconds=time.perf_counter() - start)}", "note")
    _next_steps(screen)


def ask(place: Place, screen: Screen, question: str) -> None:
    """Answer one question with the tools, and where they do not help, without them."""
    say = screen.language
    _heading(screen, say.with_tools, question)
    if not react_agent(place, screen, question, variant="react", model=EasyLLM):
        screen.progress(say.waiting, 0.5)
        _heading(screen, say.without_tools, question)
        screen.line(f"\n   {say.answer.format(answer=chat(place, screen, question))}", "answer")


def _heading(screen: Screen, title: str, question: str) -> None:
    screen.line()
    screen.line(title, "title")
    screen.line(f"   {question}", "question")


def _next_steps(screen: Screen) -> None:
    """Write commands in one column and what they do in another, or below if there is no room."""
    heading, steps, rest = screen.language.next_steps
    column = max(cells(command) for command, _ in steps) + 4
    narrow = screen.width - column < NARROW
    screen.line(f"\n{heading}")
    for command, told in steps:
        lines = folded(" " * (4 if narrow else column) + told, screen.width)
        first = f"  {command}"
        if not narrow:
            first += " " * (column - cells(first)) + lines.pop(0).lstrip()
        screen.line("\n".join([first, *lines]))
    screen.line("\n".join(folded(rest, screen.width)))
