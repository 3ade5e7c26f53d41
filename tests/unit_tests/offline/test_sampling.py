"""Penalties and filters against a plain reference; draws against their probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.offline.sampling import Sampler, Sampling, log_softmax

SCORES = st.lists(st.integers(-400, 400).map(lambda n: n / 20), min_size=1, max_size=12)
MASS = st.sampled_from([0.01, 0.2, 0.5, 0.77, 0.95, 1.0])


def softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    shares = [math.exp(score - top) for score in scores]
    return [share / math.fsum(shares) for share in shares]


def distribution(scores: list[float], sampling: Sampling, prompt=(), allowed=None) -> np.ndarray:
    sampler = Sampler(sampling, prompt, len(scores))
    _, logprobs = sampler.choose(np.array(scores, np.float32), allowed)
    return np.exp(logprobs)


def kept(scores: list[float], sampling: Sampling) -> set[int]:
    return set(np.flatnonzero(distribution(scores, sampling)).tolist())


def ids_by(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=scores.__getitem__, reverse=True)


@given(SCORES, st.integers(1, 15))
def test_top_k_keeps_the_k_likeliest_and_their_equals(scores, k):
    least = sorted(scores, reverse=True)[:k][-1]
    wanted = {index for index, score in enumerate(scores) if score >= least}
    assert kept(scores, Sampling(temperature=1.0, top_k=k)) == wanted


@given(SCORES, MASS)
def test_top_p_keeps_the_fewest_that_hold_the_mass(scores, mass):
    shares = softmax(scores)
    keep = kept(scores, Sampling(temperature=1.0, top_p=mass))
    assert math.fsum(shares[index] for index in keep) >= mass - 1e-9
    # Without the least likely of them the mass would not be reached.
    least = min(keep, key=shares.__getitem__)
    assert math.fsum(shares[index] for index in keep - {least}) <= mass + 1e-9
    assert min(shares[index] for index in keep) >= max(
        (share for index, share in enumerate(shares) if index not in keep), default=0
    )


@given(SCORES, MASS)
def test_typical_keeps_the_most_typical_that_hold_the_mass(scores, mass):
    shares = softmax(scores)
    entropy = -math.fsum(share * math.log(share) for share in shares)
    strange = [abs(-math.log(share) - entropy) for share in shares]
    keep = kept(scores, Sampling(temperature=1.0, typical_p=mass))
    assert math.fsum(shares[index] for index in keep) >= mass - 1e-9
    most = max(strange[index] for index in keep)
    assert all(strange[index] >= most - 1e-9 for index in range(len(scores)) if index not in keep)
    below = [index for index in keep if strange[index] < most - 1e-9]
    assert math.fsum(shares[index] for index in below) <= mass + 1e-9


@given(SCORES, st.sampled_from([0.1, 0.5, 1.0, 2.0, 50.0]))
def test_temperature_divides_the_logits(scores, temperature):
    wanted = softmax([float(np.float32(score)) / temperature for score in scores])
    assert distribution(scores, Sampling(temperature=temperature)) == pytest.approx(wanted)


@given(SCORES, st.sampled_from([0.5, 1.2, 3.0]), st.sets(st.integers(0, 11)))
def test_the_repetition_penalty_counts_the_prompt_too(scores, penalty, prompt):
    prompt = [token for token in prompt if token < len(scores)]
    changed = [float(np.float32(score)) for score in scores]
    for token in prompt:
        changed[token] = changed[token] * (penalty if changed[token] < 0 else 1 / penalty)
    shares = distribution(scores, Sampling(repetition_penalty=penalty), prompt)
    assert shares == pytest.approx(softmax(changed))


def test_what_was_answered_is_penalised_from_then_on():
    scores = np.array([2.0, 1.0, 0.75], np.float32)
    sampler = Sampler(Sampling(frequency_penalty=0.6, presence_penalty=0.3), [1, 2], 3)
    seen = [sampler.choose(scores, None) for _ in range(4)]
    assert [token for token, _ in seen] == [0, 0, 1, 2]
    for (_, logprobs), counts in zip(seen, [(0, 0), (1, 0), (2, 0), (2, 1)], strict=True):
        penalised = [
            score - 0.6 * count - 0.3 * (count > 0)
            for score, count in zip(scores.tolist(), (*counts, 0), strict=True)
        ]
        assert np.exp(logprobs) == pytest.approx(softmax(penalised))


@given(SCORES, st.sampled_from([0.01, 0.2, 0.5, 1.0]))
def test_min_p_keeps_the_tokens_nearest_to_the_likeliest(scores, share):
    shares = softmax(scores)
    keep = kept(scores, Sampling(temperature=1.0, min_p=share))
    bound = share * max(shares)
    assert {i for i, one in enumerate(shares) if one > bound * (1 + 1e-9)} <= keep
    assert keep <= {i for i, one in enumerate(shares) if one >= bound * (1 - 1e-9)}


def test_biases_are_added_to_logits_and_may_ban():
    scores = [1.0, 4.0, 3.0]
    sampling = Sampling(biases=((0, 2.5), (1, -math.inf)))
    assert distribution(scores, sampling) == pytest.approx(softmax([3.5, -math.inf, 3.0]))


def test_nothing_ends_an_answer_before_min_tokens():
    sampler = Sampler(Sampling(min_tokens=2), [], 3, [0, 2])
    logits = np.array([5.0, 1.0, 4.0], np.float32)
    assert [sampler.choose(logits, None)[0] for _ in range(3)] == [1, 1, 0]


def test_a_constraint_comes_before_biases_and_min_tokens():
    logits, allowed = np.array([5.0, 1.0, 4.0], np.float32), np.array([True, False, True])
    for sampling in (Sampling(min_tokens=9), Sampling(biases=((0, -math.inf), (2, -math.inf)))):
        assert Sampler(sampling, [], 3, [0, 2]).choose(logits, allowed)[0] == 0


def test_filters_come_after_the_temperature_and_each_other():
    scores = [3.0, 2.0, 1.0, 0.0]
    # Of the three that top_k leaves, flattened, top_p takes two; by itself it would take three.
    shares = distribution(scores, Sampling(temperature=10.0, top_k=3, top_p=0.6))
    assert np.flatnonzero(shares).tolist() == [0, 1]
    assert kept(scores, Sampling(temperature=10.0, top_p=0.6)) == {0, 1, 2}
    assert shares[0] / shares[1] == pytest.approx(math.exp(0.1))


@given(SCORES.filter(lambda scores: len(scores) > 1), st.data())
def test_a_constraint_comes_before_the_filters(scores, data):
    size = len(scores)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    allowed[data.draw(st.integers(0, size - 1))] = True
    for sampling in (Sampling(), Sampling(temperature=0.7, top_k=1, top_p=0.3, typical_p=0.5)):
        shares = distribution(scores, sampling, allowed=allowed)
        assert shares.sum() == pytest.approx(1)
        assert not shares[~allowed].any()


def test_greedy_takes_the_likeliest_and_the_first_of_equals():
    sampler = Sampler(Sampling(top_k=1, top_p=0.1, seed=3), [], 4)
    token, logprobs = sampler.choose(np.array([1.0, 4.0, 4.0, 0.0], np.float32), None)
    assert token == 1
    assert np.exp(logprobs) == pytest.approx(softmax([1.0, 4.0, 4.0, 0.0]))


@pytest.mark.parametrize("temperature", [1e-300, 1e-9, 1e9])
def test_extreme_temperatures_still_draw(temperature):
    shares = distribution([1.0, 4.0, 3.0], Sampling(temperature=temperature))
    wanted = [1 / 3] * 3 if temperature > 1 else [0, 1, 0]
    assert shares == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, seed=0),
        Sampling(temperature=0.5, seed=1),
        Sampling(temperature=2.0, top_k=4, seed=2),
        Sampling(temperature=1.0, top_p=0.8, seed=3),
    ],
)
def test_tokens_are_drawn_by_their_probabilities(sampling):
    logits = np.array([2.0, 1.5, 1.0, 0.0, -1.0, -3.0], np.float32)
    sampler = Sampler(sampling, [], len(logits))
    count = 5000
    counts = np.zeros(len(logits))
    for _ in range(count):
        token, logprobs = sampler.choose(logits, None)
        counts[token] += 1
    shares = np.exp(logprobs)
    assert not counts[shares == 0].any()
    expected = count * shares[shares > 0]
    squares = ((counts[shares > 0] - expected) ** 2 / expected).sum()
    # Chi-square of at most 5 degrees of freedom: above 25.7 once in 10,000 times. Seeds are fixed.
    assert squares < 25.7


def test_the_seed_decides_what_is_drawn():
    logits = np.zeros(1000, np.float32)

    def drawn(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.0, seed=seed), [], 1000)
        return [sampler.choose(logits, None)[0] for _ in range(8)]

    assert drawn(5) == drawn(5)
    assert len({tuple(drawn(seed)) for seed in (5, 6, 2**64 - 1, None, None)}) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("typical_p", 2.0),
        ("repetition_penalty", 0.0),
    ],
)
def test_values_out_of_range_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=f"^{name} must be above 0"):
        Sampling(**{name: value})


def test_a_seed_below_zero_is_refused():
    with pytest.raises(ConfigurationError, match="seed must not be below 0, not -1"):
        Sampling(seed=-1)


def test_log_softmax_is_exact_for_large_logits():
    assert log_softmax(np.array([[1e4, 1e4 - 1.0], [-1e4, 0.0]])) == pytest.approx(
        np.array([[-0.31326168751822286, -1.3132616875182228], [-1e4, 0.0]])
    )
