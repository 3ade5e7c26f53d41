"""The calculator works expressions out, and nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.calculator import LONGEST, calculate
from demo.languages import ENGLISH
from demo.tools import TOOLS, calculator, found_something

from ...support.cases import each_case


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("34**0.43", 34**0.43),
        ("34^0.43", 34**0.43),
        (" 2 + 3 * 4 ", 14),
        ("(2 + 3) * -4", -20),
        ("7 // 2 + 7 % 4", 6),
        ("2**3**2", 512),
        ("1e3 / 8", 125),
        ("+1_000", 1000),
        ("sqrt(2) * pow(2, 0.5)", 2),
        ("round(2.6) + abs(-1) + log(exp(1))", 5),
        ("-" * 199 + "1", -1),
    ],
)
def test_expressions(expression, value):
    assert calculate(expression) == pytest.approx(value, rel=1e-15)


@each_case(
    "expression",
    [
        "",
        "LangChain",
        "1 +",
        "1; 2",
        "x = 1",
        "1 if 1 else 2",
        "1 < 2",
        "True",
        "1j",
        "'a' * 9",
        "[1][0]",
        "(1).real",
        "__import__('os').getcwd()",
        "().__class__.__bases__",
        "print(1)",
        "sqrt",
        "sqrt(x=4)",
        "sqrt(1, 2)",
        "(lambda: 1)()",
        "1 / 0",
        "0 ** -1",
        "(-8) ** 0.5",
        "log(0)",
        "10 ** 400",
        "9**9**9**9**9",
        "1 << 9",
        "\0",
        "(" * 99 + "1" + ")" * 98,
        "1" + "+1" * LONGEST,
    ],
)
def test_what_is_no_expression_or_has_no_value_is_an_error(expression):
    with pytest.raises(ValueError, match=r"\S"):
        calculate(expression)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.sampled_from("+-*"))
def test_it_calculates_as_python_does(one, other, sign):
    wanted = {"+": one + other, "-": one - other, "*": one * other}[sign]
    assert math.isclose(calculate(f"({one}) {sign} ({other})"), wanted)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("17 * 23", "391"),
        ("34**0.43", "4.5555"),
        ("2**0.5", "1.4142"),
        ("1/3*3", "1"),
        ("0 * -1", "0"),
        ("1234567890 * 1000", "1234567890000"),
        ("1e999", "inf"),
        ("3 / 10**7", "3e-07"),
        ("10.0**200", "1e+200"),
        ("1/0", "Error: float division by zero."),
        ("LangChain", "Error: not an arithmetic expression."),
    ],
)
def test_the_tool_says_the_value_shortly_or_what_is_wrong(expression, said):
    assert calculator.invoke(expression) == said


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
@pytest.mark.parametrize(
    "given", [34, 3.5, {"wrong": "1"}, {"query": 1, "expression": 1}, {}, None]
)
def test_input_of_another_kind_is_reported_to_the_model(tool, given):
    said = tool.run(given)
    assert said == "Error: the input must be one text."
    assert not found_something(said, ENGLISH)
