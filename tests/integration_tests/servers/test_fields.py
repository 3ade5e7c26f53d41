"""Every generation field on real servers: it acts, or it is an error of the package's own.

What a field does is seen in what comes back; that it was sent is no proof.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_easyllm._servers.profile import NEUTRAL_FIELDS, GenerationApi
from langchain_easyllm._servers.registry import SERVERS
from langchain_easyllm.errors import ConfigurationError

QUESTION = "Once upon a time, there was a little cat who"
WILD = {"temperature": 2.0}
"""As hot as every server allows: what restricts the choice is seen at once."""
AGAIN = "a b c a b c a b c a b c a b"
"""A text that a model goes on with as it began."""
PROFILES = {profile.name: profile for profile in SERVERS}
END, COLON = 2, 42
"""Tokens of SmolLM2: what ends its answers, and one of a single character."""


@dataclass(frozen=True)
class Asked:
    """A server's chat or text protocol, and what it answers."""

    model: Any

    def __call__(self, prompt: str = QUESTION, **fields: Any) -> list[Any]:
        """The generations of one prompt."""
        given = {"max_tokens": 6, **fields}
        if type(self.model).__name__ == "EasyLLM":
            return self.model.generate([prompt], **given).generations[0]
        [found] = self.model.generate([[HumanMessage(prompt)]], **given).generations
        return found

    def text(self, prompt: str = QUESTION, **fields: Any) -> str:
        """The text of the first."""
        return self(prompt, **fields)[0].text

    def texts(self, **fields: Any) -> set[str]:
        """The texts with some seeds."""
        return {self.text(seed=seed, **fields) for seed in range(3)}


def greedy(asked: Asked) -> str:
    return asked.text()


def temperature(asked: Asked) -> None:
    assert asked.text() == asked.text(temperature=0, seed=7)
    assert len(asked.texts(**WILD)) > 1


def top_p(asked: Asked) -> None:
    assert asked.texts(**WILD, top_p=1e-6) == {greedy(asked)}


def top_k(asked: Asked) -> None:
    assert asked.texts(**WILD, top_k=1) == {greedy(asked)}


def max_tokens(asked: Asked) -> None:
    long, short = asked.text(max_tokens=6), asked.text(max_tokens=2)
    assert long.startswith(short)
    assert len(short) < len(long)


def stop(asked: Asked) -> None:
    whole = greedy(asked)
    assert asked.text(stop=[whole[5:8]]) == whole[: whole.index(whole[5:8])]


def n(asked: Asked) -> None:
    assert len(asked(n=2, temperature=1.0)) == 2


def seed(asked: Asked) -> None:
    assert asked.text(**WILD, seed=3) == asked.text(**WILD, seed=3)
    assert len(asked.texts(**WILD)) > 1


def repeats_less(asked: Asked, **fields: Any) -> None:
    """A penalty makes a text end that goes on for ever."""
    plain = asked.text(AGAIN, max_tokens=12)
    assert asked.text(AGAIN, max_tokens=12, **fields) != plain


def repetition_penalty(asked: Asked) -> None:
    repeats_less(asked, repetition_penalty=1.9)


def frequency_penalty(asked: Asked) -> None:
    repeats_less(asked, frequency_penalty=2.0)


def presence_penalty(asked: Asked) -> None:
    repeats_less(asked, presence_penalty=2.0)


def typical_p(asked: Asked) -> None:
    assert len(asked.texts(**WILD, typical_p=0.001)) == 1


def truncate(asked: Asked) -> None:
    assert usage(asked(AGAIN, truncate=6)[0]) == 6


def usage(generation: Any) -> int:
    """The number of tokens of the prompt."""
    message = getattr(generation, "message", None)
    counted = generation.generation_info["usage"] if message is None else message.usage_metadata
    return counted["input_tokens"]


def positions(generation: Any) -> list[Any]:
    """The log probabilities of each token."""
    message = getattr(generation, "message", None)
    info = generation.generation_info if message is None else message.response_metadata
    return info["logprobs"]["content"]


def logprobs(asked: Asked) -> None:
    [generation] = asked(logprobs=True)
    found = positions(generation)
    assert "".join(one["token"] for one in found) == generation.text
    assert all(one["logprob"] <= 0 for one in found)


def top_logprobs(asked: Asked) -> None:
    [generation] = asked(logprobs=True, top_logprobs=3)
    for one in positions(generation):
        best = one["top_logprobs"]
        assert len(best) == 3
        assert one["logprob"] == max(other["logprob"] for other in best)


def do_sample(asked: Asked) -> None:
    assert asked.text(temperature=None, do_sample=False) == greedy(asked)
    assert len(asked.texts(**WILD, do_sample=True)) > 1


def return_full_text(asked: Asked) -> None:
    assert asked.text(return_full_text=True).startswith(QUESTION)


SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}},
    "required": ["colour"],
    "additionalProperties": False,
}


def is_of_the_schema(text: str) -> None:
    assert json.loads(text)["colour"] in ("red", "green")


def response_format(asked: Asked) -> None:
    wrapped = {"type": "json_schema", "json_schema": {"name": "choice", "schema": SCHEMA}}
    is_of_the_schema(asked.text(max_tokens=40, response_format=wrapped))


def grammar(asked: Asked) -> None:
    is_of_the_schema(asked.text(max_tokens=40, grammar={"type": "json", "value": SCHEMA}))


def has_no_switch(asked: Asked, **fields: Any) -> None:
    """The model's template reads neither: where it is known, that is said, else they are taken."""
    try:
        assert asked(**fields)
    except ConfigurationError as error:
        if "would do nothing" not in str(error):
            raise


def thinking(asked: Asked) -> None:
    for value in (True, False):
        has_no_switch(asked, thinking=value)


def reasoning_effort(asked: Asked) -> None:
    for value in ("low", "high"):
        has_no_switch(asked, reasoning_effort=value)


def min_p(asked: Asked) -> None:
    assert asked.texts(**WILD, min_p=1.0) == {greedy(asked)}


def logit_bias(asked: Asked) -> None:
    assert asked.text(logit_bias={COLON: 100}).strip() == 6 * ":"
    assert asked.text(logit_bias={COLON: 100}, **WILD).strip() == 6 * ":"


def written(generation: Any) -> int:
    """The number of tokens of the answer."""
    message = getattr(generation, "message", None)
    counted = generation.generation_info["usage"] if message is None else message.usage_metadata
    return counted["output_tokens"]


def min_tokens(asked: Asked) -> None:
    ends = {"logit_bias": {END: 100}}
    assert written(asked(**ends)[0]) <= 1
    assert written(asked(**ends, min_tokens=3)[0]) in (3, 4)
    # A stop sequence ends the answer all the same.
    whole = greedy(asked)
    assert asked.text(stop=[whole[5:8]], min_tokens=6) == whole[: whole.index(whole[5:8])]


def ignore_eos(asked: Asked) -> None:
    ends = {"logit_bias": {END: 100}}
    assert written(asked(**ends)[0]) <= 1
    assert written(asked(**ends, ignore_eos=True)[0]) == 6


def user(asked: Asked) -> None:
    assert asked.text(user="u-1") == greedy(asked)


def service_tier(asked: Asked) -> None:
    assert asked.text(service_tier="auto") == greedy(asked)


def refused(asked: Asked) -> None:
    """No server here has it."""
    raise AssertionError("it was sent")


ACTS = {
    **{
        check.__name__: check
        for check in (
            *(temperature, top_p, top_k, max_tokens, stop, n, seed, repetition_penalty),
            *(frequency_penalty, presence_penalty, typical_p, truncate, logprobs, top_logprobs),
            *(do_sample, return_full_text, response_format, grammar, thinking),
            *(reasoning_effort, min_p, logit_bias, min_tokens, ignore_eos, user, service_tier),
        )
    },
    "best_of": refused,
    "watermark": refused,
}
VALUES = {
    "top_k": 5,
    "n": 2,
    "repetition_penalty": 1.5,
    "frequency_penalty": 1.0,
    "best_of": 2,
    "presence_penalty": 1.0,
    "typical_p": 0.5,
    "truncate": 10,
    "logprobs": True,
    "top_logprobs": 2,
    "watermark": True,
    "return_full_text": True,
    "thinking": True,
    "reasoning_effort": "low",
    "min_p": 0.5,
    "logit_bias": {COLON: 100},
    "min_tokens": 3,
    "ignore_eos": True,
    "user": "u-1",
    "service_tier": "flex",
    "response_format": {"type": "json_object"},
    "grammar": {"type": "json", "value": SCHEMA},
}


def test_every_field_is_looked_at():
    assert {*ACTS} == {*NEUTRAL_FIELDS}


@pytest.mark.parametrize("api", [GenerationApi.CHAT, GenerationApi.COMPLETIONS])
@pytest.mark.parametrize("field", NEUTRAL_FIELDS)
def test_a_field_acts_or_is_an_error(server, api, field):
    expected = PROFILES[server.profile].api(api).fields
    faults(server, api, field)
    asked = Asked(server.chat() if api is GenerationApi.CHAT else server.llm(api="completions"))
    if field in expected or field == "do_sample":
        ACTS[field](asked)
        return
    with pytest.raises(ConfigurationError, match=field):
        # A greedy call leaves out what restricts a choice.
        asked(temperature=1.0, **{field: VALUES[field]})


def faults(server, api, field):
    """What is known to fail."""
    if field in ("repetition_penalty", "truncate", "best_of", "watermark", "min_tokens"):
        server.known_fault(
            "what is behind it is not known: it gets vLLM's names, which llama-server ignores",
            "litellm",
        )
    if api is GenerationApi.COMPLETIONS and field in ("response_format", "grammar"):
        server.known_fault("its text route fails on a response_format with a 500", "litellm")


@pytest.mark.parametrize("api", [GenerationApi.CHAT, GenerationApi.COMPLETIONS])
def test_a_regex_acts_or_is_an_error(server, api):
    asked = Asked(server.chat() if api is GenerationApi.CHAT else server.llm(api="completions"))
    given = {"grammar": {"type": "regex", "value": "[0-9]{3}-[a-f]{2}"}}
    if "regex" in server.has:
        assert re.fullmatch("[0-9]{3}-[a-f]{2}", asked.text(max_tokens=12, **given))
        return
    with pytest.raises(ConfigurationError, match=r"regex|grammar"):
        asked(**given)
