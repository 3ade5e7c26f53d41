"""What to do about a finding, server by server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .subject import Subject

ADVICE: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "tools": "Start vLLM with --enable-auto-tool-choice and --tool-call-parser NAME (hermes, "
        "llama3_json, mistral, ...: the one of the model).",
        "reasoning": "If the model reasons, start vLLM with --reasoning-parser NAME (qwen3, "
        "deepseek_r1, ...).",
        "embeddings": "Start a vLLM with --runner pooling and an embedding model for them.",
        "rerank": "Start a vLLM with --runner pooling and a reranker for it.",
        "plain": "If the model has no chat template, start vLLM with --chat-template FILE.",
        "concurrency": "Raise --max-num-seqs, or set max_concurrency.",
    },
    "sglang": {
        "tools": "Start SGLang with --tool-call-parser NAME (qwen25, llama3, mistral, ...).",
        "reasoning": "If the model reasons, start SGLang with --reasoning-parser NAME.",
        "embeddings": "Start an SGLang with --is-embedding and an embedding model for them.",
        "cancellation": "It says so if it is started with --enable-metrics.",
    },
    "llama.cpp": {
        "tools": "Start llama-server with --jinja, and a model whose chat template has tools (or "
        "--chat-template-file FILE).",
        "reasoning": "If the model reasons, start llama-server with --jinja and "
        "--reasoning-format auto.",
        "embeddings": "Start a llama-server with --embeddings and an embedding model for them.",
        "rerank": "Start a llama-server with --rerank and a reranker for it.",
        "cancellation": "It says so if it is started with --slots.",
        "concurrency": "Start llama-server with --parallel N for more slots, or set "
        "max_concurrency.",
    },
    "llama-cpp-python": {
        "tools": "Start it with --chat_format chatml-function-calling, or run llama-server.",
        "embeddings": "Start one with --embedding true and an embedding model for them.",
    },
    "tgi": {
        "tools": "TGI turns tools into a grammar: check that it was not started with "
        "--disable-grammar-support.",
        "schema": "Check that TGI was not started with --disable-grammar-support.",
        "regex": "Check that TGI was not started with --disable-grammar-support.",
        "embeddings": "Text Embeddings Inference (TEI) serves embeddings.",
        "rerank": "Text Embeddings Inference (TEI) serves rerankers.",
        "concurrency": "Raise --max-concurrent-requests, or set max_concurrency.",
    },
    "tei": {
        "embeddings": "TEI serves one kind of model: start another one for embeddings.",
        "rerank": "TEI serves one kind of model: start another one with a reranker.",
    },
    "ollama": {
        "tools": "Take a model with tools: `ollama show NAME` lists what it can do.",
        "embeddings": "Take an embedding model: `ollama pull nomic-embed-text`, say.",
    },
    "lmdeploy": {"tools": "Start LMDeploy with --tool-call-parser NAME."},
    "tensorrt-llm": {"tools": "Start trtllm-serve with --tool_parser NAME."},
    "lm studio": {"tools": "Load a model with the tool badge in LM Studio."},
    "transformers serve": {
        "tools": "Take a model whose tool calls transformers serve reads (Qwen), or another "
        "server.",
    },
}
"""By the server's name and that of the check, or its group."""


def advice(subject: Subject, name: str) -> str:
    return ADVICE.get(subject.details.server, {}).get(name, "")
