"""A model small enough to need no library: it answers a prompt by spelling it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from langchain_easyllm._generation.client import GenerationClient
from langchain_easyllm._local.requests import LocalSequence, Started, Token
from langchain_easyllm._local.transport import LocalTransport
from langchain_easyllm._servers.in_process import IN_PROCESS
from langchain_easyllm._servers.profile import ServerInfo
from langchain_easyllm._servers.session import ServerSession
from langchain_easyllm._servers.urls import ServerURL

__all__ = ["Pipeline", "SpellingModel", "client_of", "paused"]

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


class Pipeline:
    """What can be known of a pipeline without running it."""

    def __init__(self, task: str = "text-generation", tokenizer: object = "a tokenizer") -> None:
        self.task = task
        self.tokenizer = tokenizer

    def __call__(self) -> None:
        raise NotImplementedError


class SpellingModel:
    """Says a prompt's characters one by one, a token each, until it must stop.

    Attributes:
        batches: The prompts of each batch that ran.
        threads: The threads that it ran in.
        written: How many tokens it generated.
        go: Cleared, it makes the next token wait until it is set.
        error: What each batch fails with, if anything.
    """

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[threading.Thread] = set()
        self.written = 0
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def run(self, sequences: Sequence[LocalSequence]) -> None:
        self.batches.append([sequence.prompt for sequence in sequences])
        self.threads.add(threading.current_thread())
        if self.error:
            raise self.error
        for sequence in sequences:
            sequence.emit(Started(len(sequence.prompt)))
        for sequence in sequences:
            self._spell(sequence)

    def _spell(self, sequence: LocalSequence) -> None:
        said = ""
        for letter in sequence.prompt:
            self.go.wait(10)
            if sequence.cancelled:
                return
            said += letter
            self.written += 1
            stopped = any(said.endswith(stop) for stop in sequence.job.stops)
            last = stopped or len(said) == (sequence.job.limit or len(sequence.prompt))
            reason = ("stop_sequence" if stopped else "length") if last else None
            sequence.emit(Token(ord(letter), letter, -1.0, ((letter, -1.0),), reason))
            if last:
                return

    def look_up(self, route: str, body: Mapping[str, Any]) -> object:
        if route == "/tokenize":
            return [{"id": ord(letter)} for letter in body["inputs"]]
        return {"chat_template": TEMPLATE, "bos_token": None, "eos_token": "</s>"}


@contextmanager
def paused(model: SpellingModel) -> Iterator[None]:
    """Let the model generate nothing until the end of the block."""
    model.go.clear()
    try:
        yield
    finally:
        model.go.set()


def client_of(model: SpellingModel, size: int = 4) -> GenerationClient:
    """A client that asks the model as it asks any server."""
    transport = LocalTransport(model, size)
    return GenerationClient(
        ServerSession(ServerURL("local:"), transport, ServerInfo(IN_PROCESS, model="spelling"))
    )
