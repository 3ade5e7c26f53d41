"""The check of a JSON schema itself: what is wrong with it is an error before it is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from .._nearest import did_you_mean, nearest
from ..errors import ConfigurationError
from .patterns import read_pattern
from .references import NAMED, REFS, SEVERAL, SINGLE, References, Schema, inner_schemas
from .validation import TYPES

_logger = logging.getLogger("langchain_easyllm.structured_output")

# What types are called elsewhere. JSON Schema has no name for any value: it leaves the type out.
_NEAREST = {
    "str": "string",
    "text": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "dict": "object",
    "map": "object",
    "list": "array",
    "tuple": "array",
    "set": "array",
    "none": "null",
    "nil": "null",
}


def check_schema(schema: Schema, *, follow_refs: bool = True) -> None:
    """Refuse a schema that JSON Schema does not have; report the patterns that are not checked.

    `follow_refs`: whether what it refers to has to be in it.
    """
    references = References(schema)
    seen: set[int] = set()
    left: list[tuple[str, object]] = [("", schema)]
    while left:
        at, part = left.pop()
        if not isinstance(part, Mapping):
            _require(isinstance(part, bool), at or "it", part, "a schema (a dict)", _as_type(part))
            continue
        if id(part) in seen:
            continue
        seen.add(id(part))
        if "type" in part:
            _check_type(part["type"], at)
        _check_keywords(part, at)
        for keyword in REFS if follow_refs else ():
            if keyword in part:
                ref = str(part[keyword])
                left.append((ref, _target(ref, part, references, schema)))
        left += [(f"{at}.{path}" if at else path, one) for path, one in inner_schemas(part)]


def _check_type(kind: object, at: str) -> None:
    kinds = kind if isinstance(kind, list | tuple) else [kind]
    wrong = [one for one in kinds if not isinstance(one, str) or one not in TYPES]
    if kinds and not wrong:
        return
    name = wrong[0] if wrong else kind
    word = name.lower() if isinstance(name, str) else "null" if name is None else ""
    near = _NEAREST.get(word) or next(iter(nearest(word, TYPES)), None)
    if word == "any" or not kinds:
        hint = "leave type out where any value fits."
    else:
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(map(repr, TYPES))}."
    raise ConfigurationError(f"JSON Schema has no type {name!r} (in the schema{_at(at)}): {hint}")


def _at(at: str) -> str:
    return f" at {at}" if at else ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value - value == 0


def _is_count(value: object) -> bool:
    return _is_number(value) and value >= 0 and value % 1 == 0  # type: ignore[operator]


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


# What the keywords hold, and how that is said.
_COUNTS = ("Length", "Items", "Properties", "Contains")
_FORMS: list[tuple[tuple[str, ...], str, Callable[[object], bool]]] = [
    (
        tuple(f"{bound}{what}" for bound in ("min", "max") for what in _COUNTS),
        "a whole number that is not negative",
        _is_count,
    ),
    (("minimum", "maximum"), "a number", _is_number),
    (
        ("exclusiveMinimum", "exclusiveMaximum"),
        "a number",
        lambda value: isinstance(value, bool) or _is_number(value),  # a boolean in draft 4
    ),
    (
        ("multipleOf",),
        "a number above 0",
        lambda value: _is_number(value) and value > 0,  # type: ignore[operator]
    ),
    (("uniqueItems",), "true or false", lambda value: isinstance(value, bool)),
    (("required",), "a list of names", _is_names),
    (("enum",), "a list of values", lambda value: isinstance(value, list | tuple)),
    (("pattern", *REFS), "a string", lambda value: isinstance(value, str)),
    (
        SEVERAL,
        "a list of schemas, and not an empty one",
        lambda value: isinstance(value, list | tuple) and len(value) > 0,
    ),
    (
        (*NAMED, "dependencies"),
        "a dict of schemas by their names",
        lambda value: isinstance(value, Mapping),
    ),
    (
        ("dependentRequired",),
        "a dict of lists of names",
        lambda value: isinstance(value, Mapping) and all(map(_is_names, value.values())),
    ),
    (SINGLE, "a schema (a dict)", lambda value: isinstance(value, Mapping | bool)),
    (
        ("items",),
        "a schema (a dict)",
        lambda value: isinstance(value, Mapping | bool | list | tuple),
    ),
]
_FORM_OF = {keyword: (form, test) for keywords, form, test in _FORMS for keyword in keywords}


def _check_keywords(schema: Schema, at: str) -> None:
    for keyword, value in schema.items():
        if keyword in _FORM_OF:
            form, is_right = _FORM_OF[keyword]
            here = f"{at}.{keyword}" if at else keyword
            _require(is_right(value), here, value, form, _hint(keyword, value))
        if keyword == "dependencies":
            for name, needed in value.items():  # type: ignore[attr-defined]  # a mapping, as found above
                if isinstance(needed, list | tuple):
                    _require(_is_names(needed), f"{keyword}.{name}", needed, "a list of names", "")
    patterns = [schema["pattern"]] if "pattern" in schema else []
    for pattern in [*patterns, *schema.get("patternProperties", ())]:  # type: ignore[misc]
        if problem := read_pattern(str(pattern)).problem:
            _report(str(pattern), problem)


def _require(is_right: bool, at: str, value: object, form: str, hint: str) -> None:
    if is_right:
        return
    shown = f"{value!r:.100}"
    hint = f"did you mean {hint}?" if hint else "see json-schema.org."
    raise ConfigurationError(f"In the schema, {at} must be {form}, and is {shown}: {hint}")


def _hint(keyword: str, value: object) -> str:
    """Return what somebody may have meant, or nothing."""
    if keyword == "required" and isinstance(value, bool):
        return "the name in 'required' of the object that holds it"
    if keyword in ("required", "enum") and isinstance(value, str):
        return repr([value])
    if keyword in SEVERAL and isinstance(value, Mapping):
        return "a list that holds it"
    if keyword in SINGLE or keyword == "items":
        return _as_type(value)
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return value
    return ""


def _as_type(value: object) -> str:
    word = value.lower() if isinstance(value, str) else ""
    name = word if word in TYPES else _NEAREST.get(word)
    return f"{{'type': {name!r}}}" if name else ""


def _target(ref: str, part: Schema, references: References, root: Schema) -> object:
    target = references.resolve(ref, part)
    if isinstance(target, Mapping | bool):
        return target
    if ref[:1] != "#" and ":" in ref:
        raise ConfigurationError(
            f"The schema refers to {ref!r:.200}, which is not in it: put that under '$defs' and "
            "refer to it by '#/$defs/...'."
        )
    known = [
        f"#/{kind}/{name}"
        for kind in ("$defs", "definitions")
        for name in root.get(kind, ())  # type: ignore[attr-defined]  # a mapping, or refused
    ]
    hint = did_you_mean(ref, known, f"it has {', '.join(known)[:200] or 'no $defs'}.")
    raise ConfigurationError(f"The schema refers to {ref!r:.200}, which is not in it: {hint}")


@lru_cache(maxsize=512)
def _report(pattern: str, problem: str) -> None:
    """Report, once, that a pattern is not checked."""
    _logger.warning("The pattern %.200r is not checked in answers: %s.", pattern, problem)
