"""From options to a report: the connection, the server's facts, then the checks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

from .._http.models import parse_url, public_url
from .._servers.urls import ROUTER, parse_server_url
from ..errors import ConfigurationError, EasyLLMError, TimeoutError
from .account import account_of, endpoints_of, found_token, token_of_account
from .checks import CHECKS, FIRST, STREAM, WITH_STREAM, WITHOUT_CHAT, chosen
from .connection import examine_connection
from .obstacles import is_final, is_missing, of_detection, of_first_answer
from .report import CheckResult, Finding, Report, State, fails, not_offered, unclear
from .subject import ExaminationOptions, Subject, seconds_since
from .vector_checks import has_vectors

CONNECT_SECONDS = 4.0
"""Seconds for the name, the connection and TLS."""

DEFAULT_MODEL = "meta-llama/Llama-3.1-8B-Instruct"
"""What is asked on Inference Providers where no model is named."""

ENVIRONMENT = ("HUGGINGFACE_API_BASE", "HF_INFERENCE_ENDPOINT")

NOTHING_NAMED = (
    "There is no token and no server. Run `hf auth login`, or set HF_TOKEN, to ask Inference "
    "Providers; or name your server: langchain-easyllm doctor http://localhost:8080."
)

OnFacts = Callable[[Report], None]
OnCheck = Callable[[CheckResult], None]


def examine(
    options: ExaminationOptions,
    *,
    key_variable: str | None = None,
    on_facts: OnFacts = lambda _: None,
    on_check: OnCheck = lambda _: None,
) -> Report:
    """Examine a server.

    Args:
        options: Which server, and how.
        key_variable: The environment variable that `options.api_key` came from.
        on_facts: Called with the report when all but the checks is known.
        on_check: Called with each check's result as it comes.

    Returns:
        The report.

    Raises:
        ConfigurationError: If the options make no sense.
    """
    begun = time.monotonic()
    names = chosen(options.only)
    options, source = _with_url(options)
    root = parse_server_url(ROUTER if options.url is None else options.url).root
    report = Report(public_url(root), source, token=found_token(root, key_variable))
    subject = Subject(options)
    try:
        report.obstacle = _find_facts(report, subject, root)
        on_facts(report)
        if report.obstacle is None:
            report.obstacle = _run_checks(report, subject, names, on_check)
    finally:
        report.requests = len(subject.exchanges) + len(subject.retries)
        report.seconds = seconds_since(begun)
        subject.close()
    return report


def _with_url(options: ExaminationOptions) -> tuple[ExaminationOptions, str]:
    """Return the options with the URL of the environment where none is given, and its variable."""
    if options.url is not None:
        return options, ""
    name = next((name for name in ENVIRONMENT if os.environ.get(name, "").strip()), None)
    if name is not None:
        return replace(options, url=os.environ[name].strip()), name
    return replace(options, model=options.model or DEFAULT_MODEL), ""


def _find_facts(report: Report, subject: Subject, root: str) -> str | None:
    """Fill the report but for the checks; return why the server cannot be checked."""
    try:
        token = token_of_account() if subject.options.url is None else ""
        if token is None:
            return NOTHING_NAMED
        report.connection = examine_connection(parse_url(root), CONNECT_SECONDS)
        if token:
            _find_account(report, token)
        details = subject.details
    except EasyLLMError as error:
        refused = isinstance(error, ConfigurationError)
        met = None if refused or not subject.exchanges else of_detection(subject, _proxy(report))
        return met or error.message
    if not subject.server.known:
        return of_detection(subject, _proxy(report)) or _first_answer(report, subject)
    report.server, report.version = details.server, details.version
    report.model, report.models = details.model, details.models
    report.protocols = details.protocols
    context = {"context_length": details.context_length} if details.context_length else {}
    report.limits = {**context, **details.limits}
    report.chat_template = _template(subject)
    return None


def _find_account(report: Report, token: str) -> None:
    account = account_of(token)
    if account is not None:
        report.token = replace(report.token, user=account.user)
        report.endpoints, report.endpoints_note = endpoints_of(token, account)


def _first_answer(report: Report, subject: Subject) -> str | None:
    """Ask a server that says nothing of itself for anything; return why it answers nothing."""
    first: EasyLLMError | None = None
    for ask in (
        subject.answer,
        lambda: subject.llm(max_tokens=1).invoke("Hello"),
        lambda: subject.embeddings().embed_query("Hello"),
    ):
        try:
            ask()
        except EasyLLMError as error:
            first = first or error
            if is_final(error):
                break
        else:
            return None
    assert first is not None  # noqa: S101 - each question failed
    return of_first_answer(subject, first, _proxy(report))


def _proxy(report: Report) -> str | None:
    return report.connection.proxy if report.connection else None


def _template(subject: Subject) -> str | None:
    said = subject.published_template()
    text = said.get("chat_template")
    if not isinstance(text, str) or not text:
        return None
    lacks = subject.session.capabilities.without_tools
    return f"{len(text):,} characters, {'without' if lacks else 'with'} tools"


def _run_checks(
    report: Report, subject: Subject, names: tuple[str, ...], on_check: OnCheck
) -> str | None:
    """Run the checks; return why the server cannot be checked, if nothing works."""
    late = 0
    first_failure: EasyLLMError | None = None
    for name in names:
        begun = time.monotonic()
        sent = len(subject.exchanges)
        late = 0 if name == FIRST else late
        if late > 1:
            finding = unclear("Not tried: the server does not answer in time any more.")
        else:
            finding, failure = _checked(name, subject, names)
            first_failure = first_failure or failure
            if len(subject.exchanges) > sent:  # it was not the failure of an earlier check
                late = late + 1 if isinstance(failure, TimeoutError) else 0
            works = any(one.finding.state is State.WORKS for one in report.checks)
            if failure is not None and is_final(failure) and not works:
                return of_first_answer(subject, failure, _proxy(report))
        result = CheckResult(name, finding, seconds_since(begun))
        report.checks.append(result)
        on_check(result)
    worked = any(one.finding.state is State.WORKS for one in report.checks)
    if first_failure is None or worked or subject.claims:
        return None
    return of_first_answer(subject, first_failure, _proxy(report))


def _checked(
    name: str, subject: Subject, names: tuple[str, ...]
) -> tuple[Finding, EasyLLMError | None]:
    """Run a check, which is one of `names`; return what it found, and the error that ended it."""
    try:
        if name not in WITHOUT_CHAT:
            missing = _without_chat(subject, reported=FIRST in names)
            if missing is None and name in WITH_STREAM and STREAM in names:
                missing = _without_stream(subject)
            if missing is not None:
                return missing, None
        return CHECKS[name](subject), None
    except ConfigurationError as error:
        return not_offered(error.message), error
    except EasyLLMError as error:
        if name in WITHOUT_CHAT and is_missing(error):
            return not_offered(f"The server has no such route ({error.status_code})."), error
        if name in (FIRST, "prompt") and not is_final(error) and has_vectors(subject):
            return not_offered(f"The server generates no text ({error.status_code})."), error
        return fails(error.message), error


def _without_chat(subject: Subject, *, reported: bool) -> Finding | None:
    """Return why a check of the chat model is not tried; None if the chat model answers.

    Args:
        subject: The server.
        reported: Whether a line of the report says already why it does not answer.
    """
    try:
        subject.answer()
    except ConfigurationError as error:
        return not_offered(error.message)
    except EasyLLMError as error:
        if is_final(error):
            raise
        if is_missing(error) or has_vectors(subject):
            return not_offered("The server generates no text.")
        if not reported:
            raise
        return unclear(f"Not tried, because {FIRST} fails.")
    return None


def _without_stream(subject: Subject) -> Finding | None:
    try:
        subject.streamed()
    except EasyLLMError:
        return unclear(f"Not tried, because {STREAM} fails.")
    return None
