"""Recorded conversations with real servers, had again; and that no secret is kept of them."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
import yaml
from vcr.cassette import Cassette
from vcr.errors import CannotOverwriteExistingCassetteException

from langchain_easyllm import EasyLLMChat

from ..support.fake_server import FakeServer, Received, Reply
from ..support.fake_text_servers import chat_stream, serve
from ..support.recorded_conversations import CONVERSATIONS, EVERY_CONVERSATION, Target
from ..support.recording import ORIGIN, cassettes, model_in, secrets_in

CASSETTES = Path(__file__).parents[1] / "cassettes"
RECORDED = sorted(CASSETTES.glob("*/*.yaml"))
CONVERSED = [path for path in RECORDED if path.stem in EVERY_CONVERSATION]
TOKEN = "hf_" + "Fake0Token1" * 3


def each(paths: list[Path]) -> pytest.MarkDecorator:
    """Parametrize a test by cassettes."""
    return pytest.mark.parametrize(
        "path", paths, ids=lambda path: f"{path.parent.name}-{path.stem}"
    )


def played(path: Path) -> Cassette:
    """Open a cassette of which nothing may be missing."""
    return cassettes().use_cassette(str(path), record_mode="none")


@each(CONVERSED)
def test_a_recorded_conversation_goes_as_it_went(path: Path) -> None:
    with played(path) as cassette, Target(ORIGIN, model_in(path)) as target:
        EVERY_CONVERSATION[path.stem](target)
    assert cassette.all_played


def test_there_is_a_recording_of_every_conversation_with_transformers_serve() -> None:
    assert {path.stem for path in (CASSETTES / "transformers").glob("*.yaml")} == {*CONVERSATIONS}


@each(RECORDED)
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
    hidden = cassettes({"my cat": "a pet"})
    with hidden.use_cassette(str(path), record_mode="all"), httpx.Client(verify=False) as client:
        llm = EasyLLMChat(
            base_url=fake_server.url,
            api_key=TOKEN,
            default_headers={"cookie": "c=d"},
            http_client=client,
        )
        assert TOKEN in llm.invoke("I am my cat.").text
    assert fake_server.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert secrets_in(path) == []
    text = path.read_text(encoding="utf-8")
    kept = ("session", "Root=1-2-3", "42-secret", TOKEN, "cookie", "my cat", fake_server.url[7:])
    assert [secret for secret in kept if secret in text] == []
    assert "org/model-1" in text
    with played(path), httpx.Client(verify=False) as client:
        llm = EasyLLMChat(base_url=ORIGIN, http_client=client)
        assert llm.invoke("I am a pet.").text == "You are TOKEN."


def test_a_stream_and_a_failure_are_recorded_too(fake_server: FakeServer, tmp_path: Path) -> None:
    serve(fake_server, "openai")
    busy = Reply({"error": "busy"}, status=503, headers={"retry-after": "0"})
    fake_server.on("POST", "/v1/chat/completions", busy, chat_stream(["Hel", "lo"]))
    path = tmp_path / "cassette.yaml"

    def stream(url: str) -> list[str]:
        with httpx.Client(verify=False) as client:
            llm = EasyLLMChat(base_url=url, http_client=client)
            return [chunk.text for chunk in llm.stream("Hi") if chunk.text]

    with cassettes().use_cassette(str(path), record_mode="all"):
        assert stream(fake_server.url) == ["Hel", "lo"]
    seen = len(fake_server.requests)
    for _ in range(2):
        with played(path) as cassette:
            assert stream(ORIGIN) == ["Hel", "lo"]
        assert [r.path for r in cassette.requests].count("/v1/chat/completions") == 2
        assert cassette.all_played
    assert len(fake_server.requests) == seen


def test_what_was_not_recorded_is_said(fake_server: FakeServer, tmp_path: Path) -> None:
    serve(fake_server, "openai")
    path = tmp_path / "cassette.yaml"
    with (
        cassettes().use_cassette(str(path), record_mode="all"),
        httpx.Client(verify=False) as client,
    ):
        EasyLLMChat(base_url=fake_server.url, http_client=client).invoke("Hi")
    with played(path), httpx.Client(verify=False) as client:
        llm = EasyLLMChat(base_url=ORIGIN, http_client=client)
        with pytest.raises(CannotOverwriteExistingCassetteException):
            llm.invoke("Something else")
