"""Holds an answer to a JSON schema or a regular expression, token by token, by llguidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import orjson

from ..errors import BadRequestError
from .generation import Answering
from .settings import check_libraries

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions
    from transformers import PreTrainedTokenizerBase

__all__ = ["Grammar", "compiled"]


# JSON as json.dumps writes it: white space that is free has no end with some models.
_SPACING: JsonCompileOptions = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


def compiled(grammar: Mapping[str, object]) -> str:
    """Return llguidance's form of a `grammar` in TGI's shape.

    Raises:
        BadRequestError: With the reason, if it cannot be compiled.
        ConfigurationError: If llguidance is not installed.
    """
    check_libraries("llguidance")
    from llguidance import LLMatcher  # noqa: PLC0415 - only where grammars are used

    kind, value = grammar.get("type"), grammar.get("value")
    try:
        if kind == "regex":
            made = LLMatcher.grammar_from_regex(str(value))
        else:
            schema = orjson.dumps(_closed(value)).decode()
            made = LLMatcher.grammar_from_json_schema(schema, overrides=_SPACING)
    except ValueError as error:
        raise BadRequestError(f"The grammar cannot be compiled: {error}") from error
    failed, problems = LLMatcher.validate_grammar_with_warnings(made)
    if failed:
        raise BadRequestError(f"The grammar cannot be compiled: {problems[0].strip()}")
    return made


_SINGLE = ("additionalProperties", "items")
_LISTED = ("anyOf", "oneOf", "prefixItems")
_NAMED = ("$defs", "definitions", "properties")


def _closed(schema: object) -> object:
    """Return a schema whose objects have the properties that it names, and no others.

    That is how servers read a schema: a model that may go on with names of its own does not end.
    Parts of an `allOf` are left as they are, for each of them names only some.
    """
    if not isinstance(schema, Mapping):
        return schema
    closed = dict(schema)
    for key, part in schema.items():
        if key in _SINGLE:
            closed[key] = _closed(part)
        elif key in _LISTED and isinstance(part, list):
            closed[key] = [_closed(one) for one in part]
        elif key in _NAMED and isinstance(part, Mapping):
            closed[key] = {name: _closed(one) for name, one in part.items()}
    if "properties" in schema and not schema.keys() & {"allOf", "patternProperties"}:
        closed.setdefault("additionalProperties", False)
    return closed


class Grammar:
    """A logits processor that leaves only tokens with which an answer can still fit.

    Args:
        grammar: What the answers must be, as `compiled` returns it.
        answers: The rows, in the order of the batch.
        tokenizer: The model's.
        ends: Ids of the tokens that end an answer.
        width: How many tokens the padded prompts have.
    """

    def __init__(
        self,
        grammar: str,
        answers: Sequence[Answering],
        tokenizer: PreTrainedTokenizerBase,
        ends: frozenset[int],
        width: int,
    ) -> None:
        self._grammar = grammar
        self._answers = answers
        self._tokenizer = tokenizer
        self._ends = ends
        self._read = width
        self._matchers: list[LLMatcher] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return the logits, minus infinity where a token does not fit."""
        if not self._matchers:
            self._start(scores.shape[-1])
        fresh = input_ids[:, self._read :].tolist()
        self._read = input_ids.shape[1]
        for row, (matcher, answer) in enumerate(zip(self._matchers, self._answers, strict=True)):
            if not answer.done:
                for token in fresh[row]:
                    matcher.consume_token(token)
                scores = self._masked(scores, row, matcher)
        return scores

    def _start(self, size: int) -> None:
        from llguidance import LLMatcher  # noqa: PLC0415 - as above

        vocabulary = _vocabulary(self._tokenizer, size, self._ends)
        self._matchers = [LLMatcher(vocabulary, self._grammar, log_level=0) for _ in self._answers]

    def _masked(self, scores: torch.FloatTensor, row: int, matcher: LLMatcher) -> torch.FloatTensor:
        import torch  # noqa: PLC0415 - heavy

        mask = bytearray(matcher.compute_logit_bias())
        if matcher.is_error():
            raise BadRequestError(f"The grammar failed: {matcher.get_error().strip()}")
        refused = torch.frombuffer(mask, dtype=torch.uint8) == 0
        scores[row].masked_fill_(refused.to(scores.device), float("-inf"))
        return scores


# Making one takes about a second for a large vocabulary.
_made: WeakKeyDictionary[PreTrainedTokenizerBase, dict[object, LLTokenizer]] = WeakKeyDictionary()


def _vocabulary(tokenizer: PreTrainedTokenizerBase, size: int, ends: frozenset[int]) -> LLTokenizer:
    known = _made.setdefault(tokenizer, {})
    found = known.get((size, ends))
    if found is None:
        from llguidance.hf import from_tokenizer  # noqa: PLC0415 - heavy

        try:
            found = from_tokenizer(tokenizer, n_vocab=size, eos_token=sorted(ends))
        except ValueError as error:
            raise BadRequestError(f"No grammar can hold this model: {error}") from error
        known[size, ends] = found
    return found
