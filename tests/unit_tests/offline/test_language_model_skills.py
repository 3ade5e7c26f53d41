"""What the language model has learned, greedily, with names that its training never showed.

A handful of questions for each skill: that the weights are the trained ones and are read right.
The shares that are right of many are in training/README.md.
"""

from __future__ import annotations

import json
import re

import pytest

from langchain_easyllm.agents import agent_prompt
from langchain_easyllm.offline.language_model import LanguageModel
from langchain_easyllm.offline.wordings import READING, READING_KOREAN
from langchain_easyllm.prompts import get_prompt

from ...support.offline_model import FORMATS, text_of

Message = tuple[str, str]
in_each_format = pytest.mark.parametrize("style", FORMATS)


def reply(messages: list[Message], style: str) -> str:
    model = LanguageModel.load()
    ids = [token.id for token in model.encode(get_prompt(style).render(messages))]
    return text_of([*model.generate(ids, max_new_tokens=120)]).strip()


CHATS: list[tuple[list[Message], str]] = [
    ([("user", "Which country has the capital Hanoi?")], "Hanoi is the capital of Vietnam."),
    (
        [("user", "Knock knock."), ("assistant", "Who's there?"), ("user", "Joao")],
        "Joao who?",
    ),
    (
        [
            ("system", "Be brief."),
            ("user", "6 + 2"),
            ("assistant", "6 + 2 = 8"),
            ("user", "What is the capital of England?"),
        ],
        "The capital of England is London.",
    ),
    (
        [("system", "You are a friendly assistant."), ("user", "Hi, I'm Greta.")],
        "Hello Greta! How can I help you?",
    ),
    ([("user", "대한민국의 수도를 알려 주세요.")], "대한민국의 수도는 서울입니다."),
    ([("system", "영어로 번역하세요."), ("user", "고양이")], "cat"),
    ([("user", "그대로 말해 줘: 허별별")], "허별별"),
    (
        [
            ("user", "What is the capital of Japan?"),
            ("assistant", "The capital of Japan is Tokyo."),
            ("user", "체코의 수도는 무엇인가요?"),
        ],
        "체코의 수도는 프라하입니다.",
    ),
]


@in_each_format
@pytest.mark.parametrize(("messages", "wanted"), CHATS)
def test_it_chats(messages, wanted, style):
    assert reply(messages, style) == wanted


SORRY = {
    "en": "I am a small model and do not know that: "
    "ask me about LangChain, capitals, or a text that you give me.",
    "ko": "저는 작은 모델이라 그것은 모릅니다. "
    "LangChain이나 나라의 수도, 또는 주신 글에 대해 물어보세요.",
}
UNKNOWN = [
    ("How do I descale a kettle?", "en"),
    ("What is the tallest building in Dubai?", "en"),
    ("주전자 물때는 어떻게 없애죠?", "ko"),
    ("두바이에서 제일 높은 건물이 뭐였지?", "ko"),
]


@in_each_format
@pytest.mark.parametrize(("question", "language"), UNKNOWN)
def test_it_says_in_the_askers_language_that_it_does_not_know(question, language, style):
    assert reply([("user", question)], style) == SORRY[language]


READINGS = [
    ("Sven Giondtroll is the mayor of Flerburg.", "Who leads Flerburg?", "Sven Giondtroll"),
    ("The bottle is red. It was found in Vionfleiville.", "What color is the bottle?", "red"),
    (
        "The bottle is red. It was found in Vionfleiville.",
        "How much does the bottle cost?",
        "I don't know.",
    ),
]


@in_each_format
@pytest.mark.parametrize(("context", "question", "wanted"), READINGS)
def test_it_reads(context, question, wanted, style):
    text = READING.format(context=context, question=question)
    assert reply([("user", text)], style) == wanted


COMPANIES = (
    "욱틴빈전자의 대표는 민호범이다. 바옴영식품의 본사는 프그틴에 있다. "
    "욱틴빈전자에서는 83명이 일한다."
)
KOREAN_READINGS = [
    ("욱틴빈전자의 대표는 누구인가요?", "민호범"),
    ("바옴영식품의 본사는 어디에 있나요?", "프그틴"),
    ("욱틴빈전자에서는 몇 명이 일하나요?", "83"),
    ("바옴영식품의 주력 제품은 무엇인가요?", "모르겠습니다."),
]


@in_each_format
@pytest.mark.parametrize(("question", "wanted"), KOREAN_READINGS)
def test_it_reads_korean(question, wanted, style):
    text = READING_KOREAN.format(context=COMPANIES, question=question)
    assert reply([("user", text)], style) == wanted


TOOLS = """\
You can use these tools:
<tools>
{"name": "find_soap", "description": "Find the soap.", "parameters": {"type": "object", \
"properties": {"room": {"type": "string"}, "city": {"type": "string"}}, \
"required": ["room", "city"]}}
</tools>
To use one, answer only with:
<tool_call>
{"name": tool name, "arguments": {argument: value}}
</tool_call>"""


@in_each_format
def test_it_calls_a_tool(style):
    asked = [("system", TOOLS), ("user", "Find the soap with room Keller and city Brunnas.")]
    text = reply(asked, style)
    assert text.startswith("<tool_call>\n")
    assert text.endswith("\n</tool_call>")
    call = json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    assert call == {"name": "find_soap", "arguments": {"room": "Keller", "city": "Brunnas"}}


CUSTOMERS = """\
You can use these tools:
<tools>
{"name": "unicode_customer", "description": "Tool for creating a customer with Unicode name.", \
"parameters": {"type": "object", "properties": {"customer_name": {"type": "string"}, \
"description": {"type": "string"}}, "required": ["customer_name", "description"]}}
</tools>
To use one, answer only with:
<tool_call>
{"name": tool name, "arguments": {argument: value}}
</tool_call>"""
NAMES = ["你好啊集团", "표관솔 상사", "Ωμέγα", "Привет"]


@in_each_format
@pytest.mark.parametrize("name", NAMES)
def test_it_copies_names_of_any_script(name, style):
    asked = [("system", CUSTOMERS), ("user", f"Create a customer named '{name}' (paper boat).")]
    text = reply(asked, style)
    call = json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))
    wanted = {"customer_name": name, "description": "paper boat"}
    assert call == {"name": "unicode_customer", "arguments": wanted}


SCHEMA = {
    "properties": {
        "name": {"title": "Name", "type": "string"},
        "color": {"title": "Color", "type": "string"},
        "year": {"title": "Year", "type": "integer"},
    },
    "required": ["name", "color", "year"],
    "title": "Record",
    "type": "object",
}


@in_each_format
def test_it_fills_a_schema(style):
    text = "Crixthai Nagy likes the color white. Crixthai Nagy's year of birth is 1997.\n\n"
    text += f"Answer only with a JSON object that fits this schema:\n{json.dumps(SCHEMA)}"
    answer = json.loads(reply([("user", text)], style))
    assert answer == {"name": "Crixthai Nagy", "color": "white", "year": 1997}


@in_each_format
def test_it_fills_a_schema_from_korean(style):
    system = f"Answer only with a JSON object that fits this schema:\n{json.dumps(SCHEMA)}"
    text = "구려초는 파란색을 좋아한다. 구려초는 2016년에 태어났다."
    answer = json.loads(reply([("system", system), ("user", text)], style))
    assert answer == {"name": "구려초", "color": "파란색", "year": 2016}


DESCRIPTIONS = (
    "search(query: str) -> str - Search for people, places and facts.\n"
    "calculator(expression: str) -> str - Work out a calculation such as 2**0.5."
)
LIBRARY = {
    "teacher": "Teacru Russo's teacher is Petra Flaisfur, 64 years old.",
    "Niamwea": "Greta Niamwea, aged 51.",
    "Poujeir": "Poujeir Group has 72022 employees. Poujeir Group was founded by Victor Haidra.",
    "윤설찬": "윤설찬의 남편은 은송옥(82세)이다.",
    "바옴영식품": "바옴영식품은 명제한이 세웠다.",
}
EPISODES = [
    (
        "Who is Teacru Russo's teacher? What is the age of that person raised to the 0.5 power?",
        ["search", "calculator"],
        ["Petra Flaisfur", "8"],
    ),
    ("What is Greta Niamwea's age raised to the 0.14 power?", ["search", "calculator"], ["1.734"]),
    ("Who founded Poujeir Group?", ["search"], ["Victor Haidra"]),
    ("What is 1234 times 56?", ["calculator"], ["69104"]),
    ("윤설찬의 남편 나이를 0.48제곱하면 얼마인가요?", ["search", "calculator"], ["8.29"]),
    ("바옴영식품은 누가 설립했나요?", ["search"], ["명제한"]),
    ("72 / 45는 얼마인가요?", ["calculator"], ["1.6"]),
]


def use(tool: str, text: str) -> str:
    """The result of a tool: arithmetic, or what the library has on a word of the query."""
    if tool == "calculator":
        return f"{round(eval(text, {}), 3):g}" if "**" in text else str(eval(text, {}))
    return next((result for word, result in LIBRARY.items() if word in text), "No results found.")


def action_of(text: str, kind: str) -> tuple[str, str]:
    if kind == "react-json":
        action = json.loads(re.search(r"```(?:json)?\n(.*?)```", text, re.DOTALL)[1])
        return action["action"], str(action["action_input"])
    return re.search(r"Action: (.*)\nAction Input: (.*)", text).groups()


@in_each_format
@pytest.mark.parametrize("kind", ["react", "react-json"])
@pytest.mark.parametrize(("question", "tools", "wanted"), EPISODES)
def test_it_solves_a_question_step_by_step(question, tools, wanted, kind, style):
    scratchpad, used = "", []
    while True:
        prompt = agent_prompt(kind).format(
            tools=DESCRIPTIONS,
            tool_names="search, calculator",
            input=question,
            agent_scratchpad=scratchpad,
        )
        text = reply([("user", prompt)], style)
        if "Final Answer:" in text:
            break
        tool, given = action_of(text, kind)
        used.append(tool)
        assert used == tools[: len(used)]
        scratchpad += f" {text}\nObservation: {use(tool, given)}\nThought:"
    assert used == tools
    assert all(part in text.split("Final Answer:")[1] for part in wanted)


@pytest.mark.parametrize("style", ["vicuna", "gemma"])
def test_a_format_that_it_was_not_trained_on_does_not_do(style):
    """The lesson of prompt templates: the same weights, another template, and nothing is right."""
    right = [reply(messages, style) == wanted for messages, wanted in CHATS]
    assert sum(right) <= 1
