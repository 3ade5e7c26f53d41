"""Mistral's special tokens for tools.

Its chat templates (https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.3) and its own tokenizer
library, mistral-common, which decides where the template leaves text out: tools and system text
stand at the last user turn, a result that is JSON is written as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra
from ..prompts.normalize import merge
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Turn, Turns, TurnToolCallFormat, dump, from_turns, to_turns
from .call_syntax import CallMarker


class MistralFormat(TurnToolCallFormat):
    """Calls behind `[TOOL_CALLS]`, tools and results between tokens of their own."""

    def render(
        self, conversation: Conversation, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> Conversation:
        rendered = super().render(conversation, offered, support)
        if not support.forms:
            return rendered
        turns = to_turns(rendered)
        system = [text for role, text in turns if role == "system"]
        merged = from_turns([turn for turn in turns if turn[0] != "system"])
        for role in ("user", "assistant"):
            merged = merge(merged, "\n\n", only=role)
        last = _last_user(to_turns(merged))
        if last is None:
            merged.roles.insert(0, "user")
            merged.texts.insert(0, "")
            last = 0
        merged.texts[last] = "\n\n".join([text for text in (*system, merged.texts[last]) if text])
        return merged

    def for_template(self, conversation: Conversation) -> Conversation:
        extras = {
            index: Extra(
                tuple([replace(call, id=_short_id(call.id or "0")) for call in extra.calls]),
                extra.name,
                _short_id(extra.call_id or "0"),
            )
            for index, extra in conversation.extras.items()
        }
        return Conversation(conversation.roles, conversation.texts, extras)

    def describe(
        self, turns: Turns, offered: OfferedTools, support: TemplateToolSupport, /
    ) -> None:
        listed = dump(list(offered.tools))
        index = _last_user(turns)
        if index is None:
            index = len(turns)
            turns.append(("user", ""))
        if offered.instruction:
            turns[index] = ("user", f"{turns[index][1]}\n\n{offered.instruction}".lstrip())
        if "tools" in support.forms:
            turns.insert(index, ("tools", listed))
        else:
            text = f"[AVAILABLE_TOOLS] {listed}[/AVAILABLE_TOOLS]\n\n{turns[index][1]}"
            turns[index] = ("user", text.rstrip())

    def calls_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        values = [
            {"name": c.name, "arguments": c.arguments, "id": _short_id(c.id or str(index))}
            for index, c in enumerate(extra.calls)
        ]
        role = "calls" if "calls" in support.forms else "assistant"
        return role, f"{text}[TOOL_CALLS]{support.space}{dump(values)}"

    def result_turn(self, text: str, extra: Extra, support: TemplateToolSupport, /) -> Turn:
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = text
        value = dump({"content": content, "call_id": _short_id(extra.call_id or "0")})
        if "tool" in support.forms:
            return "tool", value
        return "user", f"[TOOL_RESULTS] {value}[/TOOL_RESULTS]"

    def prefill(self, offered: OfferedTools, *, constrained: bool) -> str:
        # TGI has no grammar of a list: one call is written without.
        return "[TOOL_CALLS] " + ("" if constrained else f"[{self.json_prefill(offered)}")


def _last_user(turns: Turns) -> int | None:
    users = (
        index
        for index, (role, text) in enumerate(turns)
        if role == "user" and not text.startswith("[TOOL_RESULTS]")
    )
    return max(users, default=None)


_SHORT = re.compile(r"[A-Za-z0-9]{9}")


def _short_id(call_id: str) -> str:
    """Return a call's id in Mistral's form, nine letters and digits: itself, or a digest of it."""
    if _SHORT.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


MISTRAL = MistralFormat(
    name="mistral",
    markers=(
        CallMarker(("[TOOL_CALLS]", "["), "anywhere", 1, marked=True),
        CallMarker(("[TOOL_CALLS]", "{"), "anywhere", 1, marked=True),
        CallMarker(("[", "{", '"name"'), "start", 0),
    ),
    stop=("[TOOL_RESULTS]",),
    special_tokens=SpecialTokens(
        (
            *("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]"),
            *("[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        )
    ),
    template_marks=("[TOOL_CALLS]", "[AVAILABLE_TOOLS]"),
)
"""`[AVAILABLE_TOOLS]`, `[TOOL_CALLS]` and `[TOOL_RESULTS]`."""
