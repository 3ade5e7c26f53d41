"""Hold an answer to a JSON schema, a regular expression or a grammar, token by token."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ._extra import needs_extra

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions

__all__ = ["Constraint", "ConstraintError", "Guide"]

# JSON is written as json.dumps writes it, which is how the model has learned it.
_SPACING: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


class ConstraintError(ValueError):
    """A schema, expression or grammar that cannot be compiled, or grew too large while used."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer must be, whole. Made by `json`, `regex` or `lark`; any answer may share it.

    Attributes:
        grammar: llguidance's form of it.
    """

    grammar: str

    @classmethod
    def json(cls, schema: object) -> Constraint:
        """Hold an answer to a JSON schema, given as a dict.

        Raises:
            ConstraintError: With the reason, if it is no schema or uses what is not supported.
            MissingExtraError: If llguidance is not installed.
        """
        if not isinstance(schema, dict):
            raise ConstraintError(f"A JSON schema is an object, not a {type(schema).__name__}.")
        try:
            return _compiled("json_schema", json.dumps(schema))
        except TypeError as error:
            raise ConstraintError(str(error)) from error

    @classmethod
    def regex(cls, pattern: str) -> Constraint:
        """Hold an answer to a regular expression, which it must match from end to end.

        Raises:
            ConstraintError: With the reason, if it cannot be compiled.
            MissingExtraError: If llguidance is not installed.
        """
        return _compiled("regex", pattern)

    @classmethod
    def lark(cls, grammar: str) -> Constraint:
        """Hold an answer to a context-free grammar in Lark's notation.

        Raises:
            ConstraintError: With the reason, if it cannot be compiled.
            MissingExtraError: If llguidance is not installed.
        """
        return _compiled("lark", grammar)

    def start(self, tokenizer: str, ends: tuple[int, ...]) -> Guide:
        """Begin an answer.

        Args:
            tokenizer: The model's `tokenizer.json`.
            ends: Ids of the tokens that end an answer.

        Raises:
            ConstraintError: If the constraint does not fit the vocabulary.
        """
        with needs_extra():
            from llguidance import LLMatcher  # noqa: PLC0415 - only where constraints are used
        return Guide(LLMatcher(_vocabulary(tokenizer, ends), self.grammar, log_level=0))


class Guide:
    """A constraint on its way through one answer."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._check()

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next; those that end an answer where it may end.

        Raises:
            ConstraintError: If the constraint has become too large to be followed.
        """
        mask = self._matcher.compute_logit_bias()
        self._check()
        return np.frombuffer(mask, np.uint8) > 0

    def accept(self, token: int) -> None:
        """Go on past a token that was allowed."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            # What follows the reason is the state of the parser, thousands of characters of it.
            raise ConstraintError(self._matcher.get_error().partition("<state>")[0].strip())


def _compiled(kind: str, source: str) -> Constraint:
    with needs_extra():
        from llguidance import LLMatcher  # noqa: PLC0415 - only where constraints are used
    try:
        if kind == "json_schema":
            grammar = LLMatcher.grammar_from_json_schema(source, overrides=_SPACING)
        elif kind == "regex":
            grammar = LLMatcher.grammar_from_regex(source)
        else:
            grammar = LLMatcher.grammar_from_lark(source)
    except ValueError as error:
        raise ConstraintError(str(error)) from error
    failed, problems = LLMatcher.validate_grammar_with_warnings(grammar)
    if failed:
        raise ConstraintError(problems[0].strip())
    return Constraint(grammar)


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: str, ends: tuple[int, ...]) -> LLTokenizer:
    from llguidance import LLTokenizer  # noqa: PLC0415

    return LLTokenizer(tokenizer, eos_token=list(ends))
