"""Retrieval-augmented generation: splitter, vector store, retriever, prompt, model."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_text_splitters import MarkdownTextSplitter

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings
from langchain_easyllm.offline.wordings import READING

from .place import Place
from .show import WIDTH, Show

__all__ = ["documentation", "retrieval"]

ROOT = Path(__file__).parents[1]

# The words that the offline model was trained to read by.
PROMPT = ChatPromptTemplate.from_template(READING)


def retrieval(place: Place, question: str) -> str:
    """Answer a question from the project's documentation, and return the answer."""
    with embedder(place) as embeddings, EasyLLMChat(**place.agent) as llm:
        store = indexed(documentation(), embeddings)
        found = store.as_retriever(search_kwargs={"k": place.passages}) | RunnableLambda(as_text)
        chain = (
            {"context": found, "question": RunnablePassthrough()} | PROMPT | llm | StrOutputParser()
        )
        render = llm.to_prompt if place.template else None
        return "".join(chain.stream(question, {"callbacks": [Show(render)]})).strip()


@contextmanager
def embedder(place: Place) -> Iterator[EasyLLMEmbeddings]:
    """Yield what embeds texts at a place; where nothing does, the offline server, started here."""
    with ExitStack() as stack:
        fields = place.embeddings
        if fields is None:
            from langchain_easyllm.offline import offline_server  # needs an extra

            fields = {"base_url": stack.enter_context(offline_server()).base_url}
        yield stack.enter_context(EasyLLMEmbeddings(**fields))


def documentation() -> list[Document]:
    """Return the project's own documentation in passages."""
    files = sorted(file for file in (ROOT / "docs").glob("*.md") if ".ko." not in file.name)
    pages = [Document(file.read_text("utf-8"), metadata={"page": file.name}) for file in files]
    return MarkdownTextSplitter(chunk_size=180, chunk_overlap=0).split_documents(pages)


def indexed(passages: Sequence[Document], embeddings: EasyLLMEmbeddings) -> VectorStore:
    """Embed passages into a vector store, and print how long that took."""
    start = time.perf_counter()
    store = InMemoryVectorStore.from_documents(list(passages), embeddings)
    took = time.perf_counter() - start
    pages = len({passage.metadata["page"] for passage in passages})
    print(f"\n   {len(passages)} passages of {pages} pages embedded in {took:.2f} s")
    return store


def as_text(passages: Sequence[Document]) -> str:
    """Print the passages that were found, and return them as one text."""
    texts = [" ".join(passage.page_content.split()) for passage in passages]
    for passage, text in zip(passages, texts, strict=True):
        print(f"   Found in {passage.metadata['page']}: {textwrap.shorten(text, WIDTH)}")
    return "\n\n".join(texts)
