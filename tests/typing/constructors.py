"""Constructors as the documentation writes them, and as it does not.

mypy accepts each line, or refuses it where `type: ignore` stands: a comment without need is an
error.
"""

from __future__ import annotations

from typing import Any, assert_type

import httpx
from pydantic import BaseModel, SecretStr

from langchain_easyllm import (
    EasyLLM,
    EasyLLMChat,
    EasyLLMCrossEncoder,
    EasyLLMEmbeddings,
    EasyLLMRerank,
    EasyLLMSparseEmbeddings,
)
from langchain_easyllm.http import Request
from langchain_easyllm.prompts import get_prompt

__all__ = ["accepted", "read", "refused"]

URL = "http://localhost:8080"
HEADERS = {"X-Team": "search"}


class Answer(BaseModel):
    """What a model is to answer."""

    text: str


def token() -> str:
    """Return a token."""
    return "text"


async def atoken() -> SecretStr:
    """Return a token, later."""
    return SecretStr("text")


def sign(request: Request) -> dict[str, str]:
    """Return headers for a request."""
    return {"X-Signature": f"{request.method} {len(request.body or b'')}"}


async def asign(request: Request) -> dict[str, str] | None:
    """Return headers for a request, later."""
    return None if "x-signature" in request.headers else sign(request)


def accepted() -> None:
    """Make objects in all the ways that are documented."""
    # One call for each class: a loop would be checked as calls of a class that they have in common.
    EasyLLM(model="org/name", provider="together", api_key="text", max_concurrency=4)
    EasyLLMChat(model="org/name", provider="together", api_key="text", max_concurrency=4)
    EasyLLMEmbeddings(model="org/name", provider="together", api_key="text", max_concurrency=4)
    EasyLLMRerank(model="org/name", provider="together", api_key="text", max_concurrency=4)

    EasyLLM(model_id="org/name", huggingfacehub_api_token="text", task="text-generation")
    EasyLLMChat(model_id="org/name", huggingfacehub_api_token="text", task="conversational")
    EasyLLMEmbeddings(model_id="org/name", huggingfacehub_api_token="text", chunk_size=8)
    EasyLLMRerank(model_id="org/name", huggingfacehub_api_token="text", chunk_size=8)

    EasyLLM(repo_id="org/name", token="text", client=None, async_client=None, tokenizer=None)
    EasyLLMChat(model_name="org/name", token=SecretStr("text"), additional_headers=HEADERS)
    EasyLLMEmbeddings(endpoint_url=URL, api_key=SecretStr("text"), default_headers=HEADERS)
    EasyLLMRerank(inference_server_url=URL, server_kwargs={"headers": HEADERS, "timeout": 5})
    EasyLLM(api_base=URL, timeout=None, model_kwargs={"a": 1}, max_retries=0, batch_size=4)
    EasyLLMChat(api_url=URL, api_key=None, model=None, verify="ca.pem", chunk_size=4)

    EasyLLM(base_url=URL, max_tokens=5, stop=["x"], temperature=0, streaming=True)
    EasyLLM(base_url=URL, max_new_tokens=5, stop="x", thinking=False, tags=["a"])
    EasyLLMChat(base_url=URL, reasoning_effort="xhigh", thinking=None)
    EasyLLM(base_url=URL, max_length=5, stop_sequences=["x"], metadata={"team": "search"})
    EasyLLMChat(base_url=URL, max_new_tokens=5, stop="x", echo=None, callbacks=[])
    EasyLLMChat(base_url=URL, stop_sequences="x", prompt_builder=get_prompt("zephyr"))
    EasyLLMChat(base_url=URL, max_length=5, prompt_builder=str, api="generate", n=2)
    EasyLLM(base_url=URL, echo=True)
    EasyLLM(base_url=[URL, f"{URL}/tgi"], balance="prefix")
    EasyLLMChat(endpoint_url=(URL, f"{URL}/tgi"), balance="least_busy")
    EasyLLM(base_url=URL, return_full_text=True, cache=False)

    EasyLLMChat(openai_api_base=URL, openai_api_key="text", max_completion_tokens=5, bill_to="o")
    EasyLLM(base_url=URL, num_predict=5, repeat_penalty=1.1, format="json", max_retries=None)
    EasyLLMChat(base_url=URL, reasoning={"effort": "low"}, max_tokens=3)
    EasyLLM(base_url=URL, reasoning=True)
    EasyLLMEmbeddings(base_url=URL, show_progress_bar=False)
    EasyLLMChat(base_url=URL, format={"type": "object"}, extra_body={"a": 1}, bill_to=None)
    EasyLLMEmbeddings(openai_api_base=URL, request_timeout=5, extra_body={"a": 1}, bill_to="o")
    EasyLLMRerank(base_url=URL, timeout=httpx.Timeout(9), openai_api_key=SecretStr("text"))
    EasyLLM(base_url=URL, timeout=(1, 9), request_timeout=None)
    EasyLLMChat(base_url=URL, timeout=httpx.Timeout(9, read=None), max_retries=2)
    EasyLLM(base_url=URL, request_timeout=(1.5, None, None, None))

    EasyLLMChat(base_url=URL, response_format=Answer)
    EasyLLM(base_url=URL, grammar={"type": "choice", "value": ["yes", "no"]}, response_format=None)

    EasyLLMChat(llm=EasyLLM(repo_id="org/name"), temperature=0.5)
    EasyLLMChat(llm=None, model="org/name", parse_tool_calls="hermes", disable_streaming=True)
    EasyLLMEmbeddings(base_url=URL, query_instruction="q: ", embed_instruction="d: ")
    EasyLLMEmbeddings(base_url=URL, encode_kwargs={"normalize_embeddings": True})
    EasyLLMEmbeddings(base_url=URL, normalize=True, dimensions=4, api="embeddings")
    EasyLLMRerank(base_url=URL, top_n=3, truncation_direction="left")
    EasyLLMCrossEncoder(base_url=URL, raw_scores=True, api="score", chunk_size=8)
    EasyLLMSparseEmbeddings(base_url=URL, prompt_name="query", truncate=True, token=token)

    EasyLLM(base_url=URL, logit_bias={15043: -100}, min_p=0.1, min_new_tokens=2)
    EasyLLMChat(base_url=URL, logit_bias={"15043": -0.5}, min_tokens=2, ignore_eos=True)
    EasyLLMChat(base_url=URL, logit_bias=[[15043, -1.0]], user="u-1", service_tier="flex")

    EasyLLM(base_url=URL, api_key=token, request_hook=sign)
    EasyLLMChat(base_url=URL, token=atoken, request_hook=asign)
    EasyLLMEmbeddings(huggingfacehub_api_token=lambda: SecretStr("text"), request_hook=None)
    EasyLLMRerank(base_url=URL, api_key=token, request_hook=lambda request: {"X-Url": request.url})


def read() -> None:
    """Read what was given, as pydantic keeps it."""
    model = EasyLLMChat(base_url=URL, api_key="text", stop="x", repo_id="org/name")
    assert_type(model.api_key, SecretStr | None)
    assert_type(model.stop, list[str] | None)
    assert_type(model.response_format, dict[str, Any] | None)
    assert_type(model.model, str | None)
    assert_type(model.model_id, str | None)
    assert_type(model.model_name, str | None)
    model.model_name = "org/other"
    assert_type(model.timeout, float | None)
    assert_type(model.max_retries, int)
    assert_type(model.logit_bias, dict[str, float] | None)
    assert_type(EasyLLMEmbeddings(token="text").api_key, SecretStr | None)
    model.stop, model.api_key = ["y"], SecretStr("other")
    model.api_key, model.request_hook = token, sign


def local() -> None:
    """Make objects of models in this process, which needs the libraries for them."""
    given = {"max_new_tokens": 5}
    assert_type(
        EasyLLM.from_model_id(model_id="gpt2", task="text-generation", pipeline_kwargs=given),
        EasyLLM,
    )
    assert_type(EasyLLMChat.from_model_id("org/name", device="cuda", temperature=0), EasyLLMChat)
    EasyLLM.from_model_id()  # type: ignore[call-arg]


def refused() -> None:
    """Make objects of what no class takes."""
    EasyLLM(temperatur=0.5)  # type: ignore[call-arg]
    EasyLLMChat(repo="org/name")  # type: ignore[call-arg]
    EasyLLMEmbeddings(max_tokens=5)  # type: ignore[call-arg]
    EasyLLMEmbeddings(stop_sequences=["x"])  # type: ignore[call-arg]
    EasyLLMRerank(encode_kwargs={})  # type: ignore[call-arg]
    EasyLLMRerank(query_instruction="q: ")  # type: ignore[call-arg]
    EasyLLM(llm=EasyLLM(model="org/name"))  # type: ignore[call-arg]
    EasyLLMChat("org/name")  # type: ignore[call-arg]
    EasyLLMChat(llm="org/name")  # type: ignore[arg-type]
    EasyLLMChat(api_key=1)  # type: ignore[arg-type]
    EasyLLMChat(api_key=lambda: 1)  # type: ignore[arg-type]
    EasyLLMChat(request_hook="X-Team: search")  # type: ignore[arg-type]
    EasyLLMChat(request_hook=token)  # type: ignore[arg-type]
    EasyLLMChat(stop=1)  # type: ignore[arg-type]
    EasyLLMChat(temperature="hot")  # type: ignore[arg-type]
    EasyLLMChat(reasoning_effort="hihg")  # type: ignore[arg-type]
    EasyLLMChat(timeout="soon")  # type: ignore[arg-type]
    EasyLLM(request_timeout={})  # type: ignore[arg-type]
    EasyLLM(max_retries="many")  # type: ignore[arg-type]
    EasyLLMChat(bill_to=5)  # type: ignore[arg-type]
    EasyLLMRerank(num_predict=5)  # type: ignore[call-arg]
    EasyLLMSparseEmbeddings(dimensions=5)  # type: ignore[call-arg]
    EasyLLMCrossEncoder(top_n=5)  # type: ignore[call-arg]
    EasyLLMChat(logit_bias=5)  # type: ignore[arg-type]
    EasyLLM(num_ctx=8192)  # type: ignore[call-arg]
    EasyLLMChat(extra_headers={})  # type: ignore[call-arg]
    EasyLLMChat(client=object())  # type: ignore[arg-type]
    EasyLLMChat(api="embed")  # type: ignore[arg-type]
