"""Work out an arithmetic expression without running it as a program."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping

__all__ = ["calculate"]

# Numbers are floats throughout: a tower of powers overflows at once instead of computing for ever.
OPERATORS: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "abs": abs,
    "exp": math.exp,
    "log": math.log,
    "pow": math.pow,
    "round": round,
    "sqrt": math.sqrt,
}
LONGEST = 200
"""Characters of an expression: more than a question needs, less than overflows a stack."""


def calculate(expression: str) -> float:
    """Work out an expression of numbers, operators, brackets and a few functions.

    Args:
        expression: For example `34**0.43`, `sqrt(2) * 3` or `2^10`.

    Raises:
        ValueError: If it is something else, or has no value (a division by zero).
    """
    if len(expression) > LONGEST:
        raise ValueError(f"more than {LONGEST} characters")
    try:
        value = _value(ast.parse(expression.strip().replace("^", "**"), mode="eval").body)
    except SyntaxError:
        raise ValueError("not an arithmetic expression") from None
    except (ArithmeticError, TypeError) as error:
        raise ValueError(str(error)) from None
    return value


def _value(node: ast.AST) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.BinOp(left, how, right) if type(how) in OPERATORS:
            return OPERATORS[type(how)](_value(left), _value(right))
        case ast.UnaryOp(how, operand) if type(how) in OPERATORS:
            return OPERATORS[type(how)](_value(operand))
        case ast.Call(ast.Name(name), given, []) if name in FUNCTIONS:
            return FUNCTIONS[name](*map(_value, given))
    raise ValueError("not an arithmetic expression")
