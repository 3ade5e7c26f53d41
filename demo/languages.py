"""What the demo says, asks and reads, in each of its languages. `LANGUAGES` has them all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from langchain_easyllm.offline.wordings import READING, READING_KOREAN

__all__ = ["ENGLISH", "KOREAN", "LANGUAGES", "Language", "Part", "find_language"]


@dataclass(frozen=True)
class Part:
    """A part of the tour: its title, and what is asked."""

    title: str
    question: str


@dataclass(frozen=True)
class Language:
    """A language of the demo. Texts with names in braces are templates.

    Attributes:
        code: The two letters of ISO 639.
        library: The file that the search tool looks in.
        pages: The files that retrieval reads, from the project's root.
        system: What the model is told before a chat.
        reading: The prompt that asks about a text; the offline model was trained on these words.
        no_results: What the search tool returns where it finds nothing.
        error: What a tool's message begins with where the tool failed.
        no_value: The calculator's message.
        no_text: What a tool says to an input that is not a text.
        off_format: What a model that did not keep to the format is sent.
        chat: The part with a streamed chat.
        react: The part with a ReAct agent whose actions are text.
        react_json: The part with a ReAct agent whose actions are JSON.
        tool_calls: The part with an agent that calls tools.
        structured: The part that makes an object from a text.
        retrieval: The part that answers from documents.
        with_tools: The title of a question of the user's own.
        without_tools: The title where the tools did not help with it.
        offline_model: The name of the offline model.
        other_model: The name of a model at a server.
        unnamed_model: What a model is called whose name is not known.
        provided_model: The name of a model at Inference Providers.
        asking: Whom the questions go to.
        sent: What comes before a prompt.
        sent_again: What comes before a prompt that goes on from the last one.
        tools: What comes before the names of the tools that are sent.
        pieces: How fast a streamed answer was.
        whole: How fast an answer in one piece was.
        answer: What comes before an answer.
        calls: How many tools were called.
        stopped: What is said where an agent did not come to an end.
        no_object: What is said where a model's answer was not the object.
        embedded: How many passages were embedded.
        found: What comes before a passage that was found.
        took: How long the tour was.
        loading, preparing, waiting, writing, embedding: What the line of progress says.
        next_steps: A heading, commands with what they do, and a last paragraph.
        not_spoken: What is said to someone who asked for another language.
        picture: The title of the recording.
    """

    code: str
    library: str
    pages: str
    system: str
    reading: str
    no_results: str
    error: str
    no_value: str
    no_text: str
    off_format: str
    chat: Part
    react: Part
    react_json: Part
    tool_calls: Part
    structured: Part
    retrieval: Part
    with_tools: str
    without_tools: str
    offline_model: str
    other_model: str
    unnamed_model: str
    provided_model: str
    asking: str
    sent: str
    sent_again: str
    tools: str
    pieces: str
    whole: str
    answer: str
    calls: str
    stopped: str
    no_object: str
    embedded: str
    found: str
    took: str
    loading: str
    preparing: str
    waiting: str
    writing: str
    embedding: str
    next_steps: tuple[str, tuple[tuple[str, str], ...], str]
    not_spoken: str
    picture: str


ENGLISH = Language(
    code="en",
    library="library.txt",
    pages="docs/*.md",
    system="You are a helpful assistant. Answer in one sentence.",
    reading=READING,
    no_results="No results found.",
    error="Error:",
    no_value="Error: {reason}.",
    no_text="Error: the input must be one text.",
    off_format="Error: that was not in the format.",
    chat=Part("A streamed chat: prompt | EasyLLMChat | StrOutputParser", "What is LangChain?"),
    react=Part(
        'A ReAct agent, actions as text: agent_prompt("react"), EasyLLM',
        "Who is Dana Quinn's brother? What is the age of that person raised to the 0.43 power?",
    ),
    react_json=Part(
        'A ReAct agent, actions as JSON: agent_prompt("react-json"), EasyLLMChat',
        "Who is Omar Dahl's teacher? What is the age of that person raised to the 0.43 power?",
    ),
    tool_calls=Part(
        "An agent that calls tools: EasyLLMChat.bind_tools",
        "What is the population of Stonebridge divided by 7?",
    ),
    structured=Part(
        "An object from text: EasyLLMChat.with_structured_output",
        "Emil Turner is 21 years old. Emil Turner lives in Westbury.",
    ),
    retrieval=Part(
        "Retrieval from this documentation: retriever | prompt | EasyLLMChat",
        "When was Hugging Face founded?",
    ),
    with_tools="An agent with a search tool and a calculator",
    without_tools="The tools did not help. The model alone",
    offline_model="the offline model at {address}: no account, no network, no GPU",
    other_model="{model} at {address}",
    unnamed_model="the model",
    provided_model="{model} at Inference Providers",
    asking="Asking {name}.",
    sent="Sent, {length} characters:",
    sent_again="Sent again, {length} characters: the above, the answer, and",
    tools="tools: {names}",
    pieces="[{pieces} pieces, first after {first:.2f} s, all after {whole:.2f} s]",
    whole="[in one piece, after {whole:.2f} s]",
    answer="Answer: {answer}",
    calls="[tool calls: {count}; in all {seconds:.2f} s]",
    stopped="none, for the agent did not come to an end",
    no_object="none, since {reason}",
    embedded="{passages} passages of {pages} pages embedded in {seconds:.2f} s",
    found="Found in {page}: {text}",
    took="All that took {seconds:.1f} s.",
    loading="loading LangChain",
    preparing="starting",
    waiting="the model reads",
    writing="the model writes",
    embedding="embedding the documents",
    next_steps=(
        "The same on a real service:",
        (
            (
                "make demo HF_TOKEN=hf_...",
                "Inference Providers, with a token from https://huggingface.co/settings/tokens",
            ),
            (
                "make demo BASE_URL=http://localhost:8080",
                "TGI, vLLM, llama.cpp, transformers serve, ...",
            ),
            (
                'make demo ASK="Who is Linda Berg\'s son?"',
                "one question of your own, on any of them",
            ),
            ("make demo LANG=ko", "this tour in Korean"),
        ),
        'In a program, EasyLLMChat(model="meta-llama/Llama-3.1-8B-Instruct") takes the place of '
        "EasyLLMChat(base_url=...); all else stays as it is.",
    ),
    not_spoken="The tour is in English and in Korean (LANG=ko).",
    picture="make demo, no account, no network, no GPU; shown {times:.0f} times slower",
)

KOREAN = Language(
    code="ko",
    library="library.ko.txt",
    pages="demo/library.ko.txt",
    system="한 문장으로 답하세요.",
    reading=READING_KOREAN,
    no_results="검색 결과가 없습니다.",
    error="오류:",
    no_value="오류: 계산할 수 없습니다({reason}).",
    no_text="오류: 입력은 텍스트 하나여야 합니다.",
    off_format="오류: 형식에 맞지 않습니다.",
    chat=Part("스트리밍 대화: prompt | EasyLLMChat | StrOutputParser", "LangChain은 무엇인가요?"),
    react=Part(
        '텍스트로 행동하는 ReAct 에이전트: agent_prompt("react"), EasyLLM',
        "김서연의 남동생은 누구인가요? 그 사람의 나이의 0.43제곱은 얼마인가요?",
    ),
    react_json=Part(
        'JSON으로 행동하는 ReAct 에이전트: agent_prompt("react-json"), EasyLLMChat',
        "윤소희의 친구는 누구인가요? 그 사람의 나이의 0.43제곱은 얼마인가요?",
    ),
    tool_calls=Part(
        "도구를 호출하는 에이전트: EasyLLMChat.bind_tools",
        "다온시의 인구를 7로 나누면 얼마인가요?",
    ),
    structured=Part(
        "텍스트에서 객체로: EasyLLMChat.with_structured_output",
        "정수아는 21세이다. 정수아는 해솔마을에 산다.",
    ),
    retrieval=Part(
        "작은 문서에서 검색: retriever | prompt | EasyLLMChat",
        "나래식품의 대표는 누구인가요?",
    ),
    with_tools="검색 도구와 계산기를 쓰는 에이전트",
    without_tools="도구가 도움이 되지 않았습니다. 모델에게만 묻기",
    offline_model="{address}의 오프라인 모델(계정도 네트워크도 GPU도 필요 없음)",
    other_model="{address}의 {model}",
    unnamed_model="모델",
    provided_model="Inference Providers의 {model}",
    asking="{name}에게 묻습니다.",
    sent="{length}자를 보냄:",
    sent_again="다시 {length}자를 보냄: 위의 내용과 답변에 이어서",
    tools="도구: {names}",
    pieces="[조각 {pieces}개, 첫 조각까지 {first:.2f}초, 전체 {whole:.2f}초]",
    whole="[한 번에 받음, {whole:.2f}초]",
    answer="답: {answer}",
    calls="[도구 호출 {count}번, 모두 {seconds:.2f}초]",
    stopped="없음. 에이전트가 끝을 내지 못했습니다",
    no_object="없음. {reason}",
    embedded="문서 {pages}개의 구절 {passages}개를 {seconds:.2f}초 만에 임베딩함",
    found="{page}에서 찾음: {text}",
    took="모두 {seconds:.1f}초 걸렸습니다.",
    loading="LangChain을 불러오는 중",
    preparing="시작하는 중",
    waiting="모델이 읽는 중",
    writing="모델이 쓰는 중",
    embedding="문서를 임베딩하는 중",
    next_steps=(
        "실제 서비스에서 똑같이 실행하려면:",
        (
            (
                "make demo LANG=ko HF_TOKEN=hf_...",
                "Inference Providers. 토큰은 https://huggingface.co/settings/tokens",
            ),
            (
                "make demo LANG=ko BASE_URL=http://localhost:8080",
                "TGI, vLLM, llama.cpp, transformers serve 등",
            ),
            ('make demo ASK="정수아의 코치는 누구인가요?"', "직접 던지는 질문 하나"),
            ("make demo LANG=en", "이 둘러보기를 영어로"),
        ),
        "프로그램에서는 EasyLLMChat(base_url=...) 자리에 "
        'EasyLLMChat(model="meta-llama/Llama-3.1-8B-Instruct")를 쓰면 됩니다. '
        "나머지는 그대로입니다.",
    ),
    not_spoken="이 둘러보기는 영어와 한국어(LANG=ko)로 되어 있습니다.",
    picture="make demo LANG=ko, 계정도 네트워크도 GPU도 없이. {times:.0f}배 느리게 재생",
)

LANGUAGES: Mapping[str, Language] = {"en": ENGLISH, "ko": KOREAN, "c": ENGLISH, "posix": ENGLISH}
"""The languages by what a locale's name begins with. The locales C and POSIX name none."""

HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]")


def find_language(question: str, environment: Mapping[str, str]) -> tuple[Language, bool]:
    """Return the language to speak, and whether it is the one that was asked for.

    A question is answered in its own language. Where there is none, or it has no letters,
    DEMO_LANG tells (the Makefile sets it to a LANG on make's command line), then the locale.

    Args:
        question: The user's question, or "".
        environment: The environment's variables.
    """
    if HANGUL.search(question):
        return KOREAN, True
    if any(map(str.isalpha, question)):
        return ENGLISH, True
    if asked := environment.get("DEMO_LANG", "").strip():
        found = LANGUAGES.get(_code(asked))
        return found or ENGLISH, found is not None
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return LANGUAGES.get(_code(locale), ENGLISH), True


def _code(locale: str) -> str:
    """Return what `ko_KR.UTF-8`, `ko-KR` or `KO` begins with."""
    return re.split(r"[-_.@]", locale.lower(), maxsplit=1)[0]
