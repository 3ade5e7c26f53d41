"""Real server programs with real models, one at a time, and the suite's questions to each.

`EASYLLM_REAL_SERVERS` names those to ask (`PROGRAMS`). A test asks for what it needs:

    def test_it(server):
        server.chat().invoke(...)

What a server lacks is left out by `server.needs(...)`, and what is known to fail is said by
`server.known_fault(reason, names)`, a strict xfail.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from langchain_core.embeddings import Embeddings

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
)
from langchain_easyllm.errors import EasyLLMError

from ...support.real_servers.models import Models, make_models
from ...support.real_servers.programs import DEFAULT, KEY, PROGRAMS, Program
from ...support.real_servers.server_process import RunningServer

_WANTED = (os.environ.get("EASYLLM_REAL_SERVERS") or DEFAULT).split()
if _UNKNOWN := {*_WANTED} - PROGRAMS.keys():
    raise pytest.UsageError(
        f"EASYLLM_REAL_SERVERS has {', '.join(sorted(_UNKNOWN))}: there are {', '.join(PROGRAMS)}."
    )
CHOSEN = [PROGRAMS[name] for name in _WANTED]


_MEMORY: dict[str, dict[str, Any]] = {}
"""What each server said; greedy answers do not change."""


class Stage:
    """Where one server runs at a time: another's start ends it."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._running: RunningServer | None = None
        self._program: Program | None = None
        self._stack = ExitStack()
        self._failures: dict[str, list[str]] = {}

    def show(self, program: Program) -> RunningServer:
        """Return the running server of a program; one that has ended is started again."""
        if self._running is None or self._program is not program or self._running.ended():
            self.clear()
            self._running = self._started(program)
            self._program = program
        return self._running

    def _started(self, program: Program) -> RunningServer:
        failures = self._failures.setdefault(program.name, [])
        if len(failures) == 2:  # minutes each: not once more for every test
            pytest.fail(f"{program.name} does not start: {failures[-1]}")
        try:
            return self._stack.enter_context(program.start(self.models))
        except RuntimeError as error:
            failures.append(str(error))
            raise

    def clear(self) -> None:
        """End what runs."""
        self._running = None
        self._stack.close()


class Served:
    """One running server, and the package's objects for it."""

    def __init__(
        self, program: Program, running: RunningServer, request: pytest.FixtureRequest
    ) -> None:
        self.program, self._request = program, request
        self.name, self.has, self.profile = program.name, program.has, program.profile
        self.running = running
        self.base_url, self.model = running.base_url, running.model
        self.place: dict[str, Any] = {"base_url": running.base_url}
        if "key" in program.has:
            self.place["api_key"] = KEY
        if program.names_model:
            self.place["model"] = running.model
        self.may_end = False
        self._memory = _MEMORY.setdefault(program.name, {})

    def needs(self, what: str) -> None:
        """Leave the test out where the server does not have something."""
        if what not in self.has:
            pytest.skip(f"{self.name} does not have: {what}")

    def known_fault(self, reason: str, *names: str) -> None:
        """Say that the test fails on some servers, and why: it has to, until that is mended."""
        if self.name in names:
            wrong = (AssertionError, EasyLLMError, LookupError)  # and no server that died
            self._request.applymarker(pytest.mark.xfail(raises=wrong, reason=reason, strict=True))

    def at(self, running: RunningServer) -> Served:
        """The same program, another process of it."""
        return Served(self.program, running, self._request)

    def remembered(self, name: str, ask: Callable[[], Any]) -> Any:
        """What the server said when it was first asked something."""
        if name not in self._memory:
            self._memory[name] = ask()
        return self._memory[name]

    def chat(self, **fields: Any) -> EasyLLMChat:
        """A chat model there, greedy and brief."""
        return EasyLLMChat(**{**self.place, "temperature": 0, "max_tokens": 12, **fields})

    def llm(self, **fields: Any) -> EasyLLM:
        """An LLM there, greedy and brief."""
        return EasyLLM(**{**self.place, "temperature": 0, "max_tokens": 12, **fields})

    def embeddings(self, **fields: Any) -> Embeddings:
        """Embeddings of the model there."""
        return EasyLLMEmbeddings(**{**self.place, **fields})

    def rerank(self, **fields: Any) -> EasyLLMRerank:
        """A reranker there."""
        return EasyLLMRerank(**{**self.place, **fields})

    def cross_encoder(self, **fields: Any) -> EasyLLMCrossEncoder:
        """A cross-encoder there."""
        return EasyLLMCrossEncoder(**{**self.place, **fields})

    def get(self, path: str) -> bytes:
        """The answer of a route, asked without the package."""
        return self.post(path, None)

    def post(self, path: str, body: Any) -> bytes:
        """The answer to a body, asked without the package."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data)
        request.add_header("authorization", f"Bearer {KEY}")
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read()

    def busy(self) -> int:
        """How many requests it works on."""
        self.needs("busy")
        if self.name == "llama-server":
            return sum(slot["is_processing"] for slot in json.loads(self.get("/slots")))
        lines = self.get("/metrics").decode().splitlines()
        counts = [line for line in lines if line.startswith("vllm:num_requests_running")]
        return round(sum(float(line.rsplit(maxsplit=1)[1]) for line in counts))


@pytest.fixture(scope="session")
def models(servers_python: str) -> Models:
    """The models, made once on a machine."""
    return make_models(servers_python)


@pytest.fixture(scope="session")
def stage(models: Models) -> Iterator[Stage]:
    """Where the servers run, in turn."""
    stage = Stage(models)
    yield stage
    stage.clear()


def served(program: Program, request: pytest.FixtureRequest) -> Iterator[Served]:
    """Start the server if it does not run, and fail the test if it ends meanwhile."""
    reason = program.left_out()
    if reason:
        pytest.skip(f"{program.name} is left out: {reason}")
    running = request.getfixturevalue("stage").show(program)
    there = Served(program, running, request)
    yield there
    ended = None if there.may_end else there.running.ended()
    if ended:
        pytest.fail(f"{program.name} died meanwhile: {ended}")


def chosen(what: Callable[[Program], bool]) -> list[Any]:
    """The chosen programs of which something is true, as parameters."""
    return [pytest.param(program, id=program.name) for program in CHOSEN if what(program)]


@pytest.fixture(scope="session", params=chosen(lambda one: one.generates))
def generator_program(request: pytest.FixtureRequest) -> Program:
    """A program with the language model; session-wide, so that its tests follow one another."""
    return request.param


@pytest.fixture(scope="session", params=chosen(lambda one: "embeddings" in one.has))
def embedder_program(request: pytest.FixtureRequest) -> Program:
    """A program with the embedding model."""
    return request.param


@pytest.fixture(scope="session", params=chosen(lambda one: "rerank" in one.has))
def reranker_program(request: pytest.FixtureRequest) -> Program:
    """A program with the cross-encoder, or that compares embeddings."""
    return request.param


@pytest.fixture
def server(generator_program: Program, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A running server with the language model."""
    yield from served(generator_program, request)


@pytest.fixture
def embedder(embedder_program: Program, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A running server with the embedding model."""
    yield from served(embedder_program, request)


@pytest.fixture
def reranker(reranker_program: Program, request: pytest.FixtureRequest) -> Iterator[Served]:
    """A running server that reranks."""
    yield from served(reranker_program, request)


@pytest.fixture(scope="session")
def tokenizer(models: Models) -> Any:
    """SmolLM2's tokenizer, as transformers has it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(models.smollm2, local_files_only=True)
