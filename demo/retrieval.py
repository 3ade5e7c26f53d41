"""Retrieval-augmented generation: splitter, vector store, retriever, prompt, model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore
from langchain_text_splitters import MarkdownTextSplitter

from langchain_easyllm import EasyLLMChat, EasyLLMEmbeddings

from .languages import Language
from .place import Place
from .screen import Screen, shortened
from .show import Show

__all__ = ["documents", "retrieval"]

ROOT = Path(__file__).parents[1]


def retrieval(place: Place, screen: Screen, question: str) -> None:
    """Answer a question from documents in the reader's language."""
    say = screen.language
    with embedder(place) as embeddings, EasyLLMChat(**place.agent) as llm:
        store = indexed(documents(say), embeddings, screen)
        as_text = RunnableLambda(partial(told, screen))
        found = store.as_retriever(search_kwargs={"k": place.passages}) | as_text
        prompt = ChatPromptTemplate.from_template(say.reading)
        chain = (
            {"context": found, "question": RunnablePassthrough()} | prompt | llm | StrOutputParser()
        )
        show = Show(screen, llm.to_prompt if place.template else None)
        answer = "".join(chain.stream(question, {"callbacks": [show]})).strip()
    screen.line(f"\n   {say.answer.format(answer=answer)}", "answer")


@contextmanager
def embedder(place: Place) -> Iterator[EasyLLMEmbeddings]:
    """Yield what embeds texts at a place; where nothing does, the offline server, started here."""
    with ExitStack() as stack:
        fields = place.embeddings
        if fields is None:
            from langchain_easyllm.offline import offline_server  # needs an extra

            fields = {"base_url": stack.enter_context(offline_server()).base_url}
        yield stack.enter_context(EasyLLMEmbeddings(**fields))


def documents(language: Language) -> list[Document]:
    """Return the documents of a language in passages: of a page, some lines; of a text, each."""
    found = []
    for file in sorted(ROOT.glob(language.pages)):
        text, page = file.read_text("utf-8"), {"page": file.name}
        if file.suffix == ".txt":
            found += [Document(line, metadata=page) for line in text.splitlines()]
        elif ".ko." not in file.name:
            found.append(Document(text, metadata=page))
    return MarkdownTextSplitter(chunk_size=180, chunk_overlap=0).split_documents(found)


def indexed(
    passages: Sequence[Document], embeddings: EasyLLMEmbeddings, screen: Screen
) -> VectorStore:
    """Embed passages into a vector store, and tell how long that took."""
    screen.progress(screen.language.embedding)
    start = time.perf_counter()
    store = InMemoryVectorStore.from_documents(list(passages), embeddings)
    embedded = screen.language.embedded.format(
        passages=len(passages),
        pages=len({passage.metadata["page"] for passage in passages}),
        seconds=time.perf_counter() - start,
    )
    screen.line(f"\n   {embedded}", "note")
    return store


def told(screen: Screen, passages: Sequence[Document]) -> str:
    """Tell which passages were found, and return them as one text."""
    texts = [" ".join(passage.page_content.split()) for passage in passages]
    for passage, text in zip(passages, texts, strict=True):
        found = screen.language.found.format(page=passage.metadata["page"], text=text)
        screen.line(f"   {shortened(found, screen.width - 3)}", "tool")
    return "\n\n".join(texts)
