"""The text-generation servers of the tests, one row a server: what it sends and what it is sent.

The rows of "transformers" and "llama-cpp-python" were written beside the running programs, the
others after the servers' own documents, sources and recorded traffic. Every parametrized test runs
on every row, but for those of reading answers, which leave out servers that answer as others do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Literal

from langchain_easyllm._servers.inference_providers import INFERENCE_PROVIDERS
from langchain_easyllm._servers.litellm import LITELLM
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.llama_cpp_python import LLAMA_CPP_PYTHON
from langchain_easyllm._servers.lm_studio import LM_STUDIO
from langchain_easyllm._servers.lmdeploy import LMDEPLOY
from langchain_easyllm._servers.mlx_lm import MLX_LM
from langchain_easyllm._servers.ollama import OLLAMA
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import NEUTRAL_FIELDS, ServerProfile
from langchain_easyllm._servers.sglang import SGLANG
from langchain_easyllm._servers.tensorrt_llm import TENSORRT_LLM
from langchain_easyllm._servers.tgi import TGI
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm._servers.vllm import VLLM

__all__ = [
    "NAMED",
    "SCHEMA",
    "TEXT_SERVERS",
    "Calls",
    "Fields",
    "Json",
    "ResponseShape",
    "TextServer",
]

Json = Mapping[str, object]
NULLS: Json = {"logprobs": None, "finish_reason": None}
TGI_FIELDS = frozenset(
    {
        "details",
        "do_sample",
        "grammar",
        "max_new_tokens",
        "repetition_penalty",
        "top_k",
        "truncate",
        "typical_p",
        "watermark",
    }
)
TGI_TOP: Json = {"id": "", "system_fingerprint": "3.3.4-native"}


@dataclass(frozen=True)
class ResponseShape:
    """How one server departs from the format that all of them share.

    Attributes:
        top: More keys of every answer and chunk.
        chunk: More keys of every chunk.
        whole: More keys of the choice of a whole answer.
        part: Keys of the choice in every chunk; `finish_reason` is set at the end.
        message: More keys of a whole chat message.
        delta: More keys of every delta with content.
        first: The delta of a first chunk before all content; None if there is no such chunk.
        end: Whether the finish reason comes in a chunk of its own after the last token.
        usage: When a stream has it: in a chunk of its own if the request asks for it, always in
            the last chunk, or never.
        done: Whether `[DONE]` ends a stream.
        space: Whether a blank follows `data:`.
        stop: What becomes of a stop sequence: "cut" from the text; "kept" with the whole token that
            completes it; "ended" as kept, but unseen if that token goes on after it.
        max_stops: The maximum number of stop sequences that a request may have.
        refuses: Fields that it does not know and answers with an error.
        accepts: All fields that it knows, if it answers any other with an error.
        headers: More headers of every successful answer.
        text: The row for the completions route, where it differs.
    """

    top: Json = field(default_factory=dict)
    chunk: Json = field(default_factory=dict)
    whole: Json = field(default_factory=lambda: {"logprobs": None})
    part: Json = field(default_factory=lambda: NULLS)
    message: Json = field(default_factory=dict)
    delta: Json = field(default_factory=dict)
    first: Json | None = None
    end: bool = True
    usage: Literal["asked", "last", "never"] = "asked"
    done: bool = True
    space: bool = True
    stop: Literal["cut", "kept", "ended"] = "cut"
    max_stops: int | None = None
    refuses: frozenset[str] = frozenset()
    accepts: frozenset[str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: ResponseShape | None = None


@dataclass(frozen=True)
class Calls:
    """How one server sends tool calls.

    Attributes:
        ids: Makes the id of call number n; None for no id.
        finish: What it says when calls end an answer; None if a stream says nothing.
        style: How it streams a call: "deltas" of the arguments after a first chunk, every chunk
            "repeated" with id and name, every chunk "typed" with id and type, a "whole" call in one
            chunk, or TGI 2's "bare" object.
        index: Whether a call has an index.
        parsed: Whether a whole answer has the arguments as an object.
    """

    ids: Callable[[int], object] = lambda n: f"call_{n}_abc"
    finish: str | None = "tool_calls"
    style: str = "deltas"
    index: bool = True
    parsed: bool = False


SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "integer"}}}
"""The schema that `Fields` speaks of."""


@dataclass(frozen=True)
class Fields:
    """The generation fields of one protocol, at the values of `test_field_names.VALUES`.

    Attributes:
        missing: Fields that the server does not have: an error.
        renamed: The keys and values that it is sent where they are not OpenAI's.
    """

    missing: AbstractSet[str]
    renamed: Mapping[str, Json] = field(default_factory=dict)


NAMED: Json = {"type": "function", "function": {"name": "a"}}
"""The choice of the tool "a"."""

Choice = tuple[str, object] | None


@dataclass(frozen=True, kw_only=True)
class TextServer:
    """One server.

    Attributes:
        profile: What the package should find it to be.
        listed: The keys of a model in `/v1/models`; None if that route fails.
        own: The route on which it says what only it does, and what it says.
        plain: Whether its answers are like those of other servers.
        not_found: The error that it answers on routes it does not have.
        responses: The shape of its answers.
        calls: Its tool calls.
        chat: Its fields on the chat protocol.
        completions: Its fields on the completions protocol.
        generate: Whether api="generate" can be tried on it.
        schema: The shape in which chat takes a schema, if it does.
        choices: The letters of the tools offered and the `tool_choice` sent among tools "a" and
            "b" for "auto", "none", "required" and "a"; None where that cannot be expressed.
        adds_strict: Whether a forced call is held to its schema only with `strict`.
        parallel: Whether it reads `parallel_tool_calls`.
        tool_images: Whether tool messages may hold images.
        tokenize: Route, key and answer of its tokenizer.
    """

    profile: ServerProfile
    listed: Json | None = field(default_factory=lambda: {"owned_by": "openai"})
    own: tuple[str, bytes] | None = None
    plain: bool = False
    not_found: str = "fastapi-not-found"
    responses: ResponseShape
    calls: Calls = Calls()
    chat: Fields
    completions: Fields
    generate: bool = True
    schema: Literal["openai", "grammar", "json_object", "json"] | None = "openai"
    choices: tuple[Choice, Choice, Choice, Choice] = (
        ("ab", "auto"),
        ("ab", "none"),
        ("ab", "required"),
        ("ab", NAMED),
    )
    adds_strict: bool = False
    parallel: bool = True
    tool_images: bool = False
    tokenize: tuple[str, str, object] | None = None


_TRT_JSON = {"response_format": {"type": "json", "schema": SCHEMA}}
_GRAMMAR = {"response_format": {"type": "json", "value": SCHEMA}}
_JSON_OBJECT = {"response_format": {"type": "json_object", "schema": SCHEMA}}
_LOGPROBS: Mapping[str, Json] = {"top_logprobs": {"logprobs": True, "top_logprobs": 3}}
_TEXT: Mapping[str, Json] = {
    "logprobs": {"logprobs": 1},
    "top_logprobs": {"logprobs": 3},
    "return_full_text": {"echo": True},
}
_EFFORT_IN_TEMPLATE = {"reasoning_effort": {"chat_template_kwargs": {"reasoning_effort": "low"}}}
_PENALTY = {"repetition_penalty": {"repeat_penalty": 1.5}}
_FEW = {"temperature", "top_p", "max_tokens", "stop", "seed", "do_sample"}
_OTHERS = {*NEUTRAL_FIELDS} - _FEW
_THINKING = {"thinking", "reasoning_effort"}
_LENGTH = {"min_p", "min_tokens", "ignore_eos"}
_REQUEST = {"service_tier", "user"}


def _config(text: str, **more: object) -> Json:
    return {**more, "generation_config": text.replace("$", '"max_new_tokens":1024')}


# What transformers serve is sent: it samples by a `generation_config`.
_CONFIGS: Mapping[str, Json] = {
    "temperature": _config('{"do_sample":true,$}', temperature=0.5),
    "top_p": _config('{"do_sample":true,$}', top_p=0.5),
    "do_sample": _config('{"do_sample":true,$}'),
    "top_k": _config('{"top_k":5,"do_sample":true,$}'),
    "typical_p": _config('{"typical_p":0.5,"do_sample":true,$}'),
    "min_p": _config('{"min_p":0.25,"do_sample":true,$}'),
    "repetition_penalty": _config('{"repetition_penalty":1.5,$}'),
    "min_tokens": _config('{"min_new_tokens":5,$}'),
}

_RARE = {"best_of", "watermark"}
_PENALTIES = {"frequency_penalty", "presence_penalty", "repetition_penalty"}
# The request model of TensorRT-LLM's chat.
_TRT_CHAT = frozenset(
    {
        *("messages", "model", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"),
        *("max_tokens", "max_completion_tokens", "n", "presence_penalty", "response_format"),
        *("seed", "stop", "stream", "stream_options", "temperature", "top_p", "tools"),
        *("tool_choice", "user", "reasoning_effort", "best_of", "use_beam_search", "top_k"),
        *("min_p", "repetition_penalty", "length_penalty", "early_stopping", "min_tokens"),
        "ignore_eos",
        *("truncate_prompt_tokens", "chat_template", "chat_template_kwargs", "documents"),
    }
)
_AUTO_ONLY: tuple[Choice, Choice, Choice, Choice] = (("ab", None), ("", None), None, None)


def _both(value: Json) -> Mapping[str, Json]:
    return {"response_format": value, "grammar": value}


TEXT_SERVERS: Mapping[str, TextServer] = {
    "openai": TextServer(
        profile=OPENAI_COMPATIBLE,
        responses=ResponseShape(
            top={"system_fingerprint": "fp_1", "service_tier": "default"},
            message={"refusal": None, "annotations": []},
            first={"role": "assistant", "content": "", "refusal": None},
        ),
        chat=Fields({"return_full_text"}, _LOGPROBS),
        completions=Fields(_THINKING | {"service_tier"}, _TEXT),
    ),
    "tgi": TextServer(
        profile=TGI,
        responses=ResponseShape(
            top=TGI_TOP,
            chunk={"usage": None},
            delta={"role": "assistant"},
            end=False,
            space=False,
            stop="ended",
            max_stops=4,
            text=ResponseShape(
                top=TGI_TOP,
                part={"logprobs": None, "finish_reason": ""},
                end=False,
                usage="last",
                space=False,
            ),
        ),
        calls=Calls(ids=lambda _: "0", finish=None, style="typed"),
        chat=Fields(
            {"n", "top_k", "repetition_penalty", "typical_p", "truncate"}
            | _THINKING
            | {"return_full_text", "logit_bias"}
            | _LENGTH
            | _REQUEST
            | _RARE,
            {**_LOGPROBS, **_both(_GRAMMAR)},
        ),
        completions=Fields(_OTHERS - {"frequency_penalty", "repetition_penalty"}),
        schema="grammar",
        parallel=False,
        tool_images=True,
        tokenize=("/tokenize", "inputs", [{"id": 5, "text": "Hi", "start": 0}, {"id": 6}]),
    ),
    "vllm": TextServer(
        profile=VLLM,
        listed={"owned_by": "vllm", "max_model_len": 2048, "root": "tiny", "parent": None},
        responses=ResponseShape(
            whole={"logprobs": None, "stop_reason": None},
            message={"reasoning_content": None, "tool_calls": []},
            first={"role": "assistant", "content": ""},
            max_stops=4,
        ),
        calls=Calls(ids=lambda n: f"chatcmpl-tool-{n}f00"),
        chat=Fields(
            {"typical_p", "return_full_text", "service_tier"} | _RARE,
            {**_LOGPROBS, "truncate": {"truncate_prompt_tokens": 5}},
        ),
        completions=Fields(
            {"typical_p", "service_tier"} | _THINKING | _RARE,
            {**_TEXT, "truncate": {"truncate_prompt_tokens": 5}},
        ),
        adds_strict=True,
        tool_images=True,
        tokenize=("/tokenize", "prompt", {"count": 2, "max_model_len": 2048, "tokens": [5, 6]}),
    ),
    "sglang": TextServer(
        profile=SGLANG,
        listed={"owned_by": "sglang", "max_model_len": 2048, "root": "tiny", "parent": None},
        responses=ResponseShape(
            chunk={"usage": None},
            whole={"logprobs": None, "matched_stop": None},
            part={**NULLS, "matched_stop": None},
            message={"reasoning_content": None, "tool_calls": None},
            delta={"role": None, "reasoning_content": None, "tool_calls": None},
            first={"role": "assistant", "content": ""},
        ),
        calls=Calls(ids=lambda n: f"call_{n}f00"),
        chat=Fields(
            {"typical_p", "truncate", "return_full_text", "service_tier"} | _RARE, _LOGPROBS
        ),
        completions=Fields({"typical_p", "truncate", "service_tier"} | _THINKING | _RARE, _TEXT),
        generate=False,
        adds_strict=True,
        tokenize=("/v1/tokenize", "prompt", {"tokens": [5, 6], "count": 2, "max_model_len": 9}),
    ),
    "llamacpp": TextServer(
        profile=LLAMA_CPP,
        listed={"owned_by": "llamacpp", "meta": {"n_ctx_train": 2048, "n_vocab": 1024}},
        not_found="llamacpp-not-found",
        responses=ResponseShape(
            top={"system_fingerprint": "b6800-1"},
            whole={},
            part={"finish_reason": None},
            first={"role": "assistant", "content": None},
        ),
        calls=Calls(ids=lambda n: f"Zk3{n}" * 8),
        chat=Fields(
            {"truncate", "return_full_text", "min_tokens"} | _REQUEST | _RARE,
            {**_LOGPROBS, **_PENALTY, **_EFFORT_IN_TEMPLATE},
        ),
        completions=Fields(
            {"truncate", "return_full_text", "min_tokens"} | _REQUEST | _THINKING | _RARE,
            {**_TEXT, **_PENALTY, **_both({"json_schema": SCHEMA})},
        ),
        choices=(("ab", "auto"), ("ab", "none"), ("ab", "required"), ("a", "required")),
        tool_images=True,
        tokenize=("/tokenize", "content", {"tokens": [5, 6]}),
    ),
    "llama-cpp-python": TextServer(
        profile=LLAMA_CPP_PYTHON,
        listed={"owned_by": "me", "permissions": []},
        responses=ResponseShape(first={"role": "assistant"}, usage="never"),
        calls=Calls(ids=lambda n: f"call__{n}_add_cmpl-1f00", style="repeated"),
        chat=Fields(
            {"n", "typical_p", "truncate", "return_full_text", "ignore_eos", "service_tier"}
            | _THINKING
            | _RARE,
            {
                **_LOGPROBS,
                **_PENALTY,
                **_both(_JSON_OBJECT),
                "logprobs": {"logprobs": True, "top_logprobs": 1},
            },
        ),
        completions=Fields(
            # The two that constrain take a grammar, and no schema.
            {"n", "typical_p", "truncate", "response_format", "grammar"}
            | {"ignore_eos", "service_tier"}
            | _THINKING
            | _RARE,
            {**_TEXT, **_PENALTY},
        ),
        schema="json_object",
        choices=(("ab", "auto"), ("ab", "none"), None, ("ab", NAMED)),
        parallel=False,
        tokenize=("/extras/tokenize", "input", {"tokens": [5, 6]}),
    ),
    "ollama": TextServer(
        profile=OLLAMA,
        listed={"owned_by": "library"},
        not_found="go-not-found",
        responses=ResponseShape(
            top={"system_fingerprint": "fp_ollama"},
            whole={},
            part={"finish_reason": None},
            delta={"role": "assistant"},
        ),
        calls=Calls(ids=lambda n: f"call_{n}x7k2p9q", style="whole"),
        chat=Fields(
            {"n", "top_k", "repetition_penalty", "typical_p", "truncate", "return_full_text"}
            | {"logit_bias"}
            | _LENGTH
            | _REQUEST
            | _RARE,
            {**_LOGPROBS, "thinking": {"reasoning_effort": "none"}},
        ),
        completions=Fields(
            {"n", "truncate", "logit_bias", "min_tokens", "ignore_eos"}
            | _REQUEST
            | _THINKING
            | _RARE,
            {
                **_PENALTY,
                **_both({"format": SCHEMA}),
                "max_tokens": {"num_predict": 5},
                "logprobs": {"top_logprobs": 1},
                "top_logprobs": {"top_logprobs": 3},
                "return_full_text": {"client side": True},
            },
        ),
        generate=False,
        choices=_AUTO_ONLY,
        parallel=False,
    ),
    "lm-studio": TextServer(
        profile=LM_STUDIO,
        plain=True,
        listed={"owned_by": "organization_owner"},
        not_found="lm-studio-not-found",
        responses=ResponseShape(delta={"role": "assistant"}, max_stops=4),
        chat=Fields(
            _OTHERS
            - _PENALTIES
            - _THINKING
            - {"top_k", "response_format", "grammar", "logit_bias"},
            {**_PENALTY, "thinking": {"reasoning_effort": "none"}},
        ),
        completions=Fields(_OTHERS - _PENALTIES - {"top_k", "logit_bias"}, _PENALTY),
        generate=False,
        choices=(("ab", "auto"), ("ab", "none"), ("ab", "required"), ("a", "required")),
        parallel=False,
    ),
    "tensorrt-llm": TextServer(
        profile=TENSORRT_LLM,
        plain=True,
        listed={"owned_by": "tensorrt_llm"},
        responses=ResponseShape(
            first={"role": "assistant"}, accepts=_TRT_CHAT | {"prompt", "echo"}
        ),
        chat=Fields(
            {"typical_p", "watermark", "return_full_text", "service_tier"},
            {
                **_LOGPROBS,
                **_both(_TRT_JSON),
                "truncate": {"truncate_prompt_tokens": 5},
                "thinking": {"chat_template_kwargs": {"enable_thinking": False}},
            },
        ),
        completions=Fields(
            {"typical_p", "watermark", "service_tier"} | _THINKING,
            {**_TEXT, **_both(_TRT_JSON), "truncate": {"truncate_prompt_tokens": 5}},
        ),
        generate=False,
        schema="json",
        parallel=False,
    ),
    "lmdeploy": TextServer(
        profile=LMDEPLOY,
        plain=True,
        listed={"owned_by": "lmdeploy", "root": "tiny", "parent": None, "permission": []},
        responses=ResponseShape(whole={}, part={}, first={"role": "assistant", "content": ""}),
        chat=Fields(
            {"frequency_penalty", "presence_penalty", "typical_p", "truncate", "return_full_text"}
            | {"logit_bias", "service_tier"}
            | _RARE,
            {
                **_LOGPROBS,
                "min_tokens": {"min_new_tokens": 5},
                "logprobs": {"logprobs": True, "top_logprobs": 1},
                "thinking": {"enable_thinking": False},
            },
        ),
        completions=Fields(
            _OTHERS - {"top_k", "repetition_penalty", "min_p", "ignore_eos", "user"}
        ),
        generate=False,
        choices=_AUTO_ONLY,
        tokenize=("/v1/encode", "input", {"input_ids": [5, 6], "length": 2}),
    ),
    "mlx-lm": TextServer(
        profile=MLX_LM,
        plain=True,
        listed={},
        own=("/health", b'{"status": "ok"}'),
        not_found="mlx-not-found",
        responses=ResponseShape(
            top={"system_fingerprint": "0.31-0.30-macOS"},
            whole={},
            part={"finish_reason": None},
            delta={"role": "assistant"},
        ),
        chat=Fields(
            _OTHERS
            - _PENALTIES
            - _THINKING
            - {"top_k", "logprobs", "top_logprobs", "min_p", "logit_bias"},
            {**_LOGPROBS, **_EFFORT_IN_TEMPLATE, "logprobs": {"logprobs": True, "top_logprobs": 1}},
        ),
        completions=Fields(_OTHERS - _PENALTIES - {"top_k", "min_p", "logit_bias"}),
        generate=False,
        schema=None,
        choices=_AUTO_ONLY,
        parallel=False,
    ),
    "litellm": TextServer(
        profile=LITELLM,
        plain=True,
        listed={"owned_by": "openai", "created": 1677610602},
        own=("/health/liveliness", b'"I\'m alive!"'),
        responses=ResponseShape(first={"role": "assistant", "content": ""}),
        chat=Fields({"return_full_text"}, _LOGPROBS),
        completions=Fields(_THINKING | {"service_tier"}, _TEXT),
        generate=False,
    ),
    "transformers": TextServer(
        profile=TRANSFORMERS_SERVE,
        listed=None,
        responses=ResponseShape(
            chunk={"system_fingerprint": ""},
            whole={},
            part={},
            first={"role": "assistant"},
            usage="last",
            done=False,
            stop="kept",
            refuses=TGI_FIELDS | _LENGTH | _REQUEST | {"guided_json"},
            text=ResponseShape(whole={}, part={}, usage="last", done=False),
        ),
        calls=Calls(ids=lambda n: f"chatcmpl-1_tool_call_{n}", style="whole"),
        chat=Fields(
            _OTHERS - _THINKING - {"logit_bias"} - _CONFIGS.keys(),
            _EFFORT_IN_TEMPLATE | _CONFIGS,
        ),
        completions=Fields(
            _OTHERS - {"logit_bias"} - _CONFIGS.keys(),
            {**_CONFIGS, "logit_bias": _config('{"sequence_bias":[[[7],-100.0]],$}')},
        ),
        schema=None,
        choices=_AUTO_ONLY,
        parallel=False,
        tool_images=True,
    ),
    # A provider behind the router: text and seed stray beside the delta.
    "router": TextServer(
        profile=INFERENCE_PROVIDERS,
        listed={
            "owned_by": "somebody",
            "providers": [{"provider": "together", "status": "live"}],
        },
        responses=ResponseShape(
            chunk={"usage": None},
            part={**NULLS, "text": "", "seed": None},
            delta={"role": "assistant", "tool_calls": None},
            end=False,
            usage="last",
            headers={"retry-after": "30"},
        ),
        chat=Fields({"return_full_text"}, _LOGPROBS),
        completions=Fields(_THINKING | {"service_tier"}, _TEXT),
    ),
}
"""Every server by its name in the tests."""
