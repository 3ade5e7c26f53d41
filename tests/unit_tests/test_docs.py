"""The documentation says what the code does."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from langchain.chat_models import base

from langchain_easyllm import EasyLLMChat, errors, huggingface
from langchain_easyllm.offline import Faults

from ..support import fake_embedding_servers, fake_text_servers
from ..support.cases import each_case
from ..support.documentation import code_blocks, run
from ..support.fake_server import Cut, FakeServer, Reply, sse
from ..support.replicas import posts, several_servers, urls
from ..tables import TABLES, updated

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", TABLES)
def test_the_tables_of_servers_are_the_codes(page):
    assert updated(page) == (ROOT / "docs" / page).read_text(encoding="utf-8"), "run: make tables"


def run_page(page: str, *servers: str) -> dict[str, Any]:
    """Run a page's examples, with these servers in place of those at ports 8080, 8081, ..."""
    urls = {f"http://localhost:{8080 + number}": url for number, url in enumerate(servers)}
    return run(code_blocks("python", (ROOT / page).read_text("utf-8")), urls)


def test_the_examples_for_embeddings_run(fake_server, capsys):
    fake_embedding_servers.serve_tei(fake_server)
    with FakeServer() as ranker:
        fake_embedding_servers.serve_tei(ranker, "reranker")
        names = run_page("docs/embeddings.md", fake_server.url, ranker.url)
    assert names["query"] == fake_embedding_servers.vector_of("query: When does the train leave?")
    assert names["array"].tolist() == names["vectors"][:1]
    assert capsys.readouterr().out.count("(1024, ") == 4
    assert len(names["best"]) == 1
    assert len(names["scores"]) == 2
    names["qdrant"].client.close()
    assert len(names["likely"]) == 1


def test_the_readmes_examples_run(fake_server, monkeypatch, capsys):
    for name in ("HF_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACE_API_BASE", "HUGGINGFACE_PROMPT"):
        monkeypatch.delenv(name, raising=False)
    fake_text_servers.serve(fake_server, "tgi", ["Bon", "jour", " !"])
    names = run_page("README.md", fake_server.url)
    out = capsys.readouterr().out
    assert out.count("Bonjour !") == 4
    assert code_blocks("text", README)[0].strip() in out
    assert "17 times 23 is 391.\n" in out
    assert names["answers"] == ["Bonjour !"] * 200
    assert str(names["person"]) == "name='Ida Lowell' age=41"
    assert names["calls"][0]["args"] == {"expression": "17*23"}
    assert [each.page_content for each in names["best"]] == ["The train to Vienna leaves at ten."]


def test_the_korean_readmes_examples_run(fake_server, capsys):
    fake_text_servers.serve(fake_server, "tgi", ["Bon", "jour", " !"])
    names = run_page("README.ko.md", fake_server.url)
    assert capsys.readouterr().out == "Bonjour !\nBonjour !17 times 23 is 391.\n"
    assert str(names["person"]) == "name='Ida Lowell' age=41"
    assert [each.page_content for each in names["best"]] == ["The train to Vienna leaves at ten."]


def test_the_examples_for_prompts_run():
    made, own, _ = code_blocks("python", (ROOT / "docs" / "prompts.md").read_text("utf-8"))
    documented = re.findall(r"^(prompt\..*?)\s+# (.*)$", made, flags=re.MULTILINE)
    program = made + own + "".join(f"\nprint(repr({line}))" for line, _ in documented)
    out = subprocess.run(  # in a process of its own, as it registers prompts
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines() == [value for _, value in documented]
    assert len(documented) == 3


def test_the_examples_for_easyllms_users_run(fake_server, monkeypatch, capsys):
    monkeypatch.setattr(huggingface, "api_base", None)
    monkeypatch.setattr(huggingface, "prompt_builder", None)
    fake_text_servers.serve(fake_server, "tgi", ["Bon", "jour", " !"])
    with FakeServer() as tei:
        fake_embedding_servers.serve_tei(tei)
        names = run_page("docs/easyllm.md", fake_server.url, tei.url)
    texts = ["What is the meaning of life?", "What is the sun?"]
    assert names["vectors"] == fake_embedding_servers.vectors_of(texts)
    assert capsys.readouterr().out == "Bonjour !\nBonjour !"


@pytest.mark.filterwarnings("ignore:The function `loads?` is in beta")
def test_the_lines_that_load_an_object_do():
    names = run_page("docs/migrating.md")
    assert names["llm"] == EasyLLMChat(base_url="http://localhost:8080", temperature=0)
    assert names["chain"].last == names["llm"]


def test_the_examples_for_tools_run(capsys):
    text = (ROOT / "docs" / "tools.md").read_text("utf-8")
    for block in code_blocks("python", text):
        exec(block, {})
    out = capsys.readouterr().out
    assert out.startswith("multiply {'a': 17, 'b': 23}\n")
    assert "391" in out
    assert out.endswith(code_blocks("text", text)[0])


def test_the_examples_for_servers_run(fake_server, capsys, monkeypatch):
    logger = logging.getLogger("langchain_easyllm.transport")
    monkeypatch.setattr(logger, "handlers", [])
    fake_text_servers.serve(fake_server, "vllm", ["Bon", "jour", " !"])
    try:
        run_page("docs/servers.md", fake_server.url)
    finally:
        logger.setLevel(logging.NOTSET)
    keys = {request.headers.get("authorization") for request in fake_server.requests} - {None}
    signatures = {key for key in keys if re.fullmatch("HMAC-SHA256 Signature=[0-9a-f]{64}", key)}
    assert signatures
    assert keys - signatures == {"Bearer gw-an-hours-token"}
    shown = capsys.readouterr()
    assert shown.out == "Bonjour !\nBonjour !\n"
    [documented] = code_blocks("text", (ROOT / "docs" / "servers.md").read_text("utf-8"))
    number = re.compile(r"localhost:8080|127\.0\.0\.1:\d+|\b\d+ (?=ms|bytes)")
    assert number.sub("", shown.err) == number.sub("", documented)


def test_the_examples_for_profiles_run(fake_server, monkeypatch, capsys):
    monkeypatch.setattr(base, "_BUILTIN_PROVIDERS", dict(base._BUILTIN_PROVIDERS))
    fake_text_servers.serve(fake_server, "tgi")
    names = run_page("docs/profiles.md", fake_server.url)
    assert capsys.readouterr().out == "{'max_input_tokens': 1024, 'structured_output': True}\n"
    assert isinstance(names["llm"], EasyLLMChat)
    assert names["llm"].model == "Qwen/Qwen3-32B"


def test_the_examples_for_constraints_run(fake_server):
    fake_text_servers.serve(fake_server, "vllm", ["yes"])
    names = run_page("docs/constraints.md", fake_server.url)
    assert names["answer"].text == "yes"
    sent = fake_server.requests[-1].json
    assert sent["structured_outputs"] == {"choice": ["yes", "no"]}


def test_the_examples_for_batches_run(fake_server, capsys):
    fake_text_servers.serve(fake_server, "vllm", ["391"])
    fake_server.on("POST", "/v1/embeddings", fake_embedding_servers.openai_route())
    names = run_page("docs/batches.md", fake_server.url)
    assert [answer.text for answer in names["answers"]] == ["391"] * 200
    assert [type(one) for one in names["vectors"]] == [list, errors.ConfigurationError, list]
    assert capsys.readouterr().out.startswith("1\n{1: ConfigurationError(")


def test_the_examples_for_several_servers_run():
    with several_servers(4) as servers:
        for server in servers[:2]:
            fake_text_servers.serve(server, "vllm", ["391"])
        for server in servers[2:]:
            fake_embedding_servers.serve_tei(server)
        names = run_page("docs/replicas.md", *urls(servers))
        assert [answer.text for answer in names["answers"]] == ["391"] * 200
        assert len(names["vectors"]) == 2_000
        assert names["answer"].text == "391"
        assert all(posts(server) for server in servers)


def test_the_examples_for_bulk_jobs_run(fake_server, tmp_path, monkeypatch, capsys):
    fake_embedding_servers.serve_tei(fake_server)
    monkeypatch.chdir(tmp_path)
    with FakeServer() as chat:
        fake_text_servers.serve(chat, "vllm", ["Bon", "jour", " !"])
        run_page("docs/bulk.md", fake_server.url, chat.url)
    [documented] = code_blocks("text", (ROOT / "docs" / "bulk.md").read_text("utf-8"))
    assert capsys.readouterr().out == f"3 1\n{documented}2 1\n1 0\n"


def test_the_examples_for_reasoning_run(fake_server):
    fake_text_servers.serve(fake_server, "vllm", ["391"])
    run_page("docs/reasoning.md", fake_server.url)
    sent = [request.json for request in fake_server.requests if request.method == "POST"]
    assert [body.get("reasoning_effort") for body in sent] == ["low", "high", None]
    assert sent[2]["chat_template_kwargs"] == {"enable_thinking": False, "thinking": False}


def test_the_examples_for_http_clients_run(fake_server, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    fake_text_servers.serve(fake_server, "tgi", ["Par", "is."])
    names = run_page("docs/http-clients.md", fake_server.url)
    for name in ("through_socks", "over_a_unix_socket", "with_http2", "with_a_certificate"):
        names[name].close()
    assert capsys.readouterr().out.replace("GET 200\n", "") == "Paris.\n" * 2 + "POST 200\nParis."
    assert names["first"] == "Paris."
    assert [path.name for path in tmp_path.iterdir()] == ["capital.yaml"]
    client = names["StandardLibraryClient"]()
    for status, kind in ((503, errors.ServerError), (307, errors.ProtocolError)):
        fake_server.on("POST", "/v1/chat/completions", Reply("no", status=status))
        model = EasyLLMChat(base_url=fake_server.url, http_client=client, max_retries=0)
        with pytest.raises(kind) as caught:
            model.invoke("Hi")
        assert caught.value.status_code == status


def test_the_examples_for_faults_run(fake_server, capsys):
    delta = {"choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]}
    fake_text_servers.serve(fake_server, "tgi")
    fake_server.on("POST", "/v1/chat/completions", sse(delta, Cut()))
    run_page("docs/faults.md", fake_server.url)
    assert capsys.readouterr().out == "Hel\ncut off after 'Hel'\n"


OFFLINE = (ROOT / "docs" / "offline.md").read_text(encoding="utf-8")


def test_the_offline_servers_examples_run(tmp_path, capsys):
    program, tests, like_vllm = code_blocks("python", OFFLINE)
    exec(program, {})
    exec(like_vllm, {})
    shown = capsys.readouterr().out
    assert shown == "The capital of France is Paris.\nThe capital of France is \n"
    (tmp_path / "test_my_chain.py").write_text(tests, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=tmp_path, env=where, capture_output=True, text=True, check=False
    )
    assert "4 passed" in result.stdout, result.stdout


def test_the_offline_servers_faults_are_the_codes():
    documented = re.findall(r"^\| `(\w+)` \| `?\"?(\w+)\"?`? \|", OFFLINE, flags=re.MULTILINE)
    defaults = {fault.name: fault.default for fault in dataclasses.fields(Faults)}
    assert [name for name, _ in documented] == [*defaults]
    for name, default in documented:
        assert str(defaults[name]).removesuffix(".0") == default


def test_the_readme_names_every_field():
    from langchain_easyllm import EasyLLM, EasyLLMChat

    inherited = {"name", "cache", "verbose", "callbacks", "tags", "metadata", "profile"}
    inherited |= {"custom_get_token_ids", "disable_streaming", "output_version", "rate_limiter"}
    own = (EasyLLMChat.model_fields.keys() | EasyLLM.model_fields.keys()) - inherited
    assert {name for name in own if f"`{name}`" not in README and name not in README} == set()


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/*.md"), *ROOT.glob("notebooks/*.ipynb")]


@each_case("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_the_map_has_every_folder_with_the_sentence_of_its_package():
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.+) \|$", page, re.MULTILINE))
    package = Path(huggingface.__file__).parents[1]
    sentences = {
        path.parent.name: " ".join(path.read_text("utf-8").split('"""')[1].split("\n\n")[0].split())
        for path in package.glob("*/__init__.py")
    }
    assert rows == sentences
