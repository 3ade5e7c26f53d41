"""The network against transformers' own figures, and against itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from langchain_easyllm.offline.llama import Llama
from langchain_easyllm.offline.weights import bundled, read_tensors, read_verified

# "<|user|>\nWhat is the capital of France?</s>\n<|assistant|>\n", encoded.
PROMPT = [1, 5, 212, 475, 317, 289, 568, 320, 234, 51, 765, 599, 44, 2, 212, 6, 212]
# Of transformers 5.23's LlamaForCausalLM on that prompt, in float32: at a place, the likeliest
# tokens with their logits, then mean and standard deviation of the logits of all tokens.
TRANSFORMERS = {
    0: ({5: 11.7924, 8: 11.6255, 12: 11.6063, 7: 11.4080, 429: 3.1096}, -3.94302, 1.87662),
    8: ({64: 7.7515, 54: 7.4435, 48: 7.3543, 61: 7.1643, 58: 6.9603}, -4.06138, 1.84329),
    16: ({435: 18.1708, 54: 11.2569, 568: 7.2336, 41: 6.2546, 558: 6.1558}, -3.84608, 2.05214),
}


@pytest.fixture(scope="module")
def llama() -> Llama:
    files = read_verified(bundled("chat"))
    return Llama(json.loads(files["config.json"]), read_tensors(files["model.safetensors"]))


def logits_of(llama: Llama, *parts: list[int]) -> np.ndarray:
    cache = llama.cache(sum(map(len, parts)))
    return np.concatenate([llama.logits(llama.hidden(part, cache)) for part in parts])


@pytest.mark.parametrize("place", TRANSFORMERS)
def test_the_logits_are_those_of_transformers(llama, place):
    likeliest, mean, deviation = TRANSFORMERS[place]
    logits = logits_of(llama, PROMPT)[place]
    assert np.argsort(-logits)[:5].tolist() == list(likeliest)
    assert logits[list(likeliest)] == pytest.approx([*likeliest.values()], abs=2e-4)
    assert logits.mean() == pytest.approx(mean, abs=1e-4)
    assert logits.std(ddof=1) == pytest.approx(deviation, abs=1e-4)


@pytest.mark.parametrize("cuts", [(1,), (5, 6), tuple(range(1, len(PROMPT)))])
def test_the_cache_changes_nothing(llama, cuts):
    parts = [PROMPT[start:stop] for start, stop in zip((0, *cuts), (*cuts, None), strict=True)]
    assert np.abs(logits_of(llama, *parts) - logits_of(llama, PROMPT)).max() < 1e-4


def test_what_comes_later_changes_nothing_before_it(llama):
    changed = [*PROMPT[:-1], 99]
    assert np.abs(logits_of(llama, PROMPT)[:-1] - logits_of(llama, changed)[:-1]).max() < 1e-4


def test_the_whole_context_is_usable(llama):
    logits = logits_of(llama, (PROMPT * 61)[: llama.context])
    assert logits.shape == (llama.context, llama.vocab_size)
    assert np.isfinite(logits).all()
