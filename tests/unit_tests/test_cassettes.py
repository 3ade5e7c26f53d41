"""Recorded conversations with real servers, had again; and that no secret is kept of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from langchain_easyllm import EasyLLMChat

from ..support.fake_server import FakeServer, Received, Reply
from ..support.fake_text_servers import chat_stream, serve
from ..support.recorded_conversations import CONVERSATIONS, Target
from ..support.recording import HEADERS, SECRETS, Player, Recorder

CASSETTES = Path(__file__).parents[1] / "cassettes"
RECORDED = sorted(CASSETTES.glob("*/*.yaml"))
TOKEN = "hf_" + "Fake0Token1" * 3
EVERY = pytest.mark.parametrize(
    "path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}"
)


@EVERY
def test_a_recorded_conversation_goes_as_it_went(path: Path) -> None:
    with Player(path) as player:
        CONVERSATIONS[path.stem](Target(player.url, player.model))
    assert player.missing == []


def test_there_is_a_recording_of_every_conversation_with_transformers_serve() -> None:
    assert {path.stem for path in (CASSETTES / "transformers").glob("*.yaml")} == {*CONVERSATIONS}


def secrets_in(path: Path) -> list[str]:
    """What of a cassette nobody should see: tokens, and headers that might hold one."""
    text = path.read_text(encoding="utf-8")
    recorded = yaml.safe_load(text)["interactions"]
    headers = {
        name for one in recorded for side in one.values() for name in side.get("headers") or {}
    }
    return [*SECRETS.findall(text), *sorted({name.lower() for name in headers} - {*HEADERS})]


@EVERY
def test_no_cassette_holds_a_secret(path: Path) -> None:
    assert secrets_in(path) == []
    assert not re.search(r"(?<![\w.:/-])/(?:root|tmp|Users|home)/", path.read_text("utf-8"))


def test_a_secret_in_a_cassette_is_found(tmp_path: Path) -> None:
    path = tmp_path / "leak.yaml"
    headers = {"Authorization": [f"Bearer {TOKEN}"], "Set-Cookie": ["a=b"], "accept": ["*/*"]}
    said = {"request": {"headers": headers, "body": None}, "response": {"headers": {}}}
    path.write_text(yaml.safe_dump({"interactions": [said]}))
    assert secrets_in(path) == ["Bearer h", "authorization", "set-cookie"]
    path.write_text(yaml.safe_dump({"interactions": [], "left": TOKEN}))
    assert secrets_in(path) == [TOKEN]


def leaky(request: Received) -> Reply:
    """An answer of a server that tells everything it knows."""
    said = request.headers.get("authorization", "nobody")
    headers = {
        "set-cookie": f"session={TOKEN}",
        "x-request-id": "Root=1-2-3",
        "x-echo": said,
        "retry-after": "3",
    }
    choice = {"index": 0, "message": {"role": "assistant", "content": f"You are {said}."}}
    answer = {"id": "chatcmpl-42-secret", "model": "org/model-1", "choices": [choice]}
    return Reply(answer, headers=headers)


def test_a_recording_is_scrubbed_and_plays_as_it_was(
    fake_server: FakeServer, tmp_path: Path
) -> None:
    serve(fake_server, "openai", model="org/model-1")
    fake_server.on("POST", "/v1/chat/completions", leaky)
    path = tmp_path / "deep" / "cassette.yaml"
    with Recorder(fake_server.url + "/", {"my cat": "a pet"}) as recorder:
        llm = EasyLLMChat(base_url=recorder.url, api_key=TOKEN, default_headers={"cookie": "c=d"})
        assert TOKEN in llm.invoke("I am my cat.").text
        recorder.save(path)
    assert fake_server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert secrets_in(path) == []
    text = path.read_text(encoding="utf-8")
    kept = ("session", "Root=1-2-3", "42-secret", TOKEN, "cookie", "my cat", fake_server.url[7:])
    assert [secret for secret in kept if secret in text] == []
    assert "org/model-1" in text
    with Player(path) as player:
        llm = EasyLLMChat(base_url=player.url)
        assert llm.invoke("I am a pet.").text == "You are TOKEN."


def test_a_stream_and_a_failure_are_recorded_too(fake_server: FakeServer, tmp_path: Path) -> None:
    serve(fake_server, "openai")
    busy = Reply({"error": "busy"}, status=503, headers={"retry-after": "0"})
    fake_server.on("POST", "/v1/chat/completions", busy, chat_stream(["Hel", "lo"]))
    path = tmp_path / "cassette.yaml"
    with Recorder(fake_server.url) as recorder:
        assert "".join(c.text for c in EasyLLMChat(base_url=recorder.url).stream("Hi")) == "Hello"
        recorder.save(path)
    for _ in range(2):
        with Player(path) as player:
            chunks = [c.text for c in EasyLLMChat(base_url=player.url).stream("Hi")]
        assert [chunk for chunk in chunks if chunk] == ["Hel", "lo"]
        assert [r.path for r in player.requests].count("/v1/chat/completions") == 2


def test_what_was_not_recorded_is_said(fake_server: FakeServer, tmp_path: Path) -> None:
    serve(fake_server, "openai")
    path = tmp_path / "cassette.yaml"
    with Recorder(fake_server.url) as recorder:
        EasyLLMChat(base_url=recorder.url).invoke("Hi")
        recorder.save(path)
    with Player(path) as player:
        llm = EasyLLMChat(base_url=player.url, max_retries=0)
        with pytest.raises(Exception, match="not recorded"):
            llm.invoke("Something else")
    assert "Something else" in player.missing[0]
