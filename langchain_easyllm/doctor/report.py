"""The result of an examination: what was found out, and a line for each check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import IntEnum, StrEnum


class State(StrEnum):
    """How a check ended."""

    WORKS = "works"
    FAILS = "fails"
    """The server claims it, and it does not work."""

    NOT_OFFERED = "not offered"
    """The server, or its model, does not have it."""

    UNCLEAR = "unclear"
    """The model's answer does not show it, or it was not tried."""

    @property
    def ok(self) -> bool | None:
        """Whether it works; None if there is no saying."""
        return {State.WORKS: True, State.FAILS: False}.get(self)


class ExitCode(IntEnum):
    """The exit code of the command."""

    FINE = 0
    SOMETHING_FAILS = 1
    CANNOT_BE_CHECKED = 2
    INTERRUPTED = 130
    NOT_READ = 141
    """As of a process that SIGPIPE ends."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        state: How it ended.
        note: What was seen.
        advice: What to do about it, if there is something.
    """

    state: State
    note: str = ""
    advice: str = ""


def works(note: str = "", advice: str = "") -> Finding:
    return Finding(State.WORKS, note, advice)


def fails(note: str, advice: str = "") -> Finding:
    return Finding(State.FAILS, note, advice)


def not_offered(note: str, advice: str = "") -> Finding:
    return Finding(State.NOT_OFFERED, note, advice)


def unclear(note: str, advice: str = "") -> Finding:
    return Finding(State.UNCLEAR, note, advice)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    name: str
    finding: Finding
    seconds: float

    def to_json(self) -> dict[str, object]:
        finding = self.finding
        return {
            "name": self.name,
            "ok": finding.state.ok,
            "state": finding.state.value,
            "seconds": round(self.seconds, 3),
            "note": finding.note,
            "advice": finding.advice,
        }


@dataclass(frozen=True, slots=True)
class TLSFacts:
    """How the connection is encrypted, and the server's certificate."""

    version: str
    issuer: str
    expires: str  # the day, as 2027-01-31
    days_left: int


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """How the server is reached."""

    host: str
    addresses: Sequence[str] = ()
    proxy: str | None = None  # without its credentials
    tls: TLSFacts | None = None


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Which token there is, never the token itself."""

    source: str | None = None  # a variable, or the file of the stored login
    sent: bool = False
    user: str | None = None  # whose it is, where Hugging Face was asked


@dataclass(frozen=True, slots=True)
class StoredEndpoint:
    """A dedicated endpoint of the account."""

    name: str
    status: str
    url: str | None
    model: str | None


@dataclass(slots=True)
class Report:
    """What is known of a server after its examination."""

    url: str
    url_source: str = ""  # where the URL came from, if it was not given
    server: str | None = None
    version: str | None = None
    model: str | None = None
    models: Sequence[str] = ()
    protocols: Sequence[str] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    chat_template: str | None = None
    token: TokenFacts = field(default_factory=TokenFacts)
    connection: ConnectionFacts | None = None
    endpoints: Sequence[StoredEndpoint] = ()
    endpoints_note: str = ""  # why they are not listed
    checks: list[CheckResult] = field(default_factory=list)
    obstacle: str | None = None  # why the server cannot be checked
    requests: int = 0
    seconds: float = 0.0

    @property
    def exit_code(self) -> ExitCode:
        """The exit code that the report stands for."""
        if self.obstacle is not None:
            return ExitCode.CANNOT_BE_CHECKED
        failed = any(one.finding.state is State.FAILS for one in self.checks)
        return ExitCode.SOMETHING_FAILS if failed else ExitCode.FINE

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON's types."""
        return {
            "url": self.url,
            "server": self.server,
            "version": self.version,
            "model": self.model,
            "models": list(self.models),
            "protocols": list(self.protocols),
            "limits": dict(self.limits),
            "chat_template": self.chat_template,
            "token_source": self.token.source,
            "token_sent": self.token.sent,
            "user": self.token.user,
            "connection": asdict(self.connection) if self.connection else None,
            "endpoints": [asdict(one) for one in self.endpoints],
            "checks": [one.to_json() for one in self.checks],
            "obstacle": self.obstacle,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "exit_code": int(self.exit_code),
        }


def count_states(checks: Iterable[CheckResult]) -> dict[State, int]:
    found = [one.finding.state for one in checks]
    return {state: found.count(state) for state in State if state in found}
