"""A streamed chat by LCEL: prompt | model | parser."""

from __future__ import annotations

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from langchain_easyllm import EasyLLMChat

from .place import Place
from .screen import Screen
from .show import Show

__all__ = ["chat"]

PROMPT = ChatPromptTemplate.from_messages([("system", "{system}"), ("human", "{question}")])


def chat(place: Place, screen: Screen, question: str) -> str:
    """Stream the answer to a question and return it."""
    values = {"system": screen.language.system, "question": question}
    with EasyLLMChat(**place.chat) as llm:
        chain = PROMPT | llm | StrOutputParser()
        # Show writes each piece as it comes; a program of one's own would do so in a loop here.
        return "".join(chain.stream(values, {"callbacks": [Show(screen)]}))
