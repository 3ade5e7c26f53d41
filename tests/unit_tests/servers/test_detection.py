"""Which server is it? Its detection, request by request, with every answer they may get."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from langchain_easyllm._servers.detection import UNKNOWN, detect_server
from langchain_easyllm._servers.ollama import OLLAMA
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import ServerInfo
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_errors import error
from ...support.fake_server import Reply
from ...support.fake_text_servers import detection_replies, info_tei, info_tgi, models
from ...support.text_servers import TEXT_SERVERS

Seen = tuple[int, bytes] | None


def seen(reply: Reply | None) -> Seen:
    if reply is None:
        return None
    [body] = reply.payload()
    assert isinstance(body, bytes)
    return reply.status, body


def detect(replies: Mapping[str, Reply | None]) -> tuple[ServerInfo, list[str]]:
    """Run the detection; returns what it found and the routes that it asked for."""
    asked: list[str] = []
    steps = detect_server()
    route = next(steps)
    try:
        while True:
            asked.append(route)
            route = steps.send(seen(replies[route]))
    except StopIteration as end:
        return end.value, asked


def found(
    info: Reply | None, listing: Reply | None = None, routes: Reply | None = None
) -> ServerInfo:
    return detect({"/info": info, "/v1/models": listing, "/openapi.json": routes})[0]


NOT_FOUND = error("fastapi-not-found")
HTML = Reply(b"<html><body>Welcome</body></html>")


@pytest.mark.parametrize("name", [name for name in TEXT_SERVERS if name != "router"])
def test_the_servers(name: str) -> None:
    server = found(*detection_replies(name, "some/model"), NOT_FOUND)
    row = TEXT_SERVERS[name]
    assert server.profile is row.profile
    assert server.known
    assert server.model == (None if row.listed is None else "some/model")


def test_ollama_lists_models_of_its_users_too() -> None:
    entries = [{"id": "mine", "owned_by": "ida"}, {"id": "llama3.2:3b", "owned_by": "library"}]
    server = found(error("go-not-found"), Reply({"object": "list", "data": entries}))
    assert server == ServerInfo(OLLAMA, models=("mine", "llama3.2:3b"))
    with pytest.raises(ConfigurationError, match="set model to one of mine, llama3"):
        server.model_for(None)


def test_the_limits_of_tgi() -> None:
    server, asked = detect({"/info": info_tgi(model_id="some/model", max_stop_sequences=7)})
    assert asked == ["/info"]
    assert server == ServerInfo(
        TGI, model="some/model", max_stops=7, max_total_tokens=2048, max_batch=4
    )


def test_an_old_tgi_does_not_name_its_router() -> None:
    old = {"model_id": "some/model", "max_total_tokens": 2048, "version": "0.9.4"}
    server, asked = detect({"/info": Reply(old)})
    assert asked == ["/info"]
    assert server == ServerInfo(TGI, model="some/model", max_total_tokens=2048)


def test_tei() -> None:
    server = found(info_tei(model_id="some/model"))
    assert server.profile is OPENAI_COMPATIBLE
    assert (server.model, server.max_total_tokens, server.max_batch) == ("some/model", 512, 32)


def test_the_context_length_of_vllm() -> None:
    listing = models("base", "adapter", owned_by="vllm", max_model_len=4096)
    server = found(NOT_FOUND, listing)
    assert (server.model, server.models) == ("base", ("base", "adapter"))
    assert server.max_total_tokens == 4096


def test_several_models_of_nobody_known() -> None:
    server = found(NOT_FOUND, models("one", "two"), NOT_FOUND)
    assert (server.model, server.models) == (None, ("one", "two"))


@pytest.mark.parametrize("listing", [Reply({"object": "list", "data": []}), models("cached")])
def test_transformers_is_known_by_its_routes(listing: Reply) -> None:
    routes = Reply({"paths": {"/v1/chat/completions": {}, "/load_model": {}, "/reset": {}}})
    replies = {"/info": NOT_FOUND, "/v1/models": listing, "/openapi.json": routes}
    server, asked = detect(replies)
    assert server == ServerInfo(TRANSFORMERS_SERVE)
    assert asked == ["/info", "/v1/models", "/openapi.json"]


@pytest.mark.parametrize("routes", [None, HTML, NOT_FOUND, Reply({"paths": {"/v1/models": {}}})])
def test_other_routes_are_another_server(routes: Reply | None) -> None:
    assert found(NOT_FOUND, models("tiny"), routes).profile is OPENAI_COMPATIBLE


def test_a_server_out_of_reach_is_not_asked_twice() -> None:
    assert detect({"/info": None}) == (UNKNOWN, ["/info"])
    first_only = detect({"/info": NOT_FOUND, "/v1/models": None})
    assert first_only == (UNKNOWN, ["/info", "/v1/models"])


NO_JSON = [
    HTML,
    Reply(b""),
    Reply(b"\xff"),
    Reply(None),
    Reply("text"),
    Reply({"detail": "Unauthorized"}, status=401),
    Reply(b"Bad Gateway", status=502),
]
NO_LIST = [
    Reply([]),
    Reply(3),
    Reply({}),
    Reply({"data": None}),
    Reply({"data": {"id": "a"}}),
    Reply({"data": []}),
    Reply({"data": [None, 3]}),
    Reply({"data": [{}]}),
    Reply({"data": [{"id": None, "owned_by": None, "max_model_len": "many"}]}),
]


@pytest.mark.parametrize("info", NO_JSON + NO_LIST)
def test_odd_answers_are_an_openai_style_server(info: Reply) -> None:
    for listing in NO_JSON:
        assert found(info, listing) == UNKNOWN
    for listing in NO_LIST:
        assert found(info, listing) == ServerInfo(OPENAI_COMPATIBLE)


@pytest.mark.parametrize("odd", [True, "4", None, [4], 4.5])
def test_odd_limits_are_no_limits(odd: object) -> None:
    server = found(info_tgi(max_stop_sequences=odd, max_total_tokens=odd, model_id=3))
    assert server == ServerInfo(TGI, max_batch=4)
    listing = Reply({"data": [{"id": "a", "owned_by": "vllm", "max_model_len": odd}]})
    assert found(NOT_FOUND, listing).max_total_tokens is None
