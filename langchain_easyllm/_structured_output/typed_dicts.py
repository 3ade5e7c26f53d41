"""The JSON schema of a TypedDict, whose keys may be missing or null, and which may be recursive.

pydantic describes it; langchain-core's conversion drops null, keys that may be missing and, at some
depth, recursion. What LangChain has of its own stays: `Annotated[int, ..., "In years."]` (a default
and a description), and descriptions of keys in the docstring.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    Required,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import Field, TypeAdapter
from typing_extensions import (
    ReadOnly,
    TypedDict,
    get_type_hints,
    is_typeddict,
)

Hint: TypeAlias = Any  # what may stand behind a colon: a class, a form of `typing`, a variable
Json: TypeAlias = Any


def is_typed_dict(kind: object) -> bool:
    """Whether something is a TypedDict, or a generic one with its arguments."""
    return is_typeddict(_class_of(kind))


def _class_of(kind: Hint) -> Hint:
    return get_origin(kind) or kind


def typed_dict_schema(kind: object, *, strict: bool | None = None) -> dict[str, Json]:
    described = _Rebuilder().rebuild(kind)
    found = inline_definitions(TypeAdapter(described).json_schema())
    found = {"title": _class_of(kind).__name__, **_without_titles(found)}
    found.setdefault("required", [])
    return convert_to_json_schema(found, strict=strict) if strict else found


class _Rebuilder:
    """Makes TypedDicts that pydantic describes as LangChain does.

    pydantic takes those of `typing_extensions` only, on Python 3.11.
    """

    def __init__(self) -> None:
        self._known: dict[object, object] = {}

    def rebuild(self, kind: Hint) -> Hint:
        origin: Hint = get_origin(kind)
        args = get_args(kind)
        if is_typed_dict(kind):
            return self._typed_dict(origin or kind, args)
        if origin is Annotated:
            return Annotated[(self.rebuild(args[0]), *kind.__metadata__)]
        if origin is None or origin is Literal or not args:
            return kind
        parts = [self.rebuild(arg) for arg in args]
        if all(part is arg for part, arg in zip(parts, args, strict=True)):
            return kind
        if origin in (Union, UnionType):
            return Union[tuple(parts)]  # noqa: UP007 - known at run time only
        return origin[tuple(parts)]

    def _typed_dict(self, kind: Hint, args: tuple[object, ...]) -> object:
        key = (kind, args)
        if key in self._known:
            return self._known[key]
        hints = get_type_hints(kind, localns={kind.__name__: kind}, include_extras=True)
        words = _documented(kind, hints)
        made: Hint = TypedDict(kind.__name__, {})  # type: ignore[misc]  # known at run time only
        self._known[key] = made  # before its keys, which may lead back here
        made.__doc__ = words.get("description", "")
        made.__module__, made.__qualname__ = kind.__module__, kind.__qualname__
        if config := getattr(kind, "__pydantic_config__", None):
            made.__pydantic_config__ = config  # type: ignore[attr-defined]  # for pydantic
        values = _arguments(kind, args)
        of_keys = words.get("properties", {})
        made.__annotations__ = {
            name: self._field(
                _filled(hint, values),
                name not in kind.__optional_keys__,
                of_keys.get(name, {}).get("description"),
            )
            for name, hint in hints.items()
        }
        return made

    def _field(self, hint: Hint, required: bool, documented: str | None) -> object:
        notes: list[object] = []
        origin: Hint = get_origin(hint)
        while origin in (Annotated, Required, NotRequired, ReadOnly):
            if origin is Annotated:
                notes = [*hint.__metadata__, *notes]
            elif origin is not ReadOnly:
                required = origin is Required
            hint = get_args(hint)[0]
            origin = get_origin(hint)
        own: dict[str, Json] = {"description": documented} if documented else {}
        if notes and (notes[0] is ... or isinstance(notes[0], _PLAIN)):  # LangChain's form
            default, *rest = notes
            if rest and isinstance(rest[0], str):
                own.setdefault("description", rest.pop(0))
            if default is not ...:
                required = False
                if default is not None:
                    own["json_schema_extra"] = {"default": default}
            notes = rest
        kind = self.rebuild(hint)
        if own or notes:
            kind = Annotated[(kind, *notes, *([Field(**own)] if own else []))]
        return Required[kind] if required else NotRequired[kind]


_PLAIN = (type(None), bool, int, float, str, list, dict)


def _documented(kind: Hint, hints: Mapping[str, object]) -> dict[str, Json]:
    """Return what the docstring says of a TypedDict and its keys, as langchain-core reads it."""
    if not kind.__doc__ or kind.__doc__ == dict.__doc__:
        return {}
    plain: Hint = TypedDict(kind.__name__, dict.fromkeys(hints, str))  # type: ignore[misc]  # as above
    plain.__doc__ = kind.__doc__
    return convert_to_json_schema(plain)


def _arguments(kind: Hint, args: tuple[object, ...]) -> dict[object, object]:
    """Return what stands for the type variables of a generic TypedDict, and of its bases."""
    own = dict(zip(getattr(kind, "__parameters__", ()), args, strict=False))
    found: dict[object, object] = {}
    for base in getattr(kind, "__orig_bases__", ()):
        if is_typeddict(get_origin(base)):
            found |= _arguments(
                get_origin(base), tuple(_filled(arg, own) for arg in get_args(base))
            )
    return found | own


def _filled(hint: Hint, values: Mapping[object, object]) -> Hint:
    if isinstance(hint, TypeVar):
        return values.get(hint, hint)
    variables = getattr(hint, "__parameters__", ())
    if not variables or not values or isinstance(hint, type):
        return hint
    return hint[tuple(values.get(variable, variable) for variable in variables)]


def inline_definitions(schema: dict[str, Json]) -> dict[str, Json]:
    """Put definitions where they are used, except for those that refer to themselves.

    A root that is a definition is written out, as servers read the properties there.
    """
    definitions: dict[str, Json] = schema.get("$defs", {})
    refers = {name: set(_references(one)) for name, one in definitions.items()}
    recursive = {name for name in refers if name in _reachable(refers, name)}

    def inlined(part: Json) -> Json:
        if isinstance(part, list):
            return [inlined(one) for one in part]
        if not isinstance(part, dict):
            return part
        found = {key: inlined(one) for key, one in part.items()}
        name = _name_of(part.get("$ref"))
        if name in recursive or name not in definitions:
            return found
        found.pop("$ref")
        return {**inlined(definitions[name]), **found}

    body: dict[str, Json] = {key: one for key, one in schema.items() if key != "$defs"}
    name = _name_of(body.get("$ref"))
    found: dict[str, Json] = inlined(body)
    if name in recursive:
        found.pop("$ref")
        found = {**inlined(definitions[name]), **found}
    if kept := {one: inlined(definitions[one]) for one in definitions if one in recursive}:
        found["$defs"] = kept
    return found


def _name_of(ref: object) -> str:
    return ref.removeprefix("#/$defs/") if isinstance(ref, str) else ""


def _references(part: object) -> list[str]:
    if isinstance(part, list):
        return [name for one in part for name in _references(one)]
    if not isinstance(part, dict):
        return []
    own = [_name_of(part["$ref"])] if isinstance(part.get("$ref"), str) else []
    return own + [name for one in part.values() for name in _references(one)]


def _reachable(refers: Mapping[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    left = [*refers.get(start, ())]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += refers.get(name, ())
    return found


def _without_titles(part: Json, *, named: bool = False) -> Json:
    """Return a schema (`named`: schemas by their names) without what pydantic makes of names."""
    if isinstance(part, list):
        return [_without_titles(one) for one in part]
    if not isinstance(part, dict):
        return part
    if named:
        return {name: _without_titles(one) for name, one in part.items()}
    return {
        key: part[key]
        if key in ("default", "const", "enum", "examples")
        else _without_titles(part[key], named=key in ("properties", "$defs"))
        for key in dict.fromkeys(("description", "default", "type", *part))
        if key in part and key != "title"
    }
