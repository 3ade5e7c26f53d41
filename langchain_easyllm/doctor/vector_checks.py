"""Checks of embeddings, reranking and the tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage

from ..errors import (
    AuthenticationError,
    ConnectionError,
    EasyLLMError,
    ProtocolError,
    RateLimitError,
    TimeoutError,
)
from .advice import advice
from .report import Finding, State, fails, not_offered, works
from .subject import GREETING, Subject

_OTHER_REASONS = (
    AuthenticationError, ConnectionError, ProtocolError, RateLimitError, TimeoutError
)  # fmt: skip
"""Failures that do not say that the server lacks something."""

CLOSE = 1e-3
"""How far a text's vectors may differ by what they were computed beside."""


def has_vectors(subject: Subject) -> bool:
    """Whether the server, which has no text, has embeddings or reranks; asked once."""
    return subject.once("vectors", lambda: _work(subject, embeddings, rerank))


def embeddings(subject: Subject) -> Finding:
    """Vectors of two texts, and once more of one of them."""
    texts = ["A cat sleeps.", "The train leaves at ten."]
    try:
        model = subject.embeddings()
        vectors = model.embed_documents(texts)
        again = model.embed_query(texts[0])
    except ProtocolError as error:
        if _work(subject, rerank):  # llama-server's rerankers have vectors of nothing
            return not_offered(f"A reranker has no embeddings: {error.message}")
        raise
    except _OTHER_REASONS:
        raise
    except EasyLLMError as error:
        return _refused(subject, error, "embeddings", "embed" in subject.details.protocols)
    length = math.dist(vectors[0], [0.0] * len(vectors[0]))
    if math.dist(vectors[0], vectors[1]) <= CLOSE * length:
        return fails("Two different texts have the same vector.")
    if math.dist(vectors[0], again) > 0.05 * length:
        return fails("A text has another vector when it is embedded once more.")
    return works(f"{len(vectors[0])} dimensions, by {subject.last().path}")


def rerank(subject: Subject) -> Finding:
    """Two documents in the order of their relevance."""
    return subject.once("rerank", lambda: _rerank(subject))


def _rerank(subject: Subject) -> Finding:
    documents = [Document("A cat sleeps."), Document("The train leaves at ten.")]
    try:
        ranked = subject.reranker().compress_documents(documents, "When does the train leave?")
    except _OTHER_REASONS:
        raise
    except EasyLLMError as error:
        claimed = bool({"rerank", "predict"} & {*subject.details.protocols})
        return _refused(subject, error, "rerank", claimed)
    if len(ranked) != len(documents):
        return fails(f"{len(ranked)} of {len(documents)} documents have a score.")
    best = "the relevant one" if ranked[0].page_content == documents[1].page_content else "another"
    return works(f"{best} of two comes first, by {subject.last().path}")


def tokenize(subject: Subject) -> Finding:
    """Token counts by the server's tokenizer, compared with those of an answer."""
    if subject.profile.tokenize is None:
        return not_offered("The server has no route for it.")
    llm = subject.llm()
    ids = llm.get_token_ids("Hello, world!")
    if not ids:
        return fails("A text has no tokens.")
    note = f"{len(ids)} tokens in 'Hello, world!'"
    used = subject.answer().usage_metadata
    if subject.profile.chat_tokenize is None or used is None:
        return works(note)
    counted = subject.chat().get_num_tokens_from_messages([HumanMessage(GREETING)])
    if counted != used["input_tokens"]:
        return fails(
            f"The prompt has {counted} tokens as they are counted, and {used['input_tokens']} as "
            "they are charged."
        )
    return works(f"{note}; a prompt's count is that of its answer")


def _work(subject: Subject, *checks: Callable[[Subject], Finding]) -> bool:
    for check in checks:
        with suppress(EasyLLMError):
            if check(subject).state is State.WORKS:
                return True
    return False


def _refused(subject: Subject, error: EasyLLMError, name: str, claimed: bool) -> Finding:
    if claimed:
        return fails(error.message, advice(subject, name))
    return not_offered(_short(error), advice(subject, name))


def _short(error: EasyLLMError) -> str:
    """Return what a refusal says, without the advice for who wanted an answer."""
    if error.status_code is None:
        return error.message
    return f"The server answers {error.status_code}."
