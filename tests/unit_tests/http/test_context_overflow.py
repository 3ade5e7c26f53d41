"""Requests that do not fit into the context, in every server's words, and what only looks so."""

from __future__ import annotations

import json
import time

import pytest
from langchain_core import exceptions as core

from langchain_easyllm import errors
from langchain_easyllm._http.error_mapping import error_from_event, error_from_response
from langchain_easyllm.errors import EasyLLMError

from ...support.cases import each_case

URL = "http://example.org/v1/chat/completions"


def openai(message: object, **fields: object) -> dict[str, object]:
    return {"error": {"message": message, **fields}}


def bad_request(message: str, **fields: object) -> dict[str, object]:
    kept = {"type": "BadRequestError", "param": None, "code": 400}
    return openai(message, **{**kept, **fields})


def flat(message: str) -> dict[str, object]:
    kept = {"type": "BadRequestError", "param": None, "code": 400}
    return {"object": "error", "message": message, **kept}


def invalid(message: str, code: object = None) -> dict[str, object]:
    return openai(message, type="invalid_request_error", param="messages", code=code)


TOO_LONG = "context_length_exceeded"
# The status and the body, by server.
OVERFLOWS: dict[str, tuple[int, object]] = {
    "openai: messages": (
        400,
        invalid(
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            "in 8227 tokens. Please reduce the length of the messages.",
            TOO_LONG,
        ),
    ),
    "openai: window": (
        400,
        invalid("Your input exceeds the context window of this model. Please adjust your input."),
    ),
    "openai: configured limit": (
        400,
        openai(
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in "
            "301213 tokens. Please reduce the length of the messages."
        ),
    ),
    "openai: code alone": (400, openai("Too much.", code=TOO_LONG)),
    "openai: embeddings": (
        400,
        invalid("Invalid 'input[0]': maximum input length is 8192 tokens.", None),
    ),
    "lm studio: reached": (
        400,
        flat(
            "Reached context length of 4096 tokens with model (arch: qwen3vlmoe) that does not "
            "currently support mid-generation context overflow. Try reloading with a larger "
            "context length or shortening the prompt/chat."
        ),
    ),
    "tensorrt-llm: no room": (
        400,
        flat(
            "`default_max_tokens` (-152) must be greater than 0, `default_max_tokens` (-152) = "
            "max_seq_len (8192) - `splited_prompt_len` (8000) - `query_token_len` (344)"
        ),
    ),
    "tensorrt-llm: ids": (
        400,
        flat("`prompt_token_ids` length (5000) is greater than `max_seq_len` (4096)"),
    ),
    "gateway: max_seq_len": (
        400,
        invalid("length of prompt_tokens (163280) must be less than max_seq_len (32768)."),
    ),
    "rkllm": (
        400,
        invalid("Prompt is 11543 tokens but the model context window is 4096 tokens."),
    ),
    "gateway: exceeded": (400, invalid("Max context length exceeded")),
    "gateway: numbers": (400, invalid("Context length exceeded: 9000 > 8192")),
    "gateway: longer": (400, invalid("The prompt is longer than the context window.")),
    "gateway: too large": (
        422,
        invalid("The input is too large for the model's context window."),
    ),
    "vllm: messages": (
        400,
        flat(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 "
            "tokens (4900 in the messages, 100 in the completion). Please reduce the length of "
            "the messages or completion."
        ),
    ),
    "vllm: max_tokens or": (
        400,
        bad_request(
            "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum "
            "context length is 4096 tokens and your request has 40 input tokens "
            "(5000 > 4096 - 40)."
        ),
    ),
    "vllm: input_tokens": (
        400,
        bad_request(
            "You passed 1193 input tokens and requested 7000 output tokens. However, the model's "
            "context length is only 8192 tokens, resulting in a maximum input length of 1192 "
            "tokens. Please reduce the length of the input prompt. (parameter=input_tokens, "
            "value=1193)",
            param="input_tokens",
        ),
    ),
    "vllm: input_text": (
        400,
        bad_request("Too many characters. (parameter=input_text, value=900000)"),
    ),
    "vllm: max_model_len": (
        400,
        bad_request(
            "max_tokens=131073 cannot be greater than max_model_len=max_total_tokens=32768. Please "
            "request fewer output tokens. (parameter=max_tokens, value=131073)"
        ),
    ),
    "vllm: max_completion_tokens": (
        400,
        bad_request("max_completion_tokens=131072 cannot be greater than max_model_len=128000"),
    ),
    "vllm: decoder prompt": (
        400,
        bad_request(
            "The decoder prompt (length 9254) is longer than the maximum model length of 4096. "
            "Make sure that `max_model_len` is no smaller than the number of text tokens."
        ),
    ),
    "tgi: prompt": (
        422,
        {
            "error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2k",
            "error_type": "validation",
        },
    ),
    "tgi: both": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. "
            "Given: 2040 `inputs` tokens and 1024 `max_new_tokens`",
            "error_type": "validation",
        },
    ),
    "tgi: answer": (
        422,
        {"error": "`max_new_tokens` must be <= 2048. Given: 4096", "error_type": "validation"},
    ),
    "tgi: chat": (
        422,
        openai(
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000", http_status_code=422
        ),
    ),
    "tei": (
        413,
        {
            "error": "Input validation error: `inputs` must have less than 512 tokens. Given: 600",
            "error_type": "Validation",
        },
    ),
    "llama.cpp: request": (
        400,
        openai(
            "request (9412 tokens) exceeds the available context size (8192 tokens), try "
            "increasing it",
            type="exceed_context_size_error",
            code=400,
            n_prompt_tokens=9412,
            n_ctx=8192,
        ),
    ),
    "llama.cpp: older": (
        500,
        openai(
            "the request exceeds the available context size. try increasing the context size or "
            "enable context shift",
            type="invalid_request_error",
        ),
    ),
    "llama.cpp: type alone": (400, openai("too large", type="exceed_context_size_error")),
    "llama.cpp: input": (
        400,
        openai("input (1682 tokens) is larger than the max context size (1024 tokens). skipping"),
    ),
    "llama.cpp: batch": (
        500,
        openai(
            "input (700 tokens) is too large to process. increase the physical batch size "
            "(current batch size: 512)",
            code=500,
            type="server_error",
        ),
    ),
    "llama.cpp: older batch": (
        500,
        openai("input is too large to process. increase the physical batch size", code=500),
    ),
    "llama.cpp: while answering": (
        500,
        openai("Context size has been exceeded.", code=500, type="server_error"),
    ),
    "llama.cpp: no shift": (
        500,
        openai("context shift is disabled", code=500, type="server_error"),
    ),
    "llama-cpp-python": (
        400,
        invalid("Requested tokens (600) exceed context window of 512"),
    ),
    "ollama: embed": (400, {"error": "the input length exceeds the context length"}),
    "ollama: embed, older": (500, {"error": "input length exceeds maximum context length"}),
    "ollama: prompt": (
        400,
        {"error": "prompt too long; exceeded max context length by 100918 tokens"},
    ),
    "ollama: inner": (
        500,
        {
            "error": '{"error":{"code":400,"message":"request (9 tokens) exceeds the available '
            'context size (8 tokens), try increasing it","type":"exceed_context_size_error"}}'
        },
    ),
    "lm studio": (
        400,
        {
            "error": "Trying to keep the first 9000 tokens when context the overflows. However, "
            "the model is loaded with context length of only 4096 tokens, which is not enough. "
            "Try to load the model with a larger context length, or provide a shorter input"
        },
    ),
    "lm studio: older": (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the "
            "context length. Try to load the model with a larger context length."
        },
    ),
    "tensorrt-llm": (
        400,
        flat(
            "The sum of prompt length (72417.0), query length (0) should not exceed "
            "max_num_tokens (69632)"
        ),
    ),
    "tensorrt-llm: engine": (
        400,
        flat(
            "The sum of prompt length (900), query length (0), max_tokens (200) should not exceed "
            "max_seq_len (1024)"
        ),
    ),
    "tensorrt-llm: input": (500, flat("Prompt length (5056) exceeds maximum input length (2048)")),
    "tensorrt-llm: sequence": (
        400,
        flat("Prompt length (5056) exceeds maximum sequence length (2048)"),
    ),
    "tensorrt-llm: tokens": (
        400,
        flat("The prompt's 9000 tokens should be less than or equal to max_seq_len (8192)"),
    ),
    "sglang: input": (
        400,
        {
            "object": "error",
            "message": "The input (516368 tokens) is longer than the model's context length "
            "(262144 tokens).",
            "type": "BadRequest",
            "code": 400,
        },
    ),
    "sglang: total": (
        400,
        flat(
            "Requested token count exceeds the model's maximum context length of 131072 tokens. "
            "You requested a total of 139162 tokens: 130970 tokens from the input messages and "
            "8192 tokens for the completion."
        ),
    ),
    "sglang: allowed": (
        400,
        {"error": {"message": "Input length (265330) exceeds the maximum allowed length (262138)"}},
    ),
    "mlx": (
        400,
        {"detail": "Prompt too long: 9000 tokens exceeds max context window of 8192 tokens"},
    ),
    "transformers": (
        500,
        {"detail": "Input length of input_ids is 600, but `max_length` is set to 512."},
    ),
    "litellm": (
        400,
        openai(
            "litellm.ContextWindowExceededError: litellm.BadRequestError: "
            "ContextWindowExceededError: VllmException - too much. Received Model Group=tiny",
            type=None,
            param=None,
            code="400",
        ),
    ),
    "litellm: wrapped": (
        503,
        openai(
            "litellm.ServiceUnavailableError: litellm.MidStreamFallbackError: "
            "litellm.APIConnectionError: APIConnectionError: OpenAIException - Requested token "
            "count exceeds the model's maximum context length of 131072 tokens.",
            code="503",
        ),
    ),
    "gateway": (
        400,
        openai("Estimated total tokens (300000) exceeds model context window (256000)"),
    ),
    "gateway: wrapped": (
        400,
        openai(
            "Provider returned error",
            code=400,
            metadata={
                "raw": json.dumps(openai("prompt is too long: 213456 tokens > 200000 maximum")),
                "provider_name": "Anthropic",
            },
        ),
    ),
    "gateway: message in message": (
        400,
        openai(openai("This model's maximum context length is 8192 tokens.")),
    ),
    "together": (
        422,
        openai("`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9000 `inputs` tokens"),
    ),
    "groq": (
        400,
        invalid("Please reduce the length of the messages or completion.", TOO_LONG),
    ),
    "groq: words alone": (400, invalid("Please reduce the length of the messages or completion.")),
    "fireworks": (
        400,
        invalid("The prompt is too long: 150000, model maximum context length: 131071"),
    ),
    "cerebras": (
        400,
        {
            "message": "Please reduce the length of the messages or completion. Current length is "
            "9000 while limit is 8192",
            "type": "invalid_request_error",
            "param": "messages",
            "code": TOO_LONG,
        },
    ),
    "deepinfra": (
        400,
        openai("Requested input length 39818 exceeds maximum input length 32767"),
    ),
    "baseten": (
        400,
        openai("Input length 562514 exceeds the maximum allowed input length of 524256 tokens"),
    ),
    "sambanova": (
        400,
        openai(
            "Requested generation length 1000 is not possible! The provided prompt is 8004 tokens "
            "long, so generating 1000 tokens requires a sequence length of 9004, but the maximum "
            "supported sequence length is just 8192!"
        ),
    ),
    "cohere": (
        400,
        {
            "message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - "
            "received 5000. Try using a shorter prompt, or enable prompt truncating."
        },
    ),
    "cohere: size": (400, {"message": "too many tokens: size limit exceeded by 12345 tokens."}),
    "anthropic: prompt": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 213462 tokens > 200000 maximum",
            },
        },
    ),
    "anthropic: both": (
        400,
        invalid(
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease "
            "input length or `max_tokens` and try again"
        ),
    ),
    "bedrock": (
        400,
        {"message": "ValidationException: Input is too long for requested model."},
    ),
    "google": (
        400,
        openai(
            "The input token count (1196265) exceeds the maximum number of tokens allowed "
            "(1048575).",
            code=400,
            status="INVALID_ARGUMENT",
        ),
    ),
    "mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 140000 tokens and 0 draft tokens, too large for model with "
            "131072 maximum context length",
            "type": "invalid_request_error",
            "code": "3051",
        },
    ),
    "xai": (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 "
            "tokens.",
        },
    ),
    "copilot": (
        400,
        openai(
            "prompt token count of 140000 exceeds the limit of 128000",
            code="model_max_prompt_tokens_exceeded",
        ),
    ),
    "moonshot": (
        400,
        invalid("Invalid request: Your request exceeded model token limit: 8192"),
    ),
    "dashscope": (
        400,
        openai(
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be "
            "[1, 129024]",
            code="invalid_parameter_error",
        ),
    ),
    "minimax": (400, openai("invalid params, context window exceeds limit (2013)")),
    "zai": (400, {"error": {"code": "1261", "message": "Prompt too long"}}),
    "configured": (
        400,
        openai("Prompt has 5,958,968 tokens, but the configured context size is 256,000 tokens"),
    ),
    "text": (400, "This model's maximum context length is 4096 tokens."),
}

ECHOED = "Explain: prompt is too long, this model's maximum context length is 4096 tokens."
# The status, the body and the class of an error that only looks so.
OTHERS: dict[str, tuple[int, object, type[EasyLLMError]]] = {
    "a parameter": (
        400,
        invalid("The model does not support the maximum context length parameter."),
        errors.BadRequestError,
    ),
    "an image": (
        400,
        invalid("The image exceeds maximum input length of 20MB."),
        errors.BadRequestError,
    ),
    # Limits of an answer, which a shorter conversation does not help.
    "openai: max_tokens": (
        400,
        invalid(
            "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, "
            "whereas you provided 100000.",
            "invalid_value",
        ),
        errors.BadRequestError,
    ),
    "anthropic: max_tokens": (
        400,
        invalid(
            "max_tokens: 64000 > 32000, which is the maximum allowed number of output tokens for "
            "the model"
        ),
        errors.BadRequestError,
    ),
    "tokens per minute": (
        429,
        openai(
            "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit "
            "30000, Used 28000, Requested 4000. Please reduce the length of the messages.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        errors.RateLimitError,
    ),
    "tokens per minute, 413": (
        413,
        openai(
            "Request too large for model `llama` in organization `org` on tokens per minute (TPM): "
            "Limit 6000, Requested 7211, please reduce your message size and try again.",
            type="tokens",
            code="rate_limit_exceeded",
        ),
        errors.BadRequestError,
    ),
    "throttled": (
        400,
        {"message": "ThrottlingException: Too many tokens, please wait before trying again."},
        errors.BadRequestError,
    ),
    "stop sequences": (
        400,
        {"message": "invalid request: too many tokens in stop sequence: at most 5 are allowed."},
        errors.BadRequestError,
    ),
    "429 about a context": (
        429,
        openai("maximum context length of your tier: slow down"),
        errors.RateLimitError,
    ),
    "quota": (
        400,
        openai("You exceeded your current quota", code="insufficient_quota"),
        errors.BadRequestError,
    ),
    "peak load": (
        400,
        {"message": "Your request exceeds the maximum usage size allowed during peak load."},
        errors.BadRequestError,
    ),
    "max_tokens of 0": (
        400,
        bad_request("max_tokens must be at least 1, got 0."),
        errors.BadRequestError,
    ),
    "batch": (
        413,
        {"error": "batch size 33 > maximum allowed batch size 32", "error_type": "Validation"},
        errors.BadRequestError,
    ),
    "texts": (400, openai("too many inputs: at most 96"), errors.BadRequestError),
    "tokens of a batch": (
        400,
        openai(
            "Requested 305000 tokens, max 300000 tokens per request",
            code="max_tokens_per_request",
        ),
        errors.BadRequestError,
    ),
    "bytes": (413, "Payload Too Large", errors.BadRequestError),
    "bytes, counted": (
        400,
        openai("Request payload size exceeds the limit: 20971520 bytes."),
        errors.BadRequestError,
    ),
    "bytes, named": (
        413,
        {
            "type": "error",
            "error": {
                "type": "request_too_large",
                "message": "Request exceeds the maximum allowed number of bytes.",
            },
        },
        errors.BadRequestError,
    ),
    "image": (
        400,
        invalid("messages.1.content.0.image.source.base64: image exceeds 5 MB maximum"),
        errors.BadRequestError,
    ),
    "a long name": (
        400,
        openai(
            "Invalid 'tools[0].function.name': string too long. Expected a string with maximum "
            "length 64, but got a string with length 70 instead.",
            code="string_above_max_length",
        ),
        errors.BadRequestError,
    ),
    "a long name, counted": (
        400,
        openai("user exceeds maximum input length of 64 characters"),
        errors.BadRequestError,
    ),
    "a long name, limited": (
        400,
        openai("Invalid 'user': the maximum input length is 64 characters."),
        errors.BadRequestError,
    ),
    "a long name, short": (
        422,
        {"detail": "name: input length exceeds 64 characters"},
        errors.BadRequestError,
    ),
    "paused": (
        400,
        {"error": "The endpoint is paused (maximum context length 4096), ask a maintainer"},
        errors.EndpointPausedError,
    ),
    "unauthorized": (401, openai("maximum context length"), errors.AuthenticationError),
    "missing": (
        404,
        openai("The model `llama-128k` (exceeds the context window) does not exist"),
        errors.NotFoundError,
    ),
    "echo of pydantic": (
        422,
        {
            "detail": [
                {
                    "type": "list_type",
                    "loc": ["body", "stop"],
                    "msg": "Input should be a valid list",
                    "input": {"messages": [{"role": "user", "content": ECHOED}]},
                }
            ]
        },
        errors.BadRequestError,
    ),
    "echo of pydantic, as text": (
        400,
        bad_request(
            "[{'type': 'list_type', 'loc': ('body', 'stop'), 'msg': 'Input should be a valid "
            f"list', 'input': '{ECHOED}'}}]"
        ),
        errors.BadRequestError,
    ),
    "echo of pydantic, printed": (
        400,
        "1 validation error for ChatCompletionRequest\nmessages.0.content\n  Input should be a "
        f"valid list [type=list_type, input_value='{ECHOED}', input_type=str]",
        errors.BadRequestError,
    ),
    "echo of pydantic, in a message": (
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "user"],
                        "msg": "Extra inputs are not permitted",
                        "input": ECHOED,
                    }
                ]
            },
            "type": "invalid_request_error",
        },
        errors.BadRequestError,
    ),
    "echo of jsonschema": (
        400,
        openai(f"'{ECHOED}' is not of type 'array' - 'messages.0.content'"),
        errors.BadRequestError,
    ),
    "echo in JSON in JSON": (
        400,
        {"error": json.dumps({"detail": [{"msg": "wrong", "input": ECHOED}]})},
        errors.BadRequestError,
    ),
    "echo of a body": (
        400,
        'cannot parse {"model": "m", "messages": [{"role": "user", "content": "' + ECHOED + '"}',
        errors.BadRequestError,
    ),
    "another parameter": (
        400,
        openai("Unsupported parameter: context. Remove it and try again."),
        errors.BadRequestError,
    ),
    "a wrong schema": (
        400,
        openai("Invalid schema for function 'f': too many properties"),
        errors.BadRequestError,
    ),
    "no vision": (
        500,
        openai(
            "image input is not supported - hint: if this is unexpected, you may need to provide "
            "the mmproj",
            code=500,
            type="server_error",
        ),
        errors.BadRequestError,
    ),
    "broken": (500, openai("CUDA out of memory", code=500), errors.ServerError),
    "generation": (424, {"error": "exceeds", "error_type": "generation"}, errors.GenerationError),
}


def encoded(body: object) -> bytes:
    return (body if isinstance(body, str) else json.dumps(body)).encode()


@each_case(("status", "body"), OVERFLOWS.values(), ids=OVERFLOWS)
def test_a_context_overflow_in_every_servers_words(status: int, body: object) -> None:
    error = error_from_response(status, {}, encoded(body), URL)
    assert type(error) is errors.ContextOverflowError
    assert isinstance(error, core.ContextOverflowError)
    assert (error.status_code, error.is_retryable) == (status, False)
    assert "Shorten the messages" in str(error) or status == 413


@each_case("body", [body for _, body in OVERFLOWS.values()], ids=OVERFLOWS)
def test_a_context_overflow_inside_an_answer(body: object) -> None:
    error = error_from_event(encoded(body), URL)
    assert isinstance(error, core.ContextOverflowError)
    assert not error.is_retryable


@each_case(("status", "body", "kind"), OTHERS.values(), ids=OTHERS)
def test_what_only_looks_like_an_overflow(
    status: int, body: object, kind: type[EasyLLMError]
) -> None:
    error = error_from_response(status, {}, encoded(body), URL)
    assert type(error) is kind
    if not (status in {401, 404} or body is OTHERS["429 about a context"][1]):
        # Those differ by their status, which an event does not have.
        assert not isinstance(error_from_event(encoded(body), URL), core.ContextOverflowError)


def test_a_server_without_vision_is_not_asked_again() -> None:
    status, body, _ = OTHERS["no vision"]
    error = error_from_response(status, {}, encoded(body), URL)
    assert not error.is_retryable
    assert "Change the request" in str(error)
    assert type(error_from_event(encoded(body), URL)) is errors.BadRequestError


@pytest.mark.parametrize(
    "part",
    ["9", "exceeds the ", "maximum ", "input (9 tokens) ", "less than 9", "max_tokens "],
)
def test_long_words_are_searched_in_linear_time(part: str) -> None:
    def seconds(length: int) -> float:
        body = encoded(openai(part * (length // len(part))))
        best = float("inf")
        for _ in range(5):
            begun = time.perf_counter()
            error_from_response(400, {}, body, URL)
            best = min(best, time.perf_counter() - begun)
        return best

    assert seconds(16_000) < 50 * max(seconds(1_600), 0.002)
