"""The bundled embeddings: a vector for each word piece, and nothing else to compute.

A text's embedding is the mean of its pieces' vectors. The English ones were distilled from
all-MiniLM-L6-v2, and the Korean ones brought into their space; how rare a piece is lies in its
vector's length. Axes are in order of how much they tell, so that the first numbers of an embedding
are a smaller embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from ..errors import ConfigurationError, ContextOverflowError
from ._extra import needs_extra
from .loading import loading
from .tokenizing import TokenText, encoded
from .weights import bundled, read_tensors, read_verified

with needs_extra():
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

Array = NDArray[np.float32]

# The share of single pieces in a relevance. Found on the two retrieval sets of training/README.md:
# it helps on both; more of it helps where names decide, and harms where words differ.
_PIECES = np.float32(0.2)
# From cosine to logit: a logistic regression on the first set, right and wrong weighing the same.
_SLOPE, _MIDDLE = np.float32(20), np.float32(0.2)


class EmbeddingModel:
    """The table and its tokenizer. Any number of threads may use one at once.

    It is made of the content of `model.safetensors` and `tokenizer.json` by name.
    """

    name = "langchain-easyllm/offline-embeddings"
    max_input_length: int = 512

    def __init__(self, files: dict[str, bytes]) -> None:
        tensors = read_tensors(files["model.safetensors"])
        self._table, self._scale = tensors["embeddings"], tensors["scale"].astype(np.float32)
        self._tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode("utf-8"))
        self.dimension: int = self._table.shape[1]
        vocabulary = self._tokenizer.get_vocab()
        self._unknown: int = vocabulary["[UNK]"]
        words = [index for piece, index in vocabulary.items() if any(map(str.isalnum, piece))]
        self._is_word = np.zeros(len(self._table), bool)
        self._is_word[words] = True
        self._is_word[[self._unknown, vocabulary["[PAD]"]]] = False

    @classmethod
    def load(cls) -> EmbeddingModel:
        """Return the bundled model, read and verified once in a process."""
        with loading():
            return _load()

    def encode(self, text: str) -> list[TokenText]:
        """Return a text's word pieces; there are no special tokens."""
        return encoded(self._tokenizer, text, add_special_tokens=False)

    def embed(
        self,
        texts: Sequence[str],
        *,
        normalize: bool = True,
        dimensions: int | None = None,
        truncate: bool = False,
        truncation_direction: Literal["left", "right"] = "right",
    ) -> Array:
        """Return the embeddings of texts, [text, dimension], or their first `dimensions`.

        A text of unknown words only has the embedding zero; what it knows of such a text are the
        commas between them. One that is too long is cut if `truncate` is set, else a
        `ContextOverflowError`.
        """
        size = self.dimension if dimensions is None else dimensions
        if not 1 <= size <= self.dimension:
            raise ConfigurationError(
                f"dimensions must be from 1 to {self.dimension}, not {dimensions}."
            )
        rows = np.zeros((len(texts), size), np.float32)
        for row, text in zip(rows, texts, strict=True):
            ids = [piece.id for piece in self.encode(text)]
            if len(ids) > self.max_input_length:
                if not truncate:
                    raise ContextOverflowError(
                        f"A text has {len(ids)} tokens, but the model takes "
                        f"{self.max_input_length}: split it, or set truncate."
                    )
                longest = self.max_input_length
                ids = ids[-longest:] if truncation_direction == "left" else ids[:longest]
            if ids and (self._unknown not in ids or self._is_word[ids].any()):
                row[:] = self._vectors(ids).mean(0)[:size]
        return _normalized(rows) if normalize else rows

    def score(self, query: str, texts: Sequence[str]) -> Array:
        """Return how relevant texts are to a query, as logits: their sigmoid is a share.

        Mostly the cosine of the two embeddings. The rest is late interaction (as in ColBERT,
        https://arxiv.org/abs/2004.12832): the mean, over the query's pieces, of the cosine with
        the most similar piece of the text, by the lengths of the pieces' vectors. That finds
        names, which vanish in a mean. What is beyond the model's length is left out.
        """
        wanted = self._vectors(self._ids(query))
        weights = np.linalg.norm(wanted, axis=1)
        total = weights.sum()
        wholes = self.embed([query, *texts], truncate=True)
        scores = (1 - _PIECES) * (wholes[1:] @ wholes[0])
        if total > 0:
            pieces = _normalized(wanted)
            for index, text in enumerate(texts):
                found = _normalized(self._vectors(self._ids(text)))
                best = (pieces @ found.T).max(1, initial=-1)
                scores[index] += _PIECES * (best @ weights) / total
        relevance: Array = _SLOPE * (scores - _MIDDLE)
        return relevance

    def _ids(self, text: str) -> list[int]:
        return [piece.id for piece in self.encode(text)[: self.max_input_length]]

    def _vectors(self, ids: list[int]) -> Array:
        vectors: Array = self._table[ids].astype(np.float32) * self._scale[ids, None]
        return vectors


def _normalized(rows: Array) -> Array:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Array = rows / np.maximum(lengths, np.float32(1e-12))
    return scaled


@lru_cache(maxsize=1)
def _load() -> EmbeddingModel:
    return EmbeddingModel(read_verified(bundled("embeddings")))
