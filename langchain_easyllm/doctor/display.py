"""The report on a terminal: lines of parts with styles, in colour where `rich` is installed."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO, TypeAlias

from .._http.auth import redact
from .report import CheckResult, Report, State, count_states

if TYPE_CHECKING:
    from rich.console import Console

Line: TypeAlias = Sequence[tuple[str, str]]
"""Parts of a line, each with its style."""

MARKS = {
    State.WORKS: ("ok", "green"),
    State.FAILS: ("FAIL", "bold red"),
    State.NOT_OFFERED: ("-", "dim"),
    State.UNCLEAR: ("?", "yellow"),
}

# Controls, and what changes the direction of text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_LIMITS = {
    "context_length": "{:,} tokens of context",
    "max_input_tokens": "{:,} of input",
    "max_stops": "{} stop sequences",
    "max_batch": "{} texts in a request",
    "max_concurrency": "{} requests at once",
}
_LABEL, _INDENT = 17, 31


class Display:
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = _console(stream)
        self._advised: set[str] = set()
        self._same: list[CheckResult] = []
        self._checked = False
        width = shutil.get_terminal_size().columns if stream.isatty() else 0
        self._width = max(width, 60) if width else 0

    def facts(self, report: Report) -> None:
        """Write all that is known before the checks."""
        self._write([(report.url, "bold"), *_from(report.url_source)])
        for label, value in _facts(report):
            self._write_under([("  " + label.ljust(_LABEL - 2), "dim")], value, _LABEL)

    def check(self, result: CheckResult) -> None:
        """Write a check's line, and below it advice that was not given before."""
        if not self._checked:
            self._write([])
        self._checked = True
        if self._same and self._same[0].finding != result.finding:
            self._flush()
        self._same.append(result)
        if result.finding.state in (State.WORKS, State.FAILS):
            self._flush()

    def _flush(self) -> None:
        """Write the checks that found the same, as one line."""
        if not self._same:
            return
        names = [one.name for one in self._same]
        result, self._same = self._same[0], []
        mark, style = MARKS[result.finding.state]
        head = [(f"  {mark:<4} ", style), (f"{names[0]:<15}", ""),
                (f"{result.seconds:6.2f} s ", "dim")]  # fmt: skip
        note = result.finding.note or result.finding.state.value
        also = f" (also {', '.join(names[1:])})" if names[1:] else ""
        self._write_under(head, note + also, _INDENT)
        if result.finding.advice not in {"", *self._advised}:
            self._advised.add(result.finding.advice)
            self._write_under([(" " * (_INDENT), "")], result.finding.advice, _INDENT, "cyan")

    def summary(self, report: Report) -> None:
        """Write the end."""
        counts = count_states(report.checks)
        said = [f"{counts[state]} {_WORDS[state]}" for state in State if state in counts]
        spent = f"{report.requests} requests in {report.seconds:.1f} s"
        self._flush()
        self._write([])
        if report.obstacle is not None:
            self._write_under([("Cannot check this server: ", "bold red")], report.obstacle, 2)
            self._write([(spent[0].upper() + spent[1:] + ".", "dim")])
            return
        self._write([(f"{', '.join(said)}; {spent}.", "bold")])

    def _write_under(self, head: Line, text: str, indent: int, style: str = "") -> None:
        """Write a text behind a head, its further lines indented."""
        text = safe(text)
        before = sum(len(part) for part, _ in head)
        if not self._width or before + len(text) <= self._width:
            return self._write([*head, (text, style)])
        lines = textwrap.wrap(
            text,
            self._width - 1,
            initial_indent=" " * before,
            subsequent_indent=" " * indent,
            break_on_hyphens=False,
        ) or [""]
        self._write([*head, (lines[0][before:], style)])
        for line in lines[1:]:
            self._write([(line, style)])
        return None

    def _write(self, line: Line) -> None:
        encoding = self._stream.encoding or "utf-8"
        parts = [(_encodable(part, encoding), style) for part, style in line]
        if self._console is None:
            self._stream.write("".join(part for part, _ in parts).rstrip() + "\n")
            self._stream.flush()
            return
        from rich.text import Text  # noqa: PLC0415 - there is a console

        self._console.print(Text.assemble(*parts), soft_wrap=True)


_WORDS = {
    State.WORKS: "work",
    State.FAILS: "fail",
    State.NOT_OFFERED: "not offered",
    State.UNCLEAR: "unclear",
}


def safe(text: str) -> str:
    """Return a text, which may be a server's, without secrets and what moves a cursor."""
    return redact(_CONTROL.sub(" ", text))


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        plain = text.replace("…", "...")
        return plain.encode("ascii", "backslashreplace").decode("ascii")
    return text


def _console(stream: TextIO) -> Console | None:
    """Return rich's console for a terminal that wants colours; None for plain text."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return None
    try:
        from rich.console import Console  # noqa: PLC0415 - need not be installed
    except ImportError:
        return None
    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _from(source: str) -> Line:
    return [(f" (from {source})", "dim")] if source else []


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    if report.server is not None:
        yield "server", " ".join(filter(None, (report.server, report.version)))
    elif report.obstacle is None:
        yield "server", "does not say which it is; taken for one with OpenAI's routes"
    if report.model:
        yield "model", report.model
    elif report.models:
        yield "models", f"{len(report.models)}: {', '.join(report.models[:5])}"
    if report.protocols:
        yield "protocols", ", ".join(report.protocols)
    limits = [_LIMITS[name].format(value) for name, value in report.limits.items()]
    if limits:
        yield "limits", ", ".join(limits)
    if report.chat_template:
        yield "chat template", report.chat_template
    yield "token", _token(report)
    yield from _connection(report)
    if report.endpoints_note:
        yield "endpoints", f"not listed: {report.endpoints_note}"
    elif report.token.user and not report.endpoints:
        yield "endpoints", "none"
    for endpoint in report.endpoints:
        where = endpoint.url or "no URL yet"
        yield "endpoint", f"{endpoint.name}: {endpoint.status}, {endpoint.model}, {where}"


def _token(report: Report) -> str:
    token = report.token
    if token.source is None:
        return "none"
    user = f" of {token.user}" if token.user else ""
    if token.sent:
        return f"{token.source}{user}, sent to this server"
    return (
        f"{token.source}{user}, not sent: a token of the environment goes to Hugging Face only "
        "(--api-key-env NAME sends a key)"
    )


def _connection(report: Report) -> Iterator[tuple[str, str]]:
    found = report.connection
    if found is None:
        return
    if found.proxy:
        yield "proxy", found.proxy
    yield "connection", f"{found.host} ({', '.join(found.addresses[:3])})"
    if found.tls is None:
        yield "TLS", "none"
        return
    tls = found.tls
    yield (
        "TLS",
        (f"{tls.version}; certificate by {tls.issuer}, until {tls.expires} ({tls.days_left} days)"),
    )
