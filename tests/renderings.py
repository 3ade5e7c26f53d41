"""What each built-in template makes of one conversation, for the page about prompts."""

from __future__ import annotations

from html import escape

from langchain_easyllm.prompts import PROMPT_MAPPING, ChatPrompt

__all__ = ["CONVERSATION", "renderings"]

CONVERSATION = [
    ("system", "Be brief."),
    ("human", "Hi!"),
    ("ai", "Hello!"),
    ("human", "What is the sun?"),
]
DATE = "2026-02-03"


def renderings() -> str:
    """A section to unfold for each template, with the prompt and what ends its answers."""
    names: dict[int, list[str]] = {}
    templates: dict[int, ChatPrompt] = {}
    for name, template in PROMPT_MAPPING.items():
        names.setdefault(id(template), []).append(name)
        templates[id(template)] = template
    return "\n\n".join(_section(names[key], templates[key]) for key in names)


def _section(names: list[str], template: ChatPrompt) -> str:
    dated = {"date": DATE} if "date" in template.switches else {}
    prompt = template.render(CONVERSATION, **dated)
    title = ", ".join(f"<code>{escape(name)}</code>" for name in names)
    stops = ", ".join(f"`{stop!r}`" for stop in template.stop)
    begin = f" It begins with the token `{template.bos}`." if template.bos else ""
    date = f' (`date="{DATE}"`)' if dated else ""
    shown = prompt.rstrip()
    end = prompt.removeprefix(shown)
    ends = f" The prompt ends with `{end!r}`." if end else ""
    return (
        f'<details markdown="1">\n<summary>{title}</summary>\n\n'
        f"```text\n{shown}\n```\n\nStop sequences{date}: {stops}.{begin}{ends}\n\n</details>"
    )
