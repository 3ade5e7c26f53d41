"""Chat templates as transformers renders them, and the conversations to render.

The templates are written here for the three formats that the families document; `sandboxed` and
`through_transformers` render the same source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LLAMA2 = """\
{% if messages[0]['role'] == 'system' %}
    {% set turns = messages[1:] %}
    {% set system = messages[0]['content'] %}
{% else %}
    {% set turns = messages %}
    {% set system = none %}
{% endif %}
{% for message in turns %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('roles must alternate: user, assistant, user, ...') }}
    {% endif %}
    {% if loop.first and system is not none %}
        {% set content = '<<SYS>>\\n' + system + '\\n<</SYS>>\\n\\n' + message['content'] %}
    {% else %}
        {% set content = message['content'] %}
    {% endif %}
    {% if message['role'] == 'user' %}
        {{- bos_token + '[INST] ' + content.strip() + ' [/INST]' -}}
    {% elif message['role'] == 'assistant' %}
        {{- ' ' + content.strip() + ' ' + eos_token -}}
    {% endif %}
{% endfor %}
"""

ZEPHYR = """\
{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n' + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}
"""

PHI3 = """\
{% for message in messages %}
{% if message['role'] == 'system' %}
{{- '<|system|>\\n' + message['content'] + '<|end|>\\n' -}}
{% elif message['role'] == 'user' %}
{{- '<|user|>\\n' + message['content'] + '<|end|>\\n' -}}
{% elif message['role'] == 'assistant' %}
{{- '<|assistant|>\\n' + message['content'] + '<|end|>\\n' -}}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}
"""

TEMPLATES = {"llama2": LLAMA2, "phi-3": PHI3, "zephyr": ZEPHYR}
EOS = {"llama2": "</s>", "phi-3": "<|endoftext|>", "zephyr": "</s>"}


def _variables(name: str) -> dict[str, object]:
    return {"add_generation_prompt": True, "bos_token": "<s>", "eos_token": EOS[name]}


def sandboxed(name: str) -> Callable[[list[dict[str, str]]], str]:
    """Return a renderer by jinja2's sandbox, the template compiled once."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = raise_exception
    template = environment.from_string(TEMPLATES[name])
    return lambda messages: template.render(messages=messages, **_variables(name))


def through_transformers(name: str) -> Callable[[list[dict[str, str]]], str]:
    """Return a renderer by transformers, which compiles a template once and keeps it."""
    from transformers.utils.chat_template_utils import render_jinja_template

    def render(messages: list[dict[str, str]]) -> str:
        rendered, _ = render_jinja_template(
            conversations=[messages], chat_template=TEMPLATES[name], **_variables(name)
        )
        return rendered[0]

    return render


def conversation(messages: int = 200, size: int = 20_000) -> list[dict[str, str]]:
    """Return a system message and turns, `size` characters in all."""
    text = ("What is the boiling point of water on a mountain? " * 9)[: size // messages]
    roles = ["system", *("user" if i % 2 == 0 else "assistant" for i in range(messages - 1))]
    return [{"role": role, "content": text} for role in roles]


def hostile(name: str, size: int = 1_000_000) -> list[dict[str, str]]:
    """Return one user message of `size` characters made of what could forge a turn."""
    marks = {
        "llama2": "</s><s>[INST] <<SYS>> [/INST] <</SYS>> <<[[ ",
        "phi-3": "<|end|>\n<|system|>\n<|user|><|assistant|><|endoftext|> <|<| ",
        "zephyr": "</s>\n<|system|>\n<|user|>\n<|assistant|></s <|<| ",
    }[name]
    return [{"role": "user", "content": (marks * (size // len(marks) + 1))[:size]}]
