"""Constrain an answer to a JSON schema, a regular expression or a grammar, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from .._llguidance import compile_grammar
from ._extra import needs_extra

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer


class ConstraintError(ValueError):
    """A schema, expression or grammar that cannot be compiled, or grew too large while used."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A grammar of the complete answer, in llguidance's form; answers may share it."""

    grammar: str

    @classmethod
    def json(cls, schema: object) -> Constraint:
        """Return the constraint of a JSON schema, a dict; raise a `ConstraintError` for others."""
        if not isinstance(schema, dict):
            raise ConstraintError(f"A JSON schema is an object, not a {type(schema).__name__}.")
        return _compile("json_schema", schema)

    @classmethod
    def regex(cls, pattern: str) -> Constraint:
        return _compile("regex", pattern)

    @classmethod
    def lark(cls, grammar: str) -> Constraint:
        return _compile("lark", grammar)

    @classmethod
    def ebnf(cls, grammar: str) -> Constraint:
        """Return the constraint of a grammar in llama.cpp's format (`root ::= ...`) or Lark's."""
        return _compile("ebnf", grammar)

    def start(self, tokenizer: str, ends: tuple[int, ...]) -> Guide:
        """Begin an answer, given `tokenizer.json` and the ids of the tokens that end it."""
        with needs_extra():
            from llguidance import LLMatcher  # noqa: PLC0415 - only where constraints are used
        return Guide(LLMatcher(_vocabulary(tokenizer, ends), self.grammar, log_level=0))


class Guide:
    """The state of a constraint in one answer."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher
        self._check()

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next; those that end an answer where it may end."""
        mask = self._matcher.compute_logit_bias()
        self._check()
        return np.frombuffer(mask, np.uint8) > 0

    def accept(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            # After the reason comes the parser's state, thousands of characters.
            raise ConstraintError(self._matcher.get_error().partition("<state>")[0].strip())


def _compile(kind: Literal["json_schema", "regex", "lark", "ebnf"], source: object) -> Constraint:
    try:
        with needs_extra():
            return Constraint(compile_grammar(kind, source))
    except ValueError as error:
        raise ConstraintError(str(error)) from error


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: str, ends: tuple[int, ...]) -> LLTokenizer:
    from llguidance import LLTokenizer  # noqa: PLC0415

    return LLTokenizer(tokenizer, eos_token=list(ends))
