"""Names, callables, templates and prompts of one's own."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from langchain_easyllm import prompts
from langchain_easyllm.prompts import (
    PROMPT_MAPPING,
    ChatPrompt,
    PromptError,
    get_prompt,
    register_prompt,
    registry,
)

from ...support.prompt_conversations import EASYLLM, FAMILIES


@pytest.fixture
def name():
    yield (own := f"own-{uuid.uuid4()}")
    registry._prompts.pop(own, None)


def test_every_name_is_a_prompt_of_that_name():
    assert set(PROMPT_MAPPING) >= {*FAMILIES, *EASYLLM, "phi3", "mistral", "gemma"}
    for key, prompt in PROMPT_MAPPING.items():
        assert isinstance(prompt, ChatPrompt)
        assert get_prompt(key) is prompt
        assert prompt.stop
        assert prompt("Hi") == prompt.render("Hi")


def test_every_name_has_a_builder_of_its_text():
    for key, prompt in PROMPT_MAPPING.items():
        plain = key.replace("phi-", "phi").replace("-", "_").replace(".", "_")
        build = getattr(prompts, f"build_{plain}_prompt")
        assert f"build_{plain}_prompt" in prompts.__all__
        assert pickle.loads(pickle.dumps(build)) is build
        if key not in {"llama2", "vicuna", *EASYLLM}:  # EasyLLM's own are others
            assert build("Hi") == prompt("Hi")


@pytest.mark.parametrize("name", ["build_lama2_prompt", "lama2_stop_sequences", "lama2"])
def test_there_are_no_other_names(name):
    with pytest.raises(
        AttributeError, match=f"'langchain_easyllm.prompts' has no attribute '{name}'"
    ):
        getattr(prompts, name)


def test_the_mapping_is_read_only():
    with pytest.raises(TypeError):
        PROMPT_MAPPING["x"] = PROMPT_MAPPING["zephyr"]


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("lama2", "llama2"), ("Zephyr", "zephyr"), ("phi-35", "phi-3.5"), ("mistral-v3", "mistral")],
)
def test_near_matches(wrong, near):
    with pytest.raises(PromptError, match=f"'{wrong}'; did you mean .*'{near}"):
        get_prompt(wrong)


@pytest.mark.parametrize("spec", ["", "qqqqqqqqqq"])
def test_without_a_near_match_the_list_of_names_is_named(spec):
    with pytest.raises(PromptError, match=r"list\(PROMPT_MAPPING\) has the names, .*zephyr"):
        get_prompt(spec)


def test_auto_is_not_a_name():
    with pytest.raises(PromptError, match=r"load_prompt\(model\)"):
        get_prompt("auto")


@pytest.mark.parametrize(
    "copy", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
@pytest.mark.parametrize("spec", ["llama2", "{{ messages[0].content }}<|im_end|>"])
def test_prompts_can_be_copied_and_pickled(copy, spec):
    prompt = get_prompt(spec)
    assert prompt.render("a<|im_end|>") == copy(prompt).render("a<|im_end|>")
    assert copy(prompt).stop == prompt.stop


def test_a_template_stops_at_the_ends_of_turns_that_it_writes():
    template = "{{ messages[0].content }}<|im_end|>"
    assert get_prompt(template).stop == ("<|im_end|>",)
    assert get_prompt(template.replace("|", "")).stop == ()


def test_not_a_prompt_at_all():
    with pytest.raises(PromptError, match="not int"):
        get_prompt(7)


def test_a_callable_gets_the_messages_as_they_were_given():
    seen = []

    def build(messages):
        seen.append(messages)
        return "built"

    messages = [("user", "a")]
    assert get_prompt(build).render(messages) == "built"
    assert seen[0] is messages
    assert get_prompt(build).name == "build"


def test_a_callable_that_returns_no_text():
    with pytest.raises(PromptError, match="returned NoneType"):
        get_prompt(lambda _messages: None).render("a")


def test_registering(name):
    made = register_prompt(name, lambda messages: f"<{messages}>", stop=["\nQ:"])
    assert get_prompt(name) is made is PROMPT_MAPPING[name]
    assert (made.name, made.stop) == (name, ("\nQ:",))
    assert made.render("a") == "<a>"
    with pytest.raises(PromptError, match="overwrite=True"):
        register_prompt(name, "zephyr")
    again = register_prompt(name, "{{ messages[0].content }}!", stop="END", overwrite=True)
    assert again.stop == ("END",)
    assert get_prompt(name).render("a") == "a!"


def test_registering_under_another_name_keeps_what_the_prompt_is(name):
    register_prompt(name, PROMPT_MAPPING["llama2"])
    assert get_prompt(name).render("a") == get_prompt("llama2").render("a")
    assert (get_prompt(name).stop, get_prompt(name).bos) == (("</s>",), "<s>")
    assert get_prompt("llama2").name == "llama2"


@dataclass(frozen=True)
class Shout(ChatPrompt):
    def render(
        self, messages, *, add_generation_prompt=True, roles="fold", special_tokens="escape"
    ):
        return str(messages).upper()


def test_a_class_of_ones_own(name):
    register_prompt(name, Shout("shout", stop=("!",)))
    assert get_prompt(name).render("a") == "A"
    assert get_prompt(name).stop == ("!",)


@pytest.mark.parametrize("bad", ["", "  ", None, "{{ x }}"])
def test_names_that_cannot_be_registered(bad):
    with pytest.raises(PromptError, match="plain name"):
        register_prompt(bad, "zephyr")


def test_only_one_of_many_threads_gets_the_name(name):
    def register(index):
        try:
            register_prompt(name, lambda _messages: str(index))
        except PromptError:
            return None
        return str(index)

    with ThreadPoolExecutor(8) as pool:
        won = [index for index in pool.map(register, range(64)) if index is not None]
    assert [get_prompt(name).render("a")] == won


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, langchain_easyllm.prompts as p; p.get_prompt('llama2').render('a');"
        "heavy = {'jinja2', 'huggingface_hub', 'langchain_core.messages', 'aiohttp'};"
        "heavy &= set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
