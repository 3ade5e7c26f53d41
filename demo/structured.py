"""An object of a class of one's own, made from a text."""

from __future__ import annotations

from pydantic import BaseModel

from langchain_easyllm import EasyLLMChat

from .place import Place
from .screen import Screen
from .show import Show

__all__ = ["Person", "structured"]


# Its docstring would be a part of the schema: the offline model was trained without one.
class Person(BaseModel):
    name: str
    age: int
    city: str


def structured(place: Place, screen: Screen, text: str) -> None:
    """Make a `Person` from a text, and show it."""
    with EasyLLMChat(**place.chat, temperature=0, max_tokens=256) as llm:
        maker = llm.with_structured_output(Person, include_raw=True)
        made = maker.invoke(text, {"callbacks": [Show(screen)]})
    say, failed = screen.language, made["parsing_error"]
    if failed:
        reason = str(failed).strip().splitlines()[0]
        screen.line(f"\n   {say.answer.format(answer=say.no_object.format(reason=reason))}", "note")
    else:
        screen.line(f"\n   {say.answer.format(answer=repr(made['parsed']))}", "answer")
