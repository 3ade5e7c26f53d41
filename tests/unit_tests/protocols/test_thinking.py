"""`thinking` and `reasoning_effort` as keys of a body, on every server, and by a model's name."""

from __future__ import annotations

import pytest

from langchain_easyllm._protocols.request import to_fields
from langchain_easyllm._protocols.thinking import expressed, model_thinking
from langchain_easyllm._servers.capabilities import ModelThinking
from langchain_easyllm._servers.llama_cpp import LLAMA_CPP
from langchain_easyllm._servers.ollama import OLLAMA
from langchain_easyllm._servers.openai_compatible import OPENAI_COMPATIBLE
from langchain_easyllm._servers.profile import (
    REASONING_EFFORTS,
    GenerationApi,
    ServerInfo,
    ServerProfile,
)
from langchain_easyllm._servers.registry import SERVERS
from langchain_easyllm._servers.sglang import SGLANG
from langchain_easyllm._servers.transformers_serve import TRANSFORMERS_SERVE
from langchain_easyllm._servers.vllm import VLLM
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case

OFF = {"enable_thinking": False, "thinking": False}
ON = {"enable_thinking": True, "thinking": True}
TEMPLATE = "chat_template_kwargs"


def sent(profile: ServerProfile, **params: object) -> dict[str, object]:
    return to_fields(GenerationApi.CHAT, ServerInfo(profile), params)


@pytest.mark.parametrize(("effort", "near"), [("minimal", "low"), ("xhigh", "high")])
def test_the_nearest_effort_is_the_next_one(effort: str, near: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean '{near}'"):
        sent(OLLAMA, reasoning_effort=effort)


@pytest.mark.parametrize("effort", REASONING_EFFORTS)
def test_every_effort_on_every_server(effort: str) -> None:
    key = {"reasoning_effort": effort}
    off = OFF if effort == "none" else {}
    assert sent(OPENAI_COMPATIBLE, reasoning_effort=effort) == key
    for engine in (VLLM, SGLANG):
        assert sent(engine, reasoning_effort=effort) == key | ({TEMPLATE: off} if off else {})
    for engine in (LLAMA_CPP, TRANSFORMERS_SERVE):
        assert sent(engine, reasoning_effort=effort) == {TEMPLATE: key | off}
    if effort in ("minimal", "xhigh"):
        with pytest.raises(ConfigurationError, match="'none', 'low', 'medium' or 'high'") as caught:
            sent(OLLAMA, reasoning_effort=effort)
        assert "(ollama)" in str(caught.value)
    else:
        assert sent(OLLAMA, reasoning_effort=effort) == key


@pytest.mark.parametrize(
    ("profile", "body"),
    [
        (OPENAI_COMPATIBLE, {"reasoning_effort": "low", TEMPLATE: ON}),
        (VLLM, {"reasoning_effort": "low", TEMPLATE: ON}),
        (LLAMA_CPP, {TEMPLATE: {**ON, "reasoning_effort": "low"}}),
        (OLLAMA, {"reasoning_effort": "low"}),
    ],
    ids=str,
)
def test_both_fields_in_one_request(profile: ServerProfile, body: dict[str, object]) -> None:
    assert sent(profile, thinking=True, reasoning_effort="low") == body
    assert sent(profile, reasoning_effort="low", thinking=True) == body


def test_a_server_of_which_one_word_is_unknown() -> None:
    profile = ServerProfile(name="few", efforts=("low", "high"), renders_own_template=True)
    assert sent(profile, reasoning_effort="none") == {TEMPLATE: OFF}
    with pytest.raises(ConfigurationError, match=r"\(few\), which has 'low' or 'high'"):
        sent(profile, reasoning_effort="medium")


HYBRID = ModelThinking("T", switch=True)
GPT_OSS = ModelThinking("T", efforts=("low", "medium", "high"), thinks=True)
BOTH = ModelThinking("T", switch=True, efforts=REASONING_EFFORTS)
WORD = ModelThinking("T", efforts=REASONING_EFFORTS)
ALWAYS = ModelThinking("T", thinks=True)
NEVER = ModelThinking("T", thinks=False)
PLAIN = ModelThinking("T")
T, F = {"thinking": True}, {"thinking": False}
N, L = {"reasoning_effort": "none"}, {"reasoning_effort": "low"}
M = {"reasoning_effort": "minimal"}
# What each template makes of a choice: the fields that say it there, or words of the error.
EXPRESSED = [
    (HYBRID, T, T),
    (HYBRID, F, F),
    (HYBRID, N, F),
    (HYBRID, {**N, **F}, F),
    (HYBRID, L, "would do nothing in T, which can only switch thinking on and off"),
    (GPT_OSS, L, L),
    (GPT_OSS, {**L, **T}, L),
    (GPT_OSS, T, {}),
    (GPT_OSS, F, "thinking=False would do nothing in T.*: use reasoning_effort='low', or another"),
    (GPT_OSS, N, "reasoning_effort='none' would do nothing in T.*reasoning_effort='low'"),
    (GPT_OSS, M, "unknown to T, which has 'low', 'medium' or 'high'"),
    (BOTH, L, {**L, **T}),
    (BOTH, N, {**N, **F}),
    (BOTH, F, F),
    (WORD, N, N),
    (WORD, F, "can only choose the effort: use reasoning_effort='none'"),
    (ALWAYS, T, {}),
    (ALWAYS, F, "thinking=False would do nothing in T, which has no switch"),
    (ALWAYS, N, "reasoning_effort='none' would do nothing in T, which has no switch"),
    (ALWAYS, L, "reasoning_effort='low' would do nothing in T, which does not read it"),
    (NEVER, F, {}),
    (NEVER, N, {}),
    (NEVER, T, "thinking=True would do nothing in T"),
    (PLAIN, T, "thinking=True would do nothing in T"),
    (PLAIN, F, "thinking=False would do nothing in T"),
    (None, {**L, **T}, {**L, **T}),
    (None, F, F),
]


@each_case(("model", "choice", "result"), EXPRESSED)
def test_a_choice_in_the_words_of_a_template(
    model: ModelThinking | None, choice: dict[str, object], result: dict[str, object] | str
) -> None:
    params = {"seed": 5, **choice}
    if isinstance(result, str):
        with pytest.raises(ConfigurationError, match=result) as caught:
            expressed(params, model)
        assert "\n" not in str(caught.value)
    else:
        assert expressed(params, model) == {"seed": 5, **result}
    assert params == {"seed": 5, **choice}
    assert expressed({"seed": 5}, model) == {"seed": 5}


@pytest.mark.parametrize("model", [None, HYBRID, BOTH, GPT_OSS])
@pytest.mark.parametrize("choice", [{**F, **L}, {**T, **N}])
def test_a_choice_that_contradicts_itself(
    model: ModelThinking | None, choice: dict[str, object]
) -> None:
    with pytest.raises(ConfigurationError, match="contradict each other"):
        expressed(choice, model)


@pytest.mark.parametrize(
    ("name", "thinks"),
    [
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", True),
        ("Qwen/Qwen3-4B-Instruct-2507", False),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", False),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", False),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", True),
        ("Qwen/QwQ-32B", True),
        ("moonshotai/Kimi-K2-Thinking", True),
    ],
)
def test_models_known_by_name_have_no_switch(name: str, thinks: bool) -> None:
    for engine in (VLLM, SGLANG, TRANSFORMERS_SERVE):
        known = model_thinking(name, engine)
        assert known is not None
        assert (known.switch, tuple(known.efforts), known.thinks) == (False, (), thinks)
        assert name in known.template
    # Others have templates or budgets of their own.
    assert model_thinking(name, OLLAMA) is None
    assert model_thinking(name, OPENAI_COMPATIBLE) is None


def test_gpt_oss_is_known_on_every_server() -> None:
    for profile in SERVERS:
        known = model_thinking("openai/gpt-oss-20b", profile)
        assert known is not None
        assert tuple(known.efforts) == ("low", "medium", "high")


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "me/qwen3-8b-instruct-tuned", "tiny", ""])
def test_other_models_are_not_known(name: str) -> None:
    assert all(model_thinking(name, profile) is None for profile in SERVERS)


def test_llama_cpp_closes_the_reasoning_of_a_template() -> None:
    known = model_thinking("DeepSeek-R1-0528", LLAMA_CPP)
    assert known is not None
    assert expressed(F, known) == F
