"""A process without anybody's token, and the fixtures that run one test in many modes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from ..support.invocation_modes import ALL_MODES, MODES, STREAM_MODES, WHOLE_MODES

VARIABLES = (
    "HUGGINGFACE_TOKEN",
    "HF_TOKEN",
    "HUGGINGFACEHUB_API_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HUGGINGFACE_API_BASE",
    "HF_INFERENCE_ENDPOINT",
    "HUGGINGFACE_PROMPT",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
)


@pytest.fixture(scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty home for every test: one of its own for each would cost some milliseconds."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, nobodys_home: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(nobodys_home / "no-login"))
    monkeypatch.setenv("HOME", str(nobodys_home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    logging.getLogger("langchain_easyllm").setLevel(logging.WARNING)


@pytest.fixture(params=ALL_MODES)
def any_mode(request: pytest.FixtureRequest) -> str:
    """Each invocation mode, those of batches too."""
    return str(request.param)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Each invocation mode that has code of its own."""
    return str(request.param)


@pytest.fixture(params=WHOLE_MODES)
def whole_mode(request: pytest.FixtureRequest) -> str:
    """Each invocation mode that gives a whole answer."""
    return str(request.param)


@pytest.fixture(params=STREAM_MODES)
def stream_mode(request: pytest.FixtureRequest) -> str:
    """Each invocation mode that streams."""
    return str(request.param)
