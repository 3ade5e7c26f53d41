"""Models in this process: what `transformers` does with what it is asked.

Two models: the tiny one with random weights, whose answers are long and senseless, and the
package's own trained one, which answers a question.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from types import ModuleType

import pytest
import torch
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel
from transformers import pipeline

from langchain_easyllm import EasyLLM, EasyLLMChat
from langchain_easyllm.errors import (
    BadRequestError,
    ConfigurationError,
    ContextOverflowError,
    TimeoutError,
)

from ..support.invocation_modes import answer

BUNDLED = Path(__file__).parents[2] / "langchain_easyllm" / "offline" / "models" / "chat"
TOKENIZER = """{
  "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "<|end|>",
  "pad_token": "<unk>", "model_max_length": 1024, "clean_up_tokenization_spaces": false
}"""
TEMPLATE = """{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>
{{ message.content }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""
QUESTION = "What is the capital of France?"
EVERY_MODE = pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])


@pytest.fixture(scope="module")
def trained_model(tmp_path_factory):
    """The folder of the package's own language model, with what `transformers` wants beside it."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    shutil.copytree(BUNDLED, folder)
    (folder / "tokenizer_config.json").write_text(TOKENIZER)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return str(folder)


@pytest.fixture(scope="module")
def pipe(tiny_model):
    """A pipeline of one's own."""
    return pipeline("text-generation", model=str(tiny_model), max_new_tokens=12, do_sample=False)


@pytest.fixture
def passes(pipe):
    """The shape of the input of each pass through the pipeline's model."""
    shapes: list[tuple[int, ...]] = []
    hook = pipe.model.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    yield shapes
    hook.remove()


@pytest.mark.parametrize("cls", [EasyLLM, EasyLLMChat])
def test_a_model_is_named_as_in_langchain_huggingfaces_guides(trained_model, cls):
    given = {"max_new_tokens": 20, "do_sample": False}
    model = cls.from_model_id(
        model_id=trained_model, task="text-generation", device=-1, pipeline_kwargs=given
    )
    prompt = QUESTION if cls is EasyLLMChat else f"<|user|>\n{QUESTION}<|end|>\n<|assistant|>\n"
    with model:
        assert "Paris" in str(answer("invoke", model, prompt))


@EVERY_MODE
def test_a_question_is_answered(trained_model, mode):
    chat = EasyLLMChat(api="local", model=trained_model, temperature=0)
    said = answer(mode, chat, QUESTION)
    assert said.text == "The capital of France is Paris."
    assert said.response_metadata["finish_reason"] == "stop"
    assert said.usage_metadata["output_tokens"] < 20


@EVERY_MODE
@pytest.mark.parametrize("choice", [None, "any", "calculator"])
def test_a_tool_that_is_described_in_the_prompt_is_called(trained_model, mode, choice):
    def calculator(expression: str) -> str:
        """Compute an arithmetic expression."""

    chat = EasyLLMChat(api="local", model=trained_model, temperature=0, max_tokens=100)
    said = answer(mode, chat.bind_tools([calculator], tool_choice=choice), "What is 17 times 23?")
    [call] = said.tool_calls
    assert (call["name"], call["args"]) == ("calculator", {"expression": "17*23"})
    assert said.response_metadata["finish_reason"] == "tool_calls"


def test_an_answer_that_fits_a_schema(trained_model):
    class Person(BaseModel):
        """A person."""

        name: str
        age: int

    chat = EasyLLMChat(api="local", model=trained_model, temperature=0, max_tokens=100)
    structured = chat.with_structured_output(Person)
    assert structured.invoke("Bob is 31 years old. Extract the person.") == Person(
        name="Bob", age=31
    )


def test_a_grammar_holds_even_a_model_that_knows_nothing(tiny_model):
    llm = EasyLLM(api="local", model=str(tiny_model), max_tokens=200, temperature=1)
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, 2]}, "b": {"type": "boolean"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    }
    structured = llm.bind(grammar={"type": "json", "value": schema})
    answers = [
        json.loads(text) for text in [*structured.batch(["x", "yy"]), *map(structured.invoke, "ab")]
    ]
    assert all(one["a"] in (1, 2) and one["b"] in (True, False) for one in answers)
    number = llm.bind(grammar={"type": "regex", "value": "[0-9]{3}-[a-f]{2}"})
    assert re.fullmatch("[0-9]{3}-[a-f]{2}", "".join(number.stream("Hello")))
    with pytest.raises(BadRequestError, match="cannot be compiled"):
        llm.invoke("x", grammar={"type": "regex", "value": "("})


def test_the_model_sees_what_its_own_template_makes(trained_model):
    seen: list[list[int]] = []
    made = pipeline("text-generation", model=trained_model)
    made.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["input_ids"][0].tolist()), with_kwargs=True
    )
    chat = EasyLLMChat(pipeline=made, temperature=0, max_tokens=1)
    chat.invoke([SystemMessage("Be brief."), HumanMessage(QUESTION)])
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    wanted = made.tokenizer.apply_chat_template(turns, add_generation_prompt=True)
    assert seen[0] == list(wanted["input_ids"])


@EVERY_MODE
@pytest.mark.parametrize("size", [1, 2, 4, 9])
def test_a_stop_sequence_ends_the_generation(tiny_model, mode, size):
    llm = EasyLLM(api="local", model=str(tiny_model), temperature=0, max_tokens=60)
    whole = llm.invoke("The server answers")
    at = len(whole) // 3
    stop = whole[at : at + size]
    before = whole[: whole.index(stop)]
    said = answer(mode, llm, "The server answers", stop=[stop, "never"])
    assert said == before
    result = llm.generate(["The server answers"], stop=[stop])
    assert result.generations[0][0].generation_info["finish_reason"] == "stop"
    # It ended with the token that completed the stop sequence.
    read = llm.get_num_tokens(before + stop)
    assert result.llm_output["token_usage"]["completion_tokens"] <= read + size


def test_what_the_prompt_ends_with_begins_no_stop_sequence(trained_model):
    llm = EasyLLM(api="local", model=trained_model, temperature=0, max_tokens=8)
    whole = llm.invoke("The capital of")
    assert llm.invoke("The capital of", stop=["of" + whole[:2]]) == whole


def test_a_pipeline_of_ones_own(pipe):
    llm = EasyLLM(pipeline=pipe)
    [made] = pipe("The server answers", return_full_text=False)
    assert llm.invoke("The server answers") == made["generated_text"]
    assert "".join(llm.stream("The server answers")) == made["generated_text"]
    assert len(llm.get_token_ids(llm.invoke("The server answers", max_tokens=3))) == 3
    assert llm.model_id == pipe.model.name_or_path


def test_a_batch_is_one_pass_through_the_model(pipe, passes):
    llm = EasyLLM(pipeline=pipe, batch_size=4, temperature=0, max_tokens=5)
    prompts = ["One", "The second has more words", "Three", "And a fourth one"]
    alone = [llm.invoke(prompt) for prompt in prompts]
    passes.clear()
    assert llm.batch(prompts) == alone
    assert max(rows for rows, _ in passes) > 1
    passes.clear()
    assert [one[0].text for one in llm.generate(prompts * 3).generations] == alone * 3
    assert max(rows for rows, _ in passes) <= 4
    assert len(passes) < 5 * 12


def test_rows_of_a_batch_end_by_themselves(pipe, passes):
    llm = EasyLLM(pipeline=pipe, temperature=0)
    whole = llm.invoke("One", max_tokens=30)
    stop = whole[len(whole) // 2 :][:4]

    async def ask():
        calls = (llm.ainvoke(text, max_tokens=30, stop=[stop]) for text in ("One", "Two", "One"))
        return await asyncio.gather(*calls)

    one, two, again = asyncio.run(ask())
    assert one == again == whole[: whole.index(stop)]
    assert two == llm.invoke("Two", max_tokens=30, stop=[stop])


def test_closing_a_stream_ends_the_generation(pipe, passes):
    stream = EasyLLM(pipeline=pipe, max_tokens=400).stream("The server answers")
    next(stream)
    stream.close()
    EasyLLM(pipeline=pipe, max_tokens=1).invoke("The next one waits for it")
    assert len(passes) < 100


def test_cancelling_a_task_ends_the_generation(pipe, passes):
    async def main():
        llm = EasyLLM(pipeline=pipe, max_tokens=400)
        task = asyncio.ensure_future(llm.ainvoke("The server answers"))
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def tell(*_):  # it returns nothing: what it returned would be the model's input
            loop.call_soon_threadsafe(begun.set)

        hook = pipe.model.register_forward_pre_hook(tell)
        await begun.wait()
        hook.remove()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await llm.ainvoke("The next one waits for it", max_tokens=1)

    asyncio.run(main())
    assert len(passes) < 100


def test_the_loop_goes_on_while_a_model_loads_and_works(tiny_model):
    async def main():
        chat = EasyLLMChat(
            api="local", model=str(tiny_model), pipeline_kwargs={"max_new_tokens": 200}
        )
        task = asyncio.ensure_future(chat.ainvoke("Hello"))
        longest, last = 0.0, time.monotonic()
        while not task.done():
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        return longest, await task

    longest, said = asyncio.run(main())
    assert said.usage_metadata["output_tokens"] > 1
    assert longest < 1


def test_a_seed_is_the_same_answer_whoever_else_asks(tiny_model):
    llm = EasyLLM(api="local", model=str(tiny_model), temperature=1, max_tokens=12)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = llm.invoke("Hello", seed=1)
    limit = time.monotonic() + 10  # the model's thread ends a moment after its answer
    while not torch.equal(torch.get_rng_state(), before):
        assert time.monotonic() < limit
        time.sleep(0.01)

    async def together():
        calls = [llm.ainvoke("Hello", seed=seed) for seed in (1, 2, 1)]
        others = [llm.ainvoke("Hello") for _ in range(4)]
        return (await asyncio.gather(*calls, *others))[:3]

    one, two, again = asyncio.run(together())
    assert one == again == first != two
    assert len({llm.invoke("Hello") for _ in range(3)}) > 1
    with pytest.raises(ConfigurationError, match="n > 1 cannot be streamed"):
        list(llm.stream("Hello", n=2))
    several = [one.text for one in llm.generate(["Hello"], n=3, seed=1).generations[0]]
    assert len(set(several)) == 3


def test_logprobs_are_the_models(pipe):
    llm = EasyLLM(pipeline=pipe, temperature=0, max_tokens=4, top_logprobs=3)
    info = llm.generate(["The server"]).generations[0][0].generation_info
    content = info["logprobs"]["content"]
    ids = pipe.tokenizer("The server", return_tensors="pt").input_ids
    with torch.no_grad():
        logits = pipe.model(ids).logits[0, -1]
    wanted = torch.log_softmax(logits, -1).topk(3).values.tolist()
    assert [one["logprob"] for one in content[0]["top_logprobs"]] == pytest.approx(wanted, abs=1e-4)
    assert content[0]["logprob"] == content[0]["top_logprobs"][0]["logprob"]
    assert len(content) == 4


def test_penalties_keep_tokens_from_coming_back(tiny_model):
    llm = EasyLLM(api="local", model=str(tiny_model), temperature=0, max_tokens=100)
    ids = llm.get_token_ids
    plain = ids(llm.invoke("Hello"))
    for name in ("frequency_penalty", "presence_penalty"):
        penalised = ids(llm.invoke("Hello", **{name: 2}))
        assert len(set(penalised)) > len(set(plain))


def test_what_a_model_is_kept_from(trained_model):
    """Its likeliest tokens, and the end of its answer."""
    llm = EasyLLM(api="local", model=trained_model, temperature=0, max_tokens=8, logprobs=True)

    def tokens(**fields):
        [generation] = llm.generate(["The"], **fields).generations[0]
        found = generation.generation_info
        return [one["token"] for one in found["logprobs"]["content"]], found["finish_reason"]

    plain, _ = tokens()
    comma = llm.get_token_ids(",")[-1]
    assert set(tokens(logit_bias={comma: 100})[0]) == {","}
    assert tokens(logit_bias={llm.get_token_ids("The" + plain[0])[-1]: -100})[0][0] != plain[0]
    hot = {"temperature": 5.0, "do_sample": True}
    assert tokens(**hot, min_p=1.0)[0] == plain
    ends = {"logit_bias": {llm.get_token_ids("<|end|>")[-1]: 100}}
    assert tokens(**ends) == ([], "stop")
    least, reason = tokens(**ends, min_tokens=3)
    assert (len(least), reason) == (3, "stop")
    most, reason = tokens(**ends, ignore_eos=True)
    assert (len(most), reason) == (8, "length")
    with pytest.raises(BadRequestError, match="vocabulary"):
        tokens(logit_bias={10**6: 1})


def test_a_prompt_that_is_too_long(trained_model):
    llm = EasyLLM(api="local", model=trained_model)
    with pytest.raises(ContextOverflowError, match="and the model takes 1024"):
        llm.invoke("word " * 2000)
    with pytest.raises(ContextOverflowError, match="the answer may have 1024"):
        llm.invoke("word", max_tokens=1024)
    result = llm.generate(["word " * 2000], truncate=50, max_tokens=2, temperature=0)
    assert result.llm_output["token_usage"]["prompt_tokens"] == 51
    assert llm.invoke("word " * 49 + "word", max_tokens=2, temperature=0)


def test_what_a_model_is_loaded_with(tiny_model):
    llm = EasyLLM(
        api="local",
        model=str(tiny_model),
        device="cpu",
        model_kwargs={"dtype": torch.float64, "temperature": 0},
        pipeline_kwargs={"max_new_tokens": 3},
    )
    assert llm.temperature == 0
    result = llm.generate(["Hello"])
    assert result.llm_output["token_usage"]["completion_tokens"] == 3
    model = llm._connect().session.transport._model.pipeline().model
    assert (model.dtype, model.device.type) == (torch.float64, "cpu")
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        EasyLLM(api="local", model=str(tiny_model), model_kwargs={"dtype": "no-type"}).invoke("Hi")


def test_a_repository_out_of_reach(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    llm = EasyLLM(api="local", model="nobody/has-this")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="nobody/has-this cannot be loaded"):
            llm.invoke("Hi")


def test_one_model_is_loaded_once_and_let_go_when_closed(tiny_model):
    found = []

    def ask():
        with_settings = {"pipeline_kwargs": {"max_new_tokens": 2}}
        llm = EasyLLM(api="local", model=str(tiny_model), **with_settings)
        llm.invoke("Hello")
        found.append((llm, llm._connect().session.transport._model.pipeline()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(loaded) for _, loaded in found}) == 1
    model = weakref.ref(found[0][1].model)
    objects = [llm for llm, _ in found]
    found.clear()
    for llm in objects:
        assert model() is not None
        llm.close()
    limit = time.monotonic() + 10  # an idle thread holds it for a moment
    while model() is not None:
        gc.collect()
        assert time.monotonic() < limit
        time.sleep(0.05)
    assert objects[0].invoke("Hello")


def test_time_is_counted_from_when_the_model_begins(tiny_model):
    llm = EasyLLM(api="local", model=str(tiny_model), timeout=0.01, device="cpu")
    with pytest.raises(TimeoutError, match=r"within 0\.01 seconds"):
        llm.invoke("Hello", max_tokens=400)


def test_other_packages_pipelines_are_migrated(trained_model):
    from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline

    theirs = HuggingFacePipeline.from_model_id(
        model_id=trained_model,
        task="text-generation",
        pipeline_kwargs={"max_new_tokens": 12, "do_sample": False},
    )
    messages = [SystemMessage("Be brief."), HumanMessage(QUESTION)]
    chat = EasyLLMChat(llm=theirs)
    assert chat.invoke(messages).response_metadata["finish_reason"] == "length"
    assert chat.invoke(messages, stop=["France"]).text == "The capital of "
    old = ChatHuggingFace(llm=theirs)
    assert old._to_chat_prompt(messages) == "<s>" + chat._to_chat_prompt(messages)
    assert (chat.model_id, chat.batch_size) == (old.model_id, theirs.batch_size)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_other_packages_classes_are_migrated(monkeypatch):
    from langchain_community.llms import HuggingFaceTextGenInference
    from langchain_core._api.deprecation import LangChainDeprecationWarning
    from langchain_huggingface import HuggingFaceEndpoint

    client = ModuleType("text_generation")  # which no version of huggingface_hub of today suits
    client.Client = client.AsyncClient = lambda *_, **__: None
    monkeypatch.setitem(sys.modules, "text_generation", client)
    endpoint = HuggingFaceEndpoint(
        repo_id="org/name", task="text-generation", max_new_tokens=512, repetition_penalty=1.03
    )
    chat = EasyLLMChat(llm=endpoint, temperature=0)
    assert (chat.model, chat.max_tokens, chat.repetition_penalty) == ("org/name", 512, 1.03)
    assert (chat.top_p, chat.typical_p, chat.do_sample, chat.api_key) == (None, None, None, None)
    with pytest.warns(LangChainDeprecationWarning):
        inference = HuggingFaceTextGenInference(
            inference_server_url="http://localhost:9",
            max_new_tokens=512,
            top_k=50,
            server_kwargs={"headers": {"Authorization": "Bearer abc"}},
        )
    chat = EasyLLMChat(llm=inference)
    assert (chat.base_url, chat.max_tokens, chat.top_k) == ("http://localhost:9", 512, 50)
    assert (chat.top_p, chat.prompt_builder) == (None, "auto")
    assert chat.default_headers == {"Authorization": "Bearer abc"}


def test_a_process_ends_while_a_model_works(tiny_model):
    code = (
        "import sys; from langchain_easyllm import EasyLLM\n"
        "llm = EasyLLM(api='local', model=sys.argv[1], max_tokens=400)\n"
        "stream = llm.stream('Hello'); next(stream); print('left')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_model)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stdout) == (0, "left\n")
    assert "Error" not in done.stderr
