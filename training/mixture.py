"""The training mixture: which skill how often, rendered, tokenized and weighted."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterator

from agent_data import agent_step
from chat_data import small_talk
from copy_data import lookup, repeat, token_pairs
from entities import Entities
from formats import ANSWER_FRAME, FORMATS, Message
from json_data import agent_calls, structured, tool_call
from reading_data import reading
from tokenizers import Tokenizer

# Share of a prompt's tokens that carry loss beside the answer: enough to learn to read.
PROMPT_SHARE = 0.15

# Share of each task in examples, by stage; `train_offline_model.py` says when a stage ends.
STAGES: dict[str, dict[str, float]] = {
    "copy": {"tokens": 5, "repeat": 2, "lookup": 3, "chat": 1},
    "mix": {
        "tokens": 0.2, "repeat": 0.3, "lookup": 1.2, "chat": 4.0, "react": 3.4, "react-json": 2.8,
        "reading": 6.0, "tool-call": 1.3, "agent-calls": 2.2, "structured": 1.0,
    },
}  # fmt: skip


@dataclasses.dataclass
class Example:
    """Token ids, whether each of them is trained on, and the task's name."""

    ids: list[int]
    wanted: list[bool]
    task: str


def conversation(task: str, entities: Entities, style: str) -> list[Message]:
    """Give a conversation of `task` whose last message is the answer."""
    match task:
        case "chat":
            return small_talk(entities)
        case "react" | "react-json":
            return agent_step(entities, as_json=task == "react-json", llama=style == "llama2")
        case "reading":
            return reading(entities, follow_ups=True)
        case "tool-call":
            return tool_call(entities)
        case "agent-calls":
            return agent_calls(entities)
        case "structured":
            return structured(entities)
        case "repeat":
            return repeat(entities)
        case "lookup":
            return lookup(entities)
    raise ValueError(f"unknown task: {task}")


def rendered(messages: list[Message], style: str) -> tuple[str, str]:
    """Give the prompt and the answer with its end mark, `<s>` left to the tokenizer."""
    before, after = ANSWER_FRAME[style]
    prompt = FORMATS[style](messages[:-1]).removeprefix("<s>")
    return prompt, before + messages[-1][1] + after


# What the model wrote before, inside a prompt: in a ReAct scratchpad, and as its own turns.
SCRATCHPAD = re.compile(r"(?<=Thought:)(.*?)\nObservation: ", re.DOTALL)
OWN_TURNS = {
    "llama2": re.compile(r"(?<=\[/INST\])(.*?</s>)", re.DOTALL),
    "zephyr": re.compile(r"(?<=<\|assistant\|>\n)(.*?</s>)", re.DOTALL),
    "phi-3": re.compile(r"(?<=<\|assistant\|>\n)(.*?<\|end\|>)", re.DOTALL),
}


def earlier_replies(prompt: str, task: str, style: str) -> list[tuple[int, int]]:
    """Find the model's earlier replies in a prompt: as good to learn from as the last one."""
    if not task.startswith("react"):
        return [found.span(1) for found in OWN_TURNS[style].finditer(prompt)]
    start = prompt.rindex("Question: ")
    return [found.span(1) for found in SCRATCHPAD.finditer(prompt, start)]


def mark(wanted: list[bool], offsets: list[tuple[int, int]], spans: list[tuple[int, int]]) -> None:
    """Set `wanted` for the tokens inside the spans."""
    for begin, end in spans:
        for index, (first, last) in enumerate(offsets):
            if begin <= first and last <= end and first < last:
                wanted[index] = True


class Mixture:
    """An endless supply of examples.

    Args:
        tokenizer: The model's tokenizer.
        rng: Source of randomness.
        shares: Task to share.
        limit: Longest example in tokens; longer ones are dropped.
    """

    def __init__(
        self, tokenizer: Tokenizer, rng: random.Random, shares: dict[str, float], limit: int
    ) -> None:
        self.tokenizer = tokenizer
        self.rng = rng
        self.entities = Entities(rng)
        self.tasks = list(shares)
        self.shares = list(shares.values())
        self.limit = limit
        self.plain = list(range(12, tokenizer.get_vocab_size()))

    def example(self) -> Example:
        """Give one example of at most `limit` tokens."""
        while True:
            task = self.rng.choices(self.tasks, self.shares)[0]
            if task == "tokens":
                ids, wanted = token_pairs(self.rng, self.plain, min(60, self.limit // 4))
                return Example([1, *ids], [False, *wanted], task)
            style = self.rng.choice(list(FORMATS))
            prompt, answer = rendered(conversation(task, self.entities, style), style)
            head = self.tokenizer.encode(prompt)
            tail = self.tokenizer.encode(answer, add_special_tokens=False).ids
            if len(head.ids) + len(tail) <= self.limit:
                wanted = [self.rng.random() < PROMPT_SHARE for _ in head.ids]
                mark(wanted, head.offsets, earlier_replies(prompt, task, style))
                return Example(head.ids + tail, wanted + [True] * len(tail), task)


def sample_texts(rng: random.Random, count: int) -> Iterator[str]:
    """Give texts for training the tokenizer, with names weighted up."""
    entities = Entities(rng)
    tasks = ["chat", "react", "react-json", "reading", "tool-call", "agent-calls", "structured"]
    for index in range(count):
        if index % 2:
            names = (entities.person, entities.place, entities.company, entities.made_up)
            yield ", ".join(name() for name in names)
        else:
            yield "\n".join(text for _, text in conversation(rng.choice(tasks), entities, "zephyr"))
