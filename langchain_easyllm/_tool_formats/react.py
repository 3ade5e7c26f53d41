"""ReAct with JSON actions, for models that have no tool-call format of their own.

The format is ReAct's (https://arxiv.org/abs/2210.03629) as LangChain's agents read it: reasoning,
an action as JSON in a code fence, then what it led to. All steps of one question stand in one user
turn, which ends where the model goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, ToolCallFormat, dump, to_turns
from .call_syntax import (
    AnswerReader,
    CallMarker,
    ParsedReasoning,
    ParsedToolCall,
    Part,
    Tool,
    function_of,
    properties_of,
    tool_name,
)
from .json_schema import as_mapping

REACT_JSON = """\
Answer the question. You can use these tools:

{tools}

Use this format:
Thought: what to do next
Action:
```json
{{"action": one of {tool_names}, "action_input": the input}}
```
Observation: the result of the action
(repeat as needed)
Thought: I know the answer.
Final Answer: the answer

Question: {input}
Thought:{agent_scratchpad}"""
"""The prompt of a ReAct agent whose actions are JSON, as an f-string template."""

_ONE_INPUT = '"action_input": the input}}'
_MANY_INPUTS = '"action_input": {{argument: value}}}}'
_MARKS = ("Thought:", "Action:", "Action Input:", "Observation:", "Final Answer:", "Question:")


@dataclass
class _Step:
    log: str
    call_id: str | None
    result: str | None = None


@dataclass
class _Question:
    """What a user asked, and the steps that were taken to answer it."""

    text: str
    steps: list[_Step] = field(default_factory=list)

    def scratchpad(self) -> str:
        """Write the steps as LangChain's agents do."""
        each = [f"{s.log}\nObservation: {s.result or ''}\nThought: " for s in self.steps]
        return "".join(each)

    def observe(self, call_id: str | None, result: str) -> None:
        waiting = [step for step in self.steps if step.result is None]
        named = [step for step in waiting if step.call_id == call_id]
        if waiting:
            (named or waiting)[0].result = result
        else:
            self.steps.append(_Step("", call_id, result))


class _React(ToolCallFormat):
    def render(
        self, conversation: Conversation, offered: OfferedTools, _: TemplateToolSupport, /
    ) -> Conversation:
        turns: _Turns = []
        for index, (role, text) in enumerate(to_turns(conversation)):
            extra = conversation.extras.get(index, Extra())
            if role == "user":
                turns.append(_Question(text))
            elif extra.calls:
                _question(turns).steps += _steps(text, extra.calls, offered)
            elif role in ("tool", "function"):
                _question(turns).observe(extra.call_id, text)
            else:
                turns.append((role, _final(text) if _has_steps(turns) else text))
        return _to_conversation(turns, offered)

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        begun = f"I need to use {offered.only or 'a tool'}.\nAction:\n```json\n"
        return begun + ("" if constrained else self.json_prefill(offered))

    def new_answer_reader(self) -> AnswerReader:
        return FinalAnswer()


_Turns = list[_Question | tuple[str, str]]


def _question(turns: _Turns) -> _Question:
    """Return the question that is being worked on; an empty one if there is none."""
    if not turns or not isinstance(turns[-1], _Question):
        turns.append(_Question(""))
    return cast("_Question", turns[-1])


def _has_steps(turns: _Turns) -> bool:
    return bool(turns) and isinstance(turns[-1], _Question) and bool(turns[-1].steps)


def _final(text: str) -> str:
    return f"I know the answer.\nFinal Answer: {text}"


def _steps(text: str, calls: Sequence[ToolCall], offered: OfferedTools) -> list[_Step]:
    arguments = {tool_name(tool): properties_of(tool) for tool in offered.tools}
    steps = []
    for call in calls:
        value = call.arguments
        known = arguments.get(call.name, {})
        if isinstance(value, Mapping) and len(value) == 1 == len(known):
            only = next(iter(value.values()))
            value = only if isinstance(only, str) else value
        blob = dump({"action": call.name, "action_input": value})
        reasoning = text.strip() or f"I need to use {call.name}."
        steps.append(_Step(f"{reasoning}\nAction:\n```json\n{blob}\n```", call.id))
        text = ""
    return steps


def _to_conversation(turns: _Turns, offered: OfferedTools) -> Conversation:
    conversation = Conversation()
    last = max((i for i, turn in enumerate(turns) if isinstance(turn, _Question)), default=None)
    for index, turn in enumerate(turns):
        if not isinstance(turn, _Question):
            role, text = turn
        elif index == last:
            role, text = "user", _prompt(turn, offered)
        else:
            pad = turn.scratchpad()
            role, text = "user", f"Question: {turn.text}\nThought:{pad}" if pad else turn.text
        conversation.roles.append(role)
        conversation.texts.append(text)
    if last is None:
        conversation.roles.append("user")
        conversation.texts.append(_prompt(_Question(""), offered))
    return conversation


def _prompt(question: _Question, offered: OfferedTools) -> str:
    simple = all(len(properties_of(tool)) == 1 for tool in offered.tools)
    template = REACT_JSON if simple else REACT_JSON.replace(_ONE_INPUT, _MANY_INPUTS)
    return template.format(
        tools="\n".join(map(_listed, offered.tools)),
        tool_names=", ".join(map(tool_name, offered.tools)),
        input="\n".join(filter(None, (question.text, offered.instruction))),
        agent_scratchpad=question.scratchpad(),
    )


def _listed(tool: Tool) -> str:
    """Write a tool as LangChain's `render_text_description` does, its JSON schema where it has to.

    The signature of a Python function is short and what small models know best.
    """
    function = function_of(tool)
    name, description = function.get("name"), str(function.get("description") or "").strip()
    arguments = properties_of(tool)
    types = {key: _type(schema) for key, schema in arguments.items()}
    if None in types.values():
        return f"{name} - {description} Arguments: {dump(function.get('parameters'))}"
    signature = ", ".join([f"{key}: {kind}" for key, kind in types.items()])
    schemas = {key: as_mapping(schema) for key, schema in arguments.items()}
    notes = [f"{k}: {s['description']}" for k, s in schemas.items() if "description" in s]
    about = ["-", description] if description else []
    return " ".join([f"{name}({signature}) -> str", *about, *notes])


_TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def _type(schema: object) -> str | None:
    """Return the Python type that a flat schema stands for; None if it is not flat."""
    if not isinstance(schema, Mapping):
        return None
    if isinstance(schema.get("enum"), list):
        return " | ".join(map(dump, schema["enum"]))
    if isinstance(schema.get("anyOf"), list):
        kinds = [_type(each) for each in schema["anyOf"]]
        return None if None in kinds else " | ".join(map(str, kinds))
    if schema.get("type") == "array":
        kind = _type(schema.get("items", {}))
        return None if kind is None else f"list[{kind}]"
    return _TYPES.get(str(schema.get("type")))


_MARK = "Final Answer:"
_FINAL = re.compile(rf"(?:\A|\n)[ \t]{{0,3}}{_MARK}")
_LONGEST = 400
_MOST_HELD = 800  # characters before the mark, white space among them
_INVENTED = ("\nThought:", "\nQuestion:")  # how a model goes on after its answer
_INVENTION = re.compile("|".join(_INVENTED))


class FinalAnswer:
    """Reads the text before a final answer as reasoning.

    The first line is held back until the text after it decides what it is: reasoning before a final
    answer, text before a call, or an answer without form. A line of more than 400 characters is not
    reasoning. A final answer ends where the model goes on to invent another step or question.
    """

    def __init__(self) -> None:
        self._held = ""
        self._decided = False
        self._final = False  # whether the answer proper has begun
        self._over = False
        self._begins = False  # whether its leading white space is still to go

    def feed(self, parts: Iterable[Part]) -> list[Part]:
        out: list[Part] = []
        for part in parts:
            if self._over:
                break  # a call in there is as invented as the rest
            if isinstance(part, ParsedToolCall):
                out += [*self.close(), part]
                self._decided = True
            elif isinstance(part, str) and self._decided:
                self._pass_on(part, out)
            elif isinstance(part, str):
                self._held += part
                self._decide(out)
        return out

    def close(self) -> list[Part]:
        text, self._held = self._held, ""
        text = text if self._decided else _without_mark(text)
        return [text] if text else []

    def _decide(self, out: list[Part]) -> None:
        held = self._held
        line, newline, rest = held.lstrip().partition("\n")
        final = _FINAL.search(held) if len(line) <= _LONGEST else None
        if final is not None and _is_reasoning(held[: final.start()]):
            if reasoning := _without_mark(held[: final.start()]).rstrip():
                out.append(ParsedReasoning(reasoning))
            self._held, self._decided, self._final, self._begins = "", True, True, True
            self._pass_on(held[final.end() :], out)
            return
        undecided = not newline or _MARK.startswith(rest.lstrip())
        if undecided and len(line) <= _LONGEST and len(held) <= _MOST_HELD + 2 * len(_MARK):
            return
        out += self.close()
        self._decided = True

    def _pass_on(self, text: str, out: list[Part]) -> None:
        if self._begins:
            text = text.lstrip()
        self._begins = self._begins and not text
        if self._final:
            text = self._cut(text)
        if text:
            out.append(text)

    def _cut(self, text: str) -> str:
        """Return the text up to where the model invents; what may begin that is held back."""
        text = self._held + text
        found = _INVENTION.search(text)
        line = text.rfind("\n")
        begins = line >= 0 and any(mark.startswith(text[line:]) for mark in _INVENTED)
        end = found.start() if found else line if begins else len(text)
        self._over = found is not None
        self._held = "" if found else text[end:]
        return text[:end]


def _is_reasoning(text: str) -> bool:
    """Whether a text before a final answer is one line at most, and near."""
    return len(text) <= _MOST_HELD and "\n" not in text.strip()


def _without_mark(text: str) -> str:
    """Return reasoning without the word that announces it."""
    return text.lstrip().removeprefix("Thought:").lstrip()


REACT = _React(
    name="react",
    markers=(
        CallMarker(("Action:", "```json", "{"), "line", 2, "```", marked=True),
        CallMarker(("Action:", "```", "{"), "line", 2, "```", marked=True),
        CallMarker(("Action:", "{"), "line", 1, marked=True),
        CallMarker(("```json", "{", '"action'), "line", 1, "```"),
        CallMarker(("```", "{", '"action'), "line", 1, "```"),
    ),
    stop=("\nObservation:",),
    special_tokens=SpecialTokens([f"\n{mark}" for mark in _MARKS]),
    name_key="action",
    arguments_key="action_input",
    final_action="Final Answer",  # the action that LangChain's structured chat agents finish with
)
"""`Thought:`, `Action:`, `Observation:`."""
