"""The sans-IO core, driven by hand: what would be sent to hosts that no test may ask."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from langchain_easyllm._http.auth import Credentials
from langchain_easyllm._http.exchange import Attempt, Flow, arun_flow, exchange, run_flow
from langchain_easyllm._http.headers import RequestHeaders
from langchain_easyllm._http.models import Response, RetryPolicy
from langchain_easyllm.errors import AuthenticationError, EasyLLMError, ModelLoadingError

from ...support.http_clients import post

DEDICATED = "https://x.us-east-1.aws.endpoints.huggingface.cloud/v1/chat/completions"
ROUTER = "https://router.huggingface.co/v1/chat/completions"


def flow(url: str, policy: RetryPolicy, headers: dict[str, str] | None = None) -> Flow:
    plan = RequestHeaders(Credentials("hf_argument"), headers)
    return exchange(post(url), policy, plan, streaming=False)


def first_attempt(url: str, policy: RetryPolicy) -> Attempt:
    step = next(flow(url, policy))
    assert isinstance(step, Attempt)
    return step


@pytest.mark.parametrize(
    ("url", "wait", "header"),
    [
        (DEDICATED, 300.0, "300"),
        (DEDICATED, 0.2, "1"),
        (DEDICATED, 0.0, None),
        (ROUTER, 300.0, None),
        ("http://localhost:8080/v1", 300.0, None),
    ],
)
def test_only_dedicated_endpoints_learn_how_long_to_hold_a_request(
    url: str, wait: float, header: str | None
) -> None:
    step = first_attempt(url, RetryPolicy(wait_for_model=wait))
    assert step.headers.get("x-scale-up-timeout") == header


def test_a_request_that_is_held_has_the_time_for_it() -> None:
    held = first_attempt(DEDICATED, RetryPolicy(timeout=10, wait_for_model=300))
    other = first_attempt(ROUTER, RetryPolicy(timeout=10, wait_for_model=300))
    assert held.deadline - other.deadline == pytest.approx(300, abs=5)


def test_no_token_crosses_even_between_hugging_face_hosts() -> None:
    steps = flow(ROUTER, RetryPolicy(), {"X-Team": "blue", "X-Auth-Key": "secret-value"})
    sent = next(steps)
    moved = steps.send(Response(307, {"location": DEDICATED}, b"", ROUTER))
    assert isinstance(sent, Attempt)
    assert isinstance(moved, Attempt)
    assert sent.headers["authorization"] == "Bearer hf_argument"
    assert moved.address.url == DEDICATED
    assert sent.headers["x-team"] == "blue"
    assert not {"authorization", "x-auth-key", "x-team"} & set(moved.headers)


def test_a_space_is_sent_no_token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_from_env")
    space = "https://me-app.hf.space/v1/chat/completions"
    steps = exchange(
        post(space), RetryPolicy(), RequestHeaders(Credentials(), None), streaming=False
    )
    sent = next(steps)
    assert isinstance(sent, Attempt)
    assert "authorization" not in sent.headers
    with pytest.raises(AuthenticationError, match="pass api_key together with this base_url"):
        steps.send(Response(401, {}, b"", space))


@pytest.mark.parametrize("status", [502, 503])
def test_an_endpoint_scaled_to_zero_is_asked_until_it_is_there(status: int) -> None:
    steps = flow(DEDICATED, RetryPolicy(max_retries=0, wait_for_model=60))
    down, up = Response(status, {}, b"", DEDICATED), Response(200, {}, b"ok", DEDICATED)
    assert isinstance(next(steps), Attempt)
    for _ in range(20):
        pause = steps.send(down)
        assert isinstance(pause, float)
        assert 0 < pause <= 5
        assert isinstance(steps.send(None), Attempt)
    with pytest.raises(StopIteration) as end:
        steps.send(up)
    assert end.value.value is up


def test_a_cold_start_is_not_waited_for_by_default() -> None:
    steps = flow(DEDICATED, RetryPolicy(max_retries=0))
    next(steps)
    with pytest.raises(ModelLoadingError, match="Set wait_for_model"):
        steps.send(Response(503, {}, b"", DEDICATED))


class RefusedError(EasyLLMError):
    """The answer to a step that failed."""


def counting() -> Generator[str | float, str | None, list[object]]:
    """Send words, pause once for whole and once for parts of a second, and list what came."""
    came: list[object] = []
    for step in ("one", 0, "bad", 0.01, "two"):
        try:
            came.append((yield step))
        except RefusedError as error:
            came.append(error.message)
    return came


def shout(word: str) -> str:
    if word == "bad":
        raise RefusedError("no")
    return word.upper()


async def ashout(word: str) -> str:
    return shout(word)


async def test_a_flow_is_done_in_the_same_way_blocking_and_not() -> None:
    expected = ["ONE", None, "no", None, "TWO"]
    assert run_flow(counting(), shout) == expected
    assert await arun_flow(counting(), ashout) == expected


class Held:
    """A flow that holds something between its steps, kept alive by whoever may look at it."""

    def __init__(self, *steps: str | float) -> None:
        self.steps = steps
        self.received: list[object] = []
        self.held = False
        self.flow = self._flow()

    def _flow(self) -> Generator[str | float, object, None]:
        self.held = True
        try:
            for step in self.steps:
                self.received.append((yield step))
        finally:
            self.held = False


@pytest.mark.parametrize("steps", [("one", "stop"), ("stop",), ("one", 0, "stop")])
def test_a_flow_that_is_interrupted_lets_go_at_once(steps: tuple[str | float, ...]) -> None:
    held = Held(*steps)

    def send(word: str) -> str:
        assert held.held
        if word == "stop":
            raise KeyboardInterrupt
        return word

    with pytest.raises(KeyboardInterrupt) as caught:
        run_flow(held.flow, send)
    assert caught.tb is not None  # its frames keep the flow, as a debugger's or a logger's would
    assert not held.held


@pytest.mark.parametrize("steps", [("wait",), ("one", "wait"), (60.0,), ("one", 60.0)])
async def test_a_flow_that_is_cancelled_lets_go_at_once(steps: tuple[str | float, ...]) -> None:
    held = Held(*steps)

    async def send(word: str) -> str:
        if word == "wait":
            await asyncio.Event().wait()
        return word

    task = asyncio.create_task(arun_flow(held.flow, send))
    await asyncio.sleep(0.01)
    assert held.held
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not held.held
