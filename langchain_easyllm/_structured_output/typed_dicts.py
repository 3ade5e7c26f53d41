"""The JSON schema of a TypedDict, whose keys may be there or not.

langchain-core's conversion knows no keys that may be missing (`total=False`, `NotRequired`), and
takes the description of `dict` for that of a class without one.
"""

from __future__ import annotations

from typing import Any, NotRequired, Required, get_args, get_origin

from langchain_core.utils.function_calling import convert_to_json_schema
from typing_extensions import TypedDict, get_type_hints


def typed_dict_schema(kind: Any, *, strict: bool | None = None) -> dict[str, Any]:  # noqa: ANN401 - no type says "a TypedDict"
    hints = get_type_hints(kind, include_extras=True)
    marks: dict[str, object] = {name: get_origin(hint) for name, hint in hints.items()}
    unmarked = {
        name: get_args(hint)[0] if marks[name] in (Required, NotRequired) else hint
        for name, hint in hints.items()
    }
    known = TypedDict(kind.__name__, unmarked)  # type: ignore[misc]  # known at run time only
    known.__doc__ = kind.__doc__
    found = convert_to_json_schema(known, strict=strict)
    if not strict:
        missing = {
            name
            for name, mark in marks.items()
            if mark is NotRequired or (name in kind.__optional_keys__ and mark is not Required)
        }
        found["required"] = [name for name in found.get("required", ()) if name not in missing]
    if kind.__doc__ is None:
        found.pop("description", None)
    return found
