"""Regular expressions of schemas: read as ECMA 262 has them, in linear time, and never an error."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_easyllm import EasyLLMChat
from langchain_easyllm._structured_output.patterns import read_pattern
from langchain_easyllm._structured_output.schema_check import check_schema
from langchain_easyllm._structured_output.validation import problem_of
from langchain_easyllm.errors import StructuredOutputError

from ...support.cases import each_case
from ...support.fake_server import FakeServer
from ...support.fake_tool_calls import Turn, serve_turns
from ...support.fuzzing import examples
from ...support.invocation_modes import answer
from ...support.text_chunks import time_growth


@each_case(
    ("pattern", "fitting", "other"),
    [
        (r"^\p{L}+$", "Åse", "a1"),
        (r"^\P{Lu}+$", "a1", "A"),
        (r"^\p{Script=Greek}$", "α", "a"),
        (r"^(?<year>\d{4})-(?<month>\d\d)$", "2024-12", "24-12"),
        (r"^(?P<year>\d{4})$", "2024", "24"),
        (r"^[[:alpha:]]+$", "ab", "a1"),
        (r"^[[:alpha:]_-]+$", "a_-", "a1"),
        (r"^\d$", "3", "٣"),
        (r"^\D$", "٣", "3"),
        (r"^\w+$", "a_1", "é"),
        (r"^[\w-.]+$", "a-.", "a!"),
        (r"^[\D]$", "a", "1"),
        (r"^[^\D]$", "1", "a"),
        (r"^\s$", "\ufeff", "\x85"),
        (r"^[\S]$", "x", "\u2028"),
        (r"é\b", "éa", "é a"),
        (r"\Ba", "ba", "éa "),
        (r"^.$", "é", "\u2028"),
        (r"^.$", "😀", "\n"),
        ("^.$", "\ud800", ""),
        (r"a$", "a", "a\n"),
        (r"\Aa\Z", "a", "ba"),
        (r"^\/\-\_\ \@$", "/-_ @", "/"),
        (r"^\u0041\x42\u{1F600}$", "AB😀", "A"),
        (r"^\ud83d\ude00$", "😀", "a"),
        (r"^\t\cJ\0$", "\t\n\0", "t"),
        (r"^[\b]$", "\b", "b"),
        (r"^[a&&b]$", "&", "c"),
        (r"^[a~~b[]$", "[", "c"),
        (r"^[\]a-c]$", "]", "d"),
        ("^a{2,3}$", "aaa", "aaaa"),
        ("^a{,", None, None),
        ("^a{b}$", "a{b}", "a"),
        ("^x{2}?y", "xxy", "xy"),
        ("}]", "}]", "]"),
        ("(?i)^straße$", "STRAßE", "x"),
        ("^(?i:a)b$", "Ab", "AB"),
        ("^(?<a_>x)$", "x", "y"),
        ("^(?<$>x)(?<_b$>y)$", "xy", "x"),
        ("^(?<i>x)$", "x", "X"),
        (r"^(?=.*[A-Z])(?=.*\d)(?!.*\s).{4,}$", "Abc1", "Abc 1"),
        (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", "1.5", "+"),
        (r"(?i)^(?!ab)", "b", "AB"),
        ("^(?:a|b)*$|c", "abc", "d"),
        ("", "anything", None),
    ],
)
def test_patterns_are_read_as_ecma_has_them(
    pattern: str, fitting: str | None, other: str | None
) -> None:
    if fitting is not None:
        assert problem_of(fitting, {"pattern": pattern}) is None
    if other is not None:
        assert "breaks pattern" in str(problem_of(other, {"pattern": pattern}))


UNREAD = [
    "(?=a)",
    "^a(?!b)",
    "(?<=a)b",
    "(?<!a)b",
    "^(?=a)b|c",
    r"(a)\1",
    r"(?<n>a)\k<n>",
    "(a{1000}){1000}",
    "a{999999999}",
    r"\p{L}{1,255}",
    r"\p{Nothing}",
    "(" * 300 + ")" * 300,
    "a++",
    "(?>a)",
    "(?#note)a",
    "(?x) a",
    "(?s:a.b)",
    "(?im:abc)",
    "(?-i:abc)",
    "(?i-s:abc)",
    "(?m:^b)",
    "(?<>a)",
    "(",
    ")",
    "[",
    "[]a]",
    "[^]",
    "*",
    "a{3,2}",
    "[z-a]",
    "\\",
    r"\e",
    r"\ud800",
    "a" * 30_000,
    "a{,3}",
]
ids = [pattern[:12] for pattern in UNREAD]


@each_case("pattern", UNREAD, ids=ids)
@each_case("value", ["", "b", "!"])
def test_what_cannot_be_checked_rules_out_nothing(pattern: str, value: str) -> None:
    unread: dict[str, Any] = {"pattern": pattern}
    for schema in (
        unread,
        {"not": unread},
        {"oneOf": [unread, {"maxLength": 5}]},
        {"anyOf": [unread, False]},
        {"if": unread, "then": False, "else": False},
        {"if": {"not": unread}, "then": False, "else": False},
    ):
        assert problem_of(value, schema) is None
        assert problem_of(1, {"allOf": [schema, {"type": "string"}]}) is not None
    assert problem_of([value], {"contains": unread, "maxContains": 0}) is None
    named = {"patternProperties": {pattern: False}, "additionalProperties": False}
    assert problem_of({value: 1}, named) is None
    unevaluated = {"patternProperties": {pattern: True}, "unevaluatedProperties": False}
    assert problem_of({value: 1}, unevaluated) is None
    assert problem_of({value: 1}, {"propertyNames": unread}) is None
    assert problem_of({value: 1}, {**named, "maxProperties": 0}) is not None


@pytest.mark.parametrize("pattern", [r"(?<=a)\d", "(?=x)y", r"(\w)\1"])
def test_a_pattern_that_is_not_checked_is_reported_once(
    pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Patterns of this test only: each is reported once in a process.
    own = pattern + "0"
    with caplog.at_level(logging.WARNING, logger="langchain_easyllm.structured_output"):
        for schema in ({"pattern": own}, {"items": {"patternProperties": {own: True}}}):
            check_schema({"properties": {"a": schema}})
    (said,) = caplog.messages
    assert repr(own) in said
    assert "not checked" in said
    assert "not supported" in said


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", r"^(\w+\s?)*$", "(x+x+)+y", "^a{0,50}a{0,50}$"]
)
def test_the_work_grows_with_the_text_only(pattern: str) -> None:
    schema = {"pattern": pattern}
    assert time_growth(lambda many: problem_of("".join(many) + "!", schema), ["aaaa"] * 3000) < 40


@pytest.mark.parametrize(
    "pattern",
    [r"^.{0,5000}$", r"^[\s\S]{1,9000}$", r"^[A-Z]\w{3}-.{0,2000}!$", "^a+$", r"^(?!b).+"],
)
def test_long_answers_are_held_to_simple_patterns(pattern: str) -> None:
    long = "x" * 100_000 + "\n"
    assert "breaks" in str(problem_of(long, {"pattern": pattern + "(?:)$"}))


def test_too_much_work_is_not_done(caplog: pytest.LogCaptureFixture) -> None:
    schema = {"items": {"pattern": "^(a{1,100}){1,900}$"}}
    assert problem_of(["b" * 200_000] * 3, schema) is None
    assert "too much work" in caplog.text
    assert problem_of(["b"], schema) is not None


@pytest.mark.parametrize(
    ("pattern", "said", "fits"),
    [
        (r"^\p{L}+$", "Åse", True),
        (r"^\p{L}+$", "A1", False),
        ("(?<n>a)", "b", False),
        ("[[:alpha:]]", "1", False),
        ("^(a+)+$", "a" * 50_000 + "!", False),
        (r"(\w)\1", "ab", True),
    ],
)
def test_an_answer_is_held_to_a_pattern(
    fake_server: FakeServer, pattern: str, said: str, fits: bool, mode: str
) -> None:
    serve_turns(fake_server, "vllm", Turn([json.dumps({"a": said})]))
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}
    model = EasyLLMChat(base_url=fake_server.url)
    chain = model.with_structured_output(schema, method="json_schema", include_raw=True)
    found = answer(mode, chain)
    assert (found["parsed"] == {"a": said}) is fits
    assert isinstance(found["parsing_error"], StructuredOutputError) is not fits


ATOMS = ["a", "b", ".", "[ab]", "[^a]", "(?:a|b)", "(ab)", "^", "$", r"\.", "[a-b-]", "c"]
MARKS = ["", "*", "+", "?", "{1,2}", "{2}", "|", "*?"]


@examples(100)
@given(
    st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(MARKS)), max_size=5),
    st.text("abc.-", max_size=6),
)
def test_what_every_engine_reads_is_read_alike(parts: list[tuple[str, str]], text: str) -> None:
    pattern = "".join(atom + mark * (atom not in "^$" or mark == "|") for atom, mark in parts)
    assert (problem_of(text, {"pattern": pattern}) is None) is bool(re.search(pattern, text))


@examples(150)
@given(
    st.text(st.sampled_from([*"()[]{}?*+|^$.\\-:=!<>1,aPpLuxdswbk&~i\n"]), max_size=12), st.text()
)
@example("[\\", "")
@example("\\u{", "u{")
@example("[a-", "")
def test_no_pattern_is_an_error(pattern: str, text: str) -> None:
    read = read_pattern(pattern)
    assert read.problem or read.found_in(text) in (True, False)
