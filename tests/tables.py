"""Write the tables of the servers and of their faults into the documentation: `make tables`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.inference_providers import HUB_EMBEDDINGS
from langchain_easyllm._servers.profile import (
    CLIENT_SIDE,
    EMBEDDING_FIELDS,
    NEUTRAL_FIELDS,
    REASONING_EFFORTS,
    ApiProfile,
    ConstraintFormat,
    GenerationApi,
    ServerProfile,
    ToolChoiceForm,
)
from langchain_easyllm._servers.registry import SERVERS
from langchain_easyllm._servers.tei import TEI_EMBEDDINGS
from langchain_easyllm._servers.tgi import TGI

from .faults import fault_table

__all__ = ["TABLES", "updated"]

DOCS = Path(__file__).parents[1] / "docs"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"{indent}| {' | '.join(line)} |" for line in lines)


def _cell(name: str | None) -> str:
    if name is None:
        return "error"
    return name if name == CLIENT_SIDE else f"`{name}`"


def generation_fields(api: GenerationApi) -> str:
    """The names of the generation fields on one protocol of every server."""
    servers = [server for server in SERVERS if api in server.apis]
    if api is GenerationApi.GENERATE:
        servers = [TGI, IN_PROCESS]

    def cell(name: str, server: ServerProfile) -> str:
        if name == "do_sample" and api is not GenerationApi.GENERATE:
            return "`temperature`"
        protocol = server.api(api)
        return _cell(protocol.fields.get(name)) + " (unread)" * (name in protocol.unread)

    return _table(
        ["field", *(server.name for server in servers)],
        ([f"`{name}`", *(cell(name, server) for server in servers)] for name in NEUTRAL_FIELDS),
    )


def embedding_fields() -> str:
    """The names of the embedding fields on every protocol of every server."""
    servers = [server.embedding for server in SERVERS if not server.generates_only]
    columns = {
        f"{api}: {profile.name}": fields
        for profile in (TEI_EMBEDDINGS, *servers, HUB_EMBEDDINGS)
        for api, fields in profile.apis.items()
    }
    return _table(
        ["field", *columns],
        (
            [f"`{name}`", *(_cell(fields.get(name)) for fields in columns.values())]
            for name in EMBEDDING_FIELDS
        ),
    )


def _expression_cells(protocol: ApiProfile) -> list[str]:
    if protocol.constraint is ConstraintFormat.OPENAI_AS_GIVEN:
        return ["as given in the server's own `response_format`, else error"] * 3
    has = {
        kind: f"`{json.dumps(form, default=repr)}`" for kind, form in protocol.expressions.items()
    }
    own = {kind: cell.replace('"Ellipsis"', "...") for kind, cell in has.items()}
    grammar = own.get("ebnf") or own.get("gbnf") or "error"
    translated = "as a grammar" if "gbnf" in own else "error"
    choice = own.get("choice") or ("as a regex" if "regex" in own else translated)
    return [own.get("regex") or translated, choice, grammar]


def expressions() -> str:
    """What each protocol of each server is sent for a constraint that is no JSON schema."""
    rows: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for server in SERVERS:
        for api in reversed(server.apis):
            protocol = server.api(api)
            listed = "grammar" in protocol.fields and (
                api is not GenerationApi.GENERATE or server in (TGI, IN_PROCESS)
            )
            if listed:
                servers = rows.setdefault(tuple(_expression_cells(protocol)), {})
                servers.setdefault(server.name, []).append(api.value)
    return _table(
        ["server", "regex", "choice", "grammar"],
        (
            [", ".join(f"{name} ({', '.join(apis)})" for name, apis in servers.items()), *cells]
            for cells, servers in rows.items()
        ),
    )


PROMPTED = "described in the prompt"


def _choice(form: ToolChoiceForm, forms: Collection[ToolChoiceForm]) -> str:
    if form in forms or form is ToolChoiceForm.AUTO:
        return "yes"
    if form is ToolChoiceForm.NONE:
        return "no tools are sent"
    if form is ToolChoiceForm.REQUIRED and ToolChoiceForm.NAMED in forms:
        return f"one tool: by its name; several: {PROMPTED}"
    if form is ToolChoiceForm.NAMED and ToolChoiceForm.REQUIRED in forms:
        return "only that tool is offered, and required"
    return PROMPTED


def _strict(server: ServerProfile) -> str:
    if not server.strict_tools:
        return "error"
    return "sent; added where a call is forced" if server.strict_on_request else "sent"


def _tool_cells(server: ServerProfile) -> list[str]:
    return [
        *(_choice(form, server.tool_choices) for form in ToolChoiceForm),
        "sent" if server.parallel_tool_calls else "not sent",
        _strict(server),
        "in the tool message" if server.blocks_in_tool_messages else "in a user message after it",
    ]


def tool_choices() -> str:
    """What each server has of tools on its chat protocol."""
    servers = sorted((server for server in SERVERS if server.chat), key=_tool_cells, reverse=True)
    head = ["auto", "none", "required", "by name", "`parallel_tool_calls`", "`strict`"]
    return _table(
        ["server", *head, "images of a tool"],
        (
            [", ".join(server.name for server in group), *cells]
            for cells, group in groupby(servers, key=_tool_cells)
        ),
        indent="  ",
    )


def reasoning() -> str:
    """What each server has for thinking on its chat protocol."""

    def cells(server: ServerProfile) -> list[str]:
        fields = server.api(GenerationApi.CHAT).fields
        key = fields.get("reasoning_effort")
        known = [effort for effort in REASONING_EFFORTS if effort in server.efforts]
        if key is not None and "none" not in known and server.renders_own_template:
            known.insert(0, "none")
        efforts = ", ".join(f"`{effort}`" for effort in known)
        values = "error" if key is None else "all" if len(known) == 6 else efforts
        return [_cell(fields.get("thinking")), _cell(key), values]

    return _table(
        ["server", "`thinking`", "`reasoning_effort`", "efforts"],
        ([server.name, *cells(server)] for server in SERVERS if server.chat),
    )


def _prefill_cells(server: ServerProfile) -> tuple[str, str]:
    found = server.continuation
    if found is None:
        return "error", ""
    if not found.sure:
        return "sent as it is, with one warning", ""
    how = ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in found.keys.items())
    beside = {"tools": found.beside_tools, "a constraint": found.beside_constraints}
    lacking = " or ".join(name for name, has in beside.items() if not has)
    return f"continued ({how or 'by itself'})", lacking and f"{lacking} beside it"


def prefill() -> str:
    """What each server makes of an answer at the end of a chat's messages."""
    servers = [server for server in SERVERS if server.chat]
    rows = {_prefill_cells(server): list[str]() for server in servers}
    for server in servers:
        rows[_prefill_cells(server)].append(server.name)
    return _table(
        ["server", "an AIMessage at the end", "error"],
        ([", ".join(names), *cells] for cells, names in rows.items()),
    )


TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "servers.md": {
        api.value: lambda api=api: generation_fields(api)  # type: ignore[misc]
        for api in reversed(GenerationApi)
    },
    "messages.md": {"prefill": prefill},
    "constraints.md": {"constraints": expressions},
    "reasoning.md": {"reasoning": reasoning},
    "tools.md": {"tool choice": tool_choices},
    "embeddings.md": {"embeddings": embedding_fields},
    "faults.md": {"faults": fault_table},
}
"""The tables of each page, which has a pair of comments around each."""


def updated(page: str) -> str:
    """Return a page of the documentation with its tables as the profiles have them.

    Raises:
        ValueError: If the page lacks the place of a table.
    """
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, table in TABLES[page].items():
        begin, end = f"<!-- table: {name} -->", "<!-- end of table -->"
        place = re.compile(rf"({begin}\n).*?(\n *{end})", re.DOTALL)
        body = table()
        text, count = place.subn(lambda found, body=body: found[1] + body + found[2], text)
        if count != 1:
            raise ValueError(f"{page} has {count} places for the table {name!r}.")
    return text


if __name__ == "__main__":
    for page in TABLES:
        (DOCS / page).write_text(updated(page), encoding="utf-8")
