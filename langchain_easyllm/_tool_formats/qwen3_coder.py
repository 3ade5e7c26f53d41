"""Qwen3-Coder's calls: XML tags with plain values, typed by the tool's schema.

https://huggingface.co/Qwen/Qwen3-Coder-30B-A3B-Instruct (`chat_template.jinja`). The models often
leave `<tool_call>` out, so `<function=` at the start of a line begins a call as well. Where a call
has to be made, decoding is constrained to JSON, as vLLM does it: a schema cannot describe the tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, Turns, add_to_system, dump
from .call_syntax import (
    CallMarker,
    CallSyntax,
    ParsedCalls,
    ParsedToolCall,
    Tool,
    ValueScan,
    function_of,
    parse_arguments,
    properties_of,
)
from .hermes import HERMES, TOOL_RESPONSE, HermesFormat
from .json_schema import as_mapping, resolve_ref
from .lenient_json import load_json

_SYSTEM = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."
_TOOLS = """\
# Tools

You have access to the following functions:

<tools>{tools}
</tools>

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must \
be nested within <tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the \
function call, but NOT after
- If there is no function call available, answer the question like normal with your current \
knowledge and do not tell the user about function calls
</IMPORTANT>"""


class _Qwen3Coder(HermesFormat):
    result_gap = ""

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        text = _TOOLS.format(tools="".join(map(_described, offered.tools)))
        default = support.default_system
        default = _SYSTEM if default is None else default
        add_to_system(turns, text, offered.instruction, default)

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        before = f"{text.strip()}\n\n" if text.strip() else ""
        return "assistant", before + "\n".join(map(_call, extra.calls))

    def result_turn(self, text: str, _: Extra, __: TemplateToolSupport, /) -> Turn:
        return "user", f"{TOOL_RESPONSE.format(result=text)}\n"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        if constrained:
            return ""
        return "<tool_call>\n<function=" + (f"{offered.only}>\n" if offered.only else "")


def _described(tool: Tool) -> str:
    function = function_of(tool)
    parameters = function.get("parameters")
    lines = ["\n<function>", *_tags(function, "name", "description"), "\n<parameters>"]
    for name, schema in properties_of(tool).items():
        lines += ["\n<parameter>", f"\n<name>{name}</name>", *_tags(schema, "type", "description")]
        lines += [*_other_tags(schema, "name", "type", "description"), "\n</parameter>"]
    lines += [*_other_tags(parameters, "type", "properties"), "\n</parameters>"]
    lines += _other_tags(function, "type", "name", "description", "parameters")
    return "".join([*lines, "\n</function>"])


def _tags(value: object, *keys: str) -> Iterator[str]:
    known = as_mapping(value)
    return (f"\n<{key}>{str(known[key]).strip()}</{key}>" for key in keys if key in known)


def _other_tags(value: object, *handled: str) -> Iterator[str]:
    for key, item in as_mapping(value).items():
        if key not in handled:
            yield f"\n<{key}>{_to_text(item)}</{key}>"


def _call(call: ToolCall) -> str:
    arguments = call.arguments
    if isinstance(arguments, Mapping):
        each = [f"<parameter={k}>\n{_to_text(v)}\n</parameter>\n" for k, v in arguments.items()]
        body = "".join(each)
    else:  # of a call that could not be read
        body = f"{_to_text(arguments)}\n" if arguments else ""
    return f"<tool_call>\n<function={call.name}>\n{body}</function>\n</tool_call>"


def _to_text(value: object) -> str:
    """Write a value as the official template does, which knows Python's True and None."""
    return dump(value) if isinstance(value, Mapping | list | tuple) else str(value)


_HEAD = re.compile(r"<function=([^<>\n]{1,200})>")
_NEXT = re.compile(r"<parameter=([^<>\n]{1,200})>|</function>|</tool_call>")
_LONGEST_TAG = 220
_END = "</parameter>"
# Only before one of these does the end of a parameter end it: a value may speak of the tags.
_AFTER = ("<parameter=", "</function>", "</tool_call>")
_WINDOW = 120  # characters after it that are searched


class _XmlScan:
    def __init__(self, start: int) -> None:
        self._at = start
        self._name: str | None = None  # of the parameter that is open
        self._value = start
        self.parameters: dict[str, tuple[int, int]] = {}  # where each value begins and ends
        self.body_end = start
        self.end: int | None = None
        self.whole = False

    def scan(self, text: str) -> None:
        going = True
        while going and self.end is None:
            going = self._between(text) if self._name is None else self._in_value(text)

    def _between(self, text: str) -> bool:
        """Go on to the next tag; whether the text was long enough."""
        tag = _NEXT.search(text, self._at)
        if tag is None:
            begun = text.rfind("<", self._at)
            held = begun >= 0 and len(text) - begun <= _LONGEST_TAG
            self._at = begun if held else len(text)
            return False
        if tag[1]:
            self._name, self._at, self._value = tag[1].strip(), tag.end(), tag.end()
        else:
            self.body_end, self.whole = tag.start(), True
            self.end = tag.start() if tag[0] == "</tool_call>" else tag.end()
        return True

    def _in_value(self, text: str) -> bool:
        """Go on to the end of the open parameter; whether the text was long enough."""
        at = text.find(_END, self._at)
        if at < 0:
            self._at = max(self._at, len(text) - len(_END) + 1)
            return False
        after = at + len(_END)
        rest = text[after : after + _WINDOW].lstrip()
        if any(rest.startswith(tag) for tag in _AFTER):
            self.parameters[self._name or ""] = (self._value, at)
            self._name, self._at = None, after
            return True
        undecided = len(text) - after < _WINDOW and any(tag.startswith(rest) for tag in _AFTER)
        self._at = at if undecided else after
        return not undecided


class _XmlSyntax(CallSyntax):
    """`<function=name>` with `<parameter=key>` inside, or with a JSON object, as Llama's."""

    def scan(self, _: str, start: int, __: str, /) -> ValueScan:
        return _XmlScan(start)

    def parse(self, value: str, tools: Mapping[str, Tool], /) -> ParsedCalls | None:
        head, scan = _HEAD.match(value), _XmlScan(0)
        scan.scan(f"{value}</tool_call>")  # at which it may have ended
        if head is None:
            return None
        name = head[1].strip()
        if not scan.parameters:
            read = parse_arguments(value[head.end() : scan.body_end].strip())
            return None if read is None else (ParsedToolCall(name, read),)
        schema = as_mapping(tools.get(name, {}).get("parameters"))
        properties, others = (
            as_mapping(schema.get("properties")),
            schema.get("additionalProperties"),
        )
        arguments = {
            key: _typed(value[slice(*span)], properties.get(key, others), schema)
            for key, span in scan.parameters.items()
        }
        return (ParsedToolCall(name, arguments),)

    def find_name(self, text: str) -> str:
        head = _HEAD.search(text)
        return head[1].strip() if head else ""


def _typed(text: str, schema: object, root: Mapping[str, object]) -> object:
    """Return the value that a text stands for: the text where no other type of the schema fits."""
    text = text.removeprefix("\n").removesuffix("\n")
    kinds: list[object] = []
    constants: list[object] = []
    for each in _alternatives(schema, root, set()):
        kind, values = each.get("type"), each.get("enum")
        kinds += kind if isinstance(kind, list) else [kind]
        constants += values if isinstance(values, list) else []
        constants += [each["const"]] if "const" in each else []
    if text in constants:
        return text
    try:
        value = load_json(_PYTHON.get(text.strip(), text))
    except (ValueError, RecursionError):
        return text
    integral = isinstance(value, float) and value.is_integer()
    kind = "integer" if integral else _KINDS.get(type(value))  # a string stays the text that it is
    fits = kind in kinds or (kind == "integer" and "number" in kinds) or value in constants
    return value if kind and fits else text


_PYTHON = {"True": "true", "False": "false", "None": "null"}
_KINDS = {
    dict: "object",
    list: "array",
    bool: "boolean",
    type(None): "null",
    int: "integer",
    float: "number",
}


def _alternatives(
    schema: object, root: Mapping[str, object], seen: set[str]
) -> Iterator[Mapping[str, object]]:
    """Yield a schema and those that it refers to or is made of, each reference once."""
    known = as_mapping(schema)
    yield known
    ref = known.get("$ref")
    if isinstance(ref, str) and ref not in seen:
        seen.add(ref)
        yield from _alternatives(resolve_ref(ref, root), root, seen)
    for key in ("anyOf", "oneOf", "allOf"):
        options = known.get(key)
        for option in options if isinstance(options, list) else ():
            yield from _alternatives(option, root, seen)


_XML = _XmlSyntax()

QWEN3_CODER = _Qwen3Coder(
    name="qwen3-coder",
    markers=(
        CallMarker(
            ("<tool_call>", "<function="), "anywhere", 1, "</tool_call>", marked=True, syntax=_XML
        ),
        CallMarker(("<function=",), "line", 0, "</tool_call>", syntax=_XML),
        *HERMES.markers,  # which the same models write at times
    ),
    stop=HERMES.stop,
    special_tokens=SpecialTokens(
        (*HERMES.special_tokens.tokens, "<function=", "</function>", "<parameter=", "</parameter>")
    ),
    template_marks=("<function=",),
)
"""`<function=name>` and `<parameter=key>` in `<tool_call>` tags."""
