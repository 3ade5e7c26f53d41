"""Answers of the bundled language model: text, stops, limits, seeds and threads."""

from __future__ import annotations

import math
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_easyllm.errors import ConfigurationError, ContextOverflowError
from langchain_easyllm.offline.language_model import LanguageModel
from langchain_easyllm.offline.sampling import Sampling
from langchain_easyllm.offline.tokenizing import TokenText

from ...support.offline_model import FORMATS, answer_of, prompt_of, text_of, tokens_of

FRANCE = "What is the capital of France?"
# Likely to be said in other words each time, and long enough to be cut.
LONG = "Tell me a joke about bears."
SPECIAL = re.compile(
    r"<unk>|</?s>|<\|(?:end|endoftext|user|assistant|system)\|>|\[/?INST\]|<<SYS>>|<</SYS>>"
)


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return LanguageModel.load()


@pytest.mark.parametrize("style", FORMATS)
@pytest.mark.parametrize(
    ("question", "said"),
    [
        (FRANCE, "Paris"),
        ("What is the capital of Japan?", "Tokyo"),
        ("What is LangChain?", "LangChain"),
        ("What is Hugging Face?", "Hugging Face"),
        ("Knock knock.", "Who's there?"),
    ],
)
def test_it_knows_a_few_things(style, question, said):
    assert said in answer_of(question, style)


def test_it_is_loaded_once(model):
    assert LanguageModel.load() is model


@pytest.mark.parametrize("style", FORMATS)
def test_an_answer_ends_with_its_formats_end_token(style):
    *tokens, last = tokens_of(FRANCE, style)
    assert last.finish_reason == "eos_token"
    assert last.special
    assert last.text == {"phi-3": "<|end|>", "chatml": "<|im_end|>"}.get(style, "</s>")
    assert {token.finish_reason for token in tokens} == {None}


def test_the_limit_comes_before_the_end_token():
    whole = tokens_of(FRANCE)
    assert [token.finish_reason for token in tokens_of(FRANCE, max_new_tokens=3)][-1] == "length"
    assert tokens_of(FRANCE, max_new_tokens=len(whole))[-1].finish_reason == "length"
    assert tokens_of(FRANCE, max_new_tokens=len(whole) + 1)[-1].finish_reason == "eos_token"


@given(st.text())
@example("<s>Hello<|user|>")
@example("<s>")
@example("🤗 é\u0301 한국어")
def test_every_text_is_encoded_and_decoded(text):
    model = LanguageModel.load()
    tokens = model.encode(text)
    # The spelling of a special token is that token, and so is no text any more.
    assert model.decode([token.id for token in tokens]) == SPECIAL.sub("", text)
    assert all(text[token.start : token.stop] == token.text for token in tokens)
    bare = model.encode(text, add_special_tokens=False)
    assert tokens in ([TokenText(1, "", 0, 0), *bare], bare)
    assert (tokens == bare) == text.startswith("<s>")


@given(st.lists(st.integers(0, 2559)))
def test_tokens_are_decoded_as_tokenizers_decodes_them(ids):
    from tokenizers import Tokenizer

    from langchain_easyllm.offline.weights import bundled

    theirs = Tokenizer.from_str((bundled("chat") / "tokenizer.json").read_text("utf-8"))
    whole = theirs.decode(ids, skip_special_tokens=True)
    ours = LanguageModel.load().decode(ids)
    # Only a character that is still incomplete at the end makes a difference: it is left out.
    assert whole in (ours, ours + "\ufffd")


def test_half_a_surrogate_pair_is_no_text(model):
    assert model.encode("a\ud800b") == model.encode("a?b")


@pytest.mark.parametrize(
    ("text", "starts"), [("Hello", 1), ("<s>Hello", 1), ("<s><s>Hello", 2), (" <s>Hello", 2)]
)
def test_a_prompt_begins_with_one_start_token(model, text, starts):
    ids = [token.id for token in model.encode(text)]
    assert ids[0] == 1
    assert ids.count(1) == starts


def test_a_character_of_several_tokens_is_generated_once_and_whole(model):
    # What the model repeats: characters that its vocabulary has no token for.
    prompt = prompt_of("My name is Zoë 🤗. What is my name?")
    sampling = Sampling(temperature=50.0, seed=4)  # nearly every token is as likely as another
    tokens = [*model.generate(prompt, sampling, max_new_tokens=300)]
    assert "" in [token.text for token in tokens]
    assert text_of(tokens) == model.decode([token.id for token in tokens])


def test_a_stop_sequence_is_found_across_tokens():
    whole = tokens_of(FRANCE)
    assert "France" not in [token.text for token in whole]
    tokens = tokens_of(FRANCE, stop=["nowhere", "France"])
    assert text_of(tokens).endswith("France")
    assert tokens[-1].finish_reason == "stop_sequence"
    assert [token.id for token in tokens] == [token.id for token in whole[: len(tokens)]]


def test_a_stop_sequence_ends_the_answer_within_a_token():
    tokens = tokens_of(FRANCE, stop=["apita"])
    assert tokens[-1].text == " capital"
    assert tokens[-1].finish_reason == "stop_sequence"


@pytest.mark.parametrize("width", range(1, 12))
def test_a_stop_sequence_of_any_length_is_found(width):
    whole = text_of(tokens_of(FRANCE))
    for start in range(0, len(whole) - width, 3):
        stop = whole[start : start + width]
        text = text_of(tokens_of(FRANCE, stop=[stop]))
        assert stop in text
        assert whole.startswith(text)
        assert text.index(stop) == whole.index(stop)


def test_an_answer_is_the_same_again_with_its_seed():
    draws = [tokens_of(LONG, sampling=Sampling(temperature=2.0, seed=seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_without_a_seed_answers_differ():
    draws = {text_of(tokens_of(LONG, sampling=Sampling(temperature=3.0))) for _ in range(4)}
    assert len(draws) > 1


def test_logprobs_are_those_of_the_model(model):
    prompt = prompt_of(FRANCE)
    tokens = tokens_of(FRANCE, top_n=3)
    again = model.prompt_logprobs([*prompt, *(token.id for token in tokens)])
    assert again[0] is None
    assert [token.logprob for token in tokens] == pytest.approx(again[len(prompt) :], abs=1e-5)
    for token in tokens:
        assert token.top[0] == (token.id, token.text, token.logprob)
        assert len(token.top) == 3
        assert sum(math.exp(logprob) for *_, logprob in token.top) <= 1 + 1e-9


def test_alternatives_that_cannot_be_drawn_are_not_reported():
    sampling = Sampling(temperature=1.0, top_k=2, seed=0)
    for token in tokens_of(LONG, sampling=sampling, top_n=5):
        assert len(token.top) == 2
        assert sum(math.exp(logprob) for *_, logprob in token.top) == pytest.approx(1)


# Of transformers 5.23's LlamaForCausalLM on the prompt of `FRANCE`, in float32.
PROMPT_LOGPROBS = [-1.21274, -9e-05, -3.58933, -0.14428, -0.46817, -0.22205, -0.0, -0.10494]
PROMPT_LOGPROBS += [-4.1553, -3.39884, -0.01558, -0.00075, -0.51975, 0.0, -0.00017, 0.0]


def test_the_prompts_logprobs_are_those_of_transformers(model):
    assert model.prompt_logprobs([1]) == [None]
    assert model.prompt_logprobs(prompt_of(FRANCE))[1:] == pytest.approx(PROMPT_LOGPROBS, abs=1e-4)


@pytest.mark.parametrize("prompt", [[], [-1], [5120], [1, 10**9]])
def test_a_prompt_of_no_or_unknown_tokens_is_refused(model, prompt):
    for work in (
        lambda: model.generate(prompt, max_new_tokens=1),
        lambda: model.prompt_logprobs(prompt),
    ):
        with pytest.raises(ConfigurationError, match="encode"):
            work()


def test_an_answer_of_no_tokens_is_refused(model):
    with pytest.raises(ConfigurationError, match="max_new_tokens must be at least 1, not 0"):
        model.generate([1], max_new_tokens=0)


def test_the_context_limit_is_reported_at_once(model):
    prompt = [1] * (model.context - 10)
    assert len([*model.generate(prompt, max_new_tokens=10)]) <= 10
    with pytest.raises(ContextOverflowError, match="1014 tokens and the answer may have 11"):
        model.generate(prompt, max_new_tokens=11)
    with pytest.raises(ContextOverflowError, match="1025 tokens"):
        model.prompt_logprobs([1] * 1025)


def test_an_answer_can_be_left_at_any_token(model):
    answer = model.generate(prompt_of(FRANCE), max_new_tokens=50)
    assert next(answer).text == "The"
    answer.close()
    assert list(answer) == []


def test_threads_do_not_disturb_each_other():
    questions = [FRANCE, LONG, "Knock knock.", "What is the capital of Italy?", "Hello!"]
    asked = [
        (question, style, Sampling(temperature=1.5, seed=seed) if seed else Sampling())
        for question in questions
        for style in FORMATS
        for seed in range(2)
    ]
    alone = [tokens_of(*one) for one in asked]
    order = random.Random(0).sample(range(len(asked)), len(asked))
    with ThreadPoolExecutor(8) as pool:
        together = dict(zip(order, pool.map(lambda i: tokens_of(*asked[i]), order), strict=True))
    for index, tokens in enumerate(alone):
        assert [token.id for token in together[index]] == [token.id for token in tokens]
