"""The clients whose behaviour `peers` compares, each set up as its documentation shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings
    from langchain_core.language_models import BaseChatModel, BaseLLM


class Client:
    """One package; subclasses build its models for the server at `url`.

    Attributes:
        name: The package.
        classes: Its chat model, LLM and embeddings.
    """

    name = ""
    classes = ""

    def chat(self, url: str, **fields: object) -> BaseChatModel:
        """Return a chat model; `fields` are parameters of generation."""
        raise NotImplementedError

    def llm(self, url: str, **fields: object) -> BaseLLM:
        """Return an LLM."""
        raise NotImplementedError

    def embeddings(self, url: str) -> Embeddings:
        """Return an embedding model."""
        raise NotImplementedError


class Ours(Client):
    """This package."""

    name = "langchain-easyllm"
    classes = "EasyLLMChat, EasyLLM, EasyLLMEmbeddings"

    def chat(self, url: str, **fields: object) -> BaseChatModel:
        from langchain_easyllm import EasyLLMChat

        return EasyLLMChat(base_url=url, **fields)

    def llm(self, url: str, **fields: object) -> BaseLLM:
        from langchain_easyllm import EasyLLM

        return EasyLLM(base_url=url, **fields)

    def embeddings(self, url: str) -> Embeddings:
        from langchain_easyllm import EasyLLMEmbeddings

        return EasyLLMEmbeddings(base_url=url)


class HuggingFace(Client):
    """langchain-huggingface; generation parameters are those of its endpoint."""

    name = "langchain-huggingface"
    classes = "ChatHuggingFace, HuggingFaceEndpoint, HuggingFaceEndpointEmbeddings"

    def chat(self, url: str, **fields: object) -> BaseChatModel:
        from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint

        return ChatHuggingFace(llm=HuggingFaceEndpoint(endpoint_url=url, **fields))

    def llm(self, url: str, **fields: object) -> BaseLLM:
        from langchain_huggingface import HuggingFaceEndpoint

        return HuggingFaceEndpoint(endpoint_url=url, **fields)

    def embeddings(self, url: str) -> Embeddings:
        from huggingface_hub import InferenceClient
        from langchain_huggingface import HuggingFaceEndpointEmbeddings

        # It refuses the URL of a server, so the client that it makes for the Hub is replaced.
        embeddings = HuggingFaceEndpointEmbeddings(model="tiny", huggingfacehub_api_token="-")
        embeddings.client = InferenceClient(model=url)
        return embeddings


class OpenAI(Client):
    """langchain-openai on the server's OpenAI routes."""

    name = "langchain-openai"
    classes = "ChatOpenAI, OpenAI, OpenAIEmbeddings"

    def chat(self, url: str, **fields: object) -> BaseChatModel:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(base_url=f"{url}/v1", api_key="-", model="tiny", **fields)

    def llm(self, url: str, **fields: object) -> BaseLLM:
        from langchain_openai import OpenAI as OpenAILLM

        return OpenAILLM(base_url=f"{url}/v1", api_key="-", model="tiny", **fields)

    def embeddings(self, url: str) -> Embeddings:
        from langchain_openai import OpenAIEmbeddings

        return OpenAIEmbeddings(
            base_url=f"{url}/v1",
            api_key="-",
            model="tiny",
            check_embedding_ctx_length=False,  # as its documentation says for other servers
        )


CLIENTS: tuple[Client, ...] = (Ours(), HuggingFace(), OpenAI())
