"""What is measured: one small adapter each, imported in that target's own process only.

A target builds a chat model and an LLM for a port of the loopback server; the scenarios then treat
all of them alike. Peers are set up as their own documentation shows, on their default settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import prompts

if TYPE_CHECKING:
    from collections.abc import Callable


class UnsupportedError(Exception):
    """The target has no such thing to measure."""


class Target:
    """One thing to measure; subclasses give what they have.

    Attributes:
        name: The name in tables and on the command line.
        label: The name in full, with the class names.
        importing: The statement whose import is timed.
    """

    name = ""
    label = ""
    importing = ""

    def check(self) -> None:
        """Raise `ImportError` where the target is not installed."""
        exec(self.importing, {})

    def chat(self, port: int) -> object:
        """Return a chat model for the server on `port`."""
        raise UnsupportedError

    def llm(self, port: int) -> object:
        """Return an LLM for the server on `port`."""
        raise UnsupportedError

    def embeddings(self, port: int) -> object:
        """Return an embedding model for the server on `port`."""
        raise UnsupportedError

    def renderer(self, name: str) -> Callable[[list[dict[str, str]]], str]:
        """Return a function that renders messages by the prompt template `name`."""
        raise UnsupportedError


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


class Ours(Target):
    """This package."""

    name = "ours"
    label = "langchain-easyllm: EasyLLMChat, EasyLLM"
    importing = "import langchain_easyllm; from langchain_easyllm import EasyLLMChat, EasyLLM"

    def chat(self, port: int) -> object:
        from langchain_easyllm import EasyLLMChat

        return EasyLLMChat(base_url=_url(port), api="chat", model="m")

    def llm(self, port: int) -> object:
        from langchain_easyllm import EasyLLM

        return EasyLLM(base_url=_url(port), api="generate")

    def embeddings(self, port: int) -> object:
        from langchain_easyllm import EasyLLMEmbeddings

        return EasyLLMEmbeddings(base_url=_url(port))

    def renderer(self, name: str) -> Callable[[list[dict[str, str]]], str]:
        from langchain_easyllm.prompts import get_prompt

        return get_prompt(name).render


class HuggingFace(Target):
    """langchain-huggingface on a TGI server's URL."""

    name = "huggingface"
    label = "langchain-huggingface: ChatHuggingFace, HuggingFaceEndpoint"
    importing = "from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint"

    def chat(self, port: int) -> object:
        from langchain_huggingface import ChatHuggingFace

        return ChatHuggingFace(llm=self.llm(port))

    def llm(self, port: int) -> object:
        from langchain_huggingface import HuggingFaceEndpoint

        return HuggingFaceEndpoint(endpoint_url=_url(port))

    def embeddings(self, port: int) -> object:
        from huggingface_hub import AsyncInferenceClient, InferenceClient
        from langchain_huggingface import HuggingFaceEndpointEmbeddings

        # It takes no address: the clients that it makes for the Hub are replaced.
        embeddings = HuggingFaceEndpointEmbeddings(model="m", huggingfacehub_api_token="-")
        embeddings.client = InferenceClient(model=_url(port))
        embeddings.async_client = AsyncInferenceClient(model=_url(port))
        return embeddings


class OpenAI(Target):
    """langchain-openai on the same server's OpenAI routes."""

    name = "openai"
    label = "langchain-openai: ChatOpenAI, OpenAI"
    importing = "from langchain_openai import ChatOpenAI, OpenAI"

    def chat(self, port: int) -> object:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(base_url=f"{_url(port)}/v1", api_key="-", model="m")

    def llm(self, port: int) -> object:
        from langchain_openai import OpenAI as OpenAILLM

        return OpenAILLM(base_url=f"{_url(port)}/v1", api_key="-", model="m")

    def embeddings(self, port: int) -> object:
        from langchain_openai import OpenAIEmbeddings

        return OpenAIEmbeddings(
            base_url=f"{_url(port)}/v1",
            api_key="-",
            model="m",
            chunk_size=32,
            check_embedding_ctx_length=False,  # as its documentation says for other servers
        )


class Raw(Target):
    """A client without LangChain: bare socket (sync), aiohttp (async)."""

    name = "raw"
    label = "raw client: bare socket, aiohttp"
    importing = "import socket, aiohttp, orjson"

    def chat(self, port: int) -> object:
        from .raw import CHAT, RawClient

        return RawClient(port, CHAT)

    def llm(self, port: int) -> object:
        from .raw import GENERATE, RawClient

        return RawClient(port, GENERATE)

    def embeddings(self, port: int) -> object:
        from .raw_embeddings import RawEmbeddings

        return RawEmbeddings(port)


class Floor(Target):
    """langchain-core with ready chunks and no I/O; what nobody on it can beat."""

    name = "floor"
    label = "langchain-core: ready chunks, no I/O"
    importing = (
        "import langchain_core.language_models.chat_models, "
        "langchain_core.language_models.llms, langchain_core.embeddings"
    )

    def chat(self, port: int) -> object:
        from .floor import FloorChat

        return FloorChat()

    def llm(self, port: int) -> object:
        from .floor import FloorLLM

        return FloorLLM()

    def embeddings(self, port: int) -> object:
        from .raw_embeddings import FloorEmbeddings

        return FloorEmbeddings(port)


class Jinja(Target):
    """The Jinja template in jinja2's sandbox, compiled once."""

    name = "jinja"
    label = "jinja2: ImmutableSandboxedEnvironment"
    importing = "import jinja2.sandbox"

    def renderer(self, name: str) -> Callable[[list[dict[str, str]]], str]:
        return prompts.sandboxed(name)


class Transformers(Target):
    """The Jinja template as transformers' `apply_chat_template` renders it."""

    name = "transformers"
    label = "transformers: render_jinja_template"
    importing = "from transformers.utils.chat_template_utils import render_jinja_template"

    def renderer(self, name: str) -> Callable[[list[dict[str, str]]], str]:
        return prompts.through_transformers(name)


TARGETS = {
    target.name: target
    for target in (Ours(), HuggingFace(), OpenAI(), Raw(), Floor(), Jinja(), Transformers())
}
