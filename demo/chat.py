"""A streamed chat by LCEL: prompt | model | parser."""

from __future__ import annotations

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_easyllm import EasyLLMChat

from .place import Place
from .show import Show

__all__ = ["chat"]

PROMPT = ChatPromptTemplate.from_messages(
    [("system", "You are a helpful assistant. Answer in one sentence."), ("human", "{question}")]
)


def chat(place: Place, question: str) -> str:
    """Stream the answer to a question and return it."""
    with EasyLLMChat(**place.chat) as llm:
        chain = PROMPT | llm | StrOutputParser()
        # Show prints each piece as it comes; a program of one's own would do so in a loop here.
        return "".join(chain.stream({"question": question}, {"callbacks": [Show()]}))
