"""`EasyLLMChat(llm=...)`: what an LLM object was given becomes the chat model's fields.

The other packages' classes are stand-ins here, with the names, fields and habits of theirs; the
tests against real models use the real ones.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.llms import LLM
from langchain_core.utils import pre_init
from pydantic import Field, SecretStr, model_validator

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import ConfigurationError

from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import answer, body_of

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"


class Texts(LLM):
    endpoint_url: str | None = None
    repo_id: str | None = None
    huggingfacehub_api_token: str | None = None
    max_new_tokens: int = 512
    top_k: int | None = None
    top_p: float | None = 0.95
    typical_p: float | None = 0.95
    temperature: float | None = 0.8
    repetition_penalty: float | None = None
    stop_sequences: list[str] = Field(default_factory=list)
    seed: int | None = None
    inference_server_url: str = ""
    timeout: int = 120
    streaming: bool = False
    do_sample: bool = False
    server_kwargs: dict[str, Any] = Field(default_factory=dict)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    client: Any = None
    task: str | None = None

    @property
    def _llm_type(self) -> str:
        return "texts"

    def _call(self, *args: Any, **kwargs: Any) -> str:
        raise NotImplementedError


class HuggingFaceEndpoint(Texts):
    __module__ = "langchain_huggingface.llms.huggingface_endpoint"
    model: str

    @model_validator(mode="before")
    @classmethod
    def build_extra(cls, values: dict[str, Any]) -> Any:
        values["model_kwargs"] = values.get("model_kwargs", {})
        values["model"] = values.get("model") or values.get("endpoint_url") or values.get("repo_id")
        return values

    @model_validator(mode="after")
    def validate_environment(self) -> Any:
        self.client = object()
        self.metadata = {**(self.metadata or {}), "lc_versions": {"langchain-huggingface": "1"}}
        return self


class HuggingFaceTextGenInference(Texts):
    __module__ = "langchain_community.llms.huggingface_text_gen_inference"

    @pre_init
    def validate_environment(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return {**values, "client": object()}


class CommunityEndpoint(HuggingFaceTextGenInference):
    __module__ = "langchain_community.llms.huggingface_endpoint"
    model: str

    @model_validator(mode="before")
    @classmethod
    def build_extra(cls, values: dict[str, Any]) -> Any:
        return {**values, "model": values.get("endpoint_url") or values.get("repo_id")}


CommunityEndpoint.__name__ = "HuggingFaceEndpoint"


class HuggingFaceHub(LLM):
    __module__ = "langchain_community.llms.huggingface_hub"
    client: object = None
    repo_id: str | None = None
    task: str | None = None
    model_kwargs: dict[str, object] | None = None
    huggingfacehub_api_token: str | None = None

    @property
    def _llm_type(self) -> str:
        return "hub"

    def _call(self, *args: Any, **kwargs: Any) -> str:
        raise NotImplementedError

    @pre_init
    def validate_environment(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return {**values, "client": object(), "task": "text-generation"}


def chat_of(llm: object, **fields: Any) -> EasyLLMChat:
    return EasyLLMChat(llm=llm, **fields)


def set_fields(model: EasyLLMChat) -> dict[str, object]:
    names = model.model_fields_set - {"profile", "metadata", "model_kwargs", "verbose"}
    given = {name: getattr(model, name) for name in names}
    metadata = dict(model.metadata or {})
    # langchain-core's note of the packages at work, of which the LLM's is none any more.
    assert metadata.pop("lc_versions").keys() == {
        "langchain-core",
        "langchain",
        "langchain-easyllm",
    }
    return given | ({"metadata": metadata} if metadata else {})


def test_an_endpoint_gives_what_it_was_given(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "tgi")
    llm = HuggingFaceEndpoint(
        endpoint_url=fake_server.url,
        max_new_tokens=64,
        temperature=0.5,
        stop_sequences=["Observation"],
        task="text-generation",
        huggingfacehub_api_token="abc",
    )
    chat = chat_of(llm, temperature=0.1)
    assert answer(mode, chat).text == "Hello world"
    body = body_of(fake_server)
    kept = ("messages", "model", "stream", "stream_options")
    assert {key: value for key, value in body.items() if key not in kept} == {
        "max_tokens": 64,
        "temperature": 0.1,
        "stop": ["Observation"],
    }
    assert fake_server.requests[-1].headers["authorization"] == "Bearer abc"


def test_a_model_of_the_hub_stays_one() -> None:
    llm = HuggingFaceEndpoint(repo_id="org/name", do_sample=False, repetition_penalty=1.03)
    chat = chat_of(llm, seed=1)
    wanted = {"model": "org/name", "do_sample": False, "repetition_penalty": 1.03, "seed": 1}
    assert set_fields(chat) == wanted
    assert chat.model_id == "org/name"
    assert chat.frequency_penalty is None


def test_metadata_given_to_an_endpoint_is_kept_and_its_own_is_not() -> None:
    llm = HuggingFaceEndpoint(repo_id="org/name", metadata={"team": "search"}, tags=["a"])
    assert set_fields(chat_of(llm)) == {
        "model": "org/name",
        "metadata": {"team": "search"},
        "tags": ["a"],
    }


def test_an_address_given_as_the_model_is_the_server() -> None:
    chat = chat_of(HuggingFaceEndpoint(model="http://localhost:9"), model="org/name")
    assert set_fields(chat) == {"base_url": "http://localhost:9", "model": "org/name"}


def test_the_environments_token_is_not_given_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACEHUB_API_TOKEN", "abc")
    llm = HuggingFaceEndpoint(endpoint_url="http://localhost:9", huggingfacehub_api_token="abc")
    assert set_fields(chat_of(llm)) == {"base_url": "http://localhost:9"}


def test_defaults_that_were_filled_in_are_not_migrated(fake_server: FakeServer) -> None:
    serve(fake_server, "tgi")
    headers = {"Authorization": "Bearer abc"}
    llm = HuggingFaceTextGenInference(
        inference_server_url=fake_server.url,
        max_new_tokens=512,
        temperature=0.1,
        server_kwargs={"headers": headers},
    )
    chat = chat_of(llm)
    assert set_fields(chat) == {
        "base_url": fake_server.url,
        "max_tokens": 512,
        "temperature": 0.1,
        "default_headers": headers,
    }
    assert chat.invoke("Hi").text == "Hello world"
    assert fake_server.requests[-1].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("cls", "given", "fields"),
    [
        (
            CommunityEndpoint,
            {"endpoint_url": "http://localhost:9", "max_new_tokens": 9, "top_k": 3},
            {"base_url": "http://localhost:9", "max_tokens": 9, "top_k": 3},
        ),
        (
            CommunityEndpoint,
            {"repo_id": "org/name", "temperature": 0.1, "huggingfacehub_api_token": "a"},
            {"model": "org/name", "temperature": 0.1, "api_key": SecretStr("a")},
        ),
        (
            HuggingFaceHub,
            {"repo_id": "org/name", "model_kwargs": {"temperature": 0, "max_length": 64}},
            {"model": "org/name", "temperature": 0.0, "max_tokens": 64},
        ),
    ],
)
def test_other_objects_of_langchain_community(
    cls: type[LLM], given: dict[str, Any], fields: dict[str, object]
) -> None:
    found = set_fields(chat_of(cls(**given)))
    assert {name: found[name] for name in fields} == fields
    assert found.keys() - fields.keys() <= {"max_tokens"}


def test_tgis_own_fields_stay_on_tgis_own_protocol(
    fake_server: FakeServer, tmp_path: Any, mode: str
) -> None:
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    serve(fake_server, "tgi", model=str(tmp_path))
    llm = HuggingFaceTextGenInference(inference_server_url=fake_server.url, top_k=50)
    chat = chat_of(llm)
    assert answer(mode, chat).text == "Hello world"
    body = body_of(fake_server)
    assert body["inputs"] == "<user>Hi" == chat.to_prompt("Hi")
    assert body["parameters"]["top_k"] == 50
    assert chat_of(llm, prompt_builder="zephyr").prompt_builder == "zephyr"
    assert chat_of(llm, api="chat").prompt_builder is None


def test_what_the_chat_prompt_was_called(fake_server: FakeServer, tmp_path: Any) -> None:
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    serve(fake_server, "tgi", model=str(tmp_path))
    chat = EasyLLMChat(base_url=fake_server.url)
    assert chat._to_chat_prompt([("system", "Be brief."), ("human", "Hi")]) == (
        "<system>Be brief.<user>Hi"
    )
    assert chat.model_id == str(tmp_path)
    assert chat.prompt_builder is None


def test_our_own_llm_gives_its_fields(fake_server: FakeServer, mode: str) -> None:
    serve(fake_server, "vllm")
    llm = EasyLLM(
        base_url=fake_server.url,
        api_key="abc",
        prompt_builder="zephyr",
        stop=["x"],
        model_kwargs={"top_k": 5, "min_p": 0.1},
        callbacks=[],
    )
    chat = chat_of(llm, seed=3, stop=None)
    assert answer(mode, chat).text == "Hello world"
    body = body_of(fake_server)
    assert (body["top_k"], body["min_p"], body["seed"]) == (5, 0.1, 3)
    assert body["prompt"] == chat.to_prompt("Hi")
    assert "x" not in body["stop"]
    assert fake_server.requests[-1].headers["authorization"] == "Bearer abc"
    assert chat_of(llm, base_url="http://localhost:9")._explicit_key() is None


def test_what_a_field_beside_says_wins_over_model_kwargs(fake_server: FakeServer) -> None:
    serve(fake_server, "vllm")
    llm = EasyLLM(base_url=fake_server.url, model_kwargs={"top_k": 5, "max_new_tokens": 9})
    chat_of(llm, top_k=7).invoke("Hi")
    body = body_of(fake_server)
    assert (body["top_k"], body["max_tokens"]) == (7, 9)


def test_a_text_api_without_a_template_takes_the_models_own() -> None:
    llm = EasyLLM(base_url="http://localhost:9", api="generate")
    assert chat_of(llm).prompt_builder == "auto"
    assert chat_of(llm, api="chat").prompt_builder is None


@pytest.mark.parametrize("llm", [FakeListLLM(responses=["a"]), "gpt2", SecretStr("x")])
def test_any_other_object_is_an_error(llm: object) -> None:
    with pytest.raises(ConfigurationError, match=f"llm is of type {type(llm).__name__}"):
        chat_of(llm)


def test_no_llm_is_none() -> None:
    assert set_fields(chat_of(None, model="a/b")) == {"model": "a/b"}
