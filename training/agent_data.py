# ruff: noqa: E501 - tables of words and sentences read better unbroken
"""Skill (b): tool-using episodes, written as ReAct prompts (text or JSON) and the replies wanted."""

from __future__ import annotations

import dataclasses
import json
import random

import wordings
from agent_plans import Plans, Use
from entities import Entities
from formats import Message
from no_tools import episode_of


@dataclasses.dataclass(frozen=True)
class Tools:
    """The tools of one prompt: their names, and their description as agents list them."""

    names: dict[str, str]
    listing: str
    order: tuple[str, ...]


_SEARCH = ["Search for people, places and facts.", "Look up facts about people and places.", "Search the web.",
    "Useful for questions about facts.", "A search engine. Useful for when you need to answer questions about current events.",
    "Find facts in a small library.", "Search a small encyclopedia."]  # fmt: skip
_CALCULATOR = ["Work out a calculation such as 2**0.5.", "Useful for math.", "Calculate an expression.",
    "Useful for when you need to answer questions about math.", "Evaluate a mathematical expression.",
    "Do arithmetic with numbers."]  # fmt: skip
_OTHERS = [("weather", "city", "Tell the weather in a city."), ("clock", "zone", "Tell the time."),
    ("translate", "text", "Translate a text to French."), ("email", "message", "Send an email."),
    ("notes", "topic", "Read my notes.")]  # fmt: skip


def draw_tools(rng: random.Random) -> Tools:
    """Give a search tool, a calculator and at times another, named and described at random."""
    names = {
        "search": rng.choice(
            ["search"] * 5 + ["Search", "lookup", "wikipedia", "google", "web_search"]
        ),
        "calculator": rng.choice(
            ["calculator"] * 5 + ["Calculator", "math", "calculate", "llm-math"]
        ),
    }
    listed = [("search", names["search"], rng.choice(["query", "query", "text", "q"]), rng.choice(_SEARCH)),
        ("calculator", names["calculator"], rng.choice(["expression", "expression", "text"]), rng.choice(_CALCULATOR))]  # fmt: skip
    if rng.random() < 0.15:
        name, argument, told = rng.choice(_OTHERS)
        listed.append((name, name, argument, told))
    rng.shuffle(listed)
    style = rng.choice(["{name}({arg}: str) -> str - {told}"] * 4
        + ["{name} - {told}", "{name}: {told}", "{name}({arg}: 'str') -> 'str' - {told}"])  # fmt: skip
    lines = [style.format(name=name, arg=arg, told=told) for _, name, arg, told in listed]
    return Tools(names, "\n".join(lines), tuple(name for _, name, _, _ in listed))


def reply(use: Use, tools: Tools, *, as_json: bool) -> str:
    """Give what the model should write to use a tool."""
    name = tools.names[use.kind]
    if as_json:
        blob = json.dumps({"action": name, "action_input": use.text}, ensure_ascii=False)
        return f"{use.thought}\nAction:\n```json\n{blob}\n```"
    return f"{use.thought}\nAction: {name}\nAction Input: {use.text}"


def final(answer: str, known: str) -> str:
    """Give what the model should write to finish."""
    return f"{known}\nFinal Answer: {answer}"


def scratchpad(steps: list[tuple[str, str]]) -> str:
    """Join replies and results as LangChain's agents do (`format_log_to_str`)."""
    return "".join(f"{log}\nObservation: {result}\nThought: " for log, result in steps)


def prompt(question: str, steps: list[tuple[str, str]], tools: Tools, wording: str) -> str:
    """Fill a ReAct wording as `create_react_agent` does."""
    return wording.format(
        tools=tools.listing,
        tool_names=", ".join(tools.order),
        input=question,
        agent_scratchpad=scratchpad(steps),
    )


def turns(text: str, rng: random.Random) -> list[Message]:
    """Send a ReAct prompt as one user turn, or at times split into system text and question."""
    if rng.random() < 0.15:
        head, tail = text.split("\n\nQuestion: ", 1)
        return [("system", head), ("user", "Question: " + tail)]
    return [("user", text)]


def agent_step(
    entities: Entities, plans: type[Plans], *, as_json: bool, llama: bool
) -> list[Message]:
    """Give one step of a random episode: the prompt so far and the reply wanted.

    Args:
        entities: Source of names and randomness.
        plans: Maker of episodes, in the language of `entities`.
        as_json: Use the JSON blob instead of the two-line action.
        llama: Earlier replies may begin with a space, as Llama 2's do.
    """
    rng = entities.rng
    episode = episode_of(entities, plans)
    tools = draw_tools(rng)
    wording = wordings.REACT_JSON if as_json else wordings.REACT
    if not as_json and rng.random() < 0.2:
        wording = wordings.REACT_LANGCHAIN
    done = max(rng.randint(0, len(episode.uses)) for _ in range(2))
    lead = " " if llama and rng.random() < 0.4 else ""
    steps = [(lead + reply(use, tools, as_json=as_json), use.result) for use in episode.uses[:done]]
    if done == len(episode.uses):
        answer = final(episode.answer, plans.known)
    else:
        answer = reply(episode.uses[done], tools, as_json=as_json)
    return [*turns(prompt(episode.question, steps, tools, wording), rng), ("assistant", answer)]
