# ruff: noqa: E501 - texts read better unbroken
"""Ask a trained model a few things that its generators did not write, and print what it says.

python training/try_it.py --run runs/chat
"""

from __future__ import annotations

import argparse
import pathlib

import torch
import wordings
from agent_data import Tools, prompt
from arithmetic import calculate, show
from evaluate import load, read_react
from formats import FORMATS, Message

# A small library, in the words of an encyclopedia rather than of the generators.
LIBRARY = [
    "Leonardo DiCaprio's girlfriend is Vittoria Ceretti, a model from Brescia. Vittoria Ceretti is 27 years old.",
    "Marie Curie's husband was Pierre Curie. Pierre Curie was 46 years old when he died in 1906.",
    "Ada Lovelace's father was the poet Lord Byron, who was 36 years old.",
    "The Eiffel Tower is 330 meters tall. It was finished in 1889.",
    "Harborview has 52340 inhabitants. The mayor of Harborview is Dana Whitfield.",
]
QUESTIONS = [
    "Who is Leonardo DiCaprio's girlfriend? What is the age of that person raised to the 0.43 power?",
    "Who is Leo DiCaprio's girlfriend? What is her current age raised to the 0.43 power?",
    "Who is Marie Curie's husband? What is the age of that person multiplied by 12?",
    "How tall is the Eiffel Tower?",
    "What is the population of Harborview divided by 4?",
    "Who is the mayor of Harborview?",
    "What is 1234 times 56?",
]
CHATS: list[list[Message]] = [
    [("user", "Hello!")],
    [("system", "You are a helpful assistant."), ("user", "What is LangChain?")],
    [("user", "What is the capital of Japan?")],
    [("user", "Knock knock.")],
    [("user", "Tell me a joke about bears.")],
    [("user", wordings.READING.format(
        context="LangChain was founded by Harrison Chase in October 2022. Its office is in San Francisco.",
        question="Who founded LangChain?"))],
    [("user", wordings.READING.format(
        context="LangChain was founded by Harrison Chase in October 2022. Its office is in San Francisco.",
        question="Where is its office?"))],
    [("user", wordings.READING.format(
        context="The night train to Vienna leaves at 10 and costs 89 euros.",
        question="How old is Anna?"))],
]  # fmt: skip
TOOLS = Tools(
    {"search": "search", "calculator": "calculator"},
    "search(query: str) -> str - Search for people, places and facts.\n"
    "calculator(expression: str) -> str - Work out a calculation such as 2**0.5.",
    ("search", "calculator"),
)


def search(query: str) -> str:
    """Give the entry that shares most words with the query."""
    words = set(query.lower().replace("'s", "").split())
    return max(LIBRARY, key=lambda entry: len(words & set(entry.lower().replace("'s", "").split())))


def main() -> None:
    """Print answers in one format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--format", default="zephyr", choices=list(FORMATS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator, render = load(options.run), FORMATS[options.format]
    for chat in CHATS:
        print(f"> {chat[-1][1].splitlines()[-1]}\n{generator.complete(render(chat)).strip()}")
    for as_json in (False, True):
        wording = wordings.REACT_JSON if as_json else wordings.REACT
        for question in QUESTIONS:
            steps: list[tuple[str, str]] = []
            print(f"\n> {question}")
            for _ in range(5):
                asked = prompt(question, steps, TOOLS, wording)
                text = generator.complete(render([("user", asked)])).strip()
                print(text)
                action = read_react(text, as_json)
                if "Final Answer:" in text or action is None:
                    break
                try:
                    is_search = action[0] == "search"
                    result = search(action[1]) if is_search else show(calculate(action[1]), 14)
                except ValueError as error:
                    result = str(error)
                print(f"=> {result}")
                steps.append((text, result))


if __name__ == "__main__":
    main()
