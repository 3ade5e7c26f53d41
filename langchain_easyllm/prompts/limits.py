"""Bounds on what a template may do: time, text made, and the size of any one step.

A template from the Hub is somebody else's program. Signals and process limits do not work in
threads, so the bounds are cooperative: every loop step, call, filter and text operation is charged
to the budget of the render that it belongs to, and a step that could be large is measured before it
runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence, Set
from contextvars import ContextVar

from .base import PromptError

__all__ = ["BUDGET", "STEP", "Budget", "LimitError", "check_format", "size_of"]

MAX_SECONDS = 3.0
"""Seconds that one render may take."""

MAX_TEXT = 64_000_000
"""Characters that one render may make in all its steps, beside its share of the input's size."""

INPUT_SHARE = 64
"""How many times a render may copy its whole input on top of that."""

MAX_WIDTH = 10_000
"""The largest width or count that a filter or a string method may be given."""

STEP = 32
"""What one step of a loop, or one item of a list, counts in characters."""

_MAX_INT_BITS = 16_384
_WIDE = re.compile(r"\d{4}|[%{:][^%{}]*[*{]")


class LimitError(PromptError):
    """A template that wants too much time or memory."""


class Budget:
    """What one render has left.

    Args:
        input_size: Characters of the template and of the conversation.
    """

    __slots__ = ("_deadline", "_left")

    def __init__(self, input_size: int) -> None:
        self._left = MAX_TEXT + INPUT_SHARE * input_size
        self._deadline = time.monotonic() + MAX_SECONDS

    def charge(self, amount: int = 1) -> None:
        """Take an amount from the budget.

        Args:
            amount: Characters made, or steps.

        Raises:
            LimitError: If the budget or the time is spent.
        """
        self._left -= amount
        if self._left < 0:
            msg = "The chat template makes too much text; it was stopped."
            raise LimitError(msg)
        if time.monotonic() > self._deadline:
            msg = f"The chat template did not end within {MAX_SECONDS:g} seconds."
            raise LimitError(msg)

    def charge_value(self, value: object, pad: int = 0) -> None:
        """Charge what a value is long when it is written out, before it is.

        Args:
            value: Anything that a template can hold.
            pad: Characters of indentation per level.

        Raises:
            LimitError: If that is more than is left.
        """
        stack: list[tuple[object, int]] = [(value, 1)]
        while stack:
            item, depth = stack.pop()
            if isinstance(item, str):
                self.charge(len(item))
                continue
            self.charge(STEP + pad * depth)
            if isinstance(item, Mapping):
                self.charge(STEP * len(item))
                stack += [(part, depth + 1) for pair in item.items() for part in pair]
            elif isinstance(item, (Sequence, Set)) and not isinstance(item, bytes):
                self.charge(STEP * len(item))
                stack += [(part, depth + 1) for part in item]

    def charge_product(self, left: object, right: object) -> None:
        """Charge `left * right` before it is made."""
        if isinstance(left, int) and isinstance(right, int):
            self._charge_bits(left.bit_length() + right.bit_length())
        elif isinstance(left, int) and isinstance(right, Sequence):
            self.charge(max(left, 0) * len(right))
        elif isinstance(right, int) and isinstance(left, Sequence):
            self.charge(max(right, 0) * len(left))

    def charge_power(self, base: object, exponent: object) -> None:
        """Charge `base ** exponent` before it is made."""
        if isinstance(base, int) and isinstance(exponent, int):
            self._charge_bits(base.bit_length() * abs(exponent))

    def _charge_bits(self, bits: int) -> None:
        if bits > _MAX_INT_BITS:
            msg = "The chat template makes a number too large to be meant."
            raise LimitError(msg)
        self.charge()


BUDGET: ContextVar[Budget] = ContextVar("BUDGET")
"""The budget of the render that runs in this thread or task."""


def size_of(value: object) -> int:
    """Measure a result without walking through it.

    Args:
        value: Anything that a template can hold.

    Returns:
        Its characters, or eight for each item.
    """
    if isinstance(value, str):
        return len(value) + 1
    return 8 * len(value) + 1 if isinstance(value, (Sequence, Mapping, Set)) else 1


def check_format(budget: Budget, template: str, values: Sequence[object]) -> None:
    """Charge a format string before it is filled in.

    Args:
        budget: The render's budget.
        template: A `%` or `{}` format string.
        values: What goes into it.

    Raises:
        LimitError: If it asks for wide or computed field widths, or for too much text.
    """
    if _WIDE.search(template):
        msg = "The chat template formats text with a field too wide to be meant."
        raise LimitError(msg)
    for _ in range(template.count("%") + template.count("{")):
        budget.charge_value(values)
    budget.charge(len(template))
