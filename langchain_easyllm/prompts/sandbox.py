"""The Jinja environment for chat templates: transformers' own, with bounds.

What templates find in it is what `transformers` documents for `apply_chat_template`:
`trim_blocks`, `lstrip_blocks`, loop controls, `{% generation %}`, `raise_exception`,
`strftime_now` and a `tojson` that does not escape HTML. This module imports jinja2; import it only
when a template is to be rendered.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from typing import NoReturn, cast

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import PromptError

_STR_METHOD_NAMES = """
    capitalize casefold center count endswith find format format_map index isalnum isalpha
    isascii isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper
    join ljust lower lstrip partition removeprefix removesuffix replace rfind rindex rjust
    rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill
"""
# These do not write a list out; every other filter is charged for its whole value.
_LIST_FILTER_NAMES = """
    abs attr batch count d default dictsort first float groupby int items last length list map
    max min random reject rejectattr reverse round select selectattr slice sort sum unique
"""
_STR_METHODS = frozenset(_STR_METHOD_NAMES.split())
_LIST_FILTERS = frozenset(_LIST_FILTER_NAMES.split())


class RaisedError(TemplateError):
    """What a template refuses with `raise_exception`."""


class ChatEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox; each render sets `BUDGET` around itself."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            # Constant folding would run a hostile expression when the template is compiled.
            optimized=False,
            extensions=[_Generation, loopcontrols],
            finalize=_written,
        )
        self.code_generator_class = _Bounded
        self.filters = {name: _bounded_filter(name, f) for name, f in self.filters.items()}
        self.filters["tojson"] = _tojson
        self.filters["sum"] = _sum(self.filters["sum"])
        tests = cast("dict[str, Callable[..., bool]]", self.tests)
        self.tests = {name: _bounded_test(test) for name, test in tests.items()}
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _strftime_now
        del self.globals["lipsum"]

    def call_binop(self, context: Context, operator: str, left: object, right: object) -> object:
        budget = BUDGET.get()
        if operator == "*":
            budget.charge_product(left, right)
        elif operator == "**":
            budget.charge_power(left, right)
        elif operator == "+":
            budget.charge(size_of(left) + size_of(right))
        elif isinstance(left, str):
            check_format(budget, left, right if isinstance(right, tuple) else (right,))
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
        """Of strings, a template may read only plain methods."""
        if isinstance(obj, str) and attr not in _STR_METHODS:
            return False
        if isinstance(obj, (int, float, bytes)):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: object) -> Callable[..., str] | None:
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        template = str(getattr(value, "__self__", ""))

        def checked(*args: object, **kwargs: object) -> str:
            check_format(BUDGET.get(), template, [*args, *kwargs.values()])
            return wrapped(*args, **kwargs)

        return checked

    def call(
        __self,  # noqa: N805 - as in Jinja: a template may pass `self=` to a macro
        __context: Context,
        __obj: object,
        *args: object,
        **kwargs: object,
    ) -> object:
        budget = BUDGET.get()
        if isinstance(__obj, (Macro, BlockReference, LoopContext)):
            budget.charge(1000 * (1 + sum([size_of(arg) for arg in args])))
        else:
            owner = getattr(__obj, "__self__", None)
            if isinstance(owner, str):
                args = _check_method(budget, owner, getattr(__obj, "__name__", ""), args, kwargs)
        result = ImmutableSandboxedEnvironment.call(__self, __context, __obj, *args, **kwargs)
        budget.charge(size_of(result))
        return result

    def counted(self, items: Iterable[object], weight: int) -> Iterator[object]:
        """Charge each step of a loop; the compiled template calls it."""
        budget = BUDGET.get()
        for item in items:
            budget.charge(weight)
            yield item

    def measured(self, value: object) -> object:
        """Charge a slice; the compiled template calls it."""
        BUDGET.get().charge(size_of(value))
        return value

    def concatenated(self, values: Sequence[object]) -> str:
        """Join the parts of `a ~ b`, measured first; the compiled template calls it."""
        budget = BUDGET.get()
        for value in values:
            budget.charge_value(value)
        return "".join([str(value) for value in values])


class _Bounded(CodeGenerator):
    """Routes what Jinja compiles to bare Python through the environment's measures."""

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        weight = STEP + sum([len(data.data) for data in node.find_all(nodes.TemplateData)])
        counted = nodes.EnvironmentAttribute("counted")
        arguments = [node.iter, nodes.Const(weight)]
        node.iter = nodes.Call(counted, arguments, [], None, None, lineno=node.lineno)
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self.write("environment.concatenated((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        self.write("environment.measured(")
        super().visit_Getitem(node, frame)
        self.write(")")


class _Generation(Extension):
    """`{% generation %}...{% endgeneration %}`: marks the assistant's text for training."""

    tags = {"generation"}  # noqa: RUF012 - as the base class has it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


@pass_context
def _written(_context: Context, value: object) -> str:
    """Write out a value, charged first; with a context, so that it is never constant-folded."""
    BUDGET.get().charge_value(value)
    return str(value)


def _raise_exception(message: object) -> NoReturn:
    raise RaisedError(str(message))


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    pad = indent if isinstance(indent, int) else len(indent or "")
    _check_width(pad)
    BUDGET.get().charge_value(value, pad)
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _sum(original: Callable[..., object]) -> Callable[..., object]:
    @wraps(original)
    def bounded(*args: object, start: object = 0, **kwargs: object) -> object:
        if not isinstance(start, (int, float)):
            raise LimitError("The chat template sums up something other than numbers.")
        return original(*args, start=start, **kwargs)

    return bounded


def _bounded_filter(name: str, original: Callable[..., object]) -> Callable[..., object]:
    # Filters that want a context, an evaluation context or the environment get it first.
    skip = 1 if hasattr(original, "jinja_pass_arg") else 0

    @wraps(original)
    def bounded(*args: object, **kwargs: object) -> object:
        budget = BUDGET.get()
        given, value, rest = args[:skip], args[skip], args[skip + 1 :]
        budget.charge()
        if name not in _LIST_FILTERS:
            if isinstance(value, Iterator):
                value = list(value)
            budget.charge_value(value)
        text = value if isinstance(value, str) else ""
        _check_arguments(budget, name, text, [*rest, *kwargs.values()])
        if name == "join" and isinstance(value, Iterable) and rest:
            budget.charge(size_of(value) * size_of(rest[0]))
        result = original(*given, value, *rest, **kwargs)
        budget.charge(size_of(result))
        return result

    return bounded


def _bounded_test(original: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(original)
    def bounded(*args: object, **kwargs: object) -> bool:
        BUDGET.get().charge()
        return original(*args, **kwargs)

    return bounded


def _check_method(
    budget: Budget,
    owner: str,
    name: str,
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> tuple[object, ...]:
    """Charge a string method's call, and return its arguments with iterators as lists."""
    if name == "join" and args and isinstance(args[0], Iterable):
        parts = list(args[0])
        budget.charge_value(parts)
        budget.charge(len(parts) * size_of(owner))
        return (parts, *args[1:])
    _check_arguments(budget, name, owner, [*args, *kwargs.values()])
    return args


def _check_arguments(budget: Budget, name: str, text: str, args: Sequence[object]) -> None:
    """Charge the result of a filter or string method with these arguments."""
    if name in {"format", "format_map"}:
        check_format(budget, text, args)
    elif name in {"split", "rsplit", "splitlines"}:
        budget.charge(STEP * (text.count(str(args[0])) if args and args[0] else len(text) // 4))
    elif name == "replace" and len(args) >= 2:
        old, new = str(args[0]), args[1]
        budget.charge((text.count(old) if old else len(text) + 1) * size_of(new))
    else:
        widths = [arg for arg in args if isinstance(arg, int)]
        for width in widths:
            _check_width(width)
        if name in {"indent", "wordwrap", "urlize", "xmlattr", "truncate"}:
            wide = sum(widths) + sum([len(arg) for arg in args if isinstance(arg, str)])
            budget.charge((1 + len(text.splitlines())) * wide)
            if name == "wordwrap":
                budget.charge(len(text) * (wide + 64))  # it is slow for its size


def _check_width(width: int) -> None:
    if abs(width) > MAX_WIDTH:
        raise LimitError(
            f"The chat template asks for a width or count of {width}, above {MAX_WIDTH:,}."
        )


MAX_SECONDS = 3.0  # of one render
MAX_TEXT = 64_000_000  # characters that one render makes in all its steps, beside `INPUT_SHARE`
INPUT_SHARE = 64  # how many times a render may copy its whole input on top of that
MAX_WIDTH = 10_000  # the largest width or count that a filter or a string method may be given
STEP = 32  # the cost of one step of a loop, or one item of a list, in characters
_MAX_INT_BITS = 16_384
_WIDE = re.compile(r"\d{4}|[%{:][^%{}]*[*{]")


class LimitError(PromptError):
    """A template that wants too much time or memory."""


class Budget:
    """What one render may still use; `input_size` is that of template and conversation."""

    __slots__ = ("_deadline", "_left")

    def __init__(self, input_size: int) -> None:
        self._left = MAX_TEXT + INPUT_SHARE * input_size
        self._deadline = time.monotonic() + MAX_SECONDS

    def charge(self, amount: int = 1) -> None:
        """Subtract characters or steps; raise a `LimitError` if the budget or time is spent."""
        self._left -= amount
        if self._left < 0:
            raise LimitError("The chat template makes too much text; it was stopped.")
        if time.monotonic() > self._deadline:
            raise LimitError(f"The chat template did not end within {MAX_SECONDS:g} seconds.")

    def charge_value(self, value: object, pad: int = 0) -> None:
        """Charge the length of a value before it is written out, `pad` characters per level."""
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
        if isinstance(left, int) and isinstance(right, int):
            self._charge_bits(left.bit_length() + right.bit_length())
        elif isinstance(left, int) and isinstance(right, Sequence):
            self.charge(max(left, 0) * len(right))
        elif isinstance(right, int) and isinstance(left, Sequence):
            self.charge(max(right, 0) * len(left))

    def charge_power(self, base: object, exponent: object) -> None:
        if isinstance(base, int) and isinstance(exponent, int):
            self._charge_bits(base.bit_length() * abs(exponent))

    def _charge_bits(self, bits: int) -> None:
        if bits > _MAX_INT_BITS:
            raise LimitError("The chat template makes a number too large to be meant.")
        self.charge()


BUDGET: ContextVar[Budget] = ContextVar("BUDGET")
"""The budget of this thread's or task's render."""


def size_of(value: object) -> int:
    """Return the characters of a text, or eight for each item, without walking through them."""
    if isinstance(value, str):
        return len(value) + 1
    return 8 * len(value) + 1 if isinstance(value, (Sequence, Mapping, Set)) else 1


def check_format(budget: Budget, template: str, values: Sequence[object]) -> None:
    """Charge a `%` or `{}` format string; refuse wide or computed field widths."""
    if _WIDE.search(template):
        raise LimitError("The chat template formats text with a field too wide to be meant.")
    for _ in range(template.count("%") + template.count("{")):
        budget.charge_value(values)
    budget.charge(len(template))
