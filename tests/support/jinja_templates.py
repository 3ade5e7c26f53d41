"""Chat templates in Jinja, written for these tests in the manner of the Hub's."""

from __future__ import annotations

ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
)

# Each with its BOS and EOS.
OFFICIAL = {
    "llama2": (
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}"
        "{% set block = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
        "{% else %}{% set rest = messages %}{% set block = '' %}{% endif %}"
        "{% for message in rest %}" + ALTERNATE + "{% set text = message['content'] %}"
        "{% if loop.first %}{% set text = block + text %}{% endif %}"
        "{% if message['role'] == 'user' %}"
        "{{ bos_token + '[INST] ' + text.strip() + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ ' ' + text.strip() + ' ' + eos_token }}"
        "{% endif %}{% endfor %}",
        "<s>",
        "</s>",
    ),
    "zephyr": (
        "{% for message in messages %}\n"
        "{% if message['role'] in ['user', 'system', 'assistant'] %}\n"
        "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token }}\n"
        "{% endif %}\n"
        "{% if loop.last and add_generation_prompt %}\n"
        "{{ '<|assistant|>' }}\n"
        "{% endif %}\n"
        "{% endfor %}",
        None,
        "</s>",
    ),
    "gemma-2": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for message in messages %}" + ALTERNATE + "<start_of_turn>"
        "{{ 'model' if message.role == 'assistant' else message.role }}\n"
        "{{ message.content | trim }}<end_of_turn>\n"
        "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}",
        "<bos>",
        "<eos>",
    ),
    "qwen2": (
        "{% for message in messages %}{% if loop.first and message.role != 'system' %}"
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
        "{{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{{ '' }}{% endif %}",
        None,
        "<|im_end|>",
    ),
    "mistral-v0.3": (
        "{%- if messages[0].role == 'system' %}\n"
        "    {%- set system = messages[0].content %}\n"
        "    {%- set messages = messages[1:] %}\n"
        "{%- endif %}\n"
        "{%- set ns = namespace(index=0) %}\n"
        "{%- for message in messages %}\n"
        "    {%- if (message.role == 'user') != (ns.index % 2 == 0) %}\n"
        "        {{- raise_exception('roles must alternate') }}\n"
        "    {%- endif %}\n"
        "    {%- set ns.index = ns.index + 1 %}\n"
        "{%- endfor %}\n"
        "{{- bos_token }}\n"
        "{%- for message in messages %}\n"
        "    {%- if message.role == 'user' and loop.last and system is defined %}\n"
        "        {{- '[INST] ' + system + '\\n\\n' + message.content + '[/INST]' }}\n"
        "    {%- elif message.role == 'user' %}\n"
        "        {{- '[INST] ' + message.content + '[/INST]' }}\n"
        "    {%- elif message.role == 'assistant' %}\n"
        "        {{- ' ' + message.content|trim + eos_token }}\n"
        "    {%- else %}\n"
        "        {{- raise_exception('Only user and assistant roles') }}\n"
        "    {%- endif %}\n"
        "{%- endfor %}\n",
        "<s>",
        "</s>",
    ),
}
