"""`EasyLLMCrossEncoder`: a LangChain cross-encoder on any Hugging Face reranking server."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from langchain_core.cross_encoders import BaseCrossEncoder

from ._fields.batching import BatchFields
from ._fields.connection import CONFIG
from ._protocols.pair_scores import PairApi
from ._protocols.rerank import RerankApi
from ._protocols.texts import check_pairs

if TYPE_CHECKING:
    from ._batch.clients import PairClient

__all__ = ["EasyLLMCrossEncoder"]

_APIS: dict[str, PairApi | RerankApi] = {api.value: api for api in (*PairApi, *RerankApi)}


class EasyLLMCrossEncoder(BatchFields, BaseCrossEncoder):
    """Cross-encoder on any Hugging Face reranker: TEI, vLLM, llama.cpp, Infinity, the Hub.

    Key init args:
        model: Repository id on the Hugging Face Hub.
        base_url: URL of the server. Default: Inference Providers.
        raw_scores: Whether to return the scores before the sigmoid.

    Instantiate:
        ```python
        from langchain_easyllm import EasyLLMCrossEncoder

        encoder = EasyLLMCrossEncoder(base_url="http://localhost:8080")
        ```

    Score pairs:
        ```python
        query = "When does the train leave?"
        scores = encoder.score([(query, "The train leaves at ten."), (query, "Cats sleep a lot.")])
        ```

    Use to rerank documents:
        ```python
        from langchain_classic.retrievers.document_compressors import CrossEncoderReranker
        from langchain_core.documents import Document

        documents = [Document("Cats sleep a lot."), Document("The train leaves at ten.")]
        best = CrossEncoderReranker(model=encoder, top_n=1).compress_documents(documents, query)
        ```

    Raises:
        ValueError: If a field is unknown (the message suggests the right one) or invalid.
        langchain_easyllm.errors.EasyLLMError: If a call fails; see `langchain_easyllm.errors`.
    """

    model_config = CONFIG

    api: Literal["auto", "predict", "score", "tei", "jina", "text-ranking"] = "auto"
    """The protocol: TEI's `/predict`, vLLM's `/score`, or one of those of `EasyLLMRerank`, which
    take the texts of one query. Default `"auto"`: the one that the server has."""

    raw_scores: bool | None = None
    """Whether to return scores as the model computes them (True), or between 0 and 1 (False), on
    servers that have the choice. Default None: the server's own setting."""

    _tasks: ClassVar[tuple[str, ...]] = ("text-ranking", "text-classification")
    _neutral: ClassVar[tuple[str, ...]] = ("truncate", "truncation_direction", "raw_scores")

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs of texts: how well the second text of each fits the first.

        Args:
            text_pairs: The pairs, (query, document) say. No text may be empty.

        Returns:
            One score per pair, in their order; higher is better.

        Raises:
            EasyLLMError: If a text cannot be sent, or a request fails. If the server refuses a
                pair, the message has its index and its beginning.
        """
        given = check_pairs(text_pairs)
        return self._pair_client().scores(given) if given else []

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs of texts; see `score`."""
        given = check_pairs(text_pairs)
        return await self._pair_client().ascores(given) if given else []

    def _pair_client(self) -> PairClient:
        from ._batch.clients import PairClient  # noqa: PLC0415 - sockets load with the first request
        from ._batch.pair_scoring import PairRequest  # noqa: PLC0415 - as above

        request = PairRequest(
            api=_APIS.get(self.api),
            model=self.model,
            provider=self.provider,
            params={name: getattr(self, name) for name in self._neutral},
            extra=self.model_kwargs,
        )
        return PairClient(self._connect().session, self._limits(), request)
