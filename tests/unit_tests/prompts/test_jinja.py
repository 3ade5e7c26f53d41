"""Jinja chat templates: what they find, what they may not do, and what is done when they refuse."""

from __future__ import annotations

import threading
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_easyllm.prompts import PromptError, get_prompt
from langchain_easyllm.prompts.jinja import JinjaPrompt

from ...support.jinja_templates import OFFICIAL
from ...support.prompt_conversations import conversations


def jinja(name):
    template, bos, eos = OFFICIAL[name]
    return JinjaPrompt.of(template, bos_token=bos, eos_token=eos)


@pytest.mark.parametrize("name", OFFICIAL)
@given(messages=conversations(), answer=st.booleans())
def test_the_tables_render_what_the_templates_render(name, messages, answer):
    modes = {"roles": "strict", "special_tokens": "allow", "add_generation_prompt": answer}
    try:
        expected = jinja(name).render(messages, **modes)
    except PromptError:
        with pytest.raises(PromptError):
            get_prompt(name).render(messages, **modes)
        retold = jinja(name).render(messages)
        assert all(content.strip() in retold for _, content in messages)
    else:
        assert get_prompt(name).render(messages, **modes) == expected
        folded = get_prompt(name).render(messages, add_generation_prompt=answer)
        assert folded == expected == jinja(name).render(messages, add_generation_prompt=answer)


RENDERED = [
    ("{{ messages[0]['content'] }}|{{ messages[0].role }}", "<a>&|user"),
    ("{% for m in messages %}\n  {% if true %}\nx\n  {% endif %}\n{% endfor %}\ny", "x\ny"),
    ("{{ bos_token }}{{ eos_token is defined }}", "False"),
    ("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}'),
    ("{{ {'b': 1, 'a': 2} | tojson(indent=1, sort_keys=true) }}", '{\n "a": 2,\n "b": 1\n}'),
    ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
    ("{% generation %}{{ 'a' }}{% endgeneration %}", "a"),
    ("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}", "TrueTrueTrue"),
    ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('a') ~ m(1) }}", "[a][1]"),
    ("{{ 'a-b'.split('-')[::-1] | join('+') }}", "b+a"),
    ("{{ '%s:%d' % ('a', 1) }}{{ '{}'.format('b') }}{{ 'c' | center(3) }}", "a:1b c "),
    ("{{ ('a' * 3 + 'b').replace('a', 'xy') | upper }}", "XYXYXYB"),
    ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
     "{{ ns.n }}{{ messages | map(attribute='role') | list }}", "1['user']"),
    ("{% for x in [1, 2] %}{{ loop.length }}{{ loop.last }}{% else %}-{% endfor %}", "2False2True"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "expected"), RENDERED)
def test_what_templates_find(template, expected):
    assert get_prompt(template).render("<a>&", special_tokens="allow") == expected


def test_the_time():
    year = get_prompt("{{ strftime_now('%Y') }}").render("a")
    assert abs(int(year) - datetime.now().astimezone().year) <= 1


def test_tools_are_given_as_dicts():
    template = (
        "{% for m in messages %}{{ m.role }}:{{ m.tool_call_id }}:{{ m.name }}:"
        "{% for c in m.tool_calls %}{{ c.id }}={{ c.function.name }}"
        "({{ c.function.arguments | tojson }}){% endfor %}{{ m.content }};{% endfor %}"
    )
    messages = [
        HumanMessage("u"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"a": "<é>"}, "id": "i1"}]),
        ToolMessage("t", tool_call_id="i1", name="f"),
    ]
    assert get_prompt(template).render(messages) == (
        'user:::u;assistant:::i1=f({"a": "<é>"});tool:i1:f:t;'
    )


def test_a_template_that_leaves_tools_out_gets_prompted_tools():
    template = "{% for m in messages if m.role == 'user' %}({{ m.content }}){% endfor %}"
    messages = [("user", "u"), {"role": "tool", "content": "21", "name": "f"}]
    assert get_prompt(template).render(messages) == "(u)(Tool result (f): 21)"


def test_control_tokens_are_those_of_the_template_and_those_given():
    prompt = JinjaPrompt.of("<|u|>{{ messages[0].content }}", eos_token="</e>", tokens=("<odd>",))
    assert prompt.render("<|u|></e><odd><|v|>") == "<|u|>< |u|>< /e>< odd><|v|>"
    assert prompt.render("<|u|>", special_tokens="allow") == "<|u|><|u|>"
    with pytest.raises(PromptError, match=r"Message 0 \(user\) holds '<odd>'"):
        prompt.render("<odd>", special_tokens="error")


def test_control_tokens_inside_tool_calls():
    template = "{{ messages[0].tool_calls[0].function.arguments | tojson }}<|end|>"
    call = {"name": "f", "args": {"a": ["<|end|>"]}, "id": "1"}
    text = get_prompt(template).render([AIMessage("", tool_calls=[call])])
    assert text == '{"a": ["< |end|>"]}<|end|>'


def test_strict_tells_the_words_of_the_template():
    with pytest.raises(PromptError, match="refuses the conversation: no thanks"):
        get_prompt("{{ raise_exception('no thanks') }}").render("a", roles="strict")
    with pytest.raises(PromptError, match="no thanks"):
        get_prompt("{{ raise_exception('no thanks') }}").render("a")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for", "not valid Jinja"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "not valid Jinja"),
        ("{{ x.y.z }}", "'x' is undefined"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{% include 'x' %}", "no loader"),
        ("{{ 1 }}" + " " * 1_000_001, "above 1,000,000"),
    ],
)
def test_broken_templates(template, said):
    with pytest.raises(PromptError, match=said):
        get_prompt(template).render("a")


ESCAPES = [
    "{{ ''.__class__.__mro__ }}",
    "{{ messages.__class__.__bases__ }}",
    "{{ messages.append(1) }}",
    "{{ messages[0].update(role='x') }}",
    "{{ raise_exception.__globals__['os'] }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ 'a'.encode() }}",
    "{{ (1).to_bytes(9, 'big') }}",
    "{{ 'a'.translate({}) }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ ('{0.__class__.__mro__}').format(1).x.y }}",
]


@pytest.mark.parametrize("template", ESCAPES)
def test_no_way_out_of_the_sandbox(template):
    with pytest.raises(PromptError, match=r"\w"):
        get_prompt(template).render("a")


DOUBLING = "{% set ns = namespace(s='xxxxxxxx') %}{% for i in range(99) %}%s{% endfor %}{{ ns.s }}"
HOSTILE = [
    "{% for i in range(10**9) %}x{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% set x %}{% for i in range(99999) %}{{ 'y' * 100000 }}{% endfor %}{% endset %}",
    "{% set x %}{% for i in range(99999) %}" + "y" * 9999 + "{% endfor %}{% endset %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(0) }}",
    "{% macro f(n) %}{% if n < 40 %}{{ f(n + 1) ~ f(n + 1) }}{% endif %}{% endmacro %}{{ f(0) }}",
    "{% for a in messages recursive %}{{ loop(messages) }}{{ loop(messages) }}{% endfor %}",
    DOUBLING.replace("%s", "{% set ns.s = ns.s + ns.s %}"),
    DOUBLING.replace("%s", "{% set ns.s = ns.s ~ ns.s %}"),
    DOUBLING.replace("%s", "{% set ns.s = [ns.s, ns.s] %}"),
    DOUBLING.replace("%s", "{% set ns.s = ns.s | replace('x', 'xx') %}"),
    DOUBLING.replace("%s", "{% set ns.s = ns.s.replace('x', 'xx') %}"),
    DOUBLING.replace("%s", "{% set ns.s = [ns.s, ns.s] | join %}"),
    DOUBLING.replace("%s", "{% set ns.s = ''.join([ns.s, ns.s]) %}"),
    DOUBLING.replace("%s", "{% set ns.s = '%s%s' % (ns.s, ns.s) %}"),
    DOUBLING.replace("%s", "{% set ns.s = '{0}{0}'.format(ns.s) %}"),
    "{{ 'x' * 10**10 }}",
    "{{ [0] * 10**10 }}",
    "{{ 9 ** (9 ** 9) }}",
    "{% set ns = namespace(n=9) %}{% for i in range(99) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 999999999) }}",
    "{{ 'x' | center(10**9) }}",
    "{{ 'x'.ljust(10**9) }}",
    "{{ 'x'.zfill(10**9) }}",
    "{{ 'x' | indent(10**9, true) }}",
    "{{ [1] | tojson(indent=10**9) }}",
    "{{ range(3) | batch(10**9, 'x') | list }}",
    "{{ range(3) | slice(10**9) | list }}",
    "{{ range(99999) | map('center', 9000) | list | length }}",
    "{{ range(99999) | join('x' * 1000000) }}",
    "{{ ('x' * 10**6).join(range(99999) | map('string') | list) }}",
    "{{ ([range(9999) | list] * 9999) | sum(start=[]) | length }}",
    "{{ ('a,' * 10**7).split(',') | length }}",
    "{% set s = 'x' * 10**7 %}{% set ns = namespace(l=[]) %}"
    "{% for i in range(9999) %}{% set ns.l = ns.l + [s[i:]] %}{% endfor %}",
]


@pytest.mark.parametrize("template", HOSTILE)
def test_hostile_templates_end_soon_with_an_error(template):
    start = time.monotonic()
    with pytest.raises(PromptError, match=r"chat template"):
        get_prompt(template).render("a")
    assert time.monotonic() - start < 20


def test_time_is_bounded_where_nothing_is_made():
    numbers = "range(99999) | map('string') | list"
    template = f"{{{{ range(99999) | select('in', {numbers}) | list }}}}"
    with pytest.raises(PromptError, match="did not end within 3 seconds"):
        get_prompt(template).render("a")


def test_bounds_hold_in_threads_and_apart():
    """A hostile render in one thread takes nothing from the budget of another."""
    results = {}

    def run(name, template):
        try:
            results[name] = get_prompt(template).render("a")
        except PromptError as error:
            results[name] = type(error).__name__

    jobs = {f"bad{i}": "{{ 'x' * 10**10 }}" for i in range(4)}
    jobs |= {f"good{i}": "{{ 'x' * 10**6 }}" for i in range(4)}
    threads = [threading.Thread(target=run, args=job) for job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {results[name] for name in results if name.startswith("bad")} == {"LimitError"}
    assert {len(results[name]) for name in results if name.startswith("good")} == {10**6}


def test_a_long_honest_conversation_fits_the_bounds():
    messages = [(("user", "assistant")[i % 2], "word " * 200) for i in range(1000)]
    for name in OFFICIAL:
        assert jinja(name).render(messages) == get_prompt(name).render(messages)
