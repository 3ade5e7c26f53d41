"""Checks of constrained decoding: answers that the model would not give by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BadRequestError, ConfigurationError
from .advice import advice
from .report import Finding, fails, not_offered, unclear, works
from .subject import Subject
from .text_checks import quoted

QUESTION = "Say hello in plain words. Write no JSON."
CODES = "q7x", "z3k"
SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"code": {"type": "string", "enum": [*CODES]}},
    "required": ["code"],
    "additionalProperties": False,
}
PATTERN = "[qz][0-9]{3}"


def schema(subject: Subject) -> Finding:
    """An answer that a JSON schema dictates."""
    given = {"type": "json_schema", "json_schema": {"name": "code", "schema": SCHEMA}}
    return _constrained(subject, {"response_format": given}, _fits_schema, "schema")


def regex(subject: Subject) -> Finding:
    """An answer that a regular expression dictates."""
    given = {"type": "regex", "value": PATTERN}
    return _constrained(
        subject, {"grammar": given}, lambda text: bool(re.fullmatch(PATTERN, text)), "regex"
    )


def _constrained(
    subject: Subject, field: Mapping[str, Any], fits: Callable[[str], bool], name: str
) -> Finding:
    chat = subject.chat(max_tokens=48, **field)
    claimed = subject.claims and any(api.constrains for api in subject.profile.apis.values())
    try:
        message = chat.invoke(QUESTION)
    except ConfigurationError as error:
        return not_offered(error.message)
    except BadRequestError as error:
        found = fails if claimed else not_offered
        return found(error.message, advice(subject, name))
    text = message.text.strip()
    if fits(text):
        return works(quoted(text))
    cut = message.response_metadata.get("finish_reason") == "length"
    if cut and text[:1] in ("", "{", "q", "z"):  # reasoning may have taken all tokens
        return unclear(f"The answer is cut off: {quoted(text)}.")
    note = f"The server does not hold the answer to it: {quoted(text)}."
    return (fails if claimed else not_offered)(note, advice(subject, name))


def _fits_schema(text: str) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and [*value] == ["code"] and value["code"] in CODES
