"""The doctor on real servers: what works there, beside what their profiles claim."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from langchain_easyllm.__main__ import main

DROPS_TOOLS = "transformers-serve", "vllm", "litellm"

Examine = Callable[..., dict[str, Any]]


@pytest.fixture
def examine(capsys, monkeypatch) -> Examine:
    """The command's report on a server, as JSON."""

    def report(served, *arguments: str) -> dict[str, Any]:
        given = ["doctor", served.base_url, "--json", "--timeout", "120", *arguments]
        if key := served.place.get("api_key"):
            monkeypatch.setenv("THE_KEY", key)
            given += ["--api-key-env", "THE_KEY"]
        if model := served.place.get("model"):
            given += ["--model", model]
        code = main(given)
        found = json.loads(capsys.readouterr().out)
        assert found["exit_code"] == code
        return found

    return report


def states(report: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in report["checks"]}


def failures(report: dict[str, Any]) -> dict[str, str]:
    """Return what does not work, and why."""
    assert report["obstacle"] is None
    found = {check["name"]: check["note"] for check in report["checks"] if check["ok"] is False}
    assert report["exit_code"] == bool(found)
    return found


def test_all_that_a_generator_claims_works(server, examine):
    report = examine(server, "--max-concurrency", "16")
    assert (report["server"], report["obstacle"]) == (server.profile, None)
    failed = failures(report)
    # They take tools for a model whose template has none, and say nothing.
    assert failed.keys() == ({"tools-auto"} if server.name in DROPS_TOOLS else set())
    found = states(report)
    always = ["plain", "prompt", "stream", "first-token", "stop", "many-stops", "usage"]
    assert {found[name] for name in [*always, "stream-usage", "concurrency"]} == {"works"}
    has = {"tokenize": "tokenize", "schema": "constraints", "regex": "regex"}
    for check, needed in has.items():
        assert (found[check] == "works") == (needed in server.has), check
    if "tools" in server.has:
        assert found["tools-required"] == found["tools-named"] == "works"
    if "busy" in server.has:
        [closed] = [one for one in report["checks"] if one["name"] == "cancellation"]
        assert "the server is free" in closed["note"]
    assert found["embeddings"] == found["rerank"] == "not offered"
    if server.profile in ("llama.cpp", "vllm"):
        assert report["version"]
        assert report["limits"]["context_length"]


def test_a_server_of_embeddings(embedder, examine):
    report = examine(embedder)
    assert failures(report) == {}
    found = states(report)
    assert found["embeddings"] == "works"
    assert found["plain"] == "not offered"


def test_a_server_that_reranks(reranker, examine):
    report = examine(reranker)
    assert failures(report) == {}
    found = states(report)
    assert found["rerank"] == "works"
    assert found["plain"] == "not offered"


def test_a_wrong_key_is_said_in_one_line(server, examine, monkeypatch):
    server.needs("key")
    server.known_fault("without a database, it answers 400 or 500 to a wrong key", "litellm")
    server.place = {**server.place, "api_key": "sk-wrong-and-long"}
    report = examine(server)
    assert report["exit_code"] == 2
    assert "refuses the key (401" in report["obstacle"]
