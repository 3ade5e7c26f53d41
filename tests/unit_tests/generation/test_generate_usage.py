"""What TGI's own routes tell of tokens and the model, where LangChain's callbacks look for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.outputs import LLMResult

from langchain_easyllm import EasyLLM, EasyLLMChat

from ...support.fake_server import FakeServer, Reply
from ...support.fake_text_servers import serve, tgi_generate, tgi_generate_stream
from ...support.invocation_modes import ALL_MODES, STREAM_MODES, answer

TOKENS = ["Hello", " world"]
COUNTED = {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
HEADERS = {"x-prompt-tokens": "7", "x-generated-tokens": "2"}


def serve_counting(server: FakeServer) -> None:
    """TGI, which counts seven tokens of prompt and two of answer."""
    serve(server, "tgi", TOKENS)
    whole = replace(tgi_generate("Hello world"), headers=HEADERS)
    server.on("POST", "/generate", whole)
    server.on("POST", "/generate_stream", tgi_generate_stream(TOKENS, finish_reason="length"))


@pytest.mark.parametrize("mode", ALL_MODES)
def test_langchains_callback_counts_an_answer_of_generate(
    fake_server: FakeServer, mode: str
) -> None:
    serve_counting(fake_server)
    chat = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr")
    with get_usage_metadata_callback() as callback:
        message = answer(mode, chat)
        assert answer(mode, chat) is not None
    if not mode.endswith("as_completed"):
        assert message.usage_metadata == COUNTED
        assert message.response_metadata["model_name"] == "tiny"
    assert callback.usage_metadata == {"tiny": {k: 2 * v for k, v in COUNTED.items()}}
    posts = [request.path for request in fake_server.requests if request.method == "POST"]
    route = "/generate_stream" if mode in STREAM_MODES else "/generate"
    assert posts == [route] * 2
    assert len(fake_server.requests) == 3  # and one `/info`


class Ends(BaseCallbackHandler):
    """Keeps what the runs ended with."""

    def __init__(self) -> None:
        self.results: list[LLMResult] = []

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self.results.append(response)


@pytest.mark.parametrize("mode", ALL_MODES)
def test_an_llms_run_ends_with_its_counts(fake_server: FakeServer, mode: str) -> None:
    serve_counting(fake_server)
    ends = Ends()
    answer(mode, EasyLLM(base_url=fake_server.url, callbacks=[ends]))
    [result] = ends.results
    info = result.generations[0][0].generation_info
    assert info is not None
    assert info["usage"] == COUNTED
    assert info["model_name"] == "tiny"
    if mode not in STREAM_MODES:
        assert result.llm_output == {
            "token_usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
            "model_name": "tiny",
        }


def test_a_batch_of_prompts_is_counted_once(fake_server: FakeServer) -> None:
    serve_counting(fake_server)
    ends = Ends()
    EasyLLM(base_url=fake_server.url, callbacks=[ends]).generate(["a", "b", "c"])
    totals = [
        (result.llm_output or {})["token_usage"].get("total_tokens", 0) for result in ends.results
    ]
    assert totals == [27, 0, 0]


@pytest.mark.parametrize("cls", [EasyLLM, EasyLLMChat])
def test_a_model_that_the_caller_names_is_the_one_that_answers(
    fake_server: FakeServer, cls: Callable[..., Any]
) -> None:
    serve_counting(fake_server)
    model = cls(base_url=fake_server.url, api="generate", model="org/mine", prompt_builder="zephyr")
    assert (
        model.generate_prompt([model._convert_input("Hi")])
        .generations[0][0]
        .generation_info["model_name"]
        == "org/mine"
    )
    assert [request.path for request in fake_server.requests] == ["/generate"]


def prefill(*texts: str) -> list[Mapping[str, object]]:
    return [{"id": number, "text": text, "logprob": None} for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("read", "headers", "counted"),
    [
        (prefill("<pad>"), HEADERS, COUNTED),  # an encoder-decoder model's
        (prefill("<pad>"), {}, None),
        (prefill("a", "b", "c"), HEADERS, COUNTED),
        (prefill("a", "b", "c"), {}, {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
    ],
)
def test_the_details_of_a_decoders_beginning_are_no_count_of_the_prompt(
    fake_server: FakeServer,
    read: list[Any],
    headers: dict[str, str],
    counted: object,
    whole_mode: str,
) -> None:
    serve(fake_server, "tgi")
    details = {"finish_reason": "length", "generated_tokens": 2, "seed": None, "tokens": []}
    body = {"generated_text": "Hello world", "details": {**details, "prefill": read}}
    fake_server.on("POST", "/generate", Reply(body, headers=headers))
    asked = {"decoder_input_details": True}
    chat = EasyLLMChat(base_url=fake_server.url, prompt_builder="zephyr", model_kwargs=asked)
    assert answer(whole_mode, chat).usage_metadata == counted
