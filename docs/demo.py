"""The package's main job in a minute: a streamed chat, then one step of a ReAct agent.

Run by `make demo`. BASE_URL=... asks any server; without it, a Hugging Face token (HF_TOKEN, or a
stored login) asks Inference Providers.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import EasyLLMError
from langchain_easyllm.transport import Credentials

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
"""Asked of Inference Providers where MODEL=... names no other."""

REACT = """Answer the question as best you can. You have one tool:

calculator: evaluates an arithmetic expression.

Use this format:

Question: the question
Thought: what to do
Action: calculator
Action Input: the expression
Observation: the result
Final Answer: the answer

Question: {question}
Thought:"""

HOW_TO = """There is no server to ask yet: set one of these.
  make demo HF_TOKEN=hf_...                  a token from https://huggingface.co/settings/tokens
  make demo BASE_URL=http://localhost:8080   a server: TGI, vLLM, llama.cpp, transformers serve"""


def main() -> int:
    """Run both parts and return the exit code."""
    base_url = os.environ.get("BASE_URL") or None
    if base_url is None and not Credentials().header_for("https://router.huggingface.co"):
        print(HOW_TO)
        return 0
    model = os.environ.get("MODEL") or (None if base_url else MODEL)
    where = base_url or "Inference Providers"
    print(f"Asking {model or 'the model'} at {where}.\n")
    try:
        with (
            EasyLLMChat(base_url=base_url, model=model, max_tokens=128) as chat,
            EasyLLM(base_url=base_url, model=model, max_tokens=128, temperature=0) as llm,
        ):
            streamed_chat(chat)
            agent_step(llm)
    except EasyLLMError as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def streamed_chat(chat: EasyLLMChat) -> None:
    """Stream `prompt | model | parser`."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You are a friendly guide. Answer in two sentences."), ("human", "{question}")]
    )
    question = "What is a language model?"
    print(f"1. A streamed chat: {question}")
    show((prompt | chat | StrOutputParser()).stream({"question": question}))


def agent_step(llm: EasyLLM) -> None:
    """Ask for an agent's next action; the model may not invent what the tool answers."""
    question = "What is 17 times 23?"
    print(f"2. An agent's step, stopped before the observation: {question}")
    chain = PromptTemplate.from_template(REACT) | llm.bind(stop=["\nObservation"])
    show(chain.stream({"question": question}))


def show(pieces: Iterable[str]) -> None:
    """Print pieces as they come, then how long they took."""
    start = time.perf_counter()
    first = 0.0
    count = 0
    for piece in shown(pieces):
        first = first or time.perf_counter() - start
        count += 1
        print(piece, end="", flush=True)
    total = time.perf_counter() - start
    print(f"\n   [{count} pieces, first after {first:.2f} s, all after {total:.2f} s]\n")


def shown(pieces: Iterable[str]) -> Iterator[str]:
    """Leave out the empty last piece, which carries no text."""
    return (piece for piece in pieces if piece)


if __name__ == "__main__":
    sys.exit(main())
