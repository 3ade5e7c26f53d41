"""Both classes on real servers and on a model in this process: the same of each.

One answer in every mode, exact stops, true token counts.
"""

from __future__ import annotations

import asyncio
import re
from functools import reduce
from operator import add

import pytest
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import BadRequestError, ConfigurationError

GREEDY = {"temperature": 0, "max_tokens": 24}
CONSTRAINTS = {
    "regex": ({"type": "regex", "value": r"(ab|\d\.){2}[A-C.]{3}"}, r"(ab|\d\.){2}[A-C.]{3}"),
    "choice": ({"type": "choice", "value": ['"No|way"', "back\\slash"]}, r'"No\|way"|back\\slash'),
    "ebnf": ({"type": "ebnf", "value": 'root ::= "<" [0-3]{2} ">"'}, "<[0-3]{2}>"),
}


@pytest.fixture(params=["transformers_server", "llama_cpp_server"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["transformers_server", "llama_cpp_server", "local"])
def place(request, tiny_model):
    """Where the model is, as fields of a constructor."""
    if request.param == "local":
        return {"api": "local", "model": str(tiny_model)}
    return {"base_url": request.getfixturevalue(request.param).base_url}


@pytest.fixture
def chat(place):
    with EasyLLMChat(**place, **GREEDY) as model:
        yield model


@pytest.fixture
def llm(place):
    with EasyLLM(**place, **GREEDY) as model:
        yield model


def every_mode(runnable, given) -> list[str]:
    """The answer by each of the six invocation modes."""

    async def asynchronous():
        return [
            await runnable.ainvoke(given),
            "".join([chunk async for chunk in runnable.astream(given)]),
            *await runnable.abatch([given, given]),
        ]

    return [
        runnable.invoke(given),
        "".join(runnable.stream(given)),
        *runnable.batch([given, given]),
        *asyncio.run(asynchronous()),
    ]


def test_a_chat_chain_gives_one_answer_in_every_mode(chat):
    chain = ChatPromptTemplate.from_messages([("human", "{question}")]) | chat | StrOutputParser()
    answers = every_mode(chain, {"question": "Say something."})
    assert answers[0]
    assert len(set(answers)) == 1


def test_an_llm_chain_gives_one_answer_in_every_mode(llm):
    answers = every_mode(
        PromptTemplate.from_template("The {thing} answers") | llm, {"thing": "cat"}
    )
    assert answers[0]
    assert len(set(answers)) == 1


@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_stop_inside_the_answer_cuts_it_exactly(llm, size):
    whole = llm.invoke("The server answers")
    middle = len(whole) // 2
    stop = whole[middle : middle + size]
    wanted = whole[: whole.index(stop)]
    assert set(every_mode(llm.bind(stop=[stop]), "The server answers")) == {wanted}


def test_more_stops_than_a_server_might_take_all_work(chat):
    whole = chat.invoke("Say something.").text
    stop = whole[len(whole) // 2 :][:3]
    unused = [f"<never {number}>" for number in range(7)]
    answer = chat.invoke("Say something.", stop=[*unused, stop]).text
    assert answer == whole[: whole.index(stop)]


def test_an_answer_is_accounted_for(chat):
    whole = chat.invoke("Say something.", max_tokens=5)
    streamed = reduce(add, chat.stream("Say something.", max_tokens=5))
    assert whole.response_metadata["finish_reason"] == "length"
    assert streamed.response_metadata["finish_reason"] == "length"
    # llama-cpp-python does not end within a character: up to three tokens more.
    assert 5 <= whole.usage_metadata["output_tokens"] <= 8
    assert whole.text == streamed.text


def test_usage_ends_a_stream_of_transformers(transformers_server):
    with EasyLLMChat(base_url=transformers_server.base_url, **GREEDY) as chat:
        streamed = reduce(add, chat.stream("Say something.", max_tokens=5))
    assert streamed.usage_metadata["output_tokens"] == 5


def test_a_prompt_template_renders_what_the_server_renders(server, tiny_model):
    # The model's own template, read from its folder, on the text api: the same tokens as the chat
    # api sees, so the same greedy answer.
    with (
        EasyLLMChat(base_url=server.base_url, **GREEDY) as chat,
        EasyLLMChat(
            base_url=server.base_url,
            model=server.model if server.model == str(tiny_model) else None,
            prompt_builder=(tiny_model / "chat_template.jinja").read_text(),
            api="completions",
            **GREEDY,
        ) as text,
    ):
        assert text.invoke("Say something.").text == chat.invoke("Say something.").text


def test_llama_cpp_counts_its_own_tokens(llama_cpp_server, transformers_server):
    text = "The server answers, piece by piece."
    with EasyLLM(base_url=llama_cpp_server.base_url) as llm:
        assert llm.get_num_tokens(text) == len(llm.get_token_ids(text)) > 3
        assert llm.get_num_tokens(text + text) > llm.get_num_tokens(text)


def test_a_server_without_tokenizer_says_so(transformers_server):
    with (
        EasyLLM(base_url=transformers_server.base_url) as llm,
        pytest.raises(ConfigurationError, match="Tokens cannot be counted"),
    ):
        llm.get_num_tokens("text")


def test_a_field_that_transformers_serve_cannot_express_is_named(transformers_server):
    with (
        EasyLLMChat(base_url=transformers_server.base_url) as chat,
        pytest.raises(ConfigurationError, match="presence_penalty cannot be expressed"),
    ):
        chat.invoke("Hi", presence_penalty=0.5)


def test_a_wrong_model_name_is_the_servers_own_word(transformers_server):
    with (
        EasyLLMChat(base_url=transformers_server.base_url, model="nobody/knows-it") as chat,
        pytest.raises(BadRequestError, match="pinned to"),
    ):
        chat.invoke("Hi")


def test_a_batch_is_in_order(transformers_server):
    with EasyLLM(base_url=transformers_server.base_url, **GREEDY) as llm:
        prompts = [f"Number {number} says" for number in range(12)]
        assert llm.batch(prompts) == [llm.invoke(prompt) for prompt in prompts]


@pytest.mark.parametrize("kind", CONSTRAINTS)
@pytest.mark.parametrize("place", ["llama_cpp_server", "local"], indirect=True)
def test_a_constraint_holds_a_model_that_knows_nothing(chat, llm, kind):
    given, pattern = CONSTRAINTS[kind]
    for model in (chat.bind(grammar=given) | StrOutputParser(), llm.bind(grammar=given)):
        for answer in every_mode(model, "x"):
            assert re.fullmatch(pattern, answer)
