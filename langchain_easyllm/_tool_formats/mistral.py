"""Mistral's control tokens for tools.

Its chat templates (https://huggingface.co/mistralai/Mistral-7B-Instruct-v0.3) and its own tokenizer
library, mistral-common, which decides where the template leaves text out: tools and system text
stand at the last user turn, a result that is JSON is written as JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace

from ..prompts.base import TemplateToolSupport
from ..prompts.conversation import Conversation, Extra, ToolCall
from ..prompts.normalize import merge
from ..prompts.special_tokens import SpecialTokens
from .base import OfferedTools, Told, TurnToolCallFormat, call_schema, dump, wish

__all__ = ["MISTRAL", "with_short_ids"]


class _Mistral(TurnToolCallFormat):
    def tell(
        self, talk: Conversation, use: OfferedTools, host: TemplateToolSupport
    ) -> Conversation:
        """Retell; see `Convention.tell`. Users and assistants take turns afterwards."""
        told = super().tell(talk, use, host)
        if not host.forms:
            return told
        system = [
            text for role, text in zip(told.roles, told.texts, strict=True) if role == "system"
        ]
        spoken = [pair for pair in zip(told.roles, told.texts, strict=True) if pair[0] != "system"]
        merged = Conversation([role for role, _ in spoken], [text for _, text in spoken])
        for role in ("user", "assistant"):
            merged = merge(merged, "\n\n", only=role)
        last = _last_user(list(zip(merged.roles, merged.texts, strict=True)))
        if last is None:
            merged.roles.insert(0, "user")
            merged.texts.insert(0, "")
            last = 0
        merged.texts[last] = "\n\n".join([text for text in (*system, merged.texts[last]) if text])
        return merged

    def add_tools(self, told: Told, use: OfferedTools, host: TemplateToolSupport) -> None:
        """Describe the tools before the last user turn."""
        listed = dump(list(use.tools))
        place = _last_user(told)
        if place is None:
            place = len(told)
            told.append(("user", ""))
        wanted = wish(use)
        if wanted:
            told[place] = ("user", f"{told[place][1]}\n\n{wanted}".lstrip())
        if "tools" in host.forms:
            told.insert(place, ("tools", listed))
        else:
            text = f"[AVAILABLE_TOOLS] {listed}[/AVAILABLE_TOOLS]\n\n{told[place][1]}"
            told[place] = ("user", text.rstrip())

    def add_calls(
        self, told: Told, text: str, calls: Sequence[ToolCall], host: TemplateToolSupport
    ) -> None:
        """Write the calls as a list, after the text."""
        said = [
            {"name": c.name, "arguments": c.arguments, "id": _short_id(c.id or str(place))}
            for place, c in enumerate(calls)
        ]
        role = "calls" if "calls" in host.forms else "assistant"
        told.append((role, f"{text}[TOOL_CALLS]{host.space}{dump(said)}"))

    def add_result(self, told: Told, text: str, extra: Extra, host: TemplateToolSupport) -> None:
        """Write a result as JSON, with the id of its call."""
        try:
            content = json.loads(text)
        except ValueError:
            content = text
        said = dump({"content": content, "call_id": _short_id(extra.call_id or "0")})
        if "tool" in host.forms:
            told.append(("tool", said))
        else:
            told.append(("user", f"[TOOL_RESULTS] {said}[/TOOL_RESULTS]"))

    def opening(self, use: OfferedTools, *, constrained: bool) -> str:
        """Open the list, and where no grammar does it, the call of the one tool."""
        if constrained:
            return "[TOOL_CALLS] "
        if use.only is None:
            return '[TOOL_CALLS] [{"name": "'
        return f'[TOOL_CALLS] [{{"name": {dump(use.only)}, "arguments": '

    def schema(self, use: OfferedTools) -> dict[str, object]:
        """Return the schema of one call: TGI has no grammar of a list."""
        return call_schema(use, "name", "arguments")


def _last_user(told: Sequence[tuple[str, str]]) -> int | None:
    spoken = [
        index
        for index, (role, text) in enumerate(told)
        if role == "user" and not text.startswith("[TOOL_RESULTS]")
    ]
    return spoken[-1] if spoken else None


_SHORT = re.compile(r"[A-Za-z0-9]{9}")


def _short_id(call_id: str) -> str:
    """Return a call's id in Mistral's form, nine letters and digits: itself, or a digest of it."""
    if _SHORT.fullmatch(call_id):
        return call_id
    return hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def with_short_ids(talk: Conversation) -> Conversation:
    """Return a conversation whose calls have ids in Mistral's form."""
    extras = {
        index: Extra(
            tuple([replace(call, id=_short_id(call.id or "0")) for call in extra.calls]),
            extra.name,
            _short_id(extra.call_id or "0"),
        )
        for index, extra in talk.extras.items()
    }
    return Conversation(talk.roles, talk.texts, extras)


MISTRAL = _Mistral(
    "mistral",
    ("[TOOL_RESULTS]",),
    SpecialTokens(
        (
            *("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]"),
            *("[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
        )
    ),
)
"""`[AVAILABLE_TOOLS]`, `[TOOL_CALLS]` and `[TOOL_RESULTS]`."""
