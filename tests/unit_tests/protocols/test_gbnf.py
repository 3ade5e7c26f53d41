"""Grammars in GBNF allow what their regular expression or their choice allows, and nothing else.

llguidance, which reads GBNF too, says what a grammar allows; Python's `re` what an expression does.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark

from langchain_easyllm._protocols.gbnf import choice_to_gbnf, regex_to_gbnf
from langchain_easyllm.errors import ConfigurationError

from ...support.cases import each_case

BYTES = LLTokenizer("byte")


def allows(grammar: str, text: str) -> bool:
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(gbnf_to_lark(grammar)), log_level=0)
    assert not matcher.is_error(), (grammar, matcher.get_error())
    tokens = BYTES.tokenize_str(text)
    if matcher.validate_tokens(tokens) < len(tokens):
        return False
    matcher.consume_tokens(tokens)
    return bool(matcher.is_accepting())


TEXTS = {
    r"[0-9]+": ["", "7", "42", "4x", "x"],
    r"^\d{4}-\d{2}-\d{2}$": ["2024-05-01", "2024-5-1", "24-05-01", "2024-05-011"],
    r"(yes|no)": ["yes", "no", "yesno", ""],
    r"yes|no": ["yes", "no", "ye", "yesno"],
    r"(?:a|b)*c?": ["", "abab", "abc", "cc", "bca"],
    r"(?P<n>a)(?<m>b)": ["ab", "a"],
    r"a{2}b{1,}c{0,2}": ["aab", "aabbcc", "ab", "aabccc"],
    r"a+?b*?c??": ["a", "aab", "abbc", "b"],
    r"[^a-c]+": ["xyz", "a", "xa", "\n"],
    r"[]a]+[^]]": ["]ab", "]]", "a]"],
    r"[a\-z]+": ["a-z", "b"],
    r"[a-]": ["a", "-", "b"],
    r"[\w.+-]+@\w+\.[a-z]{2,}": ["a.b+c@d.org", "a@b", "@d.org"],
    r"\s\S\D\W": [" ax-", "\taa ", "xaa-", " 1.a"],
    r".": ["x", "\n", "é", "", "ab"],
    r"\.\*\\\"\/\-\#": [r".*\"/-#", "x"],
    r"\x41\u00e9\t": ["Aé\t", "A"],
    r'say "\[hi\]"': ['say "[hi]"', "say [hi]"],
    r"[\[\]^\"\\]+": ['[]^"\\', "a"],
    r"é|日本+": ["é", "日本本", "日"],
    r"(a|)b||c": ["ab", "b", "", "c", "bc"],
    r"()": ["", "a"],
}


@each_case("pattern", TEXTS)
def test_the_grammar_of_a_regex(pattern: str) -> None:
    grammar = regex_to_gbnf(pattern)
    readable = re.compile(pattern.replace("(?<", "(?P<"), re.ASCII)
    wanted = [bool(readable.fullmatch(text)) for text in TEXTS[pattern]]
    assert [allows(grammar, text) for text in TEXTS[pattern]] == wanted
    assert len(set(wanted)) == 2  # some fit, some do not


ATOMS = st.sampled_from(["a", "b", r"\d", ".", "[ab1]", "[^a]", r"\.", "-", "é", r"\w", "[a-b-]"])
TIMES = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "+?"])
PATTERNS = st.recursive(
    st.lists(st.tuples(ATOMS, TIMES).map("".join), min_size=1, max_size=3).map("".join),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("|".join),
        # No group is empty or one atom: the reader of GBNF drops the group, and then ** is left.
        st.tuples(st.just("("), inner, st.just("b)"), TIMES).map("".join),
    ),
    max_leaves=4,
)


@settings(max_examples=50)
@given(pattern=PATTERNS, text=st.text("ab1.-é\n", max_size=5))
def test_any_regex_and_any_text(pattern: str, text: str) -> None:
    fits = re.compile(pattern, re.ASCII).fullmatch(text) is not None
    assert allows(regex_to_gbnf(pattern), text) == fits


@each_case(
    ("pattern", "part"),
    [
        ("(?=a)b", "(?="),
        ("(?!a)b", "(?!"),
        ("(?<=a)b", "(?<"),
        ("(?i)a", "(?i"),
        (r"(a)\1", r"\1"),
        (r"\bword\b", r"\b"),
        (r"\p{L}+", r"\p"),
        (r"\Aa\Z", r"\A"),
        ("[[:alpha:]]+", "[:"),
        ("[a--b]", "--"),
        ("[a&&b]", "&&"),
        (r"[\D]", r"\D"),
        ("a$b", "$"),
        ("(a$)", "$"),
        ("a^", "^"),
        ("a++", "++"),
        ("a**", "**"),
        ("*a", "*"),
        ("a{x}", "{"),
        ("a}", "}"),
        ("(a", "("),
        ("a)", ")"),
        ("[a", "["),
        ("[b-a]", "b-a"),
        ("a\\", "\\"),
        (r"\xZZ", r"\x"),
        ("(" * 2000 + ")" * 2000, "groups"),
    ],
)
def test_what_no_grammar_can_express(pattern: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot express") as caught:
        regex_to_gbnf(pattern)
    assert f"({part}" in str(caught.value) or "100 groups" in str(caught.value)
    assert "\n" not in str(caught.value)


CHOICES = [
    "yes",
    "no",
    "a",
    "ab",
    'say "hi"',
    "back\\slash",
    "two\nlines",
    "tab\t",
    "é 日本",
]
# Old versions of llguidance do not read the escapes of what cannot be printed.
READABLE = st.characters().filter(str.isprintable) | st.sampled_from("\t\n\r")


def test_control_characters_are_escaped() -> None:
    assert choice_to_gbnf(["\0\x7f"]) == r'root ::= "\x00\x7F"'


def test_the_grammar_of_a_choice() -> None:
    grammar = choice_to_gbnf(CHOICES)
    assert grammar.count("\n") == 0
    for text in CHOICES:
        assert allows(grammar, text)
    assert not any(allows(grammar, text) for text in ("", "y", "yesno", "aba", "back\\\\slash"))


@settings(max_examples=50)
@given(
    choices=st.lists(st.text(READABLE, min_size=1, max_size=4), min_size=1, max_size=4, unique=True)
)
def test_any_choice(choices: list[str]) -> None:
    grammar = choice_to_gbnf(choices)
    for text in choices:
        assert allows(grammar, text)
    joined = "".join(choices)
    assert allows(grammar, joined) == (joined in choices)
