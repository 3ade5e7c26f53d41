"""What a stream of a structured answer yields: the modes, and the items of a list."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import get_type_hints

from .._nearest import did_you_mean
from .._tool_formats.json_schema import as_mapping, resolve_ref
from ..errors import ConfigurationError, one_sentence
from .options import OUTPUT_MODES, OutputMode
from .references import Schema
from .schema import OutputSchema
from .validation import problem_of

Hint: TypeAlias = Any  # what may stand behind a colon


def check_output_mode(mode: object, *, include_raw: bool) -> OutputMode:
    """Return the mode; None is `"auto"`."""
    if mode is None:
        return "auto"
    if mode not in OUTPUT_MODES:
        near = did_you_mean(mode, OUTPUT_MODES)
        raise ConfigurationError(
            f"output_mode={mode!r:.50} is not known: use {', '.join(map(repr, OUTPUT_MODES))}"
            + (f" ({near})." if near else ".")
        )
    if include_raw and mode in ("partial", "items"):
        raise ConfigurationError(
            f"output_mode={mode!r} streams parts of an answer, and include_raw=True yields one "
            "dict with the whole: leave one of them out."
        )
    return cast("OutputMode", mode)


class ItemList:
    """The one list in answers, and how an item of it is read."""

    def __init__(self, output: OutputSchema) -> None:
        root = output.schema
        found = dict(_lists_in(root))
        if len(found) != 1:
            raise ConfigurationError(
                f"output_mode='items' yields the items of one list, and {output.name!r} has "
                f"{len(found) or 'none'}: give a list, or an object with one list in it."
            )
        ((self.key, array),) = found.items()  # None: the answer itself
        self._output = output
        self._definitions = {name: root[name] for name in ("$defs", "definitions") if name in root}
        self._items = array.get("items", True)

    def __reduce__(self) -> tuple[type[ItemList], tuple[OutputSchema]]:
        return ItemList, (self._output,)

    def of(self, value: object) -> list[object]:
        """Return the list in an answer."""
        found = value if self.key is None else as_mapping(value).get(self.key)
        return found if isinstance(found, list) else []

    def read(self, value: object, index: int) -> object:
        """Return an item as the answer would hold it; ValueError if it does not fit."""
        try:
            if self._reader is not None:
                return self._reader(value)
            problem = problem_of(value, self._schema) if self._items is not True else None
        except ValidationError as error:
            problem = one_sentence(error)
        if problem is None:
            return value
        raise ValueError(f"{self.key or ''}[{index}]: {problem}")

    @cached_property
    def _schema(self) -> Schema:
        return {**self._definitions, **as_mapping(self._items)}

    @cached_property
    def _reader(self) -> Any:  # noqa: ANN401 - a function of pydantic 1 or 2
        """What makes an item of a class from its JSON; None where items stay JSON."""
        if not self._output.has_instances:
            return None
        target: Any = self._output.target
        if hasattr(target, "parse_obj") and not issubclass(target, BaseModel):  # of pydantic 1
            from pydantic.v1 import parse_obj_as  # noqa: PLC0415 - for these only

            old = target.__fields__.items()
            field = next(f for name, f in old if self.key in (None, name, f.alias))
            return lambda value: parse_obj_as(field.type_, value)
        return TypeAdapter(_kind_of_items(target, self.key)).validate_python


def _lists_in(root: Schema) -> Iterator[tuple[str | None, Schema]]:
    if (array := _as_array(root, root)) is not None:
        yield None, array
        return
    for name, part in as_mapping(root.get("properties")).items():
        if (array := _as_array(part, root)) is not None:
            yield name, array


def _as_array(part: object, root: Schema) -> Schema | None:
    """Return the schema of a list, which may be null as well."""
    schema = as_mapping(part)
    if isinstance(ref := schema.get("$ref"), str):
        schema = as_mapping(resolve_ref(ref, root))
    options = schema.get("anyOf")
    if isinstance(options, list):
        others = [one for one in options if one != {"type": "null"}]
        return _as_array(others[0], root) if len(others) == 1 else None
    return schema if schema.get("type") in ("array", ["array", "null"]) else None


def _kind_of_items(target: Hint, key: str | None) -> Hint:
    """Return what the items of a list are, by the annotation of the class's field."""
    hint = _annotation(target, key)
    origin: Hint = get_origin(hint)
    while origin is Annotated:
        hint = get_args(hint)[0]
        origin = get_origin(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):  # a RootModel in a field
        return _kind_of_items(hint, None)
    args = get_args(hint)
    if origin in (Union, UnionType):
        (hint,) = [one for one in args if one is not type(None)]
        args, origin = get_args(hint), get_origin(hint)
    is_record = origin is tuple and args[-1] is not ...
    return args[0] if args and not is_record else Any


def _annotation(target: Hint, key: str | None) -> Hint:
    origin = get_origin(target) or target
    fields = getattr(origin, "__pydantic_fields__", {})
    for name, field in fields.items():
        if key in (None, name, field.alias, field.validation_alias):
            return field.annotation
    hint: Hint = get_type_hints(origin, include_extras=True).get(str(key), Any)
    given = dict(zip(getattr(origin, "__parameters__", ()), get_args(target), strict=False))
    variables = getattr(hint, "__parameters__", ())
    return hint[tuple(given.get(one, one) for one in variables)] if variables else hint
