"""A process without anybody's token, and the fixtures that run one test in many modes."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from langchain_easyllm._http.auth import TOKEN_VARIABLES
from langchain_easyllm._http.tls import CA_VARIABLES

from ..support.invocation_modes import ALL_MODES, MODES, STREAM_MODES, WHOLE_MODES

VARIABLES = (
    *TOKEN_VARIABLES,
    *CA_VARIABLES,
    "HUGGINGFACE_API_BASE",
    "HF_INFERENCE_ENDPOINT",
    "HUGGINGFACE_PROMPT",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)


@pytest.fixture(scope="session", autouse=True)
def no_credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home and no settings of the machine's, once for all tests: a test undoes its own."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setenv("HF_TOKEN_PATH", str(home / "no-login"))
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        logging.getLogger("langchain_easyllm").setLevel(logging.WARNING)
        yield


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
