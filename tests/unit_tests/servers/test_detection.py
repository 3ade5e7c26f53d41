"""Which server is it? Its detection, request by request, with every answer they may get."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from langchain_easyllm._servers.detection import UNKNOWN, detect_server
from langchain_easyllm._servers.infinity import INFINITY
from langchain_easyllm._servers.litellm import LITELLM
from langchain_easyllm._servers.ollama import OLLAMA
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import ServerInfo
from langchain_easyllm._servers.tgi import TGI, TGI_2
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm._servers.urls import parse_server_url
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_errors import error
from ...support.fake_server import Reply
from ...support.fake_text_servers import detection_replies, info_tei, info_tgi, models
from ...support.text_servers import TEXT_SERVERS

NOT_FOUND = error("fastapi-not-found")
HTML = Reply(b"<html><body>Welcome</body></html>")
Seen = tuple[int, bytes] | None


def seen(reply: Reply | None) -> Seen:
    if reply is None:
        return None
    [body] = reply.payload()
    assert isinstance(body, bytes)
    return reply.status, body


def detect(
    replies: Mapping[str, Reply | None], url: str = "http://localhost:8080"
) -> tuple[ServerInfo, list[str]]:
    """Run the detection; returns what it found and the routes that it asked for."""
    asked: list[str] = []
    steps = detect_server(parse_server_url(url))
    route = next(steps)
    try:
        while True:
            asked.append(route)
            assert len(asked) <= 3
            route = steps.send(seen(replies.get(route, NOT_FOUND)))
    except StopIteration as end:
        return end.value, asked


def found(
    info: Reply | None, listing: Reply | None = None, routes: Reply | None = None
) -> ServerInfo:
    return detect({"/info": info, "/v1/models": listing, "/openapi.json": routes})[0]


@pytest.mark.parametrize("name", [name for name in TEXT_SERVERS if name != "router"])
def test_the_servers(name: str) -> None:
    row = TEXT_SERVERS[name]
    info, listing = detection_replies(name, "some/model")
    own = {row.own[0]: Reply(row.own[1])} if row.own else {}
    server, asked = detect({"/info": info, "/v1/models": listing, **own})
    assert server.profile is row.profile
    assert server.known
    named = row.listed is not None and row.profile.lists_served_models
    assert server.model == ("some/model" if named else None)
    # A third route is tried only where the first two leave it open.
    assert len(asked) == (1 if name == "tgi" else 3 if own or name == "openai" else 2)


def test_ollama_lists_models_of_its_users_too() -> None:
    entries = [{"id": "mine", "owned_by": "ida"}, {"id": "llama3.2:3b", "owned_by": "library"}]
    replies = {"/info": error("go-not-found"), "/v1/models": Reply({"data": entries})}
    server, asked = detect({**replies, "/": Reply(b"Ollama is running")})
    assert server == ServerInfo(OLLAMA, models=("mine", "llama3.2:3b"))
    assert asked == ["/info", "/v1/models", "/"]
    with pytest.raises(ConfigurationError, match="set model to one of mine, llama3"):
        server.model_for(None)


@pytest.mark.parametrize("entries", [None, [], [{"id": "ida/mine", "owned_by": "ida"}]])
def test_ollama_is_known_without_a_model_of_its_own(entries: object) -> None:
    replies = {"/info": error("go-not-found"), "/v1/models": Reply({"data": entries})}
    assert detect({**replies, "/": Reply(b"Ollama is running")})[0].profile is OLLAMA
    assert detect({**replies, "/": HTML})[0].profile is OPENAI_COMPATIBLE


@pytest.mark.parametrize("owner", ["me", "vllm", "sglang", "llamacpp"])
def test_users_of_ollama_may_have_the_names_of_servers(owner: str) -> None:
    entries = [{"id": f"{owner}/{name}", "owned_by": owner} for name in "ab"]
    replies = {"/info": error("go-not-found"), "/v1/models": Reply({"data": entries})}
    server, _ = detect({**replies, "/": Reply(b"Ollama is running")})
    assert (server.profile, server.model) == (OLLAMA, None)
    # A proxy in front of that server has the same words.
    assert detect({**replies, "/": HTML})[0] == detect({**replies, "/info": NOT_FOUND})[0]


@pytest.mark.parametrize("owners", ["vllm openai", "vllm sglang", "library openai", "vllm"])
def test_a_gateway_is_none_of_the_servers_behind_it(owners: str) -> None:
    entries = [{"id": owner, "owned_by": owner} for owner in owners.split()]
    listing = Reply({"data": [*entries, {"id": "unowned"}]})
    server = found(NOT_FOUND, listing)
    assert server.profile is OPENAI_COMPATIBLE
    assert server.models == (*owners.split(), "unowned")


LITELLM_LIST = models("one", "two", created=1677610602)


@pytest.mark.parametrize("other", [None, NOT_FOUND, HTML, Reply("OK")])
def test_what_looks_like_litellm_need_not_be_it(other: Reply | None) -> None:
    replies = {"/info": NOT_FOUND, "/v1/models": LITELLM_LIST, "/health/liveliness": other}
    assert detect(replies)[0] == ServerInfo(OPENAI_COMPATIBLE, models=("one", "two"))


def test_litellm_has_several_models() -> None:
    alive = Reply("I'm alive!")
    replies = {"/info": NOT_FOUND, "/v1/models": LITELLM_LIST, "/health/liveliness": alive}
    server, asked = detect(replies)
    assert server == ServerInfo(LITELLM, models=("one", "two"))
    assert asked == [*replies]


def test_openais_own_list_is_not_litellms() -> None:
    entries = [{"id": "gpt-3.5-turbo", "created": 1677610602}, {"id": "gpt-4o", "created": 1715}]
    _, asked = detect({"/info": NOT_FOUND, "/v1/models": Reply({"data": entries})})
    assert "/health/liveliness" not in asked


@pytest.mark.parametrize("info", [NOT_FOUND, HTML, Reply({"error": "Unexpected endpoint"})])
def test_routes_without_v1(info: Reply) -> None:
    listing = models("tiny", owned_by="infinity")
    replies = {"/info": info, "/v1/models": NOT_FOUND, "/models": listing}
    server, asked = detect(replies)
    assert server == ServerInfo(INFINITY, model="tiny", models=("tiny",), adds_v1=False)
    assert asked == ["/info", "/v1/models", "/models"]
    prefixed, asked = detect({"/info": info, "/v1/models": listing})  # --url-prefix /v1
    assert prefixed == replace(server, adds_v1=True)
    assert asked == ["/info", "/v1/models"]


@pytest.mark.parametrize("other", [None, NOT_FOUND, HTML, Reply({"data": []}), Reply([])])
def test_no_list_anywhere_says_nothing(other: Reply | None) -> None:
    replies = {"/info": NOT_FOUND, "/v1/models": NOT_FOUND, "/models": other}
    assert detect(replies)[0] == UNKNOWN


@pytest.mark.parametrize("owned_by", ["vllm", "somebody"])
def test_a_version_path_is_asked_for_its_models_alone(owned_by: str) -> None:
    listing = models("tiny", owned_by=owned_by, created=1677610602)
    server, asked = detect({"/v1/models": listing}, "https://example.org/api/v3")
    assert server.profile is (VLLM if owned_by == "vllm" else OPENAI_COMPATIBLE)
    assert (server.model, server.adds_v1) == ("tiny", True)
    assert asked == ["/v1/models"]
    for failure in (None, NOT_FOUND):
        assert detect({"/v1/models": failure}, "https://example.org/api/v3")[0] == UNKNOWN


@pytest.mark.parametrize(
    "info",
    [
        {"model_type": "qwen2", "version": "1"},
        {"model_type": {}, "name": "tiny"},
        {"model_id": "tiny"},
        {"max_total_tokens": 9},
        {"router": "another"},
    ],
    ids=str,
)
def test_somebody_elses_info_says_nothing(info: dict[str, object]) -> None:
    server = found(Reply(info), models("tiny", owned_by="vllm"))
    assert server.profile is VLLM
    assert server.tei is None


def test_the_limits_of_tgi() -> None:
    server, asked = detect({"/info": info_tgi(model_id="some/model", max_stop_sequences=7)})
    assert asked == ["/info"]
    assert server == ServerInfo(
        TGI,
        model="some/model",
        max_stops=7,
        max_total_tokens=2048,
        max_input_tokens=1024,
        max_batch=4,
    )


def test_an_old_tgi_does_not_name_its_router() -> None:
    old = {"model_id": "some/model", "max_total_tokens": 2048, "version": "0.9.4"}
    server, asked = detect({"/info": Reply(old)})
    assert asked == ["/info"]
    assert server == ServerInfo(TGI_2, model="some/model", max_total_tokens=2048)


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
    limits = dict.fromkeys(("max_stop_sequences", "max_total_tokens", "max_input_tokens"), odd)
    server = found(info_tgi(**limits, model_id=3))
    assert server == ServerInfo(TGI, max_batch=4)
    listing = Reply({"data": [{"id": "a", "owned_by": "vllm", "max_model_len": odd}]})
    server = found(NOT_FOUND, listing)
    assert (server.max_total_tokens, server.input_limit("a")) == (None, None)
