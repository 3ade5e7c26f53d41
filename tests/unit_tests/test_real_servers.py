"""How the tests treat real servers: what is left out says why, and what dies fails one test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ..integration_tests.servers.conftest import Stage, served
from ..support.real_servers import build_llama_server, install_vllm
from ..support.real_servers.kept import llama_server, pinned
from ..support.real_servers.programs import (
    MODELS,
    PROGRAMS,
    Program,
    environment_left_out,
    llama_server_left_out,
)
from ..support.real_servers.server_process import free_port, running

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"up": true}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_a_server_that_cannot_be_built_is_left_out_with_the_reason(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "has not built it" in str(llama_server_left_out())
    monkeypatch.setenv(MODELS, sys.executable)

    def fail(*_: object) -> None:
        raise RuntimeError("No CMAKE_CXX_COMPILER could be found.")

    monkeypatch.setattr(build_llama_server, "build", fail)
    build_llama_server.main()
    assert "No CMAKE_CXX_COMPILER could be found." in str(llama_server_left_out())
    assert "its tests are left out" in capsys.readouterr().out
    assert [path.name for path in (cache / "langchain-easyllm").iterdir()] == [
        f"llama-server-{pinned('llama-cpp-python')}.left-out"
    ]
    # Once it can, the reason is gone.
    monkeypatch.setattr(build_llama_server, "build", lambda _, program: program.write_text("it"))
    build_llama_server.main()
    assert llama_server_left_out() is None
    monkeypatch.setattr(build_llama_server, "build", fail)
    build_llama_server.main()  # it is built once
    assert llama_server().read_text() == "it"


def test_what_a_build_says_is_its_reason() -> None:
    with pytest.raises(RuntimeError, match="no such compiler"):
        build_llama_server.run(sys.executable, "-c", "raise SystemExit('no such compiler')")


def test_an_environment_that_is_not_there_is_left_out_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODELS, sys.executable)
    monkeypatch.delenv("EASYLLM_THERE", raising=False)
    assert "is not set" in str(environment_left_out("EASYLLM_THERE"))
    python = tmp_path / "bin" / "python"
    monkeypatch.setenv("EASYLLM_THERE", str(python))
    assert "has not been made" in str(environment_left_out("EASYLLM_THERE"))
    python.parent.mkdir()
    python.touch()
    assert environment_left_out("EASYLLM_THERE") is None
    (tmp_path / "left-out").write_text("No matching distribution found\n")
    assert "No matching distribution found" in str(environment_left_out("EASYLLM_THERE"))
    (tmp_path / "left-out").unlink()
    monkeypatch.delenv(MODELS)
    assert f"{MODELS} is not set" in str(environment_left_out("EASYLLM_THERE"))


@pytest.mark.skipif(os.name != "posix", reason="the recipes are of a POSIX shell")
def test_an_environment_that_cannot_be_installed_does_not_fail_make(tmp_path: Path) -> None:
    makefile = Path(__file__).parents[2] / "Makefile"
    rule = f"include {makefile}\n.there:\n\t$(call attempt,env,echo no wheel for you; false)\n"
    (tmp_path / "test.mk").write_text(rule)
    (tmp_path / "env").mkdir()
    command = ["make", "-f", "test.mk", ".there"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "no wheel for you" in done.stdout
    assert (tmp_path / "env" / "left-out").read_text() == "no wheel for you\n"
    assert not (tmp_path / ".there").exists()


def started() -> Program:
    def start(_: object) -> Any:
        port = free_port()
        command = [sys.executable, "-c", SERVER, str(port)]
        return running(command, port=port, model="a-model", first=("/", None))

    return Program("a-server", "openai", start, lambda: None, frozenset())


def asked(stage: Stage) -> Any:
    return SimpleNamespace(getfixturevalue={"stage": stage}.__getitem__)


def test_a_server_that_dies_fails_its_test_and_is_there_for_the_next() -> None:
    stage, program = Stage(models=None), started()  # type: ignore[arg-type]
    test = served(program, asked(stage))
    first = next(test)
    first.running.kill()
    with pytest.raises(pytest.fail.Exception, match="a-server died meanwhile: it ended with"):
        next(test)
    test = served(program, asked(stage))
    second = next(test)
    assert second.get("/") == b'{"up": true}'
    assert next(test, None) is None
    process = second.running.process
    assert process is not None
    stage.clear()
    assert process.poll() is not None


def test_a_server_that_does_not_start_is_not_started_for_every_test() -> None:
    tried = []

    def start(_: object) -> Any:
        tried.append(1)
        command = [sys.executable, "-c", "raise SystemExit('bad model')"]
        return running(command, port=free_port(), model="a-model", first=("/", None))

    stage = Stage(models=None)  # type: ignore[arg-type]
    program = Program("a-server", "openai", start, lambda: None, frozenset())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="bad model"):
            next(served(program, asked(stage)))
    with pytest.raises(pytest.fail.Exception, match=r"(?s)does not start: .*bad model"):
        next(served(program, asked(stage)))
    assert len(tried) == 2


def test_a_server_that_is_left_out_is_counted_as_such() -> None:
    program = Program("a-server", "openai", started().start, lambda: "no compiler", frozenset())
    with pytest.raises(pytest.skip.Exception, match="a-server is left out: no compiler"):
        next(served(program, asked(Stage(models=None))))  # type: ignore[arg-type]


def test_every_program_is_one_that_the_package_has_a_profile_of() -> None:
    from langchain_easyllm._servers.registry import SERVERS

    assert {program.profile for program in PROGRAMS.values()} <= {one.name for one in SERVERS}


def test_vllm_is_installed_without_what_wants_another_torch() -> None:
    requires = ['torchvision; x == "y"', "numpy<3", "ray>=2; extra == 'ray'", "torch==2.13.0"]
    found = install_vllm.requirements(SimpleNamespace(requires=requires))  # type: ignore[arg-type]
    assert found == ["numpy<3"]
