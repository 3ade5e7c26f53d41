"""Llama 3.1's JSON calls, as its chat template describes them.

https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct (`tokenizer_config.json`): tools stand in
the first user turn, results in turns of the role `ipython`.
"""

from __future__ import annotations

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra
from ..prompts.templates.llama4 import TOOLS, list_tool
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, dump
from .call_syntax import CallMarker


class _Llama3(TurnToolCallFormat):
    def describe(self, turns: Turns, offered: OfferedTools, _: TemplateToolSupport, /) -> None:
        each = filter(None, (*map(list_tool, offered.tools), offered.instruction))
        text = TOOLS + "".join([f"{part}\n\n" for part in each])
        first = next((i for i, (role, _) in enumerate(turns) if role == "user"), None)
        if first is None:
            turns.append(("user", text.rstrip()))
        else:
            turns[first] = ("user", text + turns[first][1].strip())

    def calls_turn(self, text: str, extra: Extra, _: TemplateToolSupport, /) -> Turn:
        values = [dump({"name": call.name, "parameters": call.arguments}) for call in extra.calls]
        return "assistant", "\n".join(filter(None, (text, "; ".join(values))))

    def result_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        if "tool" in support.forms:
            return "tool", text
        return "user", f"{extra.name or 'Tool'} returned: {dump(text)}"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        return "" if constrained else self.json_prefill(offered)


LLAMA3 = _Llama3(
    name="llama3",
    markers=(
        *(CallMarker(("{", word), "line", 0) for word in ('"name"', '"type"', '"function"')),
        CallMarker(("<|python_tag|>", "{"), "anywhere", 1),
    ),
    template_marks=("ipython", '"parameters": '),
    arguments_key="parameters",
)
"""A JSON object of `name` and `parameters`."""
