from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm import errors
from langchain_easyllm._http.error_mapping import error_from_event, error_from_response
from langchain_easyllm.errors import EasyLLMError

from ...support.cases import each_case

URL = "https://user:pw@example.org/v1/chat?key=hidden"
DEDICATED = "https://x.us-east-1.aws.endpoints.huggingface.cloud/"

TGI_LONG = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"
VLLM_LONG = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
    "(4900 in the messages, 100 in the completion)."
)
TITLE = "<!DOCTYPE html><html><head><title>502 Bad\nGateway</title></head><body>nginx</body></html>"


def tgi(error: str, kind: str) -> dict[str, str]:
    return {"error": error, "error_type": kind}


def openai(message: str, **fields: object) -> dict[str, object]:
    return {"error": {"message": message, **fields}}


@each_case(
    ("status", "body", "kind", "words"),
    [
        (400, openai("bad field"), errors.BadRequestError, "bad field"),
        (401, {"error": "Invalid username or password."}, errors.AuthenticationError, "Invalid"),
        (402, {"error": "You have exceeded your credits"}, errors.PermissionDeniedError, "credits"),
        (403, {"error": "gated"}, errors.PermissionDeniedError, "gated"),
        (404, {"detail": "Not Found"}, errors.NotFoundError, "Check model and base_url"),
        (408, "", errors.TimeoutError, "Request Timeout"),
        (409, "", errors.BadRequestError, "Conflict"),
        (410, "", errors.NotFoundError, "Gone"),
        (413, "length limit exceeded", errors.BadRequestError, "length limit exceeded"),
        (413, tgi("batch size 33 > maximum allowed", "Validation"), errors.BadRequestError, "33"),
        (
            422,
            tgi("`temperature` must be > 0", "validation"),
            errors.BadRequestError,
            "temperature",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "n"], "msg": "Input should be a number", "type": "x"}]},
            errors.BadRequestError,
            "body.n: Input should be a number",
        ),
        (424, tgi("Request failed: CUDA", "generation"), errors.GenerationError, "CUDA"),
        (429, {"error": "Rate limit reached"}, errors.RateLimitError, "Rate limit reached"),
        (429, tgi("Model is overloaded", "overloaded"), errors.ModelOverloadedError, "overloaded"),
        (429, tgi("no permits available", "Overloaded"), errors.ModelOverloadedError, "permits"),
        (500, tgi("Incomplete generation", "incomplete_generation"), errors.ServerError, "Incompl"),
        (502, TITLE, errors.ServerError, "502 Bad Gateway: 502 Bad Gateway"),
        (503, {"error": "Service Unavailable"}, errors.ServerError, "Unavailable"),
        (503, {"error": "Model x is overloaded"}, errors.ModelOverloadedError, "overloaded"),
        (
            503,
            {"error": "Model x is currently loading", "estimated_time": 20.0},
            errors.ModelLoadingError,
            "wait_for_model",
        ),
        (503, openai("Loading model", code=503), errors.ModelLoadingError, "Loading model"),
        (
            400,
            {"error": "The endpoint is paused, ask a maintainer"},
            errors.EndpointPausedError,
            "resume",
        ),
        (422, tgi(TGI_LONG, "validation"), errors.ContextOverflowError, "Shorten"),
        (
            413,
            tgi(
                "Input validation error: `inputs` must have less than 512 tokens. Given: 600",
                "Validation",
            ),
            errors.ContextOverflowError,
            "512",
        ),
        (
            422,
            tgi(
                "Input validation error: `inputs` must have less than 128000 characters. "
                "Given: 499999",
                "Validation",
            ),
            errors.ContextOverflowError,
            "128000",
        ),
        (
            400,
            {"object": "error", "message": VLLM_LONG, "type": "BadRequestError", "code": 400},
            errors.ContextOverflowError,
            "4096",
        ),
        (
            400,
            openai(
                "the request exceeds the available context size", type="exceed_context_size_error"
            ),
            errors.ContextOverflowError,
            "available context size",
        ),
        (
            400,
            openai("Requested tokens (600) exceed context window of 512", code=None),
            errors.ContextOverflowError,
            "600",
        ),
        (
            400,
            openai("too much", code="context_length_exceeded"),
            errors.ContextOverflowError,
            "much",
        ),
        (501, "", errors.ServerError, "Not Implemented"),
        (599, "", errors.ServerError, "599"),
        (304, "", errors.ProtocolError, "304"),
    ],
)
def test_each_refusal_has_its_class_and_says_what_to_do(
    status: int, body: object, kind: type[EasyLLMError], words: str
) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    error = error_from_response(status, {"x-request-id": "r7"}, raw.encode(), URL)
    assert type(error) is kind
    assert words in str(error)
    assert str(error).startswith(f"example.org answered {status} ")
    assert (error.status_code, error.request_id, error.body) == (status, "r7", raw)
    assert error.url == "https://example.org/v1/chat"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.__dict__) == (kind, error.__dict__)


@pytest.mark.parametrize("status", [502, 503])
def test_a_dedicated_endpoint_without_replica_is_a_cold_start(status: int) -> None:
    for body in (b"", b"Service Unavailable", b"<html>no healthy upstream</html>"):
        error = error_from_response(status, {}, body, DEDICATED)
        assert type(error) is errors.ModelLoadingError
    busy = json.dumps(tgi("Model is overloaded", "overloaded")).encode()
    assert type(error_from_response(status, {}, busy, DEDICATED)) is errors.ModelOverloadedError


@pytest.mark.parametrize(
    ("status", "retryable"), [(500, True), (503, True), (501, False), (505, False), (429, True)]
)
def test_is_retryable_is_true_to_what_is_done(status: int, retryable: bool) -> None:
    assert error_from_response(status, {}, b"", URL).is_retryable is retryable


@pytest.mark.parametrize(
    ("payload", "kind", "status"),
    [
        (tgi("Request failed during generation", "generation"), errors.GenerationError, None),
        (tgi("Incomplete generation", "incomplete_generation"), errors.GenerationError, None),
        (tgi("Model is overloaded", "overloaded"), errors.ModelOverloadedError, None),
        (tgi("`top_p` must be > 0", "validation"), errors.BadRequestError, None),
        (tgi(TGI_LONG, "validation"), errors.ContextOverflowError, None),
        (openai("boom", http_status_code=422), errors.BadRequestError, 422),
        (openai(TGI_LONG, http_status_code=422), errors.ContextOverflowError, 422),
        (openai("Model is overloaded", http_status_code=422), errors.ModelOverloadedError, 422),
        (
            openai("Request failed during generation: CUDA", http_status_code=422),
            errors.GenerationError,
            422,
        ),
        (openai("Incomplete generation", http_status_code=422), errors.GenerationError, 422),
        (openai("boom", code=429), errors.RateLimitError, 429),
        (openai("boom", code="500"), errors.ServerError, 500),
        (openai("boom", type="rate_limit_error"), errors.RateLimitError, None),
        (openai("long", code="context_length_exceeded"), errors.ContextOverflowError, None),
        (openai("boom", type="internal_error"), errors.GenerationError, None),
        ({"error": "boom"}, errors.GenerationError, None),
        ("CUDA out of memory", errors.GenerationError, None),
        ("", errors.GenerationError, None),
    ],
)
def test_an_error_inside_an_answer_has_its_class(
    payload: object, kind: type[EasyLLMError], status: int | None
) -> None:
    raw = payload if isinstance(payload, str) else json.dumps(payload)
    error = error_from_event(raw.encode(), URL)
    assert type(error) is kind
    assert error.status_code == status
    assert (error.url, error.body) == ("https://example.org/v1/chat", raw)


def test_long_words_are_shortened() -> None:
    error = error_from_response(500, {}, b"word " * 100_000, URL)
    assert len(str(error)) < 600
    assert len(error.body or "") < 2100
    assert "(an answer of 500,000 bytes)" in str(error)
    assert (error.body or "").endswith("… (500,000 bytes)")


def test_what_the_status_says_is_not_repeated() -> None:
    for body in (b"Forbidden", b'{"error": "forbidden."}', b""):
        message = str(error_from_response(403, {}, body, URL))
        assert message.startswith("example.org answered 403 Forbidden. Check ")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "message",
                    "detail",
                    "type",
                    "code",
                    "error_type",
                    "estimated_time",
                    "loc",
                    "msg",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(st.integers(300, 999), JSON.map(json.dumps).map(str.encode) | st.binary(max_size=50))
def test_any_body_becomes_an_error(status: int, body: bytes) -> None:
    for error in (error_from_response(status, {}, body, URL), error_from_event(body, URL)):
        assert isinstance(error, EasyLLMError)
        assert "example.org" in str(error)


def test_control_characters_do_not_reach_a_terminal() -> None:
    body = json.dumps(openai("\x1b]0;owned\x07 \x00no\x85 room\x9b")).encode()
    error = error_from_response(400, {}, body, "http://localhost/a")
    assert "]0;owned no room" in str(error)
    assert not set(str(error)) & {chr(code) for code in (*range(32), *range(127, 160))}


OURS = [DEDICATED, "https://router.huggingface.co/v1/chat/completions"]
OTHERS = [
    URL,
    "http://127.0.0.1:8000/v1/models",
    "http://router.huggingface.co/",  # not over https
    "https://somebody.hf.space/v1",
]


@pytest.mark.parametrize("url", OTHERS)
@pytest.mark.parametrize("status", [401, 402, 403])
def test_another_server_has_nothing_to_do_with_the_hubs_tokens(url: str, status: int) -> None:
    message = str(error_from_response(status, {}, b'{"error": "no"}', url))
    for words in ("HF_TOKEN", "huggingface.co/settings", "provider"):
        assert words not in message
    assert ("api_key" in message) is (status != 402)


@pytest.mark.parametrize("url", OURS)
def test_hugging_face_has(url: str) -> None:
    for status, words in (
        (401, ("https://huggingface.co/settings/tokens", "HF_TOKEN", "api_key")),
        (402, ("https://huggingface.co/settings/billing",)),
        (403, ("token's permissions",)),
    ):
        message = str(error_from_response(status, {}, b'{"error": "no"}', url))
        assert all(word in message for word in words)
