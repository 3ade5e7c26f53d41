"""Holds an answer to a schema, a regular expression or a grammar, token by token, by llguidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from .._llguidance import close_schema, compile_grammar
from ..errors import BadRequestError
from .generation import RunningSequence
from .settings import check_libraries

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher, LLTokenizer
    from transformers import PreTrainedTokenizerBase


def compile_tgi_grammar(grammar: Mapping[str, object]) -> str:
    """Return llguidance's form of a `grammar` in TGI's format."""
    check_libraries("llguidance")
    value = grammar.get("value")
    try:
        kind = grammar.get("type")
        if kind == "ebnf":
            return compile_grammar("ebnf", value)
        if kind == "regex":
            return compile_grammar("regex", value)
        return compile_grammar("json_schema", close_schema(value))
    except ValueError as error:
        raise BadRequestError(f"The grammar cannot be compiled: {error}") from error


class Grammar:
    """A logits processor that leaves only tokens with which an answer can still fit the grammar."""

    def __init__(
        self,
        grammar: str,
        sequences: Sequence[RunningSequence],
        tokenizer: PreTrainedTokenizerBase,
        ends: frozenset[int],
        width: int,
    ) -> None:
        self._grammar = grammar
        self._sequences = sequences
        self._tokenizer = tokenizer
        self._ends = ends
        self._read = width
        self._matchers: list[LLMatcher] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if not self._matchers:
            self._start(scores.shape[-1])
        fresh = input_ids[:, self._read :].tolist()
        self._read = input_ids.shape[1]
        matched = zip(self._matchers, self._sequences, strict=True)
        for row, (matcher, sequence) in enumerate(matched):
            if not sequence.done:
                for token in fresh[row]:
                    matcher.consume_token(token)
                scores = self._masked(scores, row, matcher)
        return scores

    def _start(self, size: int) -> None:
        from llguidance import LLMatcher  # noqa: PLC0415 - only where grammars are used

        vocabulary = _vocabulary(self._tokenizer, size, self._ends)
        self._matchers = [
            LLMatcher(vocabulary, self._grammar, log_level=0) for _ in self._sequences
        ]

    def _masked(self, scores: torch.FloatTensor, row: int, matcher: LLMatcher) -> torch.FloatTensor:
        import torch  # noqa: PLC0415 - heavy

        mask = bytearray(matcher.compute_logit_bias())
        if matcher.is_error():
            raise BadRequestError(f"The grammar failed: {matcher.get_error().strip()}")
        forbidden = torch.frombuffer(mask, dtype=torch.uint8) == 0
        scores[row].masked_fill_(forbidden.to(scores.device), float("-inf"))
        return scores


# Making one takes about a second for a large vocabulary.
_vocabularies: WeakKeyDictionary[PreTrainedTokenizerBase, dict[object, LLTokenizer]] = (
    WeakKeyDictionary()
)


def _vocabulary(tokenizer: PreTrainedTokenizerBase, size: int, ends: frozenset[int]) -> LLTokenizer:
    known = _vocabularies.setdefault(tokenizer, {})
    found = known.get((size, ends))
    if found is None:
        from llguidance.hf import from_tokenizer  # noqa: PLC0415 - heavy

        try:
            found = from_tokenizer(tokenizer, n_vocab=size, eos_token=sorted(ends))
        except ValueError as error:
            raise BadRequestError(
                f"Grammars do not work with this model's tokenizer: {error}"
            ) from error
        known[size, ends] = found
    return found
