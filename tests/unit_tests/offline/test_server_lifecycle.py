"""Starting, stopping and overloading the offline server."""

from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx
import pytest

from langchain_easyllm import EasyLLM
from langchain_easyllm import errors as ours
from langchain_easyllm.offline import Faults, OfflineServer, limits, offline_server
from langchain_easyllm.offline.language_model import LanguageModel

from ...support.offline_client import ANSWER, PROMPT, ask, generate, send

COMMAND = [sys.executable, "-m", "langchain_easyllm.offline"]
# What a shell runs in the background ignores Ctrl-C, and so does all that it starts.
HEARING = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('langchain_easyllm.offline', run_name='__main__')"
)
ENDLESS = {"inputs": PROMPT, "parameters": {"grammar": {"type": "regex", "value": "[a-z]{5000}"}}}


def wait_until(check: Callable[[], object], timeout: float = 10.0) -> None:
    limit = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < limit, "this did not come true"
        time.sleep(0.005)


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server as a process of its own, and the line that it prints."""
    command = [sys.executable, "-c", HEARING, "--port", "0", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline()
        finally:
            process.kill()


def begin(server: OfflineServer, path: str, body: object) -> HTTPConnection:
    """Send a request without waiting for its answer."""
    connection = HTTPConnection(server.base_url.removeprefix("http://"), timeout=20)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    return connection


def open_files() -> int:
    return len([*Path("/dev/fd").iterdir()])


def test_several_servers_at_once_and_one_after_the_other() -> None:
    for _ in range(2):
        with offline_server() as first, offline_server(delay=0.001) as second:
            assert first.base_url != second.base_url
            assert first.faults == Faults()
            assert second.faults == Faults(delay=0.001)
            for server in (first, second):
                assert generate(server)["generated_text"] == ANSWER
        with pytest.raises(httpx.ConnectError):
            generate(first)


def test_it_listens_on_this_machine_only(offline_server: OfflineServer) -> None:
    assert offline_server.base_url.startswith("http://127.0.0.1:")


def test_nothing_is_left_of_a_server() -> None:
    before = threading.active_count()
    files = open_files()
    with offline_server() as server:
        generate(server)
    gc.collect()  # a socket that was left open would warn, which is an error here
    wait_until(lambda: threading.active_count() <= before)
    wait_until(lambda: open_files() <= files)


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_a_server_stops_though_an_answer_stalls(path: str) -> None:
    with offline_server(stall_after=1) as server:
        connection = begin(server, path, {"inputs": PROMPT})
        wait_until(lambda: server._state.in_flight)
    with closing(connection), pytest.raises((HTTPException, ConnectionError)):
        connection.getresponse().read()


def test_an_error_inside_the_block_comes_through() -> None:
    with pytest.raises(KeyError, match="mine"), offline_server():
        raise KeyError("mine")


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ours.ConfigurationError) as caught, offline_server(port):
            pass
    assert str(caught.value) == (
        f"Port {port} of 127.0.0.1 is in use: choose another, or 0 for any free one."
    )
    with offline_server(port) as server:
        assert server.base_url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("port", "host"), [(70_000, "127.0.0.1"), (-1, "127.0.0.1"), (0, "nowhere.invalid")]
)
def test_an_address_that_cannot_be_listened_on(port: int, host: str) -> None:
    with pytest.raises(ours.ConfigurationError, match=host), offline_server(port, host=host):
        pass


def test_its_address_can_be_called_where_it_listens_everywhere() -> None:
    with offline_server(host="0.0.0.0") as server:
        assert server.base_url.startswith("http://127.0.0.1:")
        assert httpx.get(server.base_url + "/health").status_code == 200


def test_an_unknown_fault() -> None:
    with pytest.raises(TypeError, match="slow"), offline_server(slow=1):
        pass


@pytest.mark.parametrize("path", ["/generate", "/generate_stream"])
def test_an_answer_ends_with_its_client(
    offline_server: OfflineServer,
    offline_faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    steps = 0
    generate_tokens = LanguageModel.generate

    def counted(*args, **kwargs):
        nonlocal steps
        for token in generate_tokens(*args, **kwargs):
            steps += 1
            yield token

    monkeypatch.setattr(LanguageModel, "generate", counted)
    offline_faults.delay = 0.01
    with closing(begin(offline_server, path, ENDLESS)):
        wait_until(lambda: steps > 3)
    wait_until(lambda: not offline_server._state.in_flight)
    reached = steps
    time.sleep(0.1)
    assert steps <= reached + 1 < 900  # the step that was under way


def test_more_requests_than_there_is_room_for(
    offline_server: OfflineServer, offline_faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CONCURRENT", 2)
    offline_faults.stall_after = 0
    held = [begin(offline_server, "/generate", {"inputs": PROMPT}) for _ in range(2)]
    wait_until(lambda: offline_server._state.in_flight == 2)
    answer = send(offline_server, "/generate", {"inputs": PROMPT})
    assert answer.status_code == 429
    assert answer.json() == {"error": "Model is overloaded", "error_type": "overloaded"}
    with pytest.raises(ours.ModelOverloadedError):
        EasyLLM(base_url=offline_server.base_url, max_retries=0).invoke(PROMPT)
    for connection in held:
        connection.close()
    wait_until(lambda: not offline_server._state.in_flight)


def test_many_requests_at_once(offline_server: OfflineServer) -> None:
    body = {"inputs": PROMPT, "parameters": {"max_new_tokens": 3}}
    with ThreadPoolExecutor(50) as threads, httpx.Client(timeout=60) as client:
        url = offline_server.base_url + "/generate"
        answers = [*threads.map(lambda _: client.post(url, json=body), range(100))]
    assert {answer.json()["generated_text"] for answer in answers} == {"The capital of"}


@pytest.mark.parametrize("like", ["", "TGI", "sglang", None, 3])
def test_a_server_that_it_cannot_be_like(like: object) -> None:
    with (
        pytest.raises(ValueError, match=r"like is 'tgi', 'vllm' or 'llama\.cpp', not ") as caught,
        offline_server(like=like),  # type: ignore[arg-type]
    ):
        pass
    assert repr(like) in str(caught.value)


def test_the_command_is_told_what_to_be_like() -> None:
    with running("--like", "llama.cpp") as (_, line):
        url = line.split()[2].rstrip(":")
        assert httpx.get(url + "/health", verify=False).json() == {"status": "ok"}


def test_the_command() -> None:
    with running("--rate-limited", "1", "--retry-after", "2.5") as (process, line):
        url = line.split()[2].rstrip(":")
        assert f"EasyLLMChat(base_url={url!r})" in line
        answer = httpx.post(url + "/generate", json={"inputs": PROMPT}, timeout=30)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2.5")
        answer = httpx.post(url + "/generate", json={"inputs": PROMPT}, timeout=30)
        assert answer.json()["generated_text"] == ANSWER
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_the_command_ends_quietly_in_the_middle_of_an_answer() -> None:
    with running("--stall-after", "1") as (process, line), ThreadPoolExecutor() as threads:
        url = line.split()[2].rstrip(":")
        asked = threads.submit(httpx.post, url + "/generate", json={"inputs": PROMPT}, timeout=30)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=20)
        with pytest.raises(httpx.HTTPError):
            asked.result(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_the_command_on_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND, "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"Port {port} of 127.0.0.1 is in use: choose another, or 0 for any free one.\n"
    )


def test_the_command_with_a_fault_that_makes_no_sense() -> None:
    command = [*COMMAND, "--port", "0", "--delay", "slow"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("delay is a number of seconds that is not negative")


@pytest.mark.parametrize("library", ["numpy", "uvicorn"])
def test_a_missing_library_is_one_sentence(library: str) -> None:
    code = (
        f"import sys, runpy; sys.modules[{library!r}] = None\n"
        "sys.argv = ['offline', '--port', '0']\n"
        "runpy.run_module('langchain_easyllm.offline', run_name='__main__')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"The offline models need {library}, which is not installed: run "
        'pip install "langchain-easyllm[offline]".\n'
    )


def test_a_keep_alive_connection_serves_many_requests(offline_server: OfflineServer) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            answer = client.post(offline_server.base_url + "/embed", json={"inputs": "a"})
            assert answer.status_code == 200
    assert len(ask(offline_server, "/embed", {"inputs": "a"})) == 1
