"""Tool calls of an assistant message, as model families write them.

Sources are the chat templates of the families, and the model cards of those whose templates leave
earlier calls out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from .conversation import ToolCall
from .spec import dump, text_or_json


def json_list(text: str, calls: Sequence[ToolCall], before: str, after: str = "") -> str:
    """Write all calls as one list of JSON objects, between two special tokens."""
    listed = [{"name": call.name, "arguments": call.arguments} for call in calls]
    return f"{text}{before}{dump(listed)}{after}"


def python_list(text: str, calls: Sequence[ToolCall], before: str, after: str) -> str:
    """Write all calls as one list of Python calls, between two special tokens."""
    written = []
    for call in calls:
        arguments = call.arguments if isinstance(call.arguments, Mapping) else {}
        pairs = [f"{name}={_python_value(value)}" for name, value in arguments.items()]
        written.append(f"{call.name}({', '.join(pairs)})")
    return f"{text}{before}[{', '.join(written)}]{after}"


def _python_value(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    return dump(value) if isinstance(value, Mapping) else str(value)


def xml_parameters(text: str, calls: Sequence[ToolCall]) -> str:
    """Write calls as Qwen3-Coder's tags, behind the text and a blank line."""
    before = f"{text.strip()}\n\n" if text.strip() else ""
    return before + "\n".join(map(_xml_call, calls))


def _xml_call(call: ToolCall) -> str:
    body = tagged_arguments(call, "<parameter={}>\n{}\n</parameter>\n", to_text)
    return f"<tool_call>\n<function={call.name}>\n{body}</function>\n</tool_call>"


def to_text(value: object) -> str:
    """Write a value as Qwen3-Coder's template does, which knows Python's True and None."""
    return dump(value) if isinstance(value, Mapping | list | tuple) else str(value)


def tagged_arguments(
    call: ToolCall, form: str, write: Callable[[object], str] = text_or_json
) -> str:
    """Write each argument in tags, by a form of its name and value."""
    arguments = call.arguments
    if isinstance(arguments, Mapping):
        return "".join([form.format(name, write(value)) for name, value in arguments.items()])
    return f"{write(arguments)}\n" if arguments else ""  # of a call that could not be read
