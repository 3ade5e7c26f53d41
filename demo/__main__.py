"""The package's main job in a minute: a streamed chat, two ReAct agents with tools, retrieval.

Run by `make demo`. It asks a small model that it serves itself. HF_TOKEN=... (or a stored login)
means Inference Providers, BASE_URL=... any server, MODEL=... another model. ASK=... is one question
of your own.
"""

from __future__ import annotations

import os
import sys
import time

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import EasyLLMError

from .agents import agent
from .chat import chat
from .place import Place, find_place
from .retrieval import retrieval
from .show import heading

HOW_TO_GO_ON = """
The same on a real service:
  make demo HF_TOKEN=hf_...                   Inference Providers, with a token from
                                              https://huggingface.co/settings/tokens
  make demo BASE_URL=http://localhost:8080    TGI, vLLM, llama.cpp, transformers serve, ...
  make demo ASK="Who is Linda Berg's son?"    one question of your own, on any of them
In a program, EasyLLMChat(model="meta-llama/Llama-3.1-8B-Instruct") takes the place of
EasyLLMChat(base_url=...); all else stays as it is."""


def main() -> int:
    """Run the demo and return the exit code."""
    start = time.perf_counter()
    question = os.environ.get("ASK", "").strip()
    try:
        with find_place() as place:
            print(f"Asking {place.name}.")
            if question:
                ask(place, question)
            else:
                tour(place)
                print(f"\nAll that took {time.perf_counter() - start:.1f} s.")
                print(HOW_TO_GO_ON)
    except EasyLLMError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 130
    except BrokenPipeError:  # whoever read this, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def tour(place: Place) -> None:
    """Show every part."""
    question = "What is LangChain?"
    heading("1. A streamed chat: prompt | EasyLLMChat | StrOutputParser", question)
    chat(place, question)
    question = (
        "Who is Dana Quinn's brother? What is the age of that person raised to the 0.43 power?"
    )
    heading('2. A ReAct agent, actions as text: agent_prompt("react"), EasyLLM', question)
    agent(place, question, variant="react", model=EasyLLM)
    question = (
        "Who is Greta Larsen's sister? What is the age of that person raised to the 0.43 power?"
    )
    heading('3. A ReAct agent, actions as JSON: agent_prompt("react-json"), EasyLLMChat', question)
    agent(place, question, variant="react-json", model=EasyLLMChat)
    question = "Who is the head of Hugging Face?"
    heading("4. Retrieval from this documentation: retriever | prompt | EasyLLMChat", question)
    print(f"\n   Answer: {retrieval(place, question)}")


def ask(place: Place, question: str) -> None:
    """Answer one question with the tools, and where they do not help, without them."""
    heading("An agent with a search tool and a calculator", question)
    if not agent(place, question, variant="react", model=EasyLLM):
        heading("The tools did not help. The model alone", question)
        print(f"\n   Answer: {chat(place, question)}")


if __name__ == "__main__":
    sys.exit(main())
