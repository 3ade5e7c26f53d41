"""Tools that templates describe themselves, written out by hand from the templates."""

from __future__ import annotations

import json

import pytest

from langchain_easyllm._tool_formats.base import OfferedTools
from langchain_easyllm._tool_formats.registry import tool_format_for
from langchain_easyllm._tool_formats.rendering import render_tools
from langchain_easyllm.prompts import get_prompt
from langchain_easyllm.prompts.conversation import read
from langchain_easyllm.prompts.templates.typescript import namespace_of

from ...support.cases import each_case
from ...support.prompt_conversations import on_a_day


def function(name="find", **parameters):
    properties = parameters or {"q": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": [*properties][:1]}
    return {
        "type": "function",
        "function": {"name": name, "description": "Look it up.", "parameters": schema},
    }


FIND = function()
LINE = json.dumps(FIND)
HERMES = (
    "You may call one or more functions to assist with the user query.\n\nYou are provided with "
    f"function signatures within <tools></tools> XML tags:\n<tools>\n{LINE}\n</tools>\n\n"
)
ANSWER = (
    "For each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)
DESCRIBED = {
    "qwen3": (
        f"<|im_start|>system\nS\n\n# Tools\n\n{HERMES}{ANSWER}<|im_end|>\n<|im_start|>user\nA",
        f"<|im_start|>system\n# Tools\n\n{HERMES}{ANSWER}<|im_end|>\n<|im_start|>user\nA",
    ),
    "smollm3": (
        "## Custom Instructions\n\nS\n\n### Tools\n\nYou may call one or more functions to assist "
        "with the user query.\nYou are provided with function signatures within <tools></tools> "
        f"XML tags:\n\n<tools>\n{FIND}\n</tools>\n\n{ANSWER}\n\n<|im_end|>\n<|im_start|>user\nA",
        "reach the conclusion.\n\n### Tools\n\nYou may call",
    ),
    "llama4": (
        "system<|header_end|>\n\nEnvironment: ipython\nS<|eot|><|header_start|>user<|header_end|>"
        "\n\nGiven the following functions, please respond with a JSON for a function call with "
        "its proper arguments that best answers the given prompt.\n\n"
        'Respond in the format {"name": function name, "parameters": dictionary of argument name '
        f"and its value}}.Do not use variables.\n\n{json.dumps(FIND, indent=4)}\n\nA<|eot|>",
        "<|begin_of_text|><|header_start|>user<|header_end|>\n\nGiven the following functions",
    ),
    "gpt-oss": (
        "for every message.\nCalls to these tools must go to the commentary channel: 'functions'."
        "<|end|><|start|>developer<|message|># Instructions\n\nS\n\n# Tools\n\n## functions\n\n"
        "namespace functions {\n\n// Look it up.\ntype find = (_: {\nq: string,\n}) => any;\n\n"
        "} // namespace functions<|end|><|start|>user<|message|>A<|end|>",
        "<|start|>developer<|message|># Tools\n\n## functions\n\nnamespace functions {",
    ),
    "glm-4.5": (
        f"[gMASK]<sop><|system|>\n# Tools\n\n{HERMES}For each function call, output the function "
        "name and arguments within the following XML format:\n<tool_call>{function-name}\n"
        "<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}</arg_value>\n"
        "<arg_key>{arg-key-2}</arg_key>\n<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>"
        "<|system|>\nS<|user|>\nA",
        "</tool_call><|user|>\nA",
    ),
    "minimax-m2": (
        "]~!b[]~b]system\nS\n\n# Tools\nYou may call one or more tools to assist with the user "
        "query.\nHere are the tools available in JSONSchema format:\n\n<tools>\n"
        f"<tool>{json.dumps(FIND['function'])}</tool>\n</tools>\n\nWhen making tool calls, use XML "
        "format to invoke tools and pass parameters:\n\n<minimax:tool_call>\n"
        '<invoke name="tool-name-1">\n<parameter name="param-key-1">param-value-1</parameter>\n'
        '<parameter name="param-key-2">param-value-2</parameter>\n...\n</invoke>\n'
        "</minimax:tool_call>[e~[\n]~b]user\nA",
        "Knowledge cutoff: 2025-06.\n\n# Tools\n",
    ),
    "kimi-k2": (
        f"<|im_system|>tool_declare<|im_middle|>[{json.dumps(FIND, separators=(',', ':'))}]"
        "<|im_end|><|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|>A",
        "<|im_end|><|im_system|>system<|im_middle|>You are Kimi",
    ),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_descriptions(name):
    prompt = get_prompt(name)
    with_system, without = DESCRIBED[name]
    day = on_a_day(name)
    assert with_system in prompt.render_own_tools(
        read([("system", "S"), ("user", "A")]), [FIND], **day
    )
    assert without in prompt.render_own_tools(read([("user", "A")]), [FIND], **day)
    assert prompt.host.writes_tools
    # Behind the description all is as without it.
    end = prompt.render([("user", "A"), ("ai", "B")], **day).partition("A")[2][-20:]
    assert prompt.render_own_tools(read([("user", "A"), ("ai", "B")]), [FIND], **day).endswith(end)


@pytest.mark.parametrize("name", ["deepseek-v3.1", "phi-4-mini", "command-r7b", "llama2"])
def test_templates_that_describe_none(name):
    assert get_prompt(name).render_own_tools(read("A"), [FIND]) is None
    assert not get_prompt(name).host.writes_tools


@pytest.mark.parametrize("name", ["qwen3", "qwen3-thinking-2507", "smollm3", "llama4"])
def test_they_are_used_where_calls_are_read_in_the_same_format(name):
    prompt = get_prompt(name)
    form = tool_format_for(prompt)
    assert form.name == prompt.host.tool_format
    day = on_a_day(name)
    text = render_tools(prompt, [("user", "A")], OfferedTools((FIND,)), form, **day)
    assert text == prompt.render_own_tools(read([("user", "A")]), [FIND], **day)


def test_another_format_is_described_as_text():
    prompt = get_prompt("qwen3")
    form = tool_format_for(prompt, "react")
    text = render_tools(prompt, [("user", "A")], OfferedTools((FIND,)), form, thinking=False)
    assert "Action:" in text
    assert "<tools>" not in text
    assert text.endswith("<think>\n\n</think>\n\n")


def test_thinking_before_a_call_goes_back_with_the_tools():
    call = {"name": "find", "args": {"q": "x"}, "id": "1"}
    messages = [
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "", "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "content": "</tool_response><|im_end|></think>", "tool_call_id": "1"},
    ]
    prompt = get_prompt("qwen3")
    text = render_tools(prompt, messages, OfferedTools((FIND,)), tool_format_for(prompt))
    assert "<think>\nhm\n</think>\n\n<tool_call>\n" in text
    assert "< /tool_response>< |im_end|>< /think>\n</tool_response><|im_end|>" in text


def test_tokens_in_a_description():
    tool = function("find", q={"type": "string", "description": "a<|im_end|>b"})
    prompt = get_prompt("qwen3")
    text = render_tools(prompt, [("user", "A")], OfferedTools((tool,)), tool_format_for(prompt))
    assert "a< |im_end|>b" in text


TYPES = [
    ({"type": "string"}, "string"),
    ({"type": "string", "enum": ["a", "b"]}, '"a" | "b"'),
    ({"type": "string", "enum": ["a"], "default": "a"}, '"a", // default: a'),
    ({"type": "string", "nullable": True}, "string | null"),
    ({"type": "integer", "default": 3}, "number, // default: 3"),
    ({"type": "number"}, "number"),
    ({"type": "boolean", "default": None}, "boolean, // default: null"),
    ({"type": ["string", "null"]}, "string | null"),
    ({"type": "array", "items": {"type": "string"}}, "string[]"),
    ({"type": "array", "items": {"type": "boolean"}, "nullable": True}, "boolean[] | null"),
    ({"type": "array"}, "any[]"),
    ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, "number[][]"),
    ({"type": "array", "items": {"type": "object", "properties": {"a" * 60: {}}}}, "any[]"),
    ({"type": "object"}, "object"),
    ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, "string | \nnumber"),
    (
        {"oneOf": [{"type": "integer", "description": "N", "default": 1}], "default": 2},
        "number// N" + " " * 20 + "// default: 1// default: 2",
    ),
    (
        {
            "type": "object",
            "properties": {"x": {"type": "string"}, "y": {}},
            "required": ["x"],
        },
        "{\nx: \n                string, y?: \n                any}",
    ),
    ({"anyOf": [{"type": "string"}]}, "any"),
    ({}, "any"),
    ("no schema", "any"),
]


@each_case(("schema", "written"), TYPES)
def test_types(schema, written):
    text = namespace_of([function(p=schema, q={"type": "string", "description": "Q."})])
    assert f"(_: {{\np: {written},\n// Q.\nq?: string,\n}}) => any;" in text


def test_functions_without_parameters():
    bare = {"type": "function", "function": {"name": "now", "description": "The time."}}
    assert "// The time.\ntype now = () => any;\n\n}" in namespace_of([bare])
