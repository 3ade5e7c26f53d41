"""gpt-oss's format, Harmony: a call is a message to `functions.NAME` in a channel of its own.

https://cookbook.openai.com/articles/openai-harmony and the chat template of
https://huggingface.co/openai/gpt-oss-20b: tools are described as TypeScript, each message makes one
call, and what the model writes to the channels `analysis` and `final` is reasoning and answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, add_to_system, dump
from .call_syntax import AnswerReader, CallMarker, Tool, function_of
from .harmony_messages import (
    CALL,
    CHANNEL,
    CONSTRAIN,
    END,
    MESSAGE,
    RETURN,
    START,
    HarmonyReader,
)
from .headed_json import HeadedJson
from .json_schema import as_mapping, resolve_ref

_CALL_FORM = f"""\
To call one, answer with:
{CHANNEL}commentary to=functions.name {CONSTRAIN}json{MESSAGE}{{"argument": value}}{CALL}"""


class _Harmony(TurnToolCallFormat):
    def render(
        self, conversation: Conversation, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> Conversation:
        return super().render(self.for_template(conversation), offered, support)

    def for_template(self, conversation: Conversation) -> Conversation:
        """Give each call a turn of its own, with its result behind it."""
        split = Conversation()
        taken: set[int] = set()
        for index in range(len(conversation.roles)):
            extra = conversation.extras.get(index)
            if index in taken:
                continue
            if extra is None or not extra.calls:
                _append(split, conversation, index, extra)
                continue
            for number, call in enumerate(extra.calls):
                # What is beside the calls stands with the first.
                own = Extra((call,)) if number else replace(extra, calls=(call,))
                _append(split, conversation, index, own, "" if number else None)
                found = _result_of(call, conversation, index, taken)
                if found is not None:
                    taken.add(found)
                    result = conversation.extras[found]
                    _append(split, conversation, found, replace(result, name=call.name))
        return split

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        types = "\n\n".join(map(_declared, offered.tools))
        text = f"# Tools\n\n## functions\n\nnamespace functions {{\n\n{types}\n\n}}"
        text += " // namespace functions"
        if support.tool_format != self.name:
            text = f"{text}\n\n{_CALL_FORM}"
        add_to_system(turns, text, offered.instruction, support.default_system)

    def calls_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        [call] = extra.calls
        recipient = f"to=functions.{call.name}"
        if "calls" in support.forms:  # whose role has the recipient in its header
            arguments = dump(call.arguments)
            return "calls", f" {recipient}{CHANNEL}commentary json{MESSAGE}{arguments}"
        message = f"{CHANNEL}commentary {recipient} {CONSTRAIN}json{MESSAGE}"
        return "assistant", f"{text}{message}{dump(call.arguments)}{CALL}"

    def result_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        name = extra.name or "tool"
        if "tool" in support.forms:  # whose role is the name of the tool
            header = f"functions.{name} to=assistant{CHANNEL}commentary"
            return "tool", f"{header}{MESSAGE}{dump(text)}"
        return "user", f"functions.{name} returned: {dump(text)}"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        begun = f"{CHANNEL}commentary to=functions."
        return begun + (f"{offered.only} {CONSTRAIN}json{MESSAGE}" if offered.only else "")

    def new_answer_reader(self) -> AnswerReader:
        return HarmonyReader()


def _append(
    split: Conversation,
    conversation: Conversation,
    index: int,
    extra: Extra | None,
    text: str | None = None,
) -> None:
    if extra is not None:
        split.extras[len(split.roles)] = extra
    split.roles.append(conversation.roles[index])
    split.texts.append(conversation.texts[index] if text is None else text)


def _result_of(
    call: ToolCall, conversation: Conversation, start: int, taken: set[int]
) -> int | None:
    """Return where the result of a call stands, among the results that follow it."""
    for index in range(start + 1, len(conversation.roles)):
        if conversation.roles[index] not in ("tool", "function"):
            return None
        extra = conversation.extras.get(index, Extra())
        if index not in taken and (extra.call_id is None or extra.call_id == call.id):
            return index
    return None


def _declared(tool: Tool) -> str:
    function = function_of(tool)
    about = _comment(function.get("description"))
    parameters = as_mapping(function.get("parameters"))
    known = as_mapping(parameters.get("properties"))
    if not known:
        return f"{about}type {function['name']} = () => any;"
    return f"{about}type {function['name']} = (_: {_object(parameters, parameters, 0)}) => any;"


def _comment(text: object) -> str:
    lines = str(text).splitlines() if text else []
    return "".join([f"// {line}\n" for line in lines])


def _object(schema: Mapping[str, object], root: Mapping[str, object], depth: int) -> str:
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    lines = []
    for name, value in as_mapping(schema.get("properties")).items():
        each = as_mapping(value)
        mark = "" if name in needed else "?"
        default = f", // default: {dump(each['default'])}" if "default" in each else ","
        kind = _type(each, root, depth + 1)
        lines.append(f"{_comment(each.get('description'))}{name}{mark}: {kind}{default}\n")
    return "{\n" + "".join(lines) + "}"


_DEEPEST = 6
_TYPES = {"integer": "number", "number": "number", "boolean": "boolean", "string": "string"}


def _type(schema: Mapping[str, object], root: Mapping[str, object], depth: int) -> str:
    """Return the TypeScript type of a schema; `any` where none is as plain."""
    if depth > _DEEPEST:
        return "any"
    if isinstance(ref := schema.get("$ref"), str):
        return _type(as_mapping(resolve_ref(ref, root)), root, depth + 1)
    constants = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(constants, list):
        return " | ".join(map(dump, constants))
    options = schema.get("anyOf", schema.get("oneOf"))
    if isinstance(options, list):
        each = [_type(as_mapping(option), root, depth + 1) for option in options]
        return " | ".join(dict.fromkeys(each))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join([_type({**schema, "type": one}, root, depth) for one in kind])
    if kind == "array":
        item = _type(as_mapping(schema.get("items")), root, depth + 1)
        return f"({item})[]" if " | " in item else f"{item}[]"
    if kind == "object":
        return _object(schema, root, depth) if schema.get("properties") else "object"
    return "null" if kind == "null" else _TYPES.get(str(kind), "any")


_SYNTAX = HeadedJson(
    head=re.compile(
        rf"(?:functions\.)?([\w.\-]{{1,200}})\s{{0,9}}(?:{re.escape(CHANNEL)}\s{{0,9}}\w{{1,20}}\s{{0,9}})?"
        rf"(?:{re.escape(CONSTRAIN)}\s{{0,9}})?\w{{0,20}}\s{{0,9}}{re.escape(MESSAGE)}\s{{0,9}}"
    ),
    name=re.compile(r"to=\s*(?:functions\.)?([\w.\-]{1,200})"),
)


def _marker(*words: str) -> CallMarker:
    return CallMarker(words, "anywhere", len(words), CALL, marked=True, syntax=_SYNTAX)


HARMONY = _Harmony(
    name="gpt-oss",
    markers=(
        _marker(START, "assistant", CHANNEL, "commentary", "to="),
        _marker(START, "assistant", CHANNEL, "analysis", "to="),
        _marker(START, "assistant", "to="),
        _marker(CHANNEL, "commentary", "to="),
        _marker(CHANNEL, "analysis", "to="),
    ),
    stop=(CALL,),
    special_tokens=SpecialTokens(
        (START, CHANNEL, CONSTRAIN, MESSAGE, END, CALL, RETURN, "namespace functions {")
    ),
    template_marks=(CHANNEL, "namespace"),
)
"""`<|channel|>commentary to=functions.name <|constrain|>json<|message|>{...}<|call|>`."""
