"""Whether a value fits a JSON schema.

Format: JSON Schema, draft 2020-12, with the forms of drafts 4 to 7 that are still in use
(`definitions`, a list in `items`, `dependencies`, a boolean `exclusiveMinimum`; what stands beside
a `$ref` is ignored where `$schema` names one of these drafts). `format` is a note to the reader.

Numbers are compared as they are written: 0.3 is a multiple of 0.1. A pattern that cannot be checked
(see `patterns.py`) rules out nothing.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeAlias, cast

from .patterns import read_pattern
from .references import REFS, References, Schema

_logger = logging.getLogger("langchain_easyllm.structured_output")
# So many characters times parts of a pattern take a second or two at worst.
_MAX_WORK = 30_000_000
# The names and numbers of the items of one value that a schema has said something about.
_Evaluated: TypeAlias = set[object]


def problem_of(value: object, schema: Schema) -> str | None:
    """Return the first way in which a value does not fit a schema; None if it fits."""
    try:
        return _Checker(schema).check(value, schema, "", None)
    except RecursionError:
        return "it is nested too deeply to be checked"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and cast("float", value) % 1 == 0,
}


def _size(value: object) -> int:
    return len(cast("str", value))


def _is_multiple(value: object, of: object) -> bool:
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    try:
        return (_fraction(value) / _fraction(of)).denominator == 1
    except ValueError:  # infinity, or no number
        return False


def _fraction(value: object) -> Fraction:
    return Fraction(value if isinstance(value, int) else repr(value))


def _are_unique(items: object, _: object) -> bool:
    keys = [_key(item) for item in cast("list[object]", items)]
    return len(set(keys)) == len(keys)


def _key(value: object) -> object:
    """Return what is equal for values that are one in JSON, where `true` is not 1."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list | tuple):
        return ("array", *map(_key, value))
    if isinstance(value, dict):
        return frozenset((name, _key(item)) for name, item in value.items())
    return value


# Bounds: the type that each is about, and whether a value keeps within.
_BOUNDS: Mapping[str, tuple[str, Callable[[object, object], bool]]] = {
    "minimum": ("number", lambda value, bound: value >= bound),  # type: ignore[operator]
    "maximum": ("number", lambda value, bound: value <= bound),  # type: ignore[operator]
    "exclusiveMinimum": ("number", lambda value, bound: value > bound),  # type: ignore[operator]
    "exclusiveMaximum": ("number", lambda value, bound: value < bound),  # type: ignore[operator]
    "multipleOf": ("number", _is_multiple),
    "minLength": ("string", lambda value, bound: _size(value) >= cast("int", bound)),
    "maxLength": ("string", lambda value, bound: _size(value) <= cast("int", bound)),
    "minItems": ("array", lambda value, bound: _size(value) >= cast("int", bound)),
    "maxItems": ("array", lambda value, bound: _size(value) <= cast("int", bound)),
    "uniqueItems": ("array", _are_unique),
    "minProperties": ("object", lambda value, bound: _size(value) >= cast("int", bound)),
    "maxProperties": ("object", lambda value, bound: _size(value) <= cast("int", bound)),
}


def _own_problem(value: object, schema: Schema, at: str) -> str | None:
    """Return what a schema's own keywords say against a value, without what is inside."""
    kind = schema.get("type", [])
    kinds = cast("list[str]", [kind] if isinstance(kind, str) else kind)
    if kinds and not any(TYPES[one](value) for one in kinds):
        return f"{at} is not of type {' or '.join(map(str, kinds))}"
    for keyword, (about, keeps) in _BOUNDS.items():
        if keyword in schema and TYPES[about](value):
            bound = schema[keyword]
            if isinstance(bound, bool) and keyword.startswith("exclusive"):  # as in draft 4
                bound = schema.get(keyword[9:].lower()) if bound else None
            if bound is not None and bound is not False and not keeps(value, bound):
                return f"{at} breaks {keyword} {_shown(schema[keyword])}"
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _join(at: str, name: str) -> str:
    name = name if len(name) <= 100 else f"{name[:100]}..."
    return f"{at}.{name}" if at else name


# As `$schema` names the drafts in which a `$ref` stands alone.
_ALONE = re.compile(r"draft-0[3-7]/")
_RUNNING = object()


class _Checker:
    """Checks one value.

    A problem that a method returns is certain. None says that the value fits, or, if `_unsure` has
    grown, that it may fit: a pattern could not be checked.
    """

    def __init__(self, root: Schema) -> None:
        self._references = References(root)
        self._ref_alone = bool(_ALONE.search(str(root.get("$schema", ""))))
        self._unsure = 0
        self._work = 0
        # What is known of objects and arrays: else options inside options are tried anew each time.
        self._known: dict[tuple[int, int], object] = {}
        # The values that `enum` and `const` allow, for items that have the same schema.
        self._allowed: dict[tuple[int, str], set[object]] = {}

    def check(
        self, value: object, schema: object, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        """Return the first problem; note which items of the value the schema speaks of."""
        if not isinstance(schema, Mapping):
            return f"{at or 'it'} should not be there" if schema is False else None
        key = (id(value), id(schema))
        known = self._known.get(key)
        if known is _RUNNING:
            return f"{at or 'it'} has a schema that refers to itself without end"
        if known is None:
            self._known[key] = _RUNNING
            before = self._unsure
            own: _Evaluated | None = set() if self._references.tracks_evaluation else None
            problem = self._check(value, schema, at, own)
            if problem:
                self._unsure = before
            known = problem, own, self._unsure - before
            if isinstance(value, dict | list):
                self._known[key] = known
            else:
                del self._known[key]
        else:
            self._unsure += cast("tuple[object, object, int]", known)[2]
        found, names, _ = cast("tuple[str | None, _Evaluated | None, int]", known)
        if found is None and evaluated is not None and names:
            evaluated |= names
        return found

    def _check(
        self, value: object, schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        for keyword in REFS:
            if isinstance(ref := schema.get(keyword), str):
                target = self._references.resolve(ref, schema)
                problem = self.check(value, target, at, evaluated)
                if problem or self._ref_alone:
                    return problem
        problem = _own_problem(value, schema, at or "it") or self._unlisted(value, schema, at)
        if problem is None and isinstance(value, str) and "pattern" in schema:
            pattern = str(schema["pattern"])
            if self._is_in(pattern, value) is False:
                problem = f"{at or 'it'} breaks pattern {_shown(pattern)}"
        if problem is None:
            problem = self._check_combined(value, schema, at, evaluated)
        if problem is None and isinstance(value, dict):
            problem = self._check_object(value, schema, at, evaluated)
        elif problem is None and isinstance(value, list):
            problem = self._check_list(value, schema, at, evaluated)
        return problem

    def _unlisted(self, value: object, schema: Schema, at: str) -> str | None:
        """Return that a value is not among those that the schema lists, if it is not."""
        for keyword, said in (("enum", "none of"), ("const", "not")):
            if keyword not in schema:
                continue
            allowed = self._allowed.get((id(schema), keyword))
            if allowed is None:
                listed = schema[keyword] if keyword == "enum" else [schema[keyword]]
                allowed = {_key(one) for one in cast("list[object]", listed)}
                self._allowed[id(schema), keyword] = allowed
            if _key(value) not in allowed:
                return f"{at or 'it'} is {said} {_shown(schema[keyword])}"
        return None

    def _is_in(self, pattern: str, text: str) -> bool | None:
        """Whether a text has what a pattern describes; None if that cannot be said."""
        read = read_pattern(pattern)
        before, self._work = self._work, self._work + read.size * len(text)
        if read.problem or self._work > _MAX_WORK:
            self._unsure += 1
            if before <= _MAX_WORK < self._work:
                _logger.warning("The pattern %.200r is not checked: too much work.", pattern)
            return None
        return read.found_in(text)

    def _check_combined(
        self, value: object, schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        for part in cast("list[object]", schema.get("allOf", ())):
            if problem := self.check(value, part, at, evaluated):
                return problem
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema and (
                problem := self._check_options(value, schema, keyword, at, evaluated)
            ):
                return problem
        if "not" in schema and self._fits(value, schema["not"], at, None) is True:
            return f"{at or 'it'} fits what it must not be: {_shown(schema['not'])}"
        if "if" in schema:
            fits = self._fits(value, schema["if"], at, evaluated)
            then = None if fits is None else schema.get("then" if fits else "else")
            if then is not None and (problem := self.check(value, then, at, evaluated)):
                return problem
        return None

    def _fits(
        self, value: object, schema: object, at: str, evaluated: _Evaluated | None
    ) -> bool | None:
        """Whether a value fits a part of the schema; None if that cannot be said."""
        before = self._unsure
        problem = self.check(value, schema, at, evaluated)
        return False if problem else True if self._unsure == before else None

    def _check_options(
        self, value: object, schema: Schema, keyword: str, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        options = cast("list[object]", schema[keyword])
        before, found = self._unsure, []
        for option in options:
            found.append(self._fits(value, option, at, evaluated))
            if keyword == "anyOf" and found[-1] is True and evaluated is None:
                break
        if keyword == "oneOf" and found.count(True) > 1:
            return f"{at or 'it'} fits more than one of its forms"
        if keyword == "anyOf" and True in found:
            self._unsure = before
        if True in found or None in found:
            return None
        others = [one for one in options if one != {"type": "null"}]
        if len(others) == 1 < len(options):  # what may be null too
            return self.check(value, others[0], at, None)
        return f"{at or 'it'} fits none of its forms"

    def _check_object(
        self, value: dict[str, object], schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        for name in cast("list[str]", schema.get("required", ())):
            if name not in value:
                return f"{_join(at, name)} is missing"
        if problem := self._check_dependent(value, schema, at, evaluated):
            return problem
        if "propertyNames" in schema:
            for name in value:
                where = f"the name {_shown(name)}" + (f" in {at}" if at else "")
                if problem := self.check(name, schema["propertyNames"], where, None):
                    return problem
        return self._check_properties(value, schema, at, evaluated)

    def _check_dependent(
        self, value: dict[str, object], schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, needed in cast("Schema", schema.get(keyword, {})).items():
                if name not in value:
                    continue
                if not isinstance(needed, list | tuple):
                    if problem := self.check(value, needed, at, evaluated):
                        return problem
                    continue
                for other in needed:
                    if other not in value:
                        return f"{_join(at, other)} is missing beside {name}"
        return None

    def _check_properties(
        self, value: dict[str, object], schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        properties = cast("Schema", schema.get("properties", {}))
        patterns = cast("Schema", schema.get("patternProperties", {}))
        other = schema.get("additionalProperties")
        for name, item in value.items():
            where = _join(at, name)
            said = name in properties
            if said and (problem := self.check(item, properties[name], where, None)):
                return problem
            for pattern, part in patterns.items():
                matches = self._is_in(pattern, name)
                said = said or matches is not False
                if matches and (problem := self.check(item, part, where, None)):
                    return problem
            if not said and other is not None:
                said = True
                if problem := self.check(item, other, where, None):
                    return problem
            if evaluated is not None and said:
                evaluated.add(name)
        if evaluated is not None and "unevaluatedProperties" in schema:
            for name in [name for name in value if name not in evaluated]:
                part = schema["unevaluatedProperties"]
                if problem := self.check(value[name], part, _join(at, name), None):
                    return problem
                evaluated.add(name)
        return None

    def _check_list(
        self, value: list[object], schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        first, rest = schema.get("prefixItems", ()), schema.get("items")
        if isinstance(rest, list | tuple):  # as in drafts up to 2019-09
            first, rest = rest, schema.get("additionalItems")
        parts = cast("list[object]", first)
        for number, item in enumerate(value):
            if number >= len(parts) and rest is None:
                break
            known = parts[number] if number < len(parts) else rest
            if problem := self.check(item, known, f"{at}[{number}]", None):
                return problem
            if evaluated is not None:
                evaluated.add(number)
        if "contains" in schema and (problem := self._check_contains(value, schema, at, evaluated)):
            return problem
        if evaluated is not None and "unevaluatedItems" in schema:
            for number in [number for number in range(len(value)) if number not in evaluated]:
                part = schema["unevaluatedItems"]
                if problem := self.check(value[number], part, f"{at}[{number}]", None):
                    return problem
                evaluated.add(number)
        return None

    def _check_contains(
        self, value: list[object], schema: Schema, at: str, evaluated: _Evaluated | None
    ) -> str | None:
        fitting = [
            self._fits(item, schema["contains"], f"{at}[{number}]", None)
            for number, item in enumerate(value)
        ]
        if evaluated is not None:
            evaluated.update(number for number, fits in enumerate(fitting) if fits is not False)
        certain, possible = fitting.count(True), fitting.count(True) + fitting.count(None)
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        if possible < cast("int", least):
            return f"{at or 'it'} has too few items that fit {_shown(schema['contains'])}"
        if most is not None and certain > cast("int", most):
            return f"{at or 'it'} has too many items that fit {_shown(schema['contains'])}"
        return None
