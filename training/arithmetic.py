"""Calculations: working them out, writing results, and drawing operations at random."""

from __future__ import annotations

import random
import re


def calculate(text: str) -> float:
    """Work out an expression of numbers and `+ - * / ** ( )`.

    Raises:
        ValueError: If it holds anything else, or cannot be worked out.
    """
    if not text.strip() or set(text) - set("0123456789.+-*/() ") or len(text) > 60:
        raise ValueError(f"not an expression: {text!r}")
    # As floats, a tower of powers overflows at once instead of computing for ever.
    floats = re.sub(r"(?<![\d.])(\d+)(?![\d.])", r"\1.0", text)
    try:
        return float(eval(floats, {"__builtins__": {}}))
    except Exception as error:
        raise ValueError(str(error)) from error


def show(value: float, digits: int) -> str:
    """Write a number as a calculator tool would, with at most `digits` decimals."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return str(round(value, digits)) if digits < 14 else str(value)


def power(rng: random.Random) -> str:
    """Give an exponent."""
    if rng.random() < 0.75:
        return f"0.{rng.randint(1, 99):02d}".rstrip("0") if rng.random() < 0.9 else "0.5"
    return rng.choice(["2", "3", "1.5", "0.5", "4", "2.5"])


def operation(rng: random.Random) -> tuple[str, str, str]:
    """Give words after a noun phrase, the expression's pattern, and words after a number."""
    n = str(rng.randint(2, 99)) if rng.random() < 0.7 else str(rng.randint(100, 9999))
    p = power(rng)
    return rng.choice(
        [
            (f"raised to the {p} power", "{}**" + p, f"raised to the {p} power"),
            (f"raised to the power of {p}", "{}**" + p, f"raised to the power of {p}"),
            (f"to the power of {p}", "{}**" + p, f"to the power of {p}"),
            (f"multiplied by {n}", "{}*" + n, f"multiplied by {n}"),
            (f"times {n}", "{}*" + n, f"times {n}"),
            (f"divided by {n}", "{}/" + n, f"divided by {n}"),
            (f"plus {n}", "{}+" + n, f"plus {n}"),
            (f"minus {n}", "{}-" + n, f"minus {n}"),
        ]
    )
