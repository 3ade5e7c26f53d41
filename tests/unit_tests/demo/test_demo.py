"""The demo as a newcomer meets it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.__main__ import main

from ...support import fake_text_servers
from ...support.fake_server import FakeServer, Received, Reply
from ...support.fake_tool_calls import Turn, serve_turns, turn_reply

ROOT = Path(__file__).parents[3]
# langchain-classic imports langchain-community where that happens to be installed.
SUNSET = "ignore:`langchain-community` is being sunset:DeprecationWarning"
LEFT_OUT = ("HF_", "HUGGING", "PYTHON", "BASE_URL", "MODEL", "ASK", "LANG", "LC_", "DEMO_LANG")


@pytest.fixture
def ask(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs the demo in this process: exit code, output and errors."""

    def run(**environment: str) -> tuple[int, str, str]:
        for name in [name for name in os.environ if name.startswith(LEFT_OUT)]:
            monkeypatch.delenv(name)
        for name, value in {"HF_HOME": "/nonexistent", **environment}.items():
            monkeypatch.setenv(name, value)
        code = main()
        return code, *capsys.readouterr()

    return run


def run_demo(command: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as `make` does, but with every warning an error."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return subprocess.run(
        f"{sys.executable} -W error -W '{SUNSET}' -m demo {command}",
        shell=True,
        cwd=ROOT,
        env={**kept, "HF_HOME": "/nonexistent", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def answers(output: str, label: str = "Answer") -> list[str]:
    """The answers that are printed at the end of a part."""
    start = f"   {label}: "
    return [line.removeprefix(start) for line in output.splitlines() if line.startswith(start)]


def test_the_tour_runs_offline_without_a_warning():
    done = run_demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert "< LangChain is a framework for building applications" in done.stdout
    assert answers(done.stdout) == [
        "Dana Quinn's brother is Omar Dahl. 34 raised to the 0.43 power is 4.5555.",
        "Omar Dahl's teacher is Greta Larsen. 63 raised to the 0.43 power is 5.939.",
        "52340 divided by 7 is 7477.1429.",
        "Person(name='Emil Turner', age=21, city='Westbury')",
        "2016",
    ]
    for shown in (
        "   > human: What is LangChain?\n",
        "   > <|user|>\n   > Answer the question. You can use these tools:\n",
        "   > search(query: str) -> str - Search for people, places and facts.\n",
        "   < Action: search\n   < Action Input: Dana Quinn's brother\n",
        "search(\"Dana Quinn's brother\") -> Dana Quinn's brother is Omar Dahl.\n",
        "   > Observation: Dana Quinn's brother is Omar Dahl.\n",
        '   < {"action": "calculator", "action_input": "63**0.43"}\n   < ```\n',
        "calculator('63**0.43') -> 5.939\n",
        "   > tools: search, calculator\n   > human: What is the population",
        '   < search {"query": "population of Stonebridge"}\n   [in one piece, after ',
        "   search('population of Stonebridge') -> The population of Stonebridge is 52340.\n",
        '   > ai: search {"query": "population of Stonebridge"}\n   > tool: The population',
        '   < {"name": "Emil Turner", "age": 21, "city": "Westbury"}\n',
        "   Found in glossary.md: Hugging Face was founded in 2016.",
        "   > Context: Hugging Face was founded in 2016.",
        "make demo HF_TOKEN=hf_...",
        "make demo BASE_URL=http://localhost:8080",
    ):
        assert shown in done.stdout
    assert done.stdout.count("pieces, first after") == 11
    assert done.stdout.count("in one piece, after") == 3
    assert "< Observation" not in done.stdout
    assert "\x1b" not in done.stdout  # no colours in a pipe


def test_a_reader_that_leaves_early_is_no_error():
    done = run_demo("| head -3")
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_an_output_that_cannot_be_written_is_one_sentence():
    done = run_demo("> /dev/full", BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == "The output cannot be written: No space left on device.\n"


@pytest.mark.parametrize("imported", ["pydantic", "demo.languages", "langchain_core.tools"])
def test_ctrl_c_during_imports_is_no_traceback(imported):
    interrupted = f"""
import runpy, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {imported!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
runpy.run_module("demo", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", interrupted], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "\n")


def test_ctrl_c_that_python_wraps_is_no_traceback(monkeypatch, ask):
    """Python 3.11 makes a `RuntimeError` of it where a class is told its attributes' names."""

    class Interrupted:
        def __set_name__(self, *_: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("demo.tour.find_place", lambda _: type("Schema", (), {"x": Interrupted()}))
    assert ask(BASE_URL="http://127.0.0.1:9") == (130, "", "\n")


def test_an_error_of_its_own_is_not_hidden(monkeypatch, ask):
    monkeypatch.setattr("demo.tour.find_place", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ask(BASE_URL="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Who is Emil Turner's coach? How old is that person?", ["Petra Brandt", "38"]),
        ("  What is 1234 times 56? ", ["69104"]),
        ("What is LangChain?", ["LangChain is a framework for building applications"]),
        ("What is photosynthesis?", ["I am a small model"]),
        ("정수아의 코치는 누구인가요? 그 사람은 몇 살인가요?", ["최예린", "38"]),
        ("느티마을의 인구를 4로 나누면 얼마인가요?", ["2179"]),
    ],
)
def test_one_question_is_answered_with_the_tools_or_without(question, wanted, ask):
    code, out, errors = ask(ASK=question)
    assert (code, errors) == (0, "")
    label = "답" if "요" in question else "Answer"
    assert [part for part in wanted if part not in answers(out, label)[-1]] == []


def test_the_tour_in_korean_is_right(ask):
    code, out, errors = ask(LANG="ko_KR.UTF-8")
    assert (code, errors) == (0, "")
    assert "LangChain은 언어 모델로 애플리케이션을 만드는 프레임워크입니다." in out
    assert answers(out, "답") == [
        BROTHER,
        FRIEND,
        "52340 나누기 7은 7477.1429입니다.",
        "Person(name='정수아', age=21, city='해솔마을')",
        "정민호",
    ]


def test_another_server_is_asked_for_its_own_template(offline_server, ask):
    code, out, errors = ask(BASE_URL=offline_server.base_url)
    assert (code, errors) == (0, "")
    assert f"Asking the model at {offline_server.base_url}.\n" in out
    assert [text[-7:] for text in answers(out)[:3]] == ["4.5555.", " 5.939.", "7.1429."]
    # The offline model reads one passage at a time; another server's is given four.
    assert len(answers(out)) == 5
    assert out.count("   Found in ") == 4
    assert "   > human: Answer the question. You can use these tools:\n" in out


def test_a_model_that_keeps_to_no_format_ends_the_demo_all_the_same(fake_server, ask):
    fake_text_servers.serve(fake_server, "vllm", ["Let me", " think."])
    code, out, errors = ask(BASE_URL=fake_server.url, ASK="Who are you?")
    assert (code, errors) == (0, "")
    assert answers(out) == ["none, for the agent did not come to an end", "Let me think."]


def test_a_question_to_another_server_starts_none_of_its_own(fake_server, tmp_path):
    fake_text_servers.serve(fake_server, "vllm", ["Let me", " think."])
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no server can be started')")
    # And a language that is no locale of this machine is no trouble for the letters.
    asked = {"BASE_URL": fake_server.url, "ASK": "누구세요?", "LANG": "ko"}
    done = run_demo(**asked, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert answers(done.stdout, "답") == ["없음. 에이전트가 끝을 내지 못했습니다", "Let me think."]


def thinks(*steps: str) -> Turn:
    """What a model says, word by word."""
    return Turn(re.findall(r"\S+\s*", "\n".join(steps)))


KNOWN = "답을 알았습니다."
BROTHER, FRIEND = (
    f"{whose} {who}입니다. {age}의 0.43제곱은 {value}입니다."
    for whose, who, age, value in (
        ("김서연의 남동생은", "김지호", 34, 4.5555),
        ("윤소희의 친구는", "강현우", 29, 4.2543),
    )
)


def acts(thought: str, tool: str, text: str, *, as_json: bool = False) -> Turn:
    """What a ReAct agent's model says to use a tool."""
    if as_json:
        blob = json.dumps({"action": tool, "action_input": text}, ensure_ascii=False)
        return thinks(thought, "Action:", "```json", blob, "```")
    return thinks(thought, f"Action: {tool}", f"Action Input: {text}")


KOREAN_TOUR = (
    thinks("LangChain은 언어 모델로 애플리케이션을 만드는 프레임워크입니다."),
    acts("김서연의 남동생을 검색해야 합니다.", "search", "김서연의 남동생"),
    acts("김지호의 나이를 검색해야 합니다.", "search", "김지호의 나이"),
    acts("34**0.43을 계산해야 합니다.", "calculator", "34**0.43"),
    thinks(KNOWN, f"Final Answer: {BROTHER}"),
    acts("윤소희의 친구를 검색해야 합니다.", "search", "윤소희의 친구", as_json=True),
    acts("강현우의 나이를 검색해야 합니다.", "search", "강현우의 나이", as_json=True),
    acts("29**0.43을 계산해야 합니다.", "calculator", "29**0.43", as_json=True),
    thinks(KNOWN, f"Final Answer: {FRIEND}"),
    Turn(calls=[("search", '{"query": "다온시의 인구"}')]),
    Turn(calls=[("calculator", '{"expression": "52340/7"}')]),
    thinks("52340 나누기 7은 7477.1429입니다."),
    Turn(['{"name": "정수아", "age": 21, "city": "해솔마을"}']),
    thinks("정민호"),
)


def test_the_tour_in_korean_is_korean_throughout(fake_server, ask):
    serve_turns(fake_server, "vllm", *KOREAN_TOUR)
    code, out, errors = ask(BASE_URL=fake_server.url, LANG="ko_KR.UTF-8")
    assert (code, errors) == (0, "")
    assert answers(out, "답") == [
        BROTHER,
        FRIEND,
        "52340 나누기 7은 7477.1429입니다.",
        "Person(name='정수아', age=21, city='해솔마을')",
        "정민호",
    ]
    for shown in (
        f"{fake_server.url}의 모델에게 묻습니다.\n\n1. 스트리밍 대화: ",
        "   > system: 한 문장으로 답하세요.\n   > human: LangChain은 무엇인가요?\n   < LangChain은",
        "   search('김서연의 남동생') -> 김서연의 남동생은 김지호이다.\n",
        "   > Observation: 김서연의 남동생은 김지호이다.\n",
        "   [도구 호출 3번, 모두 ",
        "   > 도구: search, calculator\n   > human: 다온시의 인구를 7로 나누면 얼마인가요?\n",
        '   > ai: search {"query": "다온시의 인구"}\n   > tool: 다온시의 인구는 52340명이다.\n',
        "   library.ko.txt에서 찾음: ",
        "   > human: 문맥만 보고 답하세요.",
        '  make demo ASK="정수아의 코치는 누구인가요?"',
    ):
        assert shown in out
    # Only the package's prompts are English, what a model is known to follow.
    said = [line for line in out.splitlines() if line and not line.startswith("   >")]
    code_only = r"   (< |\[|search\(|calculator\(|답: Person)|  make |\s+https:|EasyLLMChat\("
    assert [line for line in said if not re.search(f"[가-힣]|{code_only}", line)] == []


def test_a_question_in_korean_is_answered_in_korean(fake_server, ask):
    serve_turns(
        fake_server,
        "vllm",
        acts("아무개의 나이를 검색해야 합니다.", "search", "아무개의 나이"),
        thinks(KNOWN, "Final Answer: 모르겠습니다."),
        thinks("그 사람은 모릅니다."),
    )
    code, out, errors = ask(BASE_URL=fake_server.url, ASK="아무개는 몇 살인가요?")
    assert (code, errors) == (0, "")
    assert "\n검색 도구와 계산기를 쓰는 에이전트\n   아무개는 몇 살인가요?\n" in out
    assert "   search('아무개의 나이') -> 검색 결과가 없습니다.\n" in out
    assert "\n도구가 도움이 되지 않았습니다. 모델에게만 묻기\n   아무개는 몇 살인가요?\n" in out
    assert answers(out, "답") == ["모르겠습니다.", "그 사람은 모릅니다."]


def test_letters_in_parts_are_put_together(fake_server, ask):
    fake_text_servers.serve(fake_server, "vllm", ["네."])
    code, out, _ = ask(BASE_URL=fake_server.url, ASK=unicodedata.normalize("NFD", "누구세요?"))
    assert (code, answers(out, "답")[-1]) == (0, "네.")
    assert "   누구세요?\n" in out


def test_bytes_that_are_no_letters_are_left_out(fake_server, ask):
    fake_text_servers.serve(fake_server, "vllm", ["Yes."])
    code, out, errors = ask(BASE_URL=fake_server.url, ASK="caf\udce9?")
    assert (code, errors, answers(out)[-1]) == (0, "", "Yes.")
    assert "   caf??\n" in out


def test_another_language_is_english_and_says_so(fake_server, ask):
    fake_text_servers.serve(fake_server, "vllm", ["Yes."])
    code, out, errors = ask(BASE_URL=fake_server.url, ASK="2 + 2?", DEMO_LANG="fr")
    assert (code, errors) == (0, "")
    assert out.startswith("The tour is in English and in Korean (LANG=ko).\nAsking the model at ")


def test_a_server_without_tools_or_schemas_does_not_end_the_tour(fake_server, ask):
    fake_text_servers.serve(fake_server, "vllm", ["Let me", " think."])

    def answer(request: Received) -> Reply:
        if {"tools", "response_format"} & request.json.keys():
            return fake_text_servers.error("vllm-stops")
        return turn_reply("vllm", thinks("Let me think."), stream=bool(request.json.get("stream")))

    fake_server.on("POST", "/v1/chat/completions", answer)
    code, out, errors = ask(BASE_URL=fake_server.url)
    assert (code, errors) == (0, "")
    assert answers(out)[-1] == "Let me think."
    assert out.count("answered 400 Bad Request") == 2


def test_a_server_that_is_gone_ends_the_tour(monkeypatch, ask):
    with FakeServer() as server:
        monkeypatch.setattr("demo.tour.chat", lambda *_: None)
    code, out, errors = ask(BASE_URL=server.url)
    assert code == 1
    assert "refuses the connection" in errors
    assert len(errors.strip().splitlines()) == 1
    assert "\n2. " in out
    assert "\n3. " not in out


def test_a_process_without_an_output_ends_as_usual(monkeypatch, ask):
    monkeypatch.setattr("sys.stdout", None)
    code, _, errors = ask(BASE_URL="nowhere")
    assert (code, "no HTTP address" in errors) == (1, True)


@pytest.mark.parametrize(
    ("base_url", "said"),
    [
        ("http://127.0.0.1:9", "127.0.0.1:9 refuses the connection. Check"),
        ("nowhere", "base_url 'nowhere' is no HTTP address: write 'http://"),
    ],
)
def test_a_wrong_address_is_one_sentence(base_url, said, ask):
    code, _, errors = ask(BASE_URL=base_url)
    assert code == 1
    assert errors.strip().startswith(said)
    assert len(errors.strip().splitlines()) == 1


def test_a_refused_token_is_one_sentence(fake_server, ask):
    fake_text_servers.serve(fake_server, "tgi")
    fake_server.on("POST", "/v1/chat/completions", fake_text_servers.error("router-unauthorized"))
    code, _, errors = ask(BASE_URL=fake_server.url, ASK="Hello!")
    assert code == 1
    assert "answered 401 Unauthorized: Invalid username or password." in errors
    assert len(errors.strip().splitlines()) == 1
