"""ReAct with JSON actions, for models that have no convention of their own for tools.

The format is ReAct's (https://arxiv.org/abs/2210.03629) as LangChain's agents read it: a thought,
an action as JSON in a code fence, then what it led to. All steps of one question stand in one user
turn, which ends where the model is to think on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra, ToolCall
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Tool, ToolCallFormat, call_schema, dump, function_of, wish

__all__ = ["REACT", "REACT_JSON"]


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
    """One use of a tool: what the assistant wrote, the call's id, and the result."""

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
        """Note a result at the step that it belongs to."""
        waiting = [step for step in self.steps if step.result is None]
        named = [step for step in waiting if step.call_id == call_id]
        if waiting:
            (named or waiting)[0].result = result
        else:
            self.steps.append(_Step("", call_id, result))


class _React(ToolCallFormat):
    def tell(
        self, talk: Conversation, use: OfferedTools, host: TemplateToolSupport
    ) -> Conversation:
        """Retell; see `Convention.tell`. Steps go into the user turn that they belong to."""
        del host  # there is nothing that a template could have a form of its own for
        turns: list[_Question | tuple[str, str]] = []
        for index, (role, text) in enumerate(zip(talk.roles, talk.texts, strict=True)):
            extra = talk.extras.get(index, Extra())
            if role == "user":
                turns.append(_Question(text))
            elif extra.calls:
                _question(turns).steps += _steps(text, extra.calls, use)
            elif role in ("tool", "function"):
                _question(turns).observe(extra.call_id, text)
            else:
                turns.append((role, _final(text) if _worked(turns) else text))
        return _written(turns, use)

    def opening(self, use: OfferedTools, *, constrained: bool) -> str:
        """Think, and open the action; where no grammar does it, with the one tool."""
        begun = f"I need to use {use.only or 'a tool'}.\nAction:\n```json\n"
        if constrained:
            return begun
        if use.only is None:
            return f'{begun}{{"action": "'
        return f'{begun}{{"action": {dump(use.only)}, "action_input": '

    def schema(self, use: OfferedTools) -> dict[str, object]:
        """Return the schema of one action."""
        return call_schema(use, "action", "action_input")


_Turns = list[_Question | tuple[str, str]]


def _question(turns: _Turns) -> _Question:
    """Return the question that is being worked on; an empty one if there is none."""
    if not turns or not isinstance(turns[-1], _Question):
        turns.append(_Question(""))
    return cast("_Question", turns[-1])


def _worked(turns: _Turns) -> bool:
    return bool(turns) and isinstance(turns[-1], _Question) and bool(turns[-1].steps)


def _final(text: str) -> str:
    return f"I know the answer.\nFinal Answer: {text}"


def _steps(text: str, calls: Sequence[ToolCall], use: OfferedTools) -> list[_Step]:
    arguments = {function_of(tool).get("name"): _arguments(tool) for tool in use.tools}
    steps = []
    for call in calls:
        said = call.arguments
        known = arguments.get(call.name, {})
        if isinstance(said, Mapping) and len(said) == 1 == len(known):
            value = next(iter(said.values()))
            said = value if isinstance(value, str) else said
        blob = dump({"action": call.name, "action_input": said})
        thought = text.strip() or f"I need to use {call.name}."
        steps.append(_Step(f"{thought}\nAction:\n```json\n{blob}\n```", call.id))
        text = ""
    return steps


def _written(turns: _Turns, use: OfferedTools) -> Conversation:
    told = Conversation()
    last = max((i for i, turn in enumerate(turns) if isinstance(turn, _Question)), default=None)
    for index, turn in enumerate(turns):
        if not isinstance(turn, _Question):
            role, text = turn
        elif index == last:
            role, text = "user", _prompt(turn, use)
        else:
            pad = turn.scratchpad()
            role, text = "user", f"Question: {turn.text}\nThought:{pad}" if pad else turn.text
        told.roles.append(role)
        told.texts.append(text)
    if last is None:
        told.roles.append("user")
        told.texts.append(_prompt(_Question(""), use))
    return told


def _prompt(question: _Question, use: OfferedTools) -> str:
    names = [str(function_of(tool).get("name")) for tool in use.tools]
    wanted = wish(use)
    simple = all(len(_arguments(tool)) == 1 for tool in use.tools)
    template = REACT_JSON if simple else REACT_JSON.replace(_ONE_INPUT, _MANY_INPUTS)
    return template.format(
        tools="\n".join(map(_listed, use.tools)),
        tool_names=", ".join(names),
        input=f"{question.text}\n{wanted}" if wanted else question.text,
        agent_scratchpad=question.scratchpad(),
    )


def _arguments(tool: Tool) -> Mapping[str, Mapping[str, object]]:
    parameters = function_of(tool).get("parameters")
    known = parameters.get("properties") if isinstance(parameters, Mapping) else None
    return known if isinstance(known, Mapping) else {}


def _listed(tool: Tool) -> str:
    """Write a tool as LangChain's `render_text_description` does, its JSON schema where it has to.

    The signature of a Python function is short and what small models know best.
    """
    function = function_of(tool)
    name, told = function.get("name"), str(function.get("description") or "").strip()
    arguments = _arguments(tool)
    types = {key: _type(schema) for key, schema in arguments.items()}
    if None in types.values():
        return f"{name} - {told} Arguments: {dump(function.get('parameters'))}"
    signature = ", ".join([f"{key}: {kind}" for key, kind in types.items()])
    notes = [
        f"{key}: {schema['description']}"
        for key, schema in arguments.items()
        if "description" in schema
    ]
    return " ".join([f"{name}({signature}) -> str", *(["-", told] if told else []), *notes])


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


REACT = _React("react", ("\nObservation:",), SpecialTokens([f"\n{mark}" for mark in _MARKS]))
"""Thought, action, observation."""
