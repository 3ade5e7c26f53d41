"""The demo as a newcomer meets it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.__main__ import main

from ...support import fake_text_servers

ROOT = Path(__file__).parents[3]
# langchain-classic imports langchain-community where that happens to be installed.
SUNSET = "ignore:`langchain-community` is being sunset:DeprecationWarning"
LEFT_OUT = ("HF_", "HUGGING", "PYTHON", "BASE_URL", "MODEL", "ASK")


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
        text=True,
        timeout=120,
        check=False,
    )


def answers(output: str) -> list[str]:
    """The answers that are printed at the end of a part."""
    start = "   Answer: "
    return [line.removeprefix(start) for line in output.splitlines() if line.startswith(start)]


def test_the_tour_runs_offline_without_a_warning():
    done = run_demo()
    assert (done.returncode, done.stderr) == (0, "")
    assert "< LangChain is a framework for building applications" in done.stdout
    assert answers(done.stdout) == [
        "Dana Quinn's brother is Omar Dahl. 34 raised to the 0.43 power is 4.5555.",
        "Greta Larsen's sister is Ida Lowell. 58 raised to the 0.43 power is 5.7316.",
        "Clement Delangue",
    ]
    for shown in (
        "   > human: What is LangChain?\n",
        "   > <|user|>\n   > Answer the question. You can use these tools:\n",
        "   > search(query: str) -> str - Search for people, places and facts.\n",
        "   < Action: search\n   < Action Input: Dana Quinn's brother\n",
        "search(\"Dana Quinn's brother\") -> Dana Quinn's brother is Omar Dahl.\n",
        "   > Observation: Dana Quinn's brother is Omar Dahl.\n",
        '   < {"action": "calculator", "action_input": "58**0.43"}\n   < ```\n',
        "calculator('58**0.43') -> 5.7316\n",
        "   Found in glossary.md: Hugging Face was founded in 2016.",
        "   > Context: Hugging Face was founded in 2016.",
        "make demo HF_TOKEN=hf_...",
        "make demo BASE_URL=http://localhost:8080",
    ):
        assert shown in done.stdout
    assert done.stdout.count("pieces, first after") == 10
    assert "< Observation" not in done.stdout


def test_a_reader_that_leaves_early_is_no_error():
    done = run_demo("| head -3")
    assert len(done.stdout.splitlines()) == 3
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("Who is Emil Turner's coach? How old is that person?", ["Petra Brandt", "38"]),
        ("  What is 1234 times 56? ", ["69104"]),
        ("Knock knock.", ["Who's there?"]),
    ],
)
def test_one_question_is_answered_with_the_tools_or_without(question, wanted, ask):
    code, out, errors = ask(ASK=question)
    assert (code, errors) == (0, "")
    assert [part for part in wanted if part not in answers(out)[-1]] == []


def test_another_server_is_asked_for_its_own_template(offline_server, ask):
    code, out, errors = ask(BASE_URL=offline_server.base_url)
    assert (code, errors) == (0, "")
    assert f"Asking the model at {offline_server.base_url}.\n" in out
    assert [text[-7:] for text in answers(out)[:2]] == ["4.5555.", "5.7316."]
    # The offline model reads one passage at a time; another server's is given four.
    assert len(answers(out)) == 3
    assert out.count("   Found in ") == 4
    assert "   > human: Answer the question. You can use these tools:\n" in out


def test_a_model_that_keeps_to_no_format_ends_the_demo_all_the_same(fake_server, ask):
    fake_text_servers.serve(fake_server, "vllm", ["Let me", " think."])
    code, out, errors = ask(BASE_URL=fake_server.url, ASK="Who are you?")
    assert (code, errors) == (0, "")
    assert answers(out)[-1] == "Let me think."


def test_a_question_to_another_server_starts_none_of_its_own(fake_server, tmp_path):
    fake_text_servers.serve(fake_server, "vllm", ["Let me", " think."])
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no server can be started')")
    done = run_demo(BASE_URL=fake_server.url, ASK="Who are you?", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert answers(done.stdout)[-1] == "Let me think."


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
