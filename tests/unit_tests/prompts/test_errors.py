"""Whatever goes wrong with a prompt is an error of the package, and travels as one."""

from __future__ import annotations

import copy
import pickle

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.errors import ConfigurationError, EasyLLMError
from langchain_easyllm.prompts import PromptError, get_prompt, load_prompt, register_prompt

from ...support.fake_server import Reply
from ...support.fake_text_servers import serve

FAILURES = {
    "an unknown name": lambda: get_prompt("lama2"),
    "no name": lambda: get_prompt(5),
    "a name that is taken": lambda: register_prompt("zephyr", lambda _: ""),
    "no directory and no model": lambda: load_prompt("no/such/model/at all"),
    "no messages": lambda: get_prompt("llama2").render([]),
    "an unknown role": lambda: get_prompt("llama2").render([("wizard", "Hi")]),
    "content that is no text": lambda: get_prompt("llama2").render(
        [HumanMessage([{"type": "image_url", "image_url": "data:"}])]
    ),
    "an unknown mode": lambda: get_prompt("llama2").render("Hi", roles="loose"),
    "a builder that returns nothing": lambda: get_prompt(lambda _: None).render("Hi"),
    "bad Jinja": lambda: get_prompt("{% for"),
    "a refusal": lambda: get_prompt("{{ raise_exception('no') }}").render("Hi"),
    "a failure": lambda: get_prompt("{{ 1 / 0 }}").render("Hi"),
    "too much text": lambda: get_prompt("{{ 'x' * 10**10 }}").render("Hi"),
    "too wide a field": lambda: get_prompt("{{ '%99999d' % 1 }}").render("Hi"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_it_is_in_the_hierarchy_and_travels_whole(failure):
    for kind in (EasyLLMError, ConfigurationError, PromptError, ValueError):
        with pytest.raises(kind) as caught:
            FAILURES[failure]()
    error = caught.value
    assert error.message == str(error) != ""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert again.__dict__ == error.__dict__
        assert str(again) == str(error)


def test_there_is_one_class_of_it():
    from langchain_easyllm import errors, prompts

    assert prompts.PromptError is errors.PromptError


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for", "not valid Jinja"),
        ("{{ 'x' * 10**10 }}", "too much text"),
        ("{{ raise_exception('no thanks') }}", "no thanks"),
        ("{{ nobody.knows }}", "undefined"),
    ],
)
def test_a_servers_own_template_may_be_bad(fake_server, template, said):
    serve(fake_server, "llamacpp")
    fake_server.on("GET", "/props", Reply({"chat_template": template}))
    model = EasyLLMChat(base_url=fake_server.url, prompt_builder="auto")
    with pytest.raises(ConfigurationError, match=said):
        model.invoke("Hi")
    assert not [request for request in fake_server.requests if request.method == "POST"]


@pytest.mark.parametrize("template", ["{% for", "llama-2", "{{ 'x' * 10**10 }}", "{{ 1 / 0 }}"])
def test_a_models_own_field_says_the_same(template):
    with pytest.raises(ConfigurationError):
        EasyLLMChat(base_url="http://127.0.0.1:9", prompt_builder=template).to_prompt("Hi")
