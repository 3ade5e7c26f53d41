"""The default prompt template of the environment, `HUGGINGFACE_PROMPT`."""

from __future__ import annotations

import copy

import pytest
from langchain_core.runnables import ConfigurableField

from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case
from ...support.easyllm_clients import call
from ...support.fake_server import FakeServer
from ...support.fake_text_servers import serve
from ...support.invocation_modes import CLASSES, answer, body_of, text_of

CLASS = pytest.mark.parametrize("cls", CLASSES)
CHAT = "/v1/chat/completions"
ZEPHYR = "<|user|>\nHi</s>\n<|assistant|>\n"
JINJA = "{{ messages[0].content }}!"
NOWHERE = "http://127.0.0.1:9"

VALUES = ("zephyr", " zephyr ", "zephyr\n", "\tzephyr\r\n", "", " ", "\n", "zephr", "auto", JINJA)


@CLASS
@each_case("value", VALUES)
def test_it_never_fails_an_object_whose_api_cannot_use_it(
    fake_server: FakeServer, cls: type, value: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGFACE_PROMPT", value)
    serve(fake_server, "openai")
    model = cls(base_url=fake_server.url, api="chat")
    assert model.prompt_builder is None
    assert text_of(answer(mode, model)) == "Hello world"
    assert body_of(fake_server, CHAT)["messages"] == [{"role": "user", "content": "Hi"}]


@CLASS
@each_case("value", [" zephyr ", "zephyr\n", "\tzephyr\r\n"])
def test_the_space_around_it_says_nothing(
    fake_server: FakeServer, cls: type, value: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGFACE_PROMPT", value)
    serve(fake_server, "openai")
    answer(mode, cls(base_url=fake_server.url))
    assert body_of(fake_server)["prompt"] == ZEPHYR


@CLASS
@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_one_is_none(cls: type, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUGGINGFACE_PROMPT", value)
    for api in ("auto", "completions", "generate"):
        assert cls(base_url=NOWHERE, api=api).prompt_builder is None


@CLASS
@pytest.mark.parametrize("api", ["auto", "completions", "generate"])
@pytest.mark.parametrize(
    ("value", "said"), [("zephr", "'zephr'.*'zephyr'"), (" x ", "'x'"), ("{% for", "Jinja")]
)
def test_a_wrong_one_says_where_it_came_from(
    cls: type, api: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGFACE_PROMPT", value)
    with pytest.raises(ConfigurationError, match=rf"{said}.*came from HUGGINGFACE_PROMPT"):
        cls(base_url=NOWHERE, api=api)
    assert cls(base_url=NOWHERE, api=api, prompt_builder=None).prompt_builder is None
    assert cls(base_url=NOWHERE, api=api, prompt_builder="llama2").prompt_builder == "llama2"
    with pytest.raises(ConfigurationError) as caught:
        cls(base_url=NOWHERE, api=api, prompt_builder="lama2")
    assert "HUGGINGFACE_PROMPT" not in str(caught.value)


@CLASS
def test_one_that_was_given_is_still_refused_beside_a_chat_api(
    cls: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("zephyr", " llama2 ", "unknown"):
        monkeypatch.setenv("HUGGINGFACE_PROMPT", value)
        with pytest.raises(ConfigurationError, match="the server renders them"):
            cls(base_url=NOWHERE, api="chat", prompt_builder="vicuna")


@CLASS
def test_an_object_made_again_of_its_fields_may_take_a_chat_api(
    fake_server: FakeServer, cls: type, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUGGINGFACE_PROMPT", " zephyr\n")
    serve(fake_server, "openai")
    model = copy.deepcopy(cls(base_url=fake_server.url))
    chosen = model.configurable_fields(api=ConfigurableField(id="api"))
    answer(mode, chosen.with_config(configurable={"api": "chat"}))
    assert body_of(fake_server, CHAT)["messages"]
    answer(mode, chosen)
    assert body_of(fake_server)["prompt"] == ZEPHYR


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_easyllms_clients_say_where_it_came_from(
    fake_server: FakeServer, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(fake_server, "tgi")
    monkeypatch.setenv("HUGGINGFACE_API_BASE", fake_server.url)
    monkeypatch.setenv("HUGGINGFACE_PROMPT", "lama2")
    with pytest.raises(ConfigurationError, match=r"'llama2'.*came from HUGGINGFACE_PROMPT"):
        call(mode, "chat")
    with pytest.raises(ConfigurationError, match="'vicuna'") as caught:
        call(mode, "chat", prompt_builder="vicunna")
    assert "HUGGINGFACE_PROMPT" not in str(caught.value)
    monkeypatch.setenv("HUGGINGFACE_PROMPT", " zephyr\n")
    call(mode, "chat")
    assert body_of(fake_server)["inputs"] == ZEPHYR
