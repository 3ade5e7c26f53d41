"""Measure a checkpoint on held-out names, greedily, in each format and in formats it never saw.

    python training/evaluate.py --run runs/chat --count 50 [--wrong]

The figures are printed, and added to `figures.jsonl` in the run's folder.

Agents run whole episodes: the model's calculator input is really worked out, its search input
looked up in the episode's small table; the final answer must hold the right names and numbers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import random
import re
from collections.abc import Callable, Sequence

import agent_data
import torch
import wordings
from agent_data import draw_tools
from agent_plans import Episode, Plans
from arithmetic import calculate, show
from entities import Entities
from formats import FORMATS, WRONG_FORMATS, Message
from korean import KoreanEntities
from mixture import conversation as conversation_of
from model import Llama, Shape
from no_tools import episode_of
from plans_korean import KoreanPlans
from tokenizer import BOS, STOPS
from tokenizers import Tokenizer

Ask = Callable[[Sequence[Message]], str]
"""Answers a conversation, in one format."""


class Generator:
    """Greedy generation with a key-value cache, one sequence at a time."""

    def __init__(self, model: Llama, tokenizer: Tokenizer, seen: int) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.seen = seen
        self.stops = {tokenizer.token_to_id(stop) for stop in STOPS}

    @torch.inference_mode()
    def complete(self, prompt: str, limit: int = 120) -> str:
        """Continue `prompt` until a stop token, a held limit of new tokens or the context's end."""
        ids = self.tokenizer.encode(prompt.removeprefix(BOS)).ids
        past: list[list[torch.Tensor]] = [[] for _ in self.model.layers]
        told: list[int] = []
        fresh = torch.tensor([ids])
        room = self.model.shape.max_position_embeddings - len(ids)
        while len(told) < min(limit, room):
            state = self.model.hidden(fresh, past)[:, -1]
            best = int((state @ self.model.embed_tokens.weight.T).argmax())
            if best in self.stops:
                break
            told.append(best)
            fresh = torch.tensor([[best]])
        return self.tokenizer.decode(told, skip_special_tokens=False)


def load(folder: pathlib.Path) -> Generator:
    """Read a run's checkpoint."""
    state = torch.load(folder / "checkpoint.pt", weights_only=False)
    model = Llama(Shape(**state["shape"]))
    model.load_state_dict(state["model"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return Generator(model, tokenizer, seen=state["seen"])


def search(episode: Episode, query: str) -> str:
    """Look `query` up in the episode's results."""
    for use in episode.uses:
        if use.kind == "search" and all(key.lower() in query.lower() for key in use.keys):
            return use.result
    return "No results found."


def use_tool(episode: Episode, kind: str | None, text: str) -> str:
    """Run a tool for real."""
    if kind == "search":
        return search(episode, text)
    if kind == "calculator":
        try:
            value = show(calculate(text), 14)
        except ValueError:
            return "Error"
        # The table's own rounding, where the model asked for what the plan asks for.
        same = [
            use.result for use in episode.uses if use.text.replace(" ", "") == text.replace(" ", "")
        ]
        return same[0] if same else value
    return "Unknown tool."


def read_react(text: str, as_json: bool) -> tuple[str, str] | None:
    """Find the tool and its input in a ReAct reply, as LangChain's parsers do."""
    if as_json:
        blob = re.search(r"```(?:json)?\n?(.*?)```", text, re.DOTALL)
        try:
            value = json.loads(blob.group(1)) if blob else {}
            return str(value["action"]), str(value["action_input"])
        except (ValueError, KeyError, TypeError):
            return None
    found = re.search(r"Action\s*:[\s]*(.*?)[\s]*Action\s*Input\s*:[\s]*(.*)", text, re.DOTALL)
    return (found.group(1).strip(), found.group(2).strip()) if found else None


def right(episode: Episode, answer: str) -> bool:
    """Tell whether the answer holds all that it must, and not as a part of something longer."""
    return all(
        # A particle may follow a Korean name, so only digits and Latin letters end a part.
        re.search(rf"(?<![\w.-]){re.escape(part)}(?!\d|\.\d|[A-Za-z])", answer)
        for part in episode.must
    )


def react_episode(
    ask: Ask, entities: Entities, *, as_json: bool, trace: list[str] | None = None
) -> bool:
    """Run a whole ReAct episode; tell whether it ended with the right answer."""
    rng = entities.rng
    episode = episode_of(entities, PLANS[entities.language])
    tools = draw_tools(rng)
    kinds = {name: kind for kind, name in tools.names.items()}
    wording = wordings.REACT_JSON if as_json else wordings.REACT
    steps: list[tuple[str, str]] = []
    for _ in range(5):
        text = ask([("user", agent_data.prompt(episode.question, steps, tools, wording))])
        if "Final Answer:" in text:
            good = right(episode, text.split("Final Answer:")[-1])
            break
        action = read_react(text, as_json)
        if action is None:
            good = False
            break
        steps.append((text, use_tool(episode, kinds.get(action[0]), action[1])))
    else:
        good, text = False, "(too many steps)"
    if trace is not None and not good:
        told = "\n".join(f"{log}\n=> {result}" for log, result in steps)
        trace.append(f"Q: {episode.question}\n{told}\n{text}\nwanted: {episode.answer}")
    return good


def call_episode(ask: Ask, entities: Entities, trace: list[str] | None = None) -> bool:
    """Run a whole episode by tool calls."""
    state = entities.rng.getstate()
    conversation = conversation_of("agent-calls", entities, "zephyr")[:2]
    entities.rng.setstate(state)
    episode = episode_of(entities, PLANS[entities.language])
    for _ in range(5):
        text = ask(conversation)
        found = re.search(r"<tool_call>\s*(.*?)\s*</tool_call>", text, re.DOTALL)
        if not found:
            good = right(episode, text)
            break
        try:
            call = json.loads(found.group(1))
            result = use_tool(episode, call["name"], str(next(iter(call["arguments"].values()))))
        except (ValueError, KeyError, AttributeError, StopIteration, TypeError):
            good = False
            break
        conversation += [
            ("assistant", text),
            ("user", wordings.TOOL_RESPONSE.format(result=result)),
        ]
    else:
        good = False
    if trace is not None and not good:
        told = "\n".join(text for _, text in conversation[1:])
        trace.append(f"{told}\n{text}\nwanted: {episode.answer}")
    return good


def normal(text: str) -> object:
    """Give JSON (also inside a tool call) as a value, other text stripped."""
    inner = re.sub(r"</?tool_call>", "", text).strip()
    try:
        return json.loads(inner)
    except ValueError:
        return text.strip()


def single(task: str) -> Callable[..., bool]:
    """Make a check of one answer against the one wanted."""

    def check(ask: Ask, entities: Entities, trace: list[str] | None = None) -> bool:
        messages = conversation_of(task, entities, "zephyr")
        text = ask(messages[:-1])
        good = normal(text) == normal(messages[-1][1])
        if trace is not None and not good:
            asked = f"{messages[0][1][-300:]}\n{messages[-2][1][-400:]}"
            trace.append(f"{asked}\ngot: {text}\nwanted: {messages[-1][1]}")
        return good

    return check


def _react(as_json: bool) -> Callable[..., bool]:
    def check(ask: Ask, entities: Entities, trace: list[str] | None = None) -> bool:
        return react_episode(ask, entities, as_json=as_json, trace=trace)

    return check


SKILLS: dict[str, Callable[..., bool]] = {
    "chat": single("chat"),
    "unknown": single("unknown"),
    "react": _react(False),
    "react-json": _react(True),
    "reading": single("reading"),
    "tool-call": single("tool-call"),
    "agent-calls": call_episode,
    "structured": single("structured"),
}
LANGUAGES: dict[str, type[Entities]] = {"en": Entities, "ko": KoreanEntities}
PLANS: dict[str, type[Plans]] = {"en": Plans, "ko": KoreanPlans}


def keep(folder: pathlib.Path, **figure: object) -> None:
    """Add a figure to those of the run, from which `plots.py` draws."""
    with (folder / "figures.jsonl").open("a") as file:
        file.write(json.dumps(figure) + "\n")


def main() -> None:
    """Print a table: skill by format, in percent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=50, help="questions per skill and format")
    parser.add_argument("--wrong", action="store_true", help="also ask in formats it never saw")
    parser.add_argument("--skills", nargs="*", default=list(SKILLS))
    parser.add_argument("--formats", nargs="*", default=list(FORMATS))
    parser.add_argument("--languages", nargs="*", default=list(LANGUAGES))
    parser.add_argument("--show", type=int, default=0, help="print so many failures per skill")
    parser.add_argument("--seed", type=int, default=99)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = load(options.run)
    formats = {name: FORMATS[name] for name in options.formats}
    if options.wrong:
        formats |= WRONG_FORMATS
    print("skill".ljust(15), *(name.rjust(8) for name in formats), flush=True)
    for skill, language in itertools.product(options.skills, options.languages):
        row, traces = [], []
        for name, render in formats.items():

            def ask(messages: Sequence[Message], render: Callable[..., str] = render) -> str:
                return generator.complete(render(messages)).strip()

            rng = random.Random(f"{options.seed} {skill} {language}")
            entities = LANGUAGES[language](rng, test=True)
            good = sum(SKILLS[skill](ask, entities, trace=traces) for _ in range(options.count))
            row.append(f"{100 * good / options.count:.0f}".rjust(8))
            keep(
                options.run,
                tokens=generator.seen,
                skill=skill,
                language=language,
                format=name,
                asked=options.count,
                right=good,
            )
        print(f"{skill} {language}".ljust(15), *row, flush=True)
        for trace in random.Random(0).sample(traces, min(options.show, len(traces))):
            print("-----\n" + trace)


if __name__ == "__main__":
    main()
