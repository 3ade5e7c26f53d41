"""What is found out about a real server, and who is let in."""

from __future__ import annotations

import pytest

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import AuthenticationError, ConfigurationError, EasyLLMError

from ...support.real_servers.programs import CONTEXT


def found(model):
    """What is known of a model's server."""
    return model._connect().session.detect(model._retry_policy())


def test_the_server_and_its_model_are_recognised(server):
    chat = server.chat()
    assert found(chat).profile.name == server.profile
    if "lists" in server.has:
        assert chat.model_id == server.model
    said = chat.invoke("Hi", max_tokens=1)
    assert said.response_metadata["model_name"].removesuffix("@main") == server.model


def test_the_profile_has_the_context_length_of_servers_that_name_it(server):
    profile = server.chat().profile or {}
    names_it = server.name in ("llama-server", "vllm")
    assert profile.get("max_input_tokens") == (CONTEXT if names_it else None)
    if names_it:
        assert profile["structured_output"]


def test_several_models_have_to_be_chosen_from(server):
    if "model" not in server.place:
        assert EasyLLM(**server.place, max_tokens=1).invoke("Hi")
        return
    place = {**server.place, "model": None}
    with pytest.raises(ConfigurationError, match=f"several models: .*{server.model}"):
        EasyLLMChat(**place).invoke("Hi")


def test_a_model_that_is_not_there_is_the_servers_own_word(server):
    if server.name == "llama-server":
        # It has one model, and answers with it whatever a request asks for.
        assert server.chat(max_tokens=1).invoke("Hi", model="nobody/knows-it").text
        return
    with pytest.raises(EasyLLMError) as caught:
        server.chat().invoke("Hi", model="nobody/knows-it")
    assert caught.value.status_code in (400, 404)
    assert caught.value.body


@pytest.mark.parametrize("key", [None, "sk-wrong"])
def test_who_has_not_the_key_is_told_so(server, key):
    server.needs("key")
    server.known_fault("without a database, it answers 400 or 500 to a wrong key", "litellm")
    chat = server.chat(api_key=key, max_retries=0)
    for ask in (chat.invoke, lambda text: list(chat.stream(text))):
        with pytest.raises(AuthenticationError) as caught:
            ask("Hi")
        assert caught.value.status_code == 401


def test_a_key_lets_in(server):
    server.needs("key")
    assert server.chat(max_tokens=2).invoke("Hi").usage_metadata["output_tokens"] == 2


def test_tokens_are_counted_as_the_model_does(server, tokenizer):
    texts = ["The capital of France is Paris.", "안녕, 세상! 🌤️", "<|im_start|>user\n", " \n\t"]
    model = server.llm(model=server.model)
    if "tokenize" not in server.has and server.name != "transformers-serve":
        with pytest.raises(ConfigurationError, match="Tokens cannot be counted"):
            model.get_num_tokens("text")
        return
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert model.get_token_ids(text) == ids
        assert model.get_num_tokens(text) == len(ids)


def test_what_is_counted_beforehand_is_what_is_charged(server):
    server.needs("tokenize")
    text = "Once upon a time, in a small village by the sea,"
    result = server.llm().generate([text], max_tokens=1)
    assert result.llm_output["token_usage"]["prompt_tokens"] == server.llm().get_num_tokens(text)


def test_messages_are_counted_as_they_are_charged(server):
    server.needs("tokenize")
    messages = [("system", "Be brief."), ("human", "Hello!")]
    chat = server.chat(max_tokens=1)
    said = chat.invoke(messages)
    counted = chat.get_num_tokens_from_messages(chat._convert_input(messages).to_messages())
    assert counted == said.usage_metadata["input_tokens"]
