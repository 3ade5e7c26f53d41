"""Checks of tools: each choice, and whether the server reads them at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import AIMessage

from .._servers.profile import ToolChoiceForm
from .advice import advice
from .report import Finding, fails, not_offered, unclear, works
from .subject import Subject
from .text_checks import quoted

WEATHER: Mapping[str, object] = {
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TIME: Mapping[str, object] = {
    "name": "get_time",
    "description": "Get the time in a city.",
    "parameters": WEATHER["parameters"],
}
MOST_TOKENS = 64
TOOLS: Mapping[str, Mapping[str, object]] = {
    name: {"type": "function", "function": function}
    for name, function in (("get_weather", WEATHER), ("get_time", TIME))
}
QUESTION = "What is the weather in Paris? Call the tool."


def tools_auto(subject: Subject) -> Finding:
    """A tool that the model may call."""
    message, native = _ask(subject, QUESTION, ["get_weather"], "auto")
    if message.tool_calls:
        return _called(subject, message, ["get_weather"], native=native)
    if native and _are_dropped(subject, message):
        return fails(
            "The server drops the tools: the prompt is no longer with them than without.",
            "The model's chat template has no tools: use a model whose template has, or start the "
            "server with such a template (vLLM: --chat-template FILE).",
        )
    if _is_cut(message):
        return unclear(f"The answer is cut off after {MOST_TOKENS} tokens, before a call.")
    if message.invalid_tool_calls:
        return unclear("The model's call is broken: its arguments are no JSON object.")
    note = f"The model answers in text: {quoted(message.text)}."
    return unclear(note + _how(native=native), "" if native else advice(subject, "tools"))


def tools_required(subject: Subject) -> Finding:
    """A call that has to come."""
    return _forced(subject, "any", ToolChoiceForm.REQUIRED, ["get_weather"], "get_weather")


def tools_named(subject: Subject) -> Finding:
    """A call of one tool by its name."""
    names = ["get_weather", "get_time"]
    return _forced(subject, "get_time", ToolChoiceForm.NAMED, names, "get_time")


def tools_none(subject: Subject) -> Finding:
    """Tools that must not be called."""
    message, _ = _ask(subject, QUESTION, ["get_weather"], "none")
    if message.tool_calls:
        return fails("The model calls a tool although it must not.")
    return works("answers in text")


def _forced(
    subject: Subject, choice: str, form: ToolChoiceForm, names: list[str], wanted: str
) -> Finding:
    message, native = _ask(subject, QUESTION, names, choice)
    called = [call["name"] for call in message.tool_calls]
    if called and {*called} == {wanted}:
        return _called(subject, message, names, native=native)
    said = f"calls {', '.join(called)}" if called else f"answers {quoted(message.text)}"
    if message.invalid_tool_calls:
        said = "writes a call whose arguments are no JSON object"
    if _is_cut(message) and not called:
        return unclear(f"The answer is cut off after {MOST_TOKENS} tokens, before a call.")
    note = f"The model {said} and had to call {wanted}."
    # A named tool may be expressed by offering that one only.
    able = {form, ToolChoiceForm.REQUIRED}.intersection(subject.profile.tool_choices)
    if native and able and subject.claims:
        return fails(note, advice(subject, "tools"))
    return not_offered(note + _how(native=native), advice(subject, "tools"))


def _ask(subject: Subject, question: str, names: list[str], choice: str) -> tuple[AIMessage, bool]:
    """Return the answer, and whether the server was sent the tools as such."""
    tools = [cast("dict[str, Any]", TOOLS[name]) for name in names]
    bound = subject.chat(max_tokens=MOST_TOKENS).bind_tools(tools, tool_choice=choice)
    message = bound.invoke(question)
    return message, "tools" in subject.last().sent


def _called(subject: Subject, message: AIMessage, names: list[str], *, native: bool) -> Finding:
    call = message.tool_calls[0]
    shown = f"{call['name']}({', '.join(f'{k}={v!r}' for k, v in call['args'].items())})"
    if call["name"] not in names:
        return fails(f"The model calls {call['name']!r}, which it was not offered.")
    if not native:
        return works(quoted(shown, 60) + _how(native=False), advice(subject, "tools"))
    return works(quoted(shown, 60))


def _is_cut(message: AIMessage) -> bool:
    return message.response_metadata.get("finish_reason") == "length"


def _how(*, native: bool) -> str:
    return "" if native else " (tools described in the prompt)"


def _are_dropped(subject: Subject, message: AIMessage) -> bool:
    """Whether the prompt is as long without the tools as with them."""
    used = message.usage_metadata
    if used is None:
        return False
    without = subject.chat(max_tokens=1).invoke(QUESTION).usage_metadata
    return without is not None and used["input_tokens"] <= without["input_tokens"]
