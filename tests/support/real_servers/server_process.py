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
from dataclasses import dataclass, field
from typing import IO

START_TIMEOUT = 600.0  # seconds; importing torch on a cold, busy machine takes most of it


@dataclass(frozen=True)
class RunningServer:
    """Where a running server is, and the name that it knows its model by.

    Attributes:
        base_url: The server's root.
        model: The model's name there.
        process: The program.
        log: What it writes; None where somebody else started it.
        behind: The server that it passes requests on to, if it is a proxy.
    """

    base_url: str
    model: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    log: IO[str] | None = field(default=None, repr=False)
    behind: RunningServer | None = None

    def ended(self) -> str | None:
        """Why it no longer runs, with the end of its log; None while it does."""
        status = None if self.process is None else self.process.poll()
        return None if status is None else f"it ended with status {status}:\n{self.tail()}"

    def tail(self) -> str:
        """The end of its log."""
        if self.log is None:
            return ""
        self.log.seek(0)
        return self.log.read()[-4000:]

    def kill(self) -> None:
        """End it as a power failure does, with all its children."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


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
    with tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own, to end it as a whole
        )
        server = RunningServer(f"http://127.0.0.1:{port}", model, process, log)
        try:
            _wait(server, first or chat_request(model))
            yield server
        finally:
            _end(process)


def _wait(server: RunningServer, first: Request) -> None:
    limit = time.monotonic() + START_TIMEOUT
    while not _answers(server.base_url, *first):
        ended = server.ended()
        if ended is None and time.monotonic() > limit:
            ended = f"it did not answer within {START_TIMEOUT:g} s:\n{server.tail()}"
        if ended is not None:
            assert server.process is not None
            raise RuntimeError(f"{' '.join(map(str, server.process.args))}: {ended}")  # type: ignore[union-attr]
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
