"""Write the tables of servers, errors and faults into the documentation: `make tables`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from langchain_core import exceptions as core

from benchmarks import published
from langchain_easyllm import errors
from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.inference_providers import HUB_EMBEDDINGS, INFERENCE_PROVIDERS
from langchain_easyllm._servers.infinity import INFINITY
from langchain_easyllm._servers.litellm import LITELLM
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.llama_cpp_python import LLAMA_CPP_PYTHON
from langchain_easyllm._servers.lm_studio import LM_STUDIO
from langchain_easyllm._servers.lmdeploy import LMDEPLOY
from langchain_easyllm._servers.mlx_lm import MLX_LM
from langchain_easyllm._servers.ollama import OLLAMA
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import (
    CLIENT_SIDE,
    EMBEDDING_FIELDS,
    NEUTRAL_FIELDS,
    REASONING_EFFORTS,
    ApiProfile,
    ConstraintFormat,
    EmbeddingProfile,
    GenerationApi,
    ServerProfile,
    ToolChoiceForm,
)
from langchain_easyllm._servers.registry import SERVERS
from langchain_easyllm._servers.sglang import SGLANG
from langchain_easyllm._servers.tei import TEI_EMBEDDINGS
from langchain_easyllm._servers.tensorrt_llm import TENSORRT_LLM
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm._servers.vllm import VLLM

from .chatopenai import parameter_table
from .faults import fault_table
from .renderings import renderings
from .stop_timeline import PICTURE, held_back_table, picture
from .support.text_servers import TEXT_SERVERS

__all__ = ["TABLES", "korean", "updated", "updated_korean"]

DOCS = Path(__file__).parents[1] / "docs"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(name: str | None) -> str:
    if name is None:
        return "error"
    return name if name == CLIENT_SIDE else f"`{name}`"


def generation_fields(api: GenerationApi) -> str:
    """The names of the generation fields on one protocol of every server."""
    servers = [server for server in SERVERS if api in server.apis]
    if api is GenerationApi.GENERATE:
        servers = [TGI, IN_PROCESS]

    return _table(
        ["field", *(server.name for server in servers)],
        (
            [f"`{name}`", *(_field_cell(name, api, server) for server in servers)]
            for name in NEUTRAL_FIELDS
        ),
    )


def _field_cell(name: str, api: GenerationApi, server: ServerProfile) -> str:
    if name == "do_sample" and api is not GenerationApi.GENERATE:
        return "`temperature`"
    protocol = server.api(api)
    return _cell(protocol.fields.get(name)) + " (unread)" * (name in protocol.unread)


def fields_of(server: ServerProfile) -> str:
    """The names of the generation fields on every protocol of one server."""
    own = server in (TGI, IN_PROCESS)
    apis = [api for api in reversed(server.apis) if own or api is not GenerationApi.GENERATE]
    return _table(
        ["field", *(api.value for api in apis)],
        (
            [f"`{name}`", *(_field_cell(name, api, server) for api in apis)]
            for name in NEUTRAL_FIELDS
        ),
    )


def embedding_fields_of(*profiles: EmbeddingProfile) -> str:
    """The names of the embedding fields on every protocol of one server."""
    columns = {api: fields for profile in profiles for api, fields in profile.apis.items()}
    return _table(
        ["field", *columns],
        (
            [f"`{name}`", *(_cell(fields.get(name)) for fields in columns.values())]
            for name in EMBEDDING_FIELDS
        ),
    )


YES, NO, PROMPT, UNSURE = "yes", "no", "prompt", "sent"
_RERANK = (VLLM, LLAMA_CPP, INFINITY, INFERENCE_PROVIDERS)
_NO_RERANK = (LLAMA_CPP_PYTHON, OLLAMA, LM_STUDIO)
_TEXT_ONLY = (MLX_LM,)
_USAGE = {row.profile.name: row.responses.usage for row in TEXT_SERVERS.values()}


def _yes(value: object) -> str:
    return YES if value else NO


def _feature_cells(server: ServerProfile) -> list[str]:
    # A profile with the plain embedding protocol says nothing of embeddings.
    unknown = server.embedding is ServerProfile(name="").embedding or server.generates_only
    embeds = not unknown or server in (OPENAI_COMPATIBLE, INFERENCE_PROVIDERS, IN_PROCESS)
    reranks = embeds and server not in (*_NO_RERANK, IN_PROCESS)
    rest = [_yes(embeds), YES if server in _RERANK else UNSURE if reranks else NO]
    if not server.apis:
        return [NO] * (len(FEATURES) - len(rest)) + rest
    return [*_text_cells(server, server.chat or server.api(GenerationApi.GENERATE)), *rest]


def _text_cells(server: ServerProfile, protocol: ApiProfile) -> list[str]:
    forced = {ToolChoiceForm.REQUIRED, ToolChoiceForm.NAMED} & {*server.tool_choices}
    chat = server.chat is not None
    media = UNSURE if chat and server not in _TEXT_ONLY else NO
    constraint = YES if protocol.constrains else UNSURE
    regex, _, _ = _expression_cells(protocol) if "grammar" in protocol.fields else ("error",) * 3
    prefill = server.continuation
    counted = server.tokenize and ("messages" if server.chat_tokenize else "text")
    usage = _USAGE.get(server.name, "asked") != "never"
    return [
        YES if chat else PROMPT,
        YES if chat and forced else PROMPT,
        constraint if "response_format" in protocol.fields else PROMPT,
        NO if regex == "error" else UNSURE if regex.startswith("as given") else YES,
        _yes("thinking" in protocol.fields),
        (YES if prefill.sure else UNSURE) if prefill else _yes(not chat),
        _yes("n" in protocol.fields),
        media,
        media,
        _yes("logprobs" in protocol.fields),
        _yes(usage),
        "messages" if server is IN_PROCESS else counted or "files",
    ]


FEATURES = (
    *("tools", "forced tools", "JSON schema", "regex", "`thinking`", "prefill", "`n`"),
    *("images", "audio", "logprobs", "usage in streams", "token counts", "embeddings", "rerank"),
)
_HALF = 7  # more columns than this would be cut off on a screen


def features(columns: slice) -> str:
    """Some of what works on which server, without servers of which nothing does."""
    tei = [NO] * (len(FEATURES) - 2) + [YES, YES]
    found = {
        f"[{title}](servers/{page}.md)": _feature_cells(server) if server else tei
        for page, (title, server) in SERVER_PAGES.items()
        if page != "inference-endpoints"
    } | {"[in your process](local.md)": _feature_cells(IN_PROCESS)}
    rows = ([name, *cells[columns]] for name, cells in found.items())
    return _table(["server", *FEATURES[columns]], (row for row in rows if {*row[1:]} != {NO}))


SERVER_PAGES: dict[str, tuple[str, ServerProfile | None]] = {
    "tgi": ("TGI", TGI),
    "tei": ("TEI", None),
    "vllm": ("vLLM", VLLM),
    "sglang": ("SGLang", SGLANG),
    "tensorrt-llm": ("TensorRT-LLM", TENSORRT_LLM),
    "lmdeploy": ("LMDeploy", LMDEPLOY),
    "llama-cpp": ("llama.cpp", LLAMA_CPP),
    "llama-cpp-python": ("llama-cpp-python", LLAMA_CPP_PYTHON),
    "ollama": ("Ollama", OLLAMA),
    "lm-studio": ("LM Studio", LM_STUDIO),
    "mlx-lm": ("MLX-LM", MLX_LM),
    "transformers-serve": ("transformers serve", TRANSFORMERS_SERVE),
    "infinity": ("Infinity", INFINITY),
    "litellm": ("LiteLLM", LITELLM),
    "inference-providers": ("Inference Providers", INFERENCE_PROVIDERS),
    "inference-endpoints": ("Inference Endpoints", None),
    "openai-compatible": ("any OpenAI-style server", OPENAI_COMPATIBLE),
}
"""The page of each server: how it is called there, and its profile."""


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


def _tables_of(page: str, server: ServerProfile | None) -> dict[str, Callable[[], str]]:
    """The tables of a server's page."""
    if server is None:
        tei: dict[str, Callable[[], str]]
        tei = {"embedding fields": lambda: embedding_fields_of(TEI_EMBEDDINGS)}
        return tei if page == "tei" else {}
    tables: dict[str, Callable[[], str]] = {}
    if server.chat is not None:
        tables["fields"] = lambda: fields_of(server)
    if server is INFERENCE_PROVIDERS:
        tables["embedding fields"] = lambda: embedding_fields_of(HUB_EMBEDDINGS)
    elif YES in _feature_cells(server)[-2:]:
        tables["embedding fields"] = lambda: embedding_fields_of(server.embedding)
    return tables


def error_classes() -> str:
    """Every class of `langchain_easyllm.errors`, what else it is, and whether it may pass."""

    def others(kind: type[errors.EasyLLMError]) -> str:
        # langchain-core has the class since 1.7.5.
        given = (
            ["ModelRefusalError"]
            if kind is errors.RefusalError
            else [base.__name__ for base in kind.__bases__ if base.__module__ == core.__name__]
        )
        builtin = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins"]
        return ", ".join(f"`{name}`" for name in [*given, *(f"builtins.{n}" for n in builtin)])

    def parent(kind: type[errors.EasyLLMError]) -> str:
        base = kind.__bases__[0].__name__
        return "" if kind is errors.EasyLLMError else f"[`{base}`](#{base.lower()})"

    return _table(
        ["class", "is a", "also a", "may pass"],
        (
            [f"[`{name}`](#{name.lower()})", parent(kind), others(kind), _yes(kind.is_retryable)]
            for name, kind in ERRORS.items()
        ),
    )


ERRORS: dict[str, type[errors.EasyLLMError]] = {
    name: kind
    for name in errors.__all__
    if isinstance(kind := getattr(errors, name), type) and issubclass(kind, errors.EasyLLMError)
}
"""The public errors, by their names."""

TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "benchmarks.md": published.TABLES,
    "errors.md": {"errors": error_classes},
    "servers.md": {
        "features": lambda: features(slice(_HALF)),
        "more features": lambda: features(slice(_HALF, None)),
    },
    **{
        f"servers/{page}.md": tables
        for page, (_, server) in SERVER_PAGES.items()
        if (tables := _tables_of(page, server))
    },
    "fields.md": {
        api.value: lambda api=api: generation_fields(api)  # type: ignore[misc]
        for api in reversed(GenerationApi)
    },
    "from-chatopenai.md": {"parameters": parameter_table},
    "messages.md": {"prefill": prefill},
    "constraints.md": {"constraints": expressions},
    "reasoning.md": {"reasoning": reasoning},
    "prompts.md": {"renderings": renderings},
    "stop-sequences.md": {"held back": held_back_table},
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
    return _filled(page, {name: table() for name, table in TABLES[page].items()})


def updated_korean(page: str) -> str:
    """Return a page's Korean page with the tables that the English one has.

    Raises:
        ValueError: If the page lacks the place of a table.
    """
    english = (DOCS / page).read_text(encoding="utf-8")
    tables = re.findall(rf"<!-- table: (.*?) -->\n(.*?)\n *{_END}", english, re.DOTALL)
    return _filled(korean(page), dict(tables))


def korean(page: str) -> str:
    """Return the name of a page's Korean page."""
    return page.removesuffix(".md") + ".ko.md"


_END = "<!-- end of table -->"


def _filled(page: str, tables: Mapping[str, str]) -> str:
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, body in tables.items():
        place = re.compile(rf"(<!-- table: {name} -->\n).*?(\n *{_END})", re.DOTALL)
        text, count = place.subn(lambda found, body=body: found[1] + body + found[2], text)
        if count != 1:
            raise ValueError(f"{page} has {count} places for the table {name!r}.")
    return text


if __name__ == "__main__":
    for page in TABLES:
        (DOCS / page).write_text(updated(page), encoding="utf-8")
        if (DOCS / korean(page)).exists():
            (DOCS / korean(page)).write_text(updated_korean(page), encoding="utf-8")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(), encoding="utf-8")
