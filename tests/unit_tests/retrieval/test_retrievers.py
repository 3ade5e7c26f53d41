"""Retrievers in every invocation mode, reranked, cached, in a chain and as an agent's tool."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain.agents import create_agent
from langchain_classic.agents import AgentExecutor, create_react_agent
from langchain_classic.embeddings import CacheBackedEmbeddings
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_classic.storage import LocalFileStore
from langchain_core.documents import Document
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import Runnable, RunnablePassthrough
from langchain_core.tools import BaseTool, create_retriever_tool
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from demo.tools import calculator
from langchain_easyllm import EasyLLM, EasyLLMChat, EasyLLMEmbeddings, EasyLLMRerank
from langchain_easyllm.agents import agent_prompt
from langchain_easyllm.offline import OfflineServer, offline_server
from langchain_easyllm.offline.embedding_model import EmbeddingModel
from langchain_easyllm.offline.wordings import READING

from ...support.retrieval_corpus import DOCUMENTS, TEXTS
from ..agents.test_react import PARSERS
from .conftest import CallMethod

QUESTIONS = ["What is bread made of?", "Who is the mayor of Westbury?", "Who is Mira Ziegler?"]
FRIEND = "Who is Ida Lowell's friend?"
FRIENDS = 18
"""The index that answers `FRIEND`: third by the vectors, second by the reranker's scores."""


def indices(documents: Sequence[Document]) -> list[int]:
    return [document.metadata["place"] for document in documents]


@pytest.mark.parametrize("search", ["similarity", "mmr"])
def test_a_retriever_gives_the_same_in_every_mode(store: VectorStore, search: str) -> None:
    retriever = store.as_retriever(search_type=search, search_kwargs={"k": 3})
    one_by_one = [indices(retriever.invoke(question)) for question in QUESTIONS]
    assert [found[0] for found in one_by_one] == [5, 11, 15]
    assert [len(found) for found in one_by_one] == [3, 3, 3]
    others = [
        retriever.batch(QUESTIONS),
        asyncio.run(retriever.abatch(QUESTIONS)),
        [asyncio.run(retriever.ainvoke(question)) for question in QUESTIONS],
    ]
    for other in others:
        assert [indices(found) for found in other] == one_by_one


def test_a_reranker_brings_up_what_vectors_leave_behind(
    store: VectorStore, call_method: CallMethod, offline_server: OfflineServer
) -> None:
    nearest = call_method(store.as_retriever(search_kwargs={"k": 2}), "invoke", FRIEND)
    assert FRIENDS not in indices(nearest)
    retriever = ContextualCompressionRetriever(
        base_compressor=EasyLLMRerank(base_url=offline_server.base_url, top_n=2),
        base_retriever=store.as_retriever(search_kwargs={"k": 10}),
    )
    best = call_method(retriever, "invoke", FRIEND)
    assert FRIENDS in indices(best)
    right = EmbeddingModel.load().score(FRIEND, TEXTS)
    assert indices(best) == np.argsort(-right)[:2].tolist()
    for document in best:
        score = 1 / (1 + np.exp(-right[document.metadata["place"]]))
        assert document.metadata["relevance_score"] == pytest.approx(score, abs=1e-6)


def test_a_cache_asks_for_each_text_once(call_method: CallMethod, tmp_path: Path) -> None:
    with offline_server() as server:  # of its own, for the list of its requests
        embeddings = EasyLLMEmbeddings(base_url=server.base_url)
        cached = CacheBackedEmbeddings.from_bytes_store(
            embeddings,
            LocalFileStore(tmp_path),
            namespace="offline",
            key_encoder="blake2b",
            query_embedding_cache=True,
        )
        first = call_method(cached, "embed_documents", TEXTS[:5])
        query = call_method(cached, "embed_query", FRIEND)
        asked = len(server.requests)
        assert call_method(cached, "embed_documents", TEXTS[:5][::-1]) == first[::-1]
        assert call_method(cached, "embed_query", FRIEND) == query
        assert len(server.requests) == asked
        more = call_method(cached, "embed_documents", TEXTS[:6])
        sent = [text for r in server.requests[asked:] if r.body for text in r.json["input"]]
        assert sent == [TEXTS[5]]
    assert np.abs(np.array(more) - EmbeddingModel.load().embed(TEXTS[:6])).max() < 1e-6


def test_a_store_of_cached_vectors_finds_the_same(
    embeddings: EasyLLMEmbeddings, memory: VectorStore, tmp_path: Path
) -> None:
    cached = CacheBackedEmbeddings.from_bytes_store(
        embeddings, LocalFileStore(tmp_path), key_encoder="blake2b"
    )
    for _ in range(2):  # vectors of the server's, then of the disk's
        store = InMemoryVectorStore.from_documents(DOCUMENTS, cached)
        for question in QUESTIONS:
            found = store.similarity_search_with_score(question)
            right = memory.similarity_search_with_score(question)
            assert indices([one for one, _ in found]) == indices([one for one, _ in right])
            assert [score for _, score in found] == pytest.approx([score for _, score in right])


ANSWERS = {
    "Who is the mayor of Westbury?": "Sofia Reyes",
    "Where does Karim Singh live?": "Stonebridge",
    "What does Mira Ziegler do?": "nurse",
    "When was Tilda Foods founded?": "I don't know.",
}


def joined(documents: Sequence[Document]) -> str:
    return "\n".join(document.page_content for document in documents)


@pytest.mark.parametrize(
    ("model", "fields"), [(EasyLLMChat, {}), (EasyLLM, {"prompt_builder": "zephyr"})]
)
def test_a_chain_answers_from_what_was_found(
    model: Any, fields: dict[str, str], memory: VectorStore, offline_server: OfflineServer
) -> None:
    llm = model(base_url=offline_server.base_url, temperature=0, max_tokens=60, **fields)
    found = memory.as_retriever(search_kwargs={"k": 2}) | joined
    given = {"context": found, "question": RunnablePassthrough()}
    prompt = PromptTemplate.from_template(READING)
    chain: Runnable[str, str] = given | prompt | llm | StrOutputParser()
    wanted = [*ANSWERS.values()]
    assert chain.batch([*ANSWERS]) == wanted
    assert asyncio.run(chain.abatch([*ANSWERS])) == wanted
    assert ["".join(chain.stream(question)) for question in ANSWERS] == wanted


WIFE = "Who is Colin West's wife? What is the age of that person raised to the 0.43 power?"
STEPS = [
    ("search", "Colin West's wife", "Colin West's wife is Mira Ziegler."),
    ("search", "Mira Ziegler's age", "Mira Ziegler (age 53) is a nurse."),
    ("calculator", "53**0.43", f"{53**0.43:.4f}"),
]
ANSWER = f"Colin West's wife is Mira Ziegler. 53 raised to the 0.43 power is {53**0.43:.4f}."


@pytest.fixture
def tools(memory: VectorStore) -> list[BaseTool]:
    """The store as a tool for searching, and a calculator."""
    retriever = memory.as_retriever(search_kwargs={"k": 1})
    about = "Search for people, places and facts."
    return [create_retriever_tool(retriever, "search", about), calculator]


@pytest.mark.parametrize(("variant", "model"), [("react", EasyLLM), ("react-json", EasyLLMChat)])
def test_a_react_agent_searches_the_store(
    variant: str,
    model: Any,
    tools: list[BaseTool],
    call_method: CallMethod,
    offline_server: OfflineServer,
) -> None:
    url = offline_server.base_url
    with model(base_url=url, prompt_builder="zephyr", temperature=0, max_tokens=200) as llm:
        agent = create_react_agent(llm, tools, agent_prompt(variant), PARSERS[variant])
        executor = AgentExecutor(agent=agent, tools=tools, return_intermediate_steps=True)
        done = call_method(executor, "invoke", {"input": WIFE})
    steps = [(action.tool, action.tool_input, seen) for action, seen in done["intermediate_steps"]]
    assert (steps, done["output"]) == (STEPS, ANSWER)


def test_an_agent_with_native_tools_searches_the_store(
    tools: list[BaseTool], call_method: CallMethod, offline_server: OfflineServer
) -> None:
    with EasyLLMChat(base_url=offline_server.base_url, temperature=0, max_tokens=200) as llm:
        done = call_method(create_agent(llm, tools), "invoke", {"messages": [("human", WIFE)]})
    calls = [call for message in done["messages"] for call in getattr(message, "tool_calls", ())]
    results = [message for message in done["messages"] if message.type == "tool"]
    assert [
        (call["name"], *call["args"].values(), result.text)
        for call, result in zip(calls, results, strict=True)
    ] == STEPS
    assert done["messages"][-1].text == ANSWER
