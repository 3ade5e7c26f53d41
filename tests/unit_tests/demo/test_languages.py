"""The demo's languages: which one is spoken, and that each says the same."""

from __future__ import annotations

import dataclasses
import re
import string
import subprocess
from pathlib import Path

import pytest

from demo.languages import ENGLISH, KOREAN, Language, Part, find_language
from demo.tools import found_something, tools

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("question", "environment", "wanted"),
    [
        # The question decides, whatever the locale is.
        ("정수아의 코치는 누구인가요?", {"LANG": "en_US.UTF-8"}, (KOREAN, True)),
        ("LangChain이 뭐야?", {}, (KOREAN, True)),
        ("ㅋㅋㅋ", {}, (KOREAN, True)),
        ("Who is Linda Berg's son?", {"LANG": "ko_KR.UTF-8"}, (ENGLISH, True)),
        ("Who is it?", {"DEMO_LANG": "ko"}, (ENGLISH, True)),
        ("Qui êtes-vous ?", {"DEMO_LANG": "ko"}, (ENGLISH, True)),
        # One without letters leaves it to what else is known.
        ("1234 * 56?", {"DEMO_LANG": "ko"}, (KOREAN, True)),
        ("1234 * 56?", {}, (ENGLISH, True)),
        # What was asked for goes before the locale.
        ("", {"DEMO_LANG": "ko", "LC_ALL": "C.UTF-8"}, (KOREAN, True)),
        ("", {"DEMO_LANG": "ko_KR.UTF-8"}, (KOREAN, True)),
        ("", {"DEMO_LANG": "ko-KR"}, (KOREAN, True)),
        ("", {"DEMO_LANG": " KO "}, (KOREAN, True)),
        ("", {"DEMO_LANG": "en", "LANG": "ko_KR.UTF-8"}, (ENGLISH, True)),
        ("", {"DEMO_LANG": "C"}, (ENGLISH, True)),
        ("", {"DEMO_LANG": "fr"}, (ENGLISH, False)),
        ("", {"DEMO_LANG": "kok_IN"}, (ENGLISH, False)),
        # A Korean's terminal is Korean by itself; nobody is told about a locale.
        ("", {"LANG": "ko_KR.UTF-8"}, (KOREAN, True)),
        ("", {"LANG": "ko_KR.eucKR"}, (KOREAN, True)),
        ("", {"LC_ALL": "ko_KR.UTF-8", "LANG": "en_US.UTF-8"}, (KOREAN, True)),
        ("", {"LC_ALL": "", "LC_MESSAGES": "en_US.UTF-8", "LANG": "ko_KR"}, (ENGLISH, True)),
        ("", {"LANG": "fr_FR.UTF-8"}, (ENGLISH, True)),
        ("", {"DEMO_LANG": "", "LANG": ""}, (ENGLISH, True)),
        ("", {}, (ENGLISH, True)),
    ],
)
def test_the_language_is_the_askers(question, environment, wanted):
    assert find_language(question, environment) == wanted


@pytest.fixture
def make(tmp_path):
    """Runs `make demo` with a Python that prints what language it is given."""
    (tmp_path / "bin").mkdir()
    (tmp_path / ".demo").touch()
    program = tmp_path / "bin" / "python"
    program.write_text('#!/bin/sh\necho "$DEMO_LANG/${LANG-none}"\n')
    program.chmod(0o755)

    def run(*arguments: str, **environment: str) -> str:
        done = subprocess.run(
            ["make", "-o", f"{tmp_path}/.demo", "demo", f"VENV={tmp_path}", *arguments],
            cwd=ROOT,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.strip()

    return run


def test_make_takes_a_lang_of_its_command_line_for_the_demos_language(make):
    # What runs below does not get `ko` for a locale, which it is not.
    assert make("LANG=ko", LANG="en_US.UTF-8") == "ko/none"
    assert make("LANG=ko_KR.UTF-8") == "ko_KR.UTF-8/none"
    assert make("LANG=it's") == "it's/none"


def test_make_leaves_the_locale_of_the_environment(make):
    assert make(LANG="ko_KR.UTF-8") == "/ko_KR.UTF-8"
    assert make() == "/none"


def variables(text: str) -> set[str]:
    """The names in a template's braces."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def texts(language: Language) -> dict[str, str]:
    """All that a language says, by its name."""
    found = {}
    for field in dataclasses.fields(language):
        value = getattr(language, field.name)
        if isinstance(value, Part):
            found[f"{field.name} title"], found[f"{field.name} question"] = (
                value.title,
                value.question,
            )
        elif isinstance(value, str):
            found[field.name] = value
    return found


def test_all_languages_say_the_same():
    english, korean = texts(ENGLISH), texts(KOREAN)
    for name, text in english.items():
        assert variables(korean[name]) == variables(text), name
        code = set(re.findall(r"EasyLLM\w*|agent_prompt\(.*?\)", text))
        assert code <= set(re.findall(r"EasyLLM\w*|agent_prompt\(.*?\)", korean[name])), name
    assert len(ENGLISH.next_steps[1]) == len(KOREAN.next_steps[1])


def test_what_a_korean_reads_is_korean():
    names = {"code", "library", "pages"}
    for name, text in texts(KOREAN).items():
        assert name in names or re.search("[가-힣]", text), name
    for name, text in texts(ENGLISH).items():
        assert not re.search("[가-힣]", text), name


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("김서연의 남동생", "김서연의 남동생은 김지호이다."),
        ("김지호의 나이", "김지호의 나이는 34세이다. 김지호는 목수이다."),
        ("윤미경의 여동생", "윤미경의 여동생은 윤소희이다."),
        ("윤소희의 나이", "윤소희의 나이는 58세이다. 윤소희는 시인이다. 윤소희는 느티마을에 산다."),
        ("다온시의 인구", "다온시의 인구는 52340명이다."),
        ("정수아의 코치", "정수아의 코치는 최예린이다."),
        ("다온시의 시장", "다온시의 시장은 김서연이다."),
        ("나래식품의 설립자", "나래식품은 1952년에 서영숙이 설립했다."),
        ("나래식품의 설립 연도", "나래식품은 1952년에 서영숙이 설립했다."),
        ("박도윤의 출생지", "박도윤은 해솔마을에서 태어났다."),
        ("다온 타워의 높이", "다온 타워의 높이는 128미터이다. 다온 타워는 1931년에 세워졌다."),
        ("가람강의 길이", "가람강의 길이는 212킬로미터이다."),
        ("정수아의 집", "정수아의 나이는 21세이다. 정수아는 가수이다. 정수아는 해솔마을에 산다."),
        ("프랑스의 수도", "프랑스의 수도는 파리이다."),
        ("아틀란티스의 인구", "검색 결과가 없습니다."),
    ],
)
def test_the_korean_search_finds_what_is_asked_for(query, result):
    search, _ = tools(KOREAN)
    assert search.invoke(query) == result


@pytest.mark.parametrize("language", [ENGLISH, KOREAN], ids=lambda language: language.code)
def test_tools_speak_the_language(language):
    search, calculator = tools(language)
    assert calculator.invoke("58**0.43") == "5.7316"
    for failed in (
        calculator.invoke("1/0"),
        calculator.invoke("two"),
        calculator.invoke({"expression": 2}),
        search.invoke("xyzzy"),
    ):
        assert not found_something(failed, language)
        assert bool(re.search("[가-힣]", failed)) == (language is KOREAN)
