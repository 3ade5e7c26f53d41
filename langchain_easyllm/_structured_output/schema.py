"""The schema that a structured answer fits, and the reading of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache
from inspect import cleandoc
from typing import Any, TypeGuard, cast, get_origin, get_type_hints

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from .._nearest import did_you_mean
from ..errors import (
    ConfigurationError,
    RefusalError,
    StructuredOutputError,
    first_sentence,
    one_sentence,
)
from .growing_json import NOTHING
from .json_in_text import find_json, find_partial_json
from .options import METHODS, Method
from .schema_check import check_schema
from .typed_dicts import inline_definitions, is_typed_dict, typed_dict_schema
from .validation import problem_of


@dataclass(frozen=True, slots=True)
class OutputSchema:
    # what the caller gave: a class, or a dict
    target: type | Mapping[str, Any] = field(repr=False)
    name: str
    schema: Mapping[str, Any] = field(repr=False)
    method: Method | None = None  # None for the strongest that the server has
    strict: bool | None = None  # whether the server has to hold to the schema exactly

    def response_format(self) -> dict[str, object]:
        named: dict[str, object] = {"name": self.name, "schema": self.schema}
        if self.strict is not None:
            named["strict"] = self.strict
        return {"type": "json_schema", "json_schema": named}

    def tool(self) -> dict[str, object]:
        parameters = {k: v for k, v in self.schema.items() if k not in ("title", "description")}
        function: dict[str, object] = {"name": self.name, "parameters": parameters}
        if "description" in self.schema:
            function["description"] = self.schema["description"]
        if self.strict is not None:
            function["strict"] = self.strict
        return {"type": "function", "function": function}

    @property
    def key(self) -> int:
        """What tells its schema from others."""
        return hash(json.dumps(self.schema, sort_keys=True))

    @property
    def is_object(self) -> bool:
        """Whether it is an object, as arguments of a tool have to be."""
        return bool(self.schema.get("type", "object") == "object")

    @property
    def has_instances(self) -> bool:
        """Whether answers become instances of a class, which checks them."""
        return _is_model(self.target) or _is_dataclass(self.target)

    @property
    def described(self) -> type | Mapping[str, Any]:
        """What langchain-core describes in a trace: it converts pydantic classes and dicts."""
        described = _is_model(self.target) or isinstance(self.target, Mapping)
        return self.target if described else self.schema

    def as_instructions(self) -> str:
        """Return the request for an answer that fits, in words."""
        schema = json.dumps(self.schema, ensure_ascii=False)
        kind = "a JSON object" if self.is_object else "JSON"
        return f"Answer only with {kind} that fits this schema:\n{schema}"

    def parse(self, message: BaseMessage) -> object:
        if refusal := refusal_of(message):
            raise RefusalError(
                f"The model refuses to answer with {self.name!r}: {refusal}", raw_message=message
            )
        value = self.value_of(message)
        try:
            return self.build(value)
        except ValidationError as error:
            problem, cause = one_sentence(error), error
        except (TypeError, ValueError) as error:  # pydantic 1, or a validator of the caller's
            problem, cause = str(error), cast("ValidationError", error)
        raise self.misfit(problem, message) from cause

    def partial(self, message: BaseMessage) -> object:
        """Return as much of the object as has been answered; None while there is nothing to show.

        An object of a class is shown once it is whole.
        """
        if self.has_instances:
            return None
        for call in getattr(message, "tool_calls", ()):
            if call["name"] == self.name:
                return call["args"]
        return find_partial_json(message.text, arrays=not self.is_object)

    def value_of(self, message: BaseMessage) -> object:
        """Return the JSON of an answer, which may not fit."""
        # langchain-core completes the arguments of a stream that was cut.
        for piece in getattr(message, "tool_call_chunks", ()):
            if piece["name"] == self.name:
                try:
                    return json.loads(piece["args"] or "{}", strict=False)
                except (ValueError, RecursionError) as error:
                    raise self.misfit(f"a call whose arguments are cut: {error}", message) from None
        for call in getattr(message, "tool_calls", ()):
            if call["name"] == self.name:
                return call["args"]
        # Some servers take a constrained answer for reasoning.
        reasoning = message.additional_kwargs.get("reasoning_content")
        value = find_json(message.text if message.text.strip() else str(reasoning or ""))
        if value is not NOTHING:
            return value
        for bad in getattr(message, "invalid_tool_calls", ()):
            raise self.misfit(
                str(bad["error"] or "a call whose arguments are not valid JSON"), message
            )
        raise self.misfit("it has no JSON", message)

    def build(self, value: object) -> object:
        """Return what an answer's JSON stands for, or raise what the class raises."""
        if _is_model(self.target):
            own: Any = self.target
            return (own.model_validate if issubclass(own, BaseModel) else own.parse_obj)(value)
        if _is_dataclass(self.target):
            return _adapter(self.target).validate_python(value)
        problem = problem_of(value, self.schema)
        if problem is not None:
            raise ValueError(problem)
        return value

    def misfit(self, problem: str, message: BaseMessage) -> StructuredOutputError:
        """Return the error of an answer that does not fit."""
        cut = message.response_metadata.get("finish_reason") == "length"
        advice = (
            "raise max_tokens, for it was cut off" if cut else "ask again, or describe the fields"
        )
        return StructuredOutputError(
            f"The answer does not fit {self.name!r} ({problem}; see .llm_output): {advice}.",
            raw=_raw(message),
        )


def refusal_of(message: BaseMessage) -> str:
    """Return why the model does not answer, in its own words."""
    blocks = message.content if isinstance(message.content, list) else []
    found = [b for b in blocks if isinstance(b, dict) and b.get("type") == "refusal"]
    return "".join(str(block.get("refusal") or "") for block in found)


def _raw(message: BaseMessage) -> str:
    """Return an answer as the model wrote it: its text, or its calls."""
    if message.text or not isinstance(message, AIMessage):
        return message.text
    args: list[object] = [call["args"] for call in message.tool_calls]
    args += [call["args"] for call in message.invalid_tool_calls]
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in args)


def make_output_schema(
    schema: type | Mapping[str, Any], method: str | None = None, *, strict: bool | None = None
) -> OutputSchema:
    if method not in (None, "auto", *METHODS):
        raise ConfigurationError(
            f"method={method!r:.50} is not known: "
            + did_you_mean(
                method, METHODS, f"use 'auto', {', '.join(map(repr, METHODS))}.", cutoff=0.5
            )
        )
    found = schema_of(schema, strict=strict)
    check_schema(found)
    name = schema_name(found.get("title"))
    own = None if method in (None, "auto") else cast("Method", method)
    output = OutputSchema(schema, name, found, own, strict)
    if own == "function_calling" and not output.is_object:
        raise ConfigurationError(
            f"{name!r} is not an object, as the arguments of a call must be: put it in a field of "
            "one, or choose another method."
        )
    return output


def schema_name(title: object) -> str:
    """Return a name that servers accept."""
    return re.sub(r"[^\w-]", "_", str(title or "answer"), flags=re.ASCII)[:64]


def _is_model(schema: object) -> TypeGuard[type]:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _is_dataclass(schema: object) -> TypeGuard[type]:
    kind = get_origin(schema) or schema
    return isinstance(kind, type) and is_dataclass(kind)


class _DescribedDataclasses(GenerateJsonSchema):
    """Keeps what a dataclass says of itself: its docstring, and `Annotated[str, "The name."]`."""

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        found = super().dataclass_schema(schema)
        kind = schema["cls"]
        own = kind.__doc__ or ""
        if own and not own.startswith(f"{kind.__name__}("):  # which Python makes of the fields
            found.setdefault("description", cleandoc(own))
        for name, hint in get_type_hints(kind, include_extras=True).items():
            field = found.get("properties", {}).get(name)
            words = [note for note in getattr(hint, "__metadata__", ()) if isinstance(note, str)]
            if field is not None and words:
                field.setdefault("description", words[0])
        return found


@lru_cache(maxsize=128)
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _with_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Put the definition of a class that refers to itself at the root, where servers read."""
    kind, _, name = str(schema.get("$ref")).rpartition("/")
    if kind != "#/$defs":
        return schema
    return {**schema["$defs"][name], **{k: v for k, v in schema.items() if k != "$ref"}}


def schema_of(schema: object, *, strict: bool | None = None) -> dict[str, Any]:
    """Return the JSON schema of a class (pydantic's, a dataclass, a TypedDict) or a dict."""
    if isinstance(schema, Mapping):
        schema = _unwrapped(schema)
    elif not (_is_model(schema) or _is_dataclass(schema) or is_typed_dict(schema)):
        called = schema.__name__ if isinstance(schema, type) else repr(schema)[:80]
        raise ConfigurationError(
            f"{called} is not a schema: give a pydantic class, a dataclass, a TypedDict or a JSON "
            "schema as a dict."
        )
    try:
        if is_typed_dict(schema):
            return typed_dict_schema(schema, strict=strict)
        if _is_dataclass(schema):
            found = _with_root(_adapter(schema).json_schema(schema_generator=_DescribedDataclasses))
            return (
                convert_to_json_schema(inline_definitions(found), strict=True) if strict else found
            )
        if isinstance(schema, type) and issubclass(schema, BaseModel) and not strict:
            return _with_root(schema.model_json_schema())
        if isinstance(schema, dict) and "name" not in schema and not strict:
            json.dumps(schema)
            return schema
        return convert_to_json_schema(cast("dict[str, Any]", schema), strict=strict)
    except Exception as error:  # of langchain-core or pydantic, for what they cannot tell
        raise ConfigurationError(
            f"The schema cannot be written as JSON: {first_sentence(error)}"
        ) from error


def _unwrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema in OpenAI's dict of a tool, a function or a response format."""
    inner = schema.get("function") or schema.get("json_schema")
    found = dict(inner) if isinstance(inner, Mapping) else dict(schema)
    if isinstance(found.get("schema"), Mapping):
        found = {"title": found.get("name", "answer"), **found["schema"]}
    if "name" not in found:
        found.setdefault("title", "answer")
    return found
