"""The offline server's answers beside those of the real servers that the cassettes hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from vcr.serializers import yamlserializer

from langchain_easyllm.offline import OfflineServer, offline_server

from ...support.recorded_conversations import EVERY_CONVERSATION, Target
from ...support.wire_shapes import chunks_of, paths_of

CASSETTES = Path(__file__).parents[2] / "cassettes"
RECORDED = {"vllm": "vllm", "llama.cpp": "llama-server"}
MODEL = "langchain-easyllm/offline"
# Calls with texts of the question in their arguments, which the bundled model cannot copy.
BEYOND_ITS_MODEL = "called"
# What the double leaves out of what it tells of itself, and nothing reads.
UNREAD = {
    "vllm": ("data[].permission[].",),
    "llama.cpp": (
        *("models[].", "data[].meta.", "default_generation_settings.params."),
        *("cors_proxy_enabled", "is_sleeping", "media_marker", "model_ftype", "ui"),
    ),
}


@pytest.fixture(scope="module")
def doubles() -> Iterator[dict[str, OfflineServer]]:
    with offline_server(like="vllm") as vllm, offline_server(like="llama.cpp") as llama_cpp:
        yield {"vllm": vllm, "llama.cpp": llama_cpp}


def interactions(like: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The requests that were recorded, each once, and their answers."""
    seen = set()
    for path in sorted((CASSETTES / RECORDED[like]).glob("*.yaml")):
        for one in yamlserializer.deserialize(path.read_text("utf-8"))["interactions"]:
            request, response = one["request"], one["response"]
            key = request["method"], request["uri"], request["body"]
            unanswerable = path.stem == BEYOND_ITS_MODEL and request["method"] == "POST"
            if key not in seen and not unanswerable:
                seen.add(key)
                yield request, response


def repeated(server: OfflineServer, request: dict[str, Any]) -> httpx.Response:
    """Ask the double what the real server was asked, of its own model."""
    path = httpx.URL(request["uri"]).path
    body = json.loads(request["body"]) if request["body"] else None
    if body and body.get("model") == "smollm2-135m-instruct":
        body["model"] = MODEL
    return httpx.request(
        request["method"], server.base_url + path, json=body, timeout=60, verify=False
    )


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_request_gets_an_answer_of_the_same_shape(
    doubles: dict[str, OfflineServer], name: str
) -> None:
    server = doubles[name]
    real_shapes: dict[str, set[frozenset[str]]] = {}
    double_shapes: dict[str, set[frozenset[str]]] = {}
    for request, real in interactions(name):
        double = repeated(server, request)
        about = f"{request['uri']} {request['body']}: {double.text[:300]}"
        assert double.status_code == real["status"]["code"], about
        assert [double.headers["content-type"]] == real["headers"]["content-type"], about
        said = real["body"]["string"]
        if "event-stream" in double.headers["content-type"]:
            ours, theirs = chunks_of(double), chunks_of(said)
            assert (ours[0], ours[-1]) == (theirs[0], theirs[-1]), about
            real_shapes.setdefault(request["uri"], set()).update(theirs)
            double_shapes.setdefault(request["uri"], set()).update(ours)
            continue
        more = paths_of(json.loads(said)) - paths_of(double.json())
        assert {path for path in more if not path.startswith(UNREAD[name])} == set(), about
        assert paths_of(double.json()) <= paths_of(json.loads(said)), about
    assert (
        real_shapes.keys()
        == double_shapes.keys()
        == {f"http://recorded/v1/{route}" for route in ("chat/completions", "completions")}
    )
    for route, shapes in double_shapes.items():
        assert shapes <= real_shapes[route]


@pytest.mark.parametrize(
    ("name", "conversation"),
    [
        (name, path.stem)
        for name, folder in RECORDED.items()
        for path in sorted((CASSETTES / folder).glob("*.yaml"))
        if path.stem != BEYOND_ITS_MODEL
    ],
)
def test_what_is_true_of_the_real_servers_answers_is_true_of_the_doubles(
    doubles: dict[str, OfflineServer], name: str, conversation: str
) -> None:
    client = httpx.Client(verify=False)
    with Target(doubles[name].base_url, client=client) as target:
        EVERY_CONVERSATION[conversation](target)
