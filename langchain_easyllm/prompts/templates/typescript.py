"""Tools as a TypeScript namespace, which is how gpt-oss's template describes them.

The template leaves some of its own line breaks and indentation in the types, which are written here
as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..spec import dump

Schema = Mapping[str, object]

_LONGEST = 50  # of the type of an array's items; any other is written as `any`
_PLAIN = {"number": "number", "integer": "number", "boolean": "boolean"}
_ITEMS = {**_PLAIN, "string": "string"}


def namespace_of(tools: Sequence[Mapping[str, object]]) -> str:
    declared = "".join([_function(_mapping(tool.get("function") or tool)) for tool in tools])
    return f"## functions\n\nnamespace functions {{\n\n{declared}}} // namespace functions"


def _function(function: Schema) -> str:
    parameters = _mapping(function.get("parameters"))
    properties = _mapping(parameters.get("properties"))
    head = f"// {function.get('description', '')}\ntype {function.get('name', '')} = "
    if not properties:
        return f"{head}() => any;\n\n"
    required = _names(parameters.get("required"))
    lines = [_parameter(name, _mapping(schema), required) for name, schema in properties.items()]
    return f"{head}(_: {{\n{''.join(lines)}}}) => any;\n\n"


def _parameter(name: str, schema: Schema, required: Iterable[str]) -> str:
    description = schema.get("description")
    comment = f"// {description}\n" if description else ""
    mark = "" if name in required else "?"
    return f"{comment}{name}{mark}: {_type(schema)}{_default(schema)},\n"


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    default = schema["default"]
    if schema.get("enum"):
        return f", // default: {default}"
    if schema.get("oneOf"):
        return f"// default: {default}"
    return f", // default: {dump(default)}"


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if kind == "array":
        return _array(schema)
    if isinstance(kind, (list, tuple)) and kind:
        return " | ".join([str(one) for one in kind])
    options = schema.get("oneOf")
    if isinstance(options, (list, tuple)) and options:
        return _union([_mapping(option) for option in options])
    if kind == "string":
        values = schema.get("enum")
        if isinstance(values, (list, tuple)) and values:
            return '"' + '" | "'.join([str(value) for value in values]) + '"'
        return "string | null" if schema.get("nullable") else "string"
    if kind == "object":
        return _object(schema)
    return _PLAIN.get(str(kind), "any")


def _array(schema: Schema) -> str:
    items = schema.get("items")
    inner = "any"
    if isinstance(items, Mapping) and items:
        inner = _ITEMS.get(str(items.get("type"))) or _type(items)
        if inner == "object | object" or (len(inner) > _LONGEST):
            inner = "any"
    return f"{inner}[]{' | null' if schema.get('nullable') else ''}"


def _union(options: Sequence[Schema]) -> str:
    written: list[str] = []
    for option in options:
        description = option.get("description")
        comment = f"// {description}" if description else ""
        default = f"// default: {dump(option['default'])}" if "default" in option else ""
        indent = " " * 20 if default else ""
        written.append(f"{_type(option)}{comment}{indent}{default}")
    return " | \n".join(written)


def _object(schema: Schema) -> str:
    properties = _mapping(schema.get("properties"))
    if not properties:
        return "object"
    required = _names(schema.get("required"))
    written = [
        f"{name}{'' if name in required else '?'}: \n{' ' * 16}{_type(_mapping(each))}"
        for name, each in properties.items()
    ]
    return "{\n" + ", ".join(written) + "}"


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()
