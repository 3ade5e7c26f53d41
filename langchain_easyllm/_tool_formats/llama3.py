"""Llama 3.1's JSON calls, as its chat template describes them.

https://huggingface.co/meta-llama/Llama-3.1-8B-Instruct (`tokenizer_config.json`): tools stand in
the first user turn, results in turns of the role `ipython`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Extra, ToolCall
from .base import OfferedTools, Told, TurnToolCallFormat, call_schema, dump, wish

__all__ = ["LLAMA3"]


_TOOLS = """\
Given the following functions, please respond with a JSON for a function call with its proper \
arguments that best answers the given prompt.

Respond in the format {"name": function name, "parameters": dictionary of argument name and its \
value}.Do not use variables.

"""


class _Llama3(TurnToolCallFormat):
    def add_tools(
        self,
        told: Told,
        use: OfferedTools,
        host: TemplateToolSupport,  # noqa: ARG002 - no template has a form of its own for it
    ) -> None:
        """Describe the tools at the head of the first user turn."""
        listed = [json.dumps(tool, ensure_ascii=False, indent=4) for tool in use.tools]
        wanted = wish(use)
        text = _TOOLS + "".join(f"{each}\n\n" for each in [*listed, *([wanted] if wanted else [])])
        first = next((i for i, (role, _) in enumerate(told) if role == "user"), None)
        if first is None:
            told.append(("user", text.rstrip()))
        else:
            told[first] = ("user", text + told[first][1].strip())

    def add_calls(
        self,
        told: Told,
        text: str,
        calls: Sequence[ToolCall],
        host: TemplateToolSupport,  # noqa: ARG002 - as above
    ) -> None:
        """Write the calls as JSON, one after the other."""
        said = [dump({"name": call.name, "parameters": call.arguments}) for call in calls]
        told.append(("assistant", "\n".join([*([text] if text else []), "; ".join(said)])))

    def add_result(self, told: Told, text: str, extra: Extra, host: TemplateToolSupport) -> None:
        """Write a result in a turn of its own, or tell it to the model."""
        if "tool" in host.forms:
            told.append(("tool", text))
        else:
            told.append(("user", f"{extra.name or 'Tool'} returned: {dump(text)}"))

    def opening(self, use: OfferedTools, *, constrained: bool) -> str:
        """Open the JSON, and where no grammar does it, the call of the one tool."""
        if constrained:
            return ""
        if use.only is None:
            return '{"name": "'
        return f'{{"name": {dump(use.only)}, "parameters": '

    def schema(self, use: OfferedTools) -> dict[str, object]:
        """Return the schema of one call."""
        return call_schema(use, "name", "parameters")


LLAMA3 = _Llama3("llama3")
"""A JSON object of `name` and `parameters`."""
