"""Reasoning in earlier answers, which templates cut off or write apart from the text."""

from __future__ import annotations

from ..conversation import Conversation, Extra

END = "</think>"


def split_reasoning(text: str, extra: Extra) -> tuple[str, str]:
    """Return an assistant's reasoning, and its text behind that.

    Reasoning that is given apart from the text leaves the text as it is.
    """
    if extra.reasoning or END not in text:
        return extra.reasoning, text
    before, _, answer = text.rpartition(END)
    thought = before.partition(END)[0].rstrip("\n").rpartition("<think>")[2]
    return thought.lstrip("\n"), answer.lstrip("\n")


def last_user(conversation: Conversation) -> int:
    """Return the index of the last user message, or -1."""
    roles = conversation.roles
    return max((index for index, role in enumerate(roles) if role == "user"), default=-1)
