"""The command: what is printed, what never is, and its other sub-commands."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator

import huggingface_hub
import pytest

from langchain_easyllm.__main__ import COMMANDS, main
from langchain_easyllm.doctor import account, checks
from langchain_easyllm.doctor.display import Display
from langchain_easyllm.doctor.report import CheckResult, works
from langchain_easyllm.errors import AuthenticationError

from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import chat, serve
from .conftest import Doctor

TOKEN = "hf_long_enough_to_hide"
KEY = "sk-only-for-this-server"


@pytest.fixture
def url(fake_server: FakeServer) -> Iterator[str]:
    """A server that answers with what a terminal would act on."""
    serve(fake_server, "vllm")
    nasty = chat(f"한국어 \x1b[2J\x07 {KEY}", server_name="vllm")
    fake_server.on("POST", "/v1/chat/completions", nasty)
    return fake_server.url


def test_the_report_is_plain_text_without_secrets(
    url: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    code, printed = doctor(url, "--only", "plain", "--api-key-env", "MY_KEY")
    assert code == 0
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert KEY not in printed
    assert "MY_KEY (--api-key-env), sent to this server" in printed
    assert "\n1 work; 4 requests in" in printed
    assert KEY not in str(doctor.json(url, "--only", "plain", "--api-key-env", "MY_KEY"))


def test_a_token_of_the_environment_is_named_and_stays_here(
    url: str, fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret_and_long")
    report = doctor.json(url, "--only", "plain")
    assert (report["token_source"], report["token_sent"]) == ("HF_TOKEN", False)
    assert not any("authorization" in request.headers for request in fake_server.requests)


def test_json_has_the_promised_keys(url: str, doctor: Doctor) -> None:
    report = doctor.json(url, "--only", "plain,usage")
    promised = {"server", "version", "model", "protocols", "limits", "token_source", "checks"}
    assert promised <= report.keys()
    for check in report["checks"]:
        assert {"name", "ok", "seconds", "note"} <= check.keys()
    assert [check["name"] for check in report["checks"]] == ["plain", "usage"]


class Terminal(io.TextIOWrapper):
    """A terminal of an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)


def test_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.setenv("TERM", "xterm")
    result = CheckResult("plain", works("한국어 … " + "word " * 30), 0.1)

    def shown(encoding: str) -> str:
        terminal = Terminal(encoding)
        Display(terminal).check(result)
        return terminal.shown()

    monkeypatch.delenv("NO_COLOR", raising=False)
    pytest.importorskip("rich")
    assert "\x1b[" in shown("utf-8")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = shown("utf-8")
    assert "\x1b" not in plain
    assert "한국어 …" in plain
    assert max(map(len, plain.splitlines())) <= 70
    assert shown("ascii").isascii()
    result = CheckResult("plain", works(" " * 99 + "\u202e"), 0.1)
    assert "\u202e" not in shown("utf-8")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setitem(sys.modules, "rich.console", None)  # not installed
    assert "\x1b" not in shown("utf-8")


def test_a_key_of_special_characters_is_hidden_in_what_the_server_quotes(
    url: str, fake_server: FakeServer, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-\"quo\\ted/it's-secret"
    monkeypatch.setenv("MY_KEY", key)
    fake_server.on("POST", "/v1/chat/completions", chat(f"it is {key}", server_name="vllm"))
    fake_server.on("POST", "/v1/completions", Reply({"odd": f"it is {key}"}))
    given = (url, "--only", "plain,prompt", "--api-key-env", "MY_KEY")
    for printed in (doctor(*given)[1], doctor("--json", *given)[1]):
        assert "it is ***" in printed
        assert "-secret" not in printed


def test_a_reader_that_leaves_ends_it_quietly(
    url: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in ([], ["--json"]):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            assert main(["doctor", url, "--only", "plain", *arguments]) == 141
    assert capfd.readouterr().err == ""


def test_ctrl_c_ends_it_cleanly(url: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(checks.CHECKS, "usage", interrupted)
    code, printed = doctor(url, "--only", "plain,usage")
    assert code == 130
    assert "plain" in printed
    assert doctor.errors == "Interrupted.\n"


def test_the_account_of_a_token(fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", fake_server.url)
    monkeypatch.setattr(
        "huggingface_hub.constants.INFERENCE_ENDPOINTS_ENDPOINT", f"{fake_server.url}/v2"
    )
    monkeypatch.setattr(huggingface_hub.HfApi, "__init__", _hub_at(fake_server.url))
    fake_server.on("GET", "/api/whoami-v2", Reply({"name": "ida", "orgs": [{"name": "team"}]}))
    raw = {
        "name": "mine",
        "type": "protected",
        "healthRoute": "/health",
        "model": {"repository": "org/name", "framework": "pytorch", "revision": None,
                  "task": "text-generation"},
        "status": {"state": "running", "url": "https://x.endpoints.huggingface.cloud",
                   "createdAt": "2026-01-01T00:00:00.000Z",
                   "updatedAt": "2026-01-01T00:00:00.000Z"},
    }  # fmt: skip
    fake_server.on("GET", "/v2/endpoint/ida", Reply({"error": "no"}, status=403))
    fake_server.on("GET", "/v2/endpoint/team", Reply({"items": [raw]}))
    found = account.account_of(TOKEN)
    assert found == account.Account("ida", ("team",))
    [endpoint], note = account.endpoints_of(TOKEN, found)
    assert (endpoint.name, endpoint.status, endpoint.model, note) == (
        *("mine", "running", "org/name"),
        "",
    )
    fake_server.on("GET", "/v2/endpoint/team", Reply({"error": "no"}, status=403))
    assert account.endpoints_of(TOKEN, found) == ([], "the token may not list them")
    fake_server.on("GET", "/api/whoami-v2", Reply({"error": "Invalid token"}, status=401))
    with pytest.raises(AuthenticationError, match="refuses the token"):
        account.account_of(TOKEN)


def _hub_at(url: str):
    usual = huggingface_hub.HfApi.__init__

    def init(self, endpoint=None, **more):
        usual(self, endpoint or url, **more)

    return init


def test_sub_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert all(name in capsys.readouterr().out for name in ["doctor"])
    assert main(["docter"]) == 2
    assert "did you mean 'doctor'?" in capsys.readouterr().err
    for name in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0
