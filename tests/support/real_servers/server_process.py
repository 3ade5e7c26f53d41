"""Start a server program, wait until it answers, and end it with all its children."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

START_TIMEOUT = 180.0  # seconds; importing torch on a cold, busy machine takes most of it


@dataclass(frozen=True)
class RunningServer:
    """Where a running server is, and the name that it knows its model by."""

    base_url: str
    model: str


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


Request = tuple[str, Mapping[str, object] | None]
"""Path and, for a POST, body."""


def chat_request(model: str) -> Request:
    """What shows that a language model answers: a chat request of one token."""
    messages = [{"role": "user", "content": "Hi"}]
    return "/v1/chat/completions", {"model": model, "messages": messages, "max_tokens": 1}


@contextmanager
def running(
    command: Sequence[str],
    *,
    port: int,
    model: str,
    env: Mapping[str, str] | None = None,
    first: Request | None = None,
) -> Iterator[RunningServer]:
    """Run `command` until the end of the block.

    Args:
        command: The program and its arguments; it has to listen on 127.0.0.1.
        port: The port it listens on.
        model: The name of its model.
        env: Environment variables to add.
        first: The request that it answers once it is ready. Default: a chat request.

    Raises:
        RuntimeError: It ended, or did not answer that request in time; with the end of its log.
    """
    server = RunningServer(f"http://127.0.0.1:{port}", model)
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own, to end it as a whole
        )
        try:
            _wait(process, server, first or chat_request(model), log)
            yield server
        finally:
            _end(process)


def _wait(
    process: subprocess.Popen[bytes], server: RunningServer, first: Request, log: IO[str]
) -> None:
    limit = time.monotonic() + START_TIMEOUT
    while not _answers(server.base_url, *first):
        ended = process.poll()
        if ended is not None or time.monotonic() > limit:
            log.seek(0)
            state = "never answered" if ended is None else f"ended with status {ended}"
            command = " ".join(map(str, process.args))  # type: ignore[union-attr]
            raise RuntimeError(f"{command} {state}:\n{log.read()[-4000:]}")
        time.sleep(0.2)


def _answers(base_url: str, path: str, body: Mapping[str, object] | None) -> bool:
    """Whether the server answers a request with JSON that is not empty."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base_url + path, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return bool(json.load(response))
    except (OSError, urllib.error.HTTPError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt the process group, then kill what is left of it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
