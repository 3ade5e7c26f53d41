"""What reviews would otherwise have to watch: who imports whom, sizes, documentation."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, pairwise
from pathlib import Path

import pytest

import langchain_easyllm

from ..support.cases import each_case

NAME = langchain_easyllm.__name__
PACKAGE = Path(langchain_easyllm.__file__).parent
ROOT = Path(__file__).parents[2]
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
# The folders of the package and its loose modules, from the ground up: each may import its own
# floor and those below it. `offline` stands beside them.
FLOORS = (
    {"errors", "_version", "_extras", "_lazy", "_llguidance", "_nearest", "_progress"},
    {"_http", "prompts"},
    {"_servers", "_tool_formats"},
    {"_protocols", "_structured_output"},
    {"_langchain"},
    {"_generation", "_batch", "_local"},
    {"_fields"},
    {
        *{"chat_models", "llms", "embeddings", "rerank", "cross_encoder", "sparse_embeddings"},
        *{"agents", "callbacks", "http", "metrics", "servers"},
    },
    {"huggingface", "bulk", "doctor", "ray"},
    {"__main__"},
)
BESIDE = {
    "offline": {
        *{"errors", "prompts", "_extras", "_lazy", "_llguidance", "_nearest"},
        "_tool_formats",
    }
}
HEAVY = [
    "aiohttp",
    "pyarrow",
    "pyspark",
    "ray",
    "httpx",
    "httpx2",
    "huggingface_hub",
    "numpy",
    "torch",
    "transformers",
    "jinja2",
]
HEAVY += ["llguidance", "safetensors", "starlette", "tokenizers", "uvicorn"]

# What each public module exports. Written out, so that no name comes or goes unnoticed.
PUBLIC = {
    "": """
        EasyLLM EasyLLMChat EasyLLMCrossEncoder EasyLLMEmbeddings EasyLLMRerank
        EasyLLMSparseEmbeddings __version__ huggingface
    """,
    "chat_models": "EasyLLMChat",
    "llms": "EasyLLM",
    "embeddings": "EasyLLMEmbeddings",
    "rerank": "EasyLLMRerank",
    "cross_encoder": "EasyLLMCrossEncoder",
    "sparse_embeddings": "EasyLLMSparseEmbeddings SparseVector",
    "agents": "AGENT_PROMPTS agent_prompt",
    "errors": """
        AuthenticationError BadRequestError ConfigurationError ConnectionError
        ContextOverflowError EasyLLMError EndpointPausedError ErrorResponse GenerationError
        IncompleteStreamError ModelLoadingError ModelOverloadedError NotFoundError
        PermissionDeniedError PromptError ProtocolError RateLimitError RefusalError ServerError
        StructuredOutputError TimeoutError
    """,
    "http": """
        AsyncHTTPClient AsyncStreamedResponse HTTPClient Request Response StreamedResponse
    """,
    "callbacks": "ProgressBar",
    "metrics": "ServerMetrics reset snapshot",
    "servers": "ServerDetails",
    "prompts": """
        PROMPT_MAPPING ChatPrompt PromptError anthropic_stop_sequences
        build_anthropic_prompt build_chatml_falcon_prompt build_chatml_prompt
        build_chatml_starchat_prompt build_command_r7b_prompt build_deepseek_llm_prompt
        build_deepseek_v3_1_prompt build_falcon_prompt build_gemma_2_prompt
        build_gemma_3_prompt build_gemma_prompt build_glm_4_5_prompt
        build_gpt_oss_prompt build_granite_3_3_prompt build_kimi_k2_prompt
        build_lfm2_prompt build_llama2_prompt build_llama3_1_prompt build_llama3_prompt
        build_llama4_prompt build_minimax_m2_prompt build_mistral_nemo_prompt
        build_mistral_prompt build_mistral_small_3_prompt build_mistral_v0_1_prompt
        build_mistral_v0_3_prompt build_open_assistant_prompt build_openchat_prompt
        build_phi3_5_prompt build_phi3_prompt build_phi4_mini_prompt build_phi4_prompt
        build_qwen2_5_prompt build_qwen2_prompt build_qwen3_coder_prompt
        build_qwen3_instruct_2507_prompt build_qwen3_prompt
        build_qwen3_thinking_2507_prompt build_smollm2_prompt build_smollm3_prompt
        build_stablebeluga_prompt build_vicuna_prompt build_wizardlm_prompt
        build_zephyr_prompt chatml_falcon_stop_sequences chatml_starchat_stop_sequences
        falcon_stop_sequences get_prompt llama2_stop_sequences load_prompt
        open_assistant_stop_sequences register_prompt stablebeluga_stop_sequences
        vicuna_stop_sequences wizardlm_stop_sequences
    """,
    "bulk": "BulkResult embed embed_batches run run_batches",
    "ray": "check_ids checkpoint embed run",
    "offline": "Faults OfflineServer offline_server",
    "huggingface": """
        ChatCompletion Completion Embedding api_base api_key api_type api_version prompt_builder
        seed stop_sequences
    """,
}

Function = ast.FunctionDef | ast.AsyncFunctionDef
every_module = each_case("path", TREES, ids=lambda path: path.relative_to(PACKAGE).as_posix())


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names that a module imports, wherever in it that happens."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *[node.module] * bool(node.module)])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    """Yield the public classes, functions and methods that a body defines, without overloads."""
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            if any(ast.unparse(one) == "overload" for one in node.decorator_list):
                continue
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def allowed(name: str) -> set[str]:
    """Return what a folder or loose module may import of the package."""
    if name in BESIDE:
        return BESIDE[name] | {name}
    height = next(height for height, floor in enumerate(FLOORS) if name in floor)
    return set().union(*FLOORS[: height + 1])


@every_module
def test_imports_point_downwards(path: Path) -> None:
    if layer(path) == "__init__":  # which loads the public names at first use
        return
    names = [name.split(".") for name in imports(path)]
    own = {name[1] for name in names if name[0] == NAME and len(name) > 1}
    assert own <= allowed(layer(path))
    if layer(path) in ("_http", "_servers", "_protocols"):
        assert "langchain_core" not in {name[0] for name in names}


def test_the_import_rules_see_every_module() -> None:
    assert {layer(path) for path in TREES} - {"__init__"} == set().union(*FLOORS, BESIDE)
    seen = {name for path in TREES for name in imports(path)}
    own = {f"{NAME}.errors.ProtocolError", f"{NAME}._protocols.request.ProtocolRequest"}
    assert own | {"orjson"} <= seen


def test_the_callers_http_client_brings_its_own_package() -> None:
    assert {name for path in TREES for name in imports(path) if name.startswith("httpx")} == set()


def test_no_modules_import_each_other() -> None:
    """Imports for type checkers, and those at first use, count as well."""
    modules = {dotted(path) for path in TREES}
    graph = {dotted(path): set(imported(path, modules)) - {dotted(path)} for path in TREES}
    while free := {module for module, used in graph.items() if not used}:
        graph = {module: used - free for module, used in graph.items() if module not in free}
    assert graph == {}


def imported(path: Path, modules: set[str]) -> Iterator[str]:
    """Yield the modules of the package that a module imports, or imports a name from."""
    for name in imports(path):
        module = name if name in modules else name.rpartition(".")[0]
        if module in modules:
            yield module


def test_each_class_has_a_name_of_its_own() -> None:
    names = [
        node.name
        for path, tree in TREES.items()
        if layer(path) != "offline"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    ]
    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


# Words that once stood for terms of the field; see docs/glossary.md.
COINAGES = re.compile(
    r"\b(told|thinker|toolless|patience|crew|hire|talk|unsent|other_way|dice|company|Lead|Beside)\b"
)


@every_module
def test_the_words_are_those_of_the_field(path: Path) -> None:
    """Text in prompts to a model is free to use any word."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(TREES[path])
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    lines = path.read_text("utf-8").splitlines()
    for node in ast.walk(TREES[path]):
        text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if text and id(node) not in docstrings:
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    found = [line for line in lines if COINAGES.search(line)]
    if layer(path) in ("bulk", "ray"):  # a field of jobs, in the field's own words: `patience`
        found = [line for line in found if COINAGES.search(line.replace("patience", ""))]
    assert found == []


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names(module: str) -> None:
    exported = importlib.import_module(f"{NAME}.{module}".rstrip("."))
    assert list(exported.__all__) == PUBLIC[module].split()


@pytest.mark.parametrize("module", ["", "bulk", "offline", "prompts", "ray"])
def test_names_that_load_at_first_use_are_listed(module: str) -> None:
    exported = importlib.import_module(f"{NAME}.{module}".rstrip("."))
    assert {*PUBLIC[module].split()} <= {*dir(exported)}
    with pytest.raises(AttributeError, match=f"'{exported.__name__}' has no attribute 'nothing'"):
        getattr(exported, "nothing")  # noqa: B009


@every_module
def test_exports_are_sorted_and_exist(path: Path) -> None:
    if layer(path) == "ray" and find_spec("ray") is None:  # an environment of its own has it
        return
    module = importlib.import_module(dotted(path))
    names = getattr(module, "__all__", [])
    rank = {name: (not name.isupper(), not name[0].isupper(), name) for name in names}
    assert list(names) == sorted(set(names), key=rank.__getitem__)
    assert [name for name in names if not hasattr(module, name)] == []


def fields(node: ast.ClassDef) -> dict[str, bool]:
    """Map a class's public fields to whether each has a docstring, or a line in the class's."""
    words = ast.get_docstring(node) or ""
    return {
        field.target.id: isinstance(then, ast.Expr)
        or bool(re.search(rf"^\s*{field.target.id}:", words, re.MULTILINE))
        for field, then in pairwise([*node.body, ast.Pass()])
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and not field.target.id.startswith("_")
    }


@every_module
def test_everything_public_is_documented(path: Path) -> None:
    assert ast.get_docstring(TREES[path])
    exported = {name for names in PUBLIC.values() for name in names.split()}
    for node in TREES[path].body:
        if isinstance(node, ast.ClassDef | Function) and node.name in exported:
            assert [each.name for each in public([node]) if not ast.get_docstring(each)] == []
            assert not isinstance(node, ast.ClassDef) or all(fields(node).values())


@pytest.mark.parametrize("name", langchain_easyllm.__all__)
def test_every_field_of_a_model_is_documented(name: str) -> None:
    cls = getattr(langchain_easyllm, name)
    if not hasattr(cls, "model_fields"):
        return
    bases = {base.__name__ for base in cls.__mro__ if base.__module__.startswith(NAME)}
    nodes = [node for tree in TREES.values() for node in tree.body]
    found = [
        fields(node) for node in nodes if isinstance(node, ast.ClassDef) and node.name in bases
    ]
    said = {field for one in found for field, documented in one.items() if documented}
    own = {field for one in found for field in one} & set(cls.model_fields)
    assert "model" in own
    assert own <= said


@every_module
def test_modules_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 600
    for node in ast.walk(TREES[path]):
        if isinstance(node, Function):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_any_is_rare() -> None:
    nodes = [*chain.from_iterable(map(ast.walk, TREES.values()))]
    used = sum(map(is_any, nodes))
    # LangChain's hooks take `**kwargs: Any`: theirs to choose.
    dictated = sum(
        isinstance(node, ast.arguments) and node.kwarg is not None and is_any(node.kwarg.annotation)
        for node in nodes
    )
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in TREES)
    assert used > dictated
    assert (used - dictated) / lines < 5 / 1000


def is_any(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Name) and node.id == "Any"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, {NAME}; print(sorted(set({HEAVY}) & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_version_is_said_in_one_place() -> None:
    version = langchain_easyllm.__version__
    said = [path for path in TREES if f'"{version}"' in path.read_text("utf-8")]
    assert said == [PACKAGE / "_version.py"]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert not re.search(r"^version\s*=", project, re.MULTILINE)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").read_text() == ""


TEXT = {"", ".py", ".md", ".toml", ".ipynb", ".json", ".jinja", ".txt"}


def texts() -> Iterator[Path]:
    """Yield the repository's text files; other folders that begin with a dot are tools' own."""
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT).parts
        tools = any(part.startswith((".", "__")) for part in inside[:-1]) and inside[0] != ".ci"
        if path.suffix in TEXT and not tools and path.is_file():
            yield path


# Paths of the machines that this was written on, and so no example of the documentation's.
MACHINES = re.compile(r"(?<![\w.:/-])/(?:root|Users/\w+|home/\w+)/")


def test_no_file_names_somebodys_machine() -> None:
    files = list(texts())
    assert Path(__file__) in files
    assert [path for path in files if MACHINES.search(path.read_text("utf-8", "ignore"))] == []
