"""langchain-tests' integration suite for the chat model, whole.

The offline server answers it. Tests of images, sounds, files and other models' names, which want
nothing of the answer, are answered by a server that accepts them all.
`tests/integration_tests/servers` runs the suite on real servers.

The suite's own test with vcrpy replays a cassette, too, and records it where there is none.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from vcr.cassette import Cassette

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer

from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.recording import cassettes

CASSETTES = Path(__file__).parents[2] / "cassettes"
OTHER_MODEL = "org/other"
MEDIA = {
    "test_anthropic_inputs": b"\x89PNG\r\n\x1a\n, small",
    "test_audio_inputs": b"RIFF\x00\x00\x00\x00WAVE, short",
    "test_image_inputs": b"\x89PNG\r\n\x1a\n, small",
    "test_image_tool_message": b"\x89PNG\r\n\x1a\n, small",
    "test_pdf_inputs": b"%PDF-1.4, one page",
    "test_pdf_tool_message": b"%PDF-1.4, one page",
}
"""What each test finds at its address."""

pytestmark = pytest.mark.filterwarnings("ignore:The function `loads?` is in beta")

CASSETTE = CASSETTES / "langchain-tests" / "TestStandard.test_stream_time.yaml"


@pytest.fixture
def vcr() -> Iterator[Cassette]:
    """Its cassette, as pytest-recording would give it."""
    with cassettes().use_cassette(str(CASSETTE), allow_playback_repeats=True) as cassette:
        yield cassette


class TestStandard(ChatModelIntegrationTests):
    """The suite."""

    @pytest.fixture(autouse=True)
    def _served(
        self,
        offline_server: OfflineServer,
        fake_server: FakeServer,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[None]:
        name = request.node.originalname
        self.fields: dict[str, Any] = {
            "base_url": offline_server.base_url,
            "temperature": 0,
            "frequency_penalty": 1,
            "max_tokens": 300,
        }
        if name in MEDIA:
            yield from self._shown(MEDIA[name], fake_server, monkeypatch)
        elif name.endswith("_with_model_override"):
            yield from self._answered_by_another_model(fake_server)
        elif request.node.get_closest_marker("vcr") is not None:
            with httpx.Client() as client:  # where vcrpy sees the requests
                self.fields["http_client"] = client
                yield
        else:
            yield

    def _shown(
        self, content: bytes, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        """Give a test what it wants from the web, and check that the server gets it."""
        monkeypatch.setattr(httpx, "get", lambda *_, **__: httpx.Response(200, content=content))
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "none: nothing is fetched")
        serve(server, "vllm")
        self.fields = {"base_url": server.url}
        yield
        encoded = base64.b64encode(content).decode()
        assert any(encoded in str(one.json) for one in server.requests if one.method == "POST")

    def _answered_by_another_model(self, server: FakeServer) -> Iterator[None]:
        serve(server, "openai", model=OTHER_MODEL)
        self.fields = {"base_url": server.url, "model": "org/name"}
        yield
        assert [one.json["model"] for one in server.requests if one.method == "POST"] == [
            OTHER_MODEL
        ]

    @property
    def chat_model_class(self) -> type[EasyLLMChat]:
        return EasyLLMChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self.fields

    @property
    def enable_vcr_tests(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return OTHER_MODEL

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_pdf_tool_message(self) -> bool:
        return True
