"""What the parts of a JSON schema are, and what a `$ref` in it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urljoin

from .._tool_formats.json_schema import resolve_ref

Schema = Mapping[str, object]

# Keywords that hold schemas by their names, and those that hold one or a list of them.
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_OF_OBJECTS = ("additionalProperties", "propertyNames", "unevaluatedProperties")
_OF_ARRAYS = ("additionalItems", "contains", "unevaluatedItems")
SINGLE = (*_OF_OBJECTS, *_OF_ARRAYS, "not", "if", "then", "else")
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
UNEVALUATED = ("unevaluatedProperties", "unevaluatedItems")
REFS = ("$ref", "$dynamicRef", "$recursiveRef")


def inner_schemas(schema: Schema) -> Iterator[tuple[str, object]]:
    """Yield what a schema says about parts of a value, with the path to it."""
    for keyword, inner in schema.items():
        if (keyword in NAMED or keyword == "dependencies") and isinstance(inner, Mapping):
            for name, one in inner.items():
                if keyword != "dependencies" or not isinstance(one, list | tuple):
                    yield f"{keyword}.{name}", one
        elif keyword in SEVERAL or (keyword == "items" and isinstance(inner, list | tuple)):
            for one in inner if isinstance(inner, list | tuple) else ():
                yield keyword, one
        elif keyword in SINGLE or keyword == "items":
            yield keyword, inner


class References:
    """The places in a schema that can be referred to.

    A part with an `$id` is a document of its own, to which the paths inside it belong.
    """

    def __init__(self, root: Schema) -> None:
        self._documents: dict[str, Schema] = {"": root}
        self._anchors: dict[tuple[str, str], Schema] = {}
        self._bases: dict[int, str] = {}  # of the parts that are in a document with an `$id`
        self.tracks_evaluation = False  # whether some part speaks of what others leave over
        self._seen: set[int] = set()
        self._index(root, "")

    def resolve(self, ref: str, schema: Schema) -> object:
        """Return what a reference in a part of the schema is to; None if it is not in there."""
        base = self._bases.get(id(schema), "")
        address, _, fragment = ref.partition("#")
        base = _joined(base, address)
        document = self._documents.get(base)
        if document is None:
            return None
        if fragment and not fragment.startswith("/"):
            return self._anchors.get((base, unquote(fragment)))
        found = resolve_ref("#" + fragment, document)
        if isinstance(found, Mapping):  # it may stand where no keyword leads
            self._index(found, base)
        return found

    def _index(self, schema: Schema, base: str) -> None:
        left: list[tuple[object, str]] = [(schema, base)]
        while left:
            part, base = left.pop()
            if not isinstance(part, Mapping) or id(part) in self._seen:
                continue
            self._seen.add(id(part))
            own = part.get("$id", part.get("id"))
            if isinstance(own, str) and own.startswith("#"):  # as drafts up to 7 name a part
                self._anchors[base, own[1:]] = part
            elif isinstance(own, str):
                base = _joined(base, own.partition("#")[0])
                self._documents[base] = part
            if base:
                self._bases[id(part)] = base
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := part.get(keyword), str):
                    self._anchors[base, name] = part
            self.tracks_evaluation |= any(word in part for word in UNEVALUATED)
            left += [(one, base) for _, one in inner_schemas(part)]


def _joined(base: str, address: str) -> str:
    """Return an address that is relative to another; one that is no address is a name."""
    try:
        return urljoin(base, address)
    except ValueError:
        return address or base
