"""From a request's parameters to options of transformers' `generate`."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_easyllm._local.requests import Job, to_job

GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}


@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        ({}, {}),
        ({"details": True, "return_full_text": False}, {}),
        ({"do_sample": False}, GREEDY),
        ({"do_sample": False, "repetition_penalty": 1.1}, {**GREEDY, "repetition_penalty": 1.1}),
        ({"do_sample": True}, {"do_sample": True}),
        ({"temperature": 0.5, "do_sample": True}, {"do_sample": True, "temperature": 0.5}),
        ({"top_p": 0.9}, {"do_sample": True, "top_p": 0.9}),
        ({"top_p": 0}, {"do_sample": True, "top_p": 1.0}),
        ({"top_p": 1}, {"do_sample": True, "top_p": 1}),
        ({"top_k": 5}, {"do_sample": True, "top_k": 5}),
        ({"top_k": 0}, {"do_sample": True, "top_k": 0}),
        ({"top_k": -1}, {"do_sample": True, "top_k": 0}),
        ({"typical_p": 0}, {"do_sample": True, "typical_p": 1.0}),
        ({"min_p": 0.1}, {"do_sample": True, "min_p": 0.1}),
        ({"no_repeat_ngram_size": 2}, {"no_repeat_ngram_size": 2}),
        ({"logit_bias": {"7": -100.0}}, {"sequence_bias": [[[7], -100.0]]}),
    ],
    ids=str,
)
def test_options(parameters: dict[str, Any], options: dict[str, Any]) -> None:
    assert to_job(parameters) == Job(options=options)


def test_the_rest_is_ours() -> None:
    job = to_job(
        {
            "max_new_tokens": 5,
            "stop": ["a", "b"],
            "n": 2,
            "seed": 0,
            "truncate": 9,
            "top_n_tokens": 3,
            "frequency_penalty": 0.5,
            "presence_penalty": 1,
            "grammar": {"type": "regex", "value": "a"},
            "min_tokens": 2,
            "ignore_eos": True,
        }
    )
    assert job == Job(
        limit=5,
        stops=("a", "b"),
        count=2,
        seed=0,
        truncate=9,
        logprobs=True,
        top=3,
        frequency_penalty=0.5,
        presence_penalty=1,
        grammar={"type": "regex", "value": "a"},
        least=2,
        ignore_eos=True,
    )


def test_who_goes_together() -> None:
    def batch_key(**parameters: Any) -> object:
        return to_job(parameters).batch_key

    assert batch_key(temperature=0.5, max_new_tokens=1) == batch_key(temperature=0.5, truncate=3)
    assert batch_key(min_p=0.1, top_k=2) == batch_key(top_k=2, min_p=0.1)
    assert batch_key(stop=["a"]) != batch_key(stop=["b"])
    assert batch_key(logprobs=True) != batch_key()
    assert batch_key(min_tokens=2) != batch_key() != batch_key(ignore_eos=True)
    assert batch_key(logit_bias={"7": 1.0}) == batch_key(logit_bias={"7": 1.0}) != batch_key()
    one = to_job({"seed": 1})
    assert one.batch_key == one.batch_key != to_job({"seed": 1}).batch_key
