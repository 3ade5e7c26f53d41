"""JSON schemas, as constrained decoding wants them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

__all__ = ["closed"]

_MAPPINGS = ("properties", "$defs", "definitions")
_SCHEMAS = ("items", "additionalProperties")
_LISTS = ("anyOf", "oneOf", "prefixItems")


def closed(schema: object) -> object:
    """Return a schema whose objects have no properties but those that it names.

    JSON Schema allows others unless `additionalProperties` says no, and a small model would make
    use of that. TGI's grammars never allow them.

    Args:
        schema: A schema; it is not changed.
    """
    if not isinstance(schema, Mapping):
        return schema
    result = dict(schema)
    for name in _MAPPINGS:
        _replace(result, name, Mapping, lambda value: {k: closed(v) for k, v in value.items()})
    for name in _SCHEMAS:
        _replace(result, name, Mapping, closed)
    for name in _LISTS:
        _replace(result, name, list, lambda value: [closed(each) for each in value])
    if "properties" in result and "allOf" not in result:
        result.setdefault("additionalProperties", False)
    return result


def _replace(
    schema: dict[str, object], name: str, kind: type, change: Callable[..., object]
) -> None:
    if isinstance(schema.get(name), kind):
        schema[name] = change(schema[name])
