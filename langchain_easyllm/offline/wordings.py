"""The wordings of contexts, tools and schemas with which the bundled model was trained.

`training/wordings.py` takes them from here: a small model knows no others.
"""

from __future__ import annotations

# A user message that asks about a text.
READING = """\
Answer from the context only. If it does not say, answer: I don't know.

Context: {context}

Question: {question}"""

READING_KOREAN = """\
문맥만 보고 답하세요. 문맥에 없으면 "모르겠습니다."라고 답하세요.

문맥: {context}

질문: {question}"""

# Part of the system message.
SCHEMA = """\
Answer only with a JSON object that fits this schema:
{schema}"""

CALL_START = "<tool_call>\n"
CALL_END = "\n</tool_call>"
