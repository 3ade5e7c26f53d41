"""Thinking, the effort of reasoning and the date, where a template has a switch for them."""

from __future__ import annotations

import datetime as dt
import locale
import re
from types import SimpleNamespace

import pytest

from langchain_easyllm.prompts import PROMPT_MAPPING, ChatPrompt, PromptError, get_prompt

HAS = {
    "thinking": {"qwen3", "smollm3", "deepseek-v3.1", "glm-4.5", "granite-3.3"},
    "reasoning_effort": {"gpt-oss"},
    "date": {"gpt-oss", "smollm3", "mistral-small-3", "granite-3.3", "llama3.1"},
}
VALUES = {"thinking": False, "reasoning_effort": "low", "date": "2031-05-09"}
DAY = dt.date(2031, 5, 9)


@pytest.mark.parametrize("switch", HAS)
def test_which_templates_have_a_switch(switch):
    assert {name for name, prompt in PROMPT_MAPPING.items() if switch in prompt.switches} == HAS[
        switch
    ]


@pytest.mark.parametrize("switch", HAS)
@pytest.mark.parametrize("name", ["llama2", "qwen3-thinking-2507", "wizardlm", "phi3"])
def test_a_switch_that_a_template_lacks(name, switch):
    prompt = get_prompt(name)
    with pytest.raises(PromptError) as caught:
        prompt.render("Hi", **{switch: VALUES[switch]})
    said = str(caught.value)
    assert re.fullmatch(r"The prompt '\S+' has no switch for \w+; these have: [^;]*\.", said)
    assert prompt.name in said
    assert all(other in said for other in HAS[switch])
    assert prompt.render("Hi", **{switch: None}) == prompt.render("Hi")


@pytest.mark.parametrize("builder", [lambda _: "built", "{{ messages[0].content }}"])
@pytest.mark.parametrize("switch", HAS)
def test_functions_and_plain_templates_have_none(builder, switch):
    prompt = get_prompt(builder)
    assert prompt.switches == frozenset()
    with pytest.raises(PromptError, match=f"no switch for {switch}"):
        prompt.render("Hi", **{switch: VALUES[switch]})
    assert prompt.render("Hi", **dict.fromkeys(HAS)) == prompt.render("Hi")


@pytest.mark.parametrize(
    ("name", "on", "off"),
    [
        ("qwen3", "assistant\n", "assistant\n<think>\n\n</think>\n\n"),
        ("glm-4.5", "<|user|>\nHi<|assistant|>", "Hi/nothink<|assistant|>\n<think></think>"),
        ("deepseek-v3.1", "<｜Assistant｜><think>", "<｜Assistant｜></think>"),
        ("smollm3", "assistant\n", "assistant\n<think>\n\n</think>\n"),
    ],
)
def test_thinking_on_and_off(name, on, off):
    prompt = get_prompt(name)
    assert prompt.render("Hi", thinking=True).endswith(on)
    assert prompt.render("Hi", thinking=False).endswith(off)
    default = off if name == "deepseek-v3.1" else on
    assert prompt.render("Hi").endswith(default)
    without = prompt.render("Hi", thinking=False, add_generation_prompt=False)
    assert not without.endswith(off.rpartition("Hi")[2])


def test_thinking_off_in_more_places():
    messages = [("user", "A"), ("ai", "B"), ("user", "C/nothink")]
    text = get_prompt("glm-4.5").render(messages, thinking=False)
    assert "A/nothink<|assistant|>" in text
    assert "C/nothink<|assistant|>" in text
    text = get_prompt("smollm3").render(messages, thinking=False)
    assert "Reasoning Mode: /no_think\n\n" in text
    assert "named SmolLM, trained by Hugging Face.\n\n<|im_start|>user" in text
    assert "assistant\n<think>\n\n</think>\nB<|im_end|>" in text


def test_the_system_text_of_smollm3_wins():
    prompt = get_prompt("smollm3")
    text = prompt.render([("system", "/think"), ("user", "A")], thinking=False)
    assert "Mode: /think\n" in text
    assert text.endswith("assistant\n")
    text = prompt.render([("system", "/no_think"), ("user", "A")], thinking=True)
    assert text.endswith("</think>\n")


def test_thinking_of_granite_changes_the_default_system_text_only():
    prompt = get_prompt("granite-3.3")
    assert "between <think></think>" in prompt.render("Hi", thinking=True)
    assert prompt.render("Hi", thinking=False) == prompt.render("Hi")
    own = [("system", "S"), ("user", "A")]
    assert prompt.render(own, thinking=False) == prompt.render(own)
    with pytest.raises(PromptError, match="would do nothing: the prompt"):
        prompt.render(own, thinking=True)


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_efforts(effort):
    text = get_prompt("gpt-oss").render("Hi", reasoning_effort=effort)
    assert f"\n\nReasoning: {effort}\n\n" in text
    assert "Reasoning: medium" in get_prompt("gpt-oss").render("Hi")


@pytest.mark.parametrize("effort", ["hihg", "High", "none", "", 3])
def test_unknown_efforts(effort):
    hint = "did you mean 'high'" if str(effort).lower().startswith("hi") else "not "
    with pytest.raises(PromptError, match=f"'low' or 'medium' or 'high' in the gpt-oss.*{hint}"):
        get_prompt("gpt-oss").render("Hi", reasoning_effort=effort)


@pytest.mark.parametrize("thinking", ["no", 0, 1])
def test_thinking_is_a_boolean(thinking):
    with pytest.raises(PromptError, match="thinking is True or False"):
        get_prompt("qwen3").render("Hi", thinking=thinking)


WRITTEN = {
    "gpt-oss": "Current date: 2031-05-09\n",
    "smollm3": "Today Date: 09 May 2031\n",
    "mistral-small-3": "The current date is 2031-05-09.\n",
    "granite-3.3": "Today's Date: May 09, 2031.\n",
    "llama3.1": "Today Date: 09 May 2031\n",
}


@pytest.mark.parametrize(("name", "line"), WRITTEN.items())
@pytest.mark.parametrize("date", [DAY, "2031-05-09", dt.datetime(2031, 5, 9, 23, 59)])
def test_dates(name, line, date):
    assert line in get_prompt(name).render("Hi", date=date)


@pytest.mark.parametrize("name", ["gpt-oss", "smollm3", "mistral-small-3", "granite-3.3"])
def test_the_day_of_the_rendering_is_the_default(name, monkeypatch):
    class Tomorrow(dt.date):
        @classmethod
        def today(cls):
            return cls(2031, 5, 9)

    prompt = get_prompt(name)
    days = [dt.date.today()]
    now = prompt.render("Hi")
    days.append(dt.date.today())  # midnight may have passed
    assert now in {prompt.render("Hi", date=day) for day in days}
    monkeypatch.setattr("langchain_easyllm.prompts.switches.dt", SimpleNamespace(date=Tomorrow))
    assert prompt.render("Hi") == prompt.render("Hi", date="2031-05-09") != now


def test_llama_3_1_has_a_date_of_its_own():
    assert "Today Date: 26 Jul 2024\n" in get_prompt("llama3.1").render("Hi")


@pytest.mark.parametrize("date", ["tomorrow", "09.05.2031", "", 20310509])
def test_dates_that_are_none(date):
    with pytest.raises(PromptError, match=r"date is a datetime\.date or a text such as"):
        get_prompt("gpt-oss").render("Hi", date=date)


def test_dates_are_english_whatever_the_locale():
    before = locale.setlocale(locale.LC_TIME)
    for name in ("de_DE.UTF-8", "ko_KR.UTF-8", "C.UTF-8"):
        try:
            locale.setlocale(locale.LC_TIME, name)
        except locale.Error:
            continue
        assert WRITTEN["smollm3"] in get_prompt("smollm3").render("Hi", date=DAY)
    locale.setlocale(locale.LC_TIME, before)


def test_text_that_looks_like_the_place_of_the_date_stays():
    for name in HAS["date"]:
        messages = [("system", "{date} {tools}"), ("user", "{date}")]
        text = get_prompt(name).render(messages, date=DAY)
        assert "{date} {tools}" in text
        assert text.count("{date}") == 2


class Old(ChatPrompt):
    """A prompt of one's own, written before there were switches."""

    def render(
        self, messages, *, add_generation_prompt=True, roles="fold", special_tokens="escape"
    ):
        return f"{messages}"


def test_a_class_of_ones_own_needs_no_switches():
    assert Old("old").switches == frozenset()
    assert Old("old").efforts == ()
    assert Old("old").render_told([("user", "a")], own_forms=False) == "[('user', 'a')]"


JINJA = """{%- if enable_thinking is not defined %}{% set enable_thinking = true %}{% endif -%}
{{ strftime_now('%d %B %Y') }} {{ enable_thinking }} {{ messages[0].content }}
{%- macro effort() %} {{ reasoning_effort | default('medium') }}{% endmacro %}{{ effort() }}"""


def test_switches_of_jinja_templates():
    prompt = get_prompt(JINJA)
    assert prompt.switches == {"thinking", "reasoning_effort", "date"}
    text = prompt.render("Hi", thinking=False, reasoning_effort="xhigh", date=DAY)
    assert text == "09 May 2031 False Hi xhigh"
    assert prompt.render("Hi", date="2031-05-09") == "09 May 2031 True Hi medium"
    with pytest.raises(PromptError, match="date is a"):
        prompt.render("Hi", date="soon")


HARMONY = "<|start|><|channel|>{{ messages[0].content }}{{ reasoning_effort }}"


@pytest.mark.parametrize(
    ("spec", "efforts"),
    [
        ("gpt-oss", ("low", "medium", "high")),
        (HARMONY, ("low", "medium", "high")),
        (JINJA, None),
        ("{{ messages[0].content }}", ()),
        ("qwen3", ()),
        (lambda _: "built", ()),
    ],
)
def test_which_efforts_there_are(spec, efforts):
    assert get_prompt(spec).efforts == efforts


def test_efforts_of_a_jinja_template_of_gpt_oss():
    prompt = get_prompt(HARMONY)
    assert prompt.render("Hi", reasoning_effort="low").endswith("Hilow")
    with pytest.raises(PromptError, match="not 'hihg'; did you mean 'high'"):
        prompt.render("Hi", reasoning_effort="hihg")


@pytest.mark.parametrize(
    ("template", "switches"),
    [
        ("{{ thinking }}", {"thinking"}),
        ("{% set thinking = 1 %}{{ thinking }}", set()),
        ("{{ messages[0].thinking }}", set()),
        ("{{ date_string | default('26 Jul 2024') }}", {"date"}),
        ("{# reasoning_effort #}", set()),
    ],
)
def test_only_variables_count(template, switches):
    prompt = get_prompt(f"{template}{{{{ messages[0].content }}}}")
    assert prompt.switches == switches
    if "date" in switches:
        assert prompt.render("!", date=DAY) == "09 May 2031!"
