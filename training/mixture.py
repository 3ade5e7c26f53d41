"""The training mixture: which skill how often, rendered, tokenized and weighted."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Iterator

import chat_data
import chat_korean
import json_data
import json_korean
import reading_data
import reading_korean
from agent_data import agent_step
from chat_data import small_talk
from copy_data import lookup, repeat, token_pairs
from entities import Entities
from formats import ANSWER_FRAME, FORMATS, Message
from korean import KoreanEntities
from out_of_scope import unknown
from tokenizer import SPECIAL
from tokenizers import Tokenizer

# Share of a prompt's tokens that carry loss beside the answer. They help while the model learns to
# read; later they are noise, as nobody can foresee names that are drawn.
PROMPT_SHARE = 0.02

# Shares of English and Korean.
LANGUAGES = (0.5, 0.5)

# Texts without any template, which the model continues.
BEGUN = [
    ("Once upon a time", chat_data.STORY.removeprefix("Once upon a time")),
    ("옛날에", chat_korean.STORY.removeprefix("옛날에")),
]

# Share of each task in examples, by stage; `train_offline_model.py` says when a stage ends.
STAGES: dict[str, dict[str, float]] = {
    "copy": {"tokens": 5, "repeat": 2, "lookup": 3, "chat": 1},
    "mix": {
        "tokens": 0.6, "repeat": 0.3, "lookup": 1.4, "chat": 4.0, "unknown": 1.2, "react": 4.0,
        "react-json": 5.5, "reading": 6.5, "tool-call": 5.0, "agent-calls": 2.2, "structured": 2.0,
        "begun": 0.1,
    },
}  # fmt: skip


@dataclasses.dataclass
class Example:
    """Token ids, whether each of them is trained on, and the task's name."""

    ids: list[int]
    wanted: list[bool]
    task: str


def conversation(task: str, entities: Entities, style: str) -> list[Message]:
    """Give a conversation of `task` whose last message is the answer, in the entities' language."""
    korean = isinstance(entities, KoreanEntities)
    json_language = json_korean.KOREAN if korean else json_data.ENGLISH
    match task:
        case "chat":
            return chat_korean.small_talk(entities) if korean else small_talk(entities)
        case "unknown":
            return unknown(entities)
        case "react" | "react-json":
            return agent_step(
                entities, json_language.plans, as_json=task == "react-json", llama=style == "llama2"
            )
        case "reading":
            language = reading_korean.KOREAN if korean else reading_data.ENGLISH
            return reading_data.reading(entities, language, follow_ups=True)
        case "tool-call":
            return json_data.tool_call(entities, json_language)
        case "agent-calls":
            return json_data.agent_calls(entities, json_language)
        case "structured":
            return json_data.structured(entities, json_language)
        case "repeat":
            return repeat(entities)
        case "lookup":
            return lookup(entities)
    raise ValueError(f"unknown task: {task}")


# What the templates of ChatML's families put first where a conversation has no system message.
FAMILY_SYSTEMS = (
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
)


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
    "chatml": re.compile(r"(?<=<\|im_start\|>assistant\n)(.*?<\|im_end\|>)", re.DOTALL),
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
        self.entities = (Entities(rng), KoreanEntities(rng))
        self.tasks = list(shares)
        self.shares = list(shares.values())
        self.limit = limit
        self.plain = list(range(len(SPECIAL), tokenizer.get_vocab_size()))

    def example(self) -> Example:
        """Give one example of at most `limit` tokens."""
        while True:
            task = self.rng.choices(self.tasks, self.shares)[0]
            if task == "tokens":
                ids, wanted = token_pairs(self.rng, self.plain, min(60, self.limit // 4))
                return Example([1, *ids], [False, *wanted], task)
            if task == "begun":
                prompt, answer = self.rng.choice(BEGUN)
                head, tail = (self.tokenizer.encode(each).ids for each in (prompt, answer))
                ids = [*head, *tail[1:], self.tokenizer.token_to_id("</s>")]
                return Example(ids, [index >= len(head) for index in range(len(ids))], task)
            style = self.rng.choice(list(FORMATS))
            messages = conversation(task, self.rng.choices(self.entities, LANGUAGES)[0], style)
            if style == "chatml" and messages[0][0] != "system" and self.rng.random() < 0.5:
                messages = [("system", self.rng.choice(FAMILY_SYSTEMS)), *messages]
            prompt, answer = rendered(messages, style)
            head = self.tokenizer.encode(prompt)
            tail = self.tokenizer.encode(answer, add_special_tokens=False).ids
            if len(head.ids) + len(tail) <= self.limit:
                wanted = [self.rng.random() < PROMPT_SHARE for _ in head.ids]
                mark(wanted, head.offsets, earlier_replies(prompt, task, style))
                return Example(head.ids + tail, wanted + [True] * len(tail), task)


def sample_texts(rng: random.Random, count: int) -> Iterator[str]:
    """Give texts for training the tokenizer, with names weighted up."""
    # Korean has no say in the merges but for what it shares with English: JSON, tags, spaces.
    entities = Entities(rng)
    tasks = [
        "chat",
        "unknown",
        "react",
        "react-json",
        "reading",
        "tool-call",
        "agent-calls",
        "structured",
    ]
    for index in range(count):
        if index % 2:
            names = (entities.person, entities.place, entities.company, entities.made_up)
            yield ", ".join(name() for name in names)
        else:
            yield "\n".join(text for _, text in conversation(rng.choice(tasks), entities, "zephyr"))
