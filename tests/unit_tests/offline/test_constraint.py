"""Whatever the model would rather say: the answer fits the schema, the expression, the grammar."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys

import jsonschema
import pytest

from langchain_easyllm.offline.constraint import Constraint, ConstraintError
from langchain_easyllm.offline.language_model import LanguageModel
from langchain_easyllm.offline.sampling import Sampling

from ...support.offline_model import FORMATS, prompt_of, text_of, tokens_of

NAMED = {"type": "string", "maxLength": 12}
SCHEMAS = {
    "object": {
        "type": "object",
        "properties": {"name": NAMED, "age": {"type": "integer", "minimum": 0, "maximum": 150}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
    "nested": {
        "type": "object",
        "properties": {
            "place": {
                "type": "object",
                "properties": {"city": NAMED, "kind": {"enum": ["town", "village"]}},
                "required": ["city", "kind"],
                "additionalProperties": False,
            },
            "ok": {"type": "boolean"},
        },
        "required": ["place", "ok"],
        "additionalProperties": False,
    },
    "array": {
        "type": "array",
        "items": {"type": "number", "minimum": -1000, "maximum": 1000, "multipleOf": 1},
        "minItems": 2,
        "maxItems": 4,
    },
    "choice": {"anyOf": [{"type": "null"}, {"const": "é 🤗"}, {"enum": [1, 2, 3]}]},
    "reference": {
        "$defs": {"item": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"}},
        "type": "object",
        "properties": {"first": {"$ref": "#/$defs/item"}, "then": {"$ref": "#/$defs/item"}},
        "required": ["first", "then"],
        "additionalProperties": False,
    },
}
# Greedily, as models are used; and as wildly as can be, where nearly every token is as likely.
SAMPLINGS = [Sampling(), *(Sampling(temperature=30.0, seed=seed) for seed in range(3))]
QUESTIONS = ["What is the capital of France?", "Tell me about Ada, who is 36 years old."]


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_fits_its_schema(name):
    constraint = Constraint.json(SCHEMAS[name])
    for question, sampling in itertools.product(QUESTIONS, SAMPLINGS):
        tokens = tokens_of(question, sampling=sampling, constraint=constraint, max_new_tokens=400)
        assert tokens[-1].finish_reason == "eos_token"
        jsonschema.validate(json.loads(text_of(tokens)), SCHEMAS[name])


@pytest.mark.parametrize(
    "pattern",
    [
        r"(Lyon|Rome|Paris)",
        r"\d{4}-\d{2}-\d{2}",
        r"[A-Z][a-z]{3,8} is [a-z]{1,9}\.",
        r"(é|ß|한|🤗){5,9}",
        r"\[(\d{1,3}, ){2}\d\]",
    ],
)
def test_an_answer_matches_its_expression(pattern):
    constraint = Constraint.regex(pattern)
    for question, sampling in itertools.product(QUESTIONS, SAMPLINGS):
        text = text_of(tokens_of(question, sampling=sampling, constraint=constraint))
        assert re.fullmatch(pattern, text)


GRAMMAR = """
start: sum
sum: term (" " ("+" | "-") " " term){1,3}
term: NUMBER | "(" sum ")"
NUMBER: /[1-9][0-9]?/
"""


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_an_answer_follows_its_grammar(sampling):
    constraint = Constraint.lark(GRAMMAR)
    tokens = tokens_of("Hello!", sampling=sampling, constraint=constraint, max_new_tokens=400)
    text = text_of(tokens)
    assert re.fullmatch(r"[1-9+\-() 0]+", text)
    if tokens[-1].finish_reason == "eos_token":  # a wild sum may nest on and on
        assert isinstance(eval(text, {}), int)


@pytest.mark.parametrize("style", FORMATS)
def test_the_model_decides_where_the_constraint_leaves_a_choice(style):
    constraint = Constraint.regex("(Lyon|Rome|Paris|Oslo)")
    answer = tokens_of("What is the capital of France?", style, constraint=constraint)
    assert text_of(answer) == "Paris"


def test_logprobs_are_those_among_the_tokens_allowed():
    constraint = Constraint.regex("[01]")
    first, end = tokens_of("Hello!", constraint=constraint, top_n=5)
    assert [text for _, text, _ in first.top] in (["0", "1"], ["1", "0"])
    assert sum(2.718281828459045**logprob for *_, logprob in first.top) == pytest.approx(1)
    assert {text for _, text, _ in end.top} == {
        "</s>",
        "<|end|>",
        "<|endoftext|>",
        "<|im_end|>",
    }


def test_a_constraint_serves_several_answers_at_once():
    model, prompt = LanguageModel.load(), prompt_of("Hello!")
    constraint = Constraint.regex("[a-z]{6}")
    answers = [model.generate(prompt, max_new_tokens=20, constraint=constraint) for _ in range(3)]
    for tokens in zip(*answers, strict=True):
        assert len({token.id for token in tokens}) == 1
    assert tokens[0].finish_reason == "eos_token"


def test_an_answer_cut_short_is_the_beginning_of_one_that_fits():
    tokens = tokens_of("Hello!", constraint=Constraint.json({"type": "object"}), max_new_tokens=1)
    assert tokens[0].finish_reason == "length"
    assert tokens[0].text.startswith("{")


@pytest.mark.parametrize(
    ("make", "source", "reason"),
    [
        (Constraint.json, {"type": "strin"}, "strin"),
        (Constraint.json, "string", "is an object, not a str"),
        (Constraint.json, True, "is an object, not a bool"),
        (Constraint.json, {"type": "object", "properties": {1: object()}}, "serializable"),
        (Constraint.json, {"type": "array", "uniqueItems": True}, "uniqueItems"),
        (Constraint.json, {"$ref": "#/nowhere"}, "nowhere"),
        (Constraint.regex, "a(b", "unclosed group"),
        (Constraint.regex, "a(?=b)", "look-around"),
        (Constraint.lark, "start: nothing", "nothing"),
        (Constraint.lark, "", "Empty grammar"),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_reason(make, source, reason):
    with pytest.raises(ConstraintError, match=reason):
        make(source)


def test_llguidance_is_loaded_where_it_is_used_only():
    code = (
        "import sys; from langchain_easyllm.offline.language_model import LanguageModel;"
        "model = LanguageModel.load(); next(model.generate([1], max_new_tokens=1));"
        "print('llguidance' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
