"""The command `langchain-easyllm doctor`."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence

from .._http.auth import redact
from .._http.user_functions import fits_a_header
from ..errors import ConfigurationError
from .checks import CHECKS
from .display import Display, safe
from .examination import examine
from .report import ExitCode, Report
from .subject import ExaminationOptions


def main(arguments: Sequence[str] | None = None) -> int:
    """Examine a server, and print the report.

    Args:
        arguments: The arguments; by default those of the process.

    Returns:
        The exit code: 0 if all that the server claims works, 1 if something of it does not, 2 if
        it cannot be checked, 130 after Ctrl-C, 141 if nobody reads the report any more.
    """
    given = _parser().parse_args(arguments)
    try:
        return _examine(given)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)  # noqa: T201 - this is a program
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # who reads, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is not written
        return ExitCode.NOT_READ


def _examine(given: argparse.Namespace) -> ExitCode:
    """Examine a server, and print the report as it was asked for."""
    try:
        options = _options(given)
        if given.json:
            report = examine(options, key_variable=given.api_key_env)
            _print_json(report)
            return report.exit_code
        display = Display(sys.stdout)
        report = examine(
            options,
            key_variable=given.api_key_env,
            on_facts=display.facts,
            on_check=display.check,
        )
        display.summary(report)
    except ConfigurationError as error:
        report = Report("", obstacle=safe(error.message))  # the URL may be what is wrong
        if given.json:
            _print_json(report)
        else:
            print(report.obstacle, file=sys.stderr)  # noqa: T201
    return report.exit_code


def _print_json(report: Report) -> None:
    print(json.dumps(_redacted(report.to_json()), indent=2), flush=True)  # noqa: T201


def _redacted(value: object) -> object:
    """Return a value of JSON's without secrets, before quotes in them are escaped."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(one) for name, one in value.items()}
    return [_redacted(one) for one in value] if isinstance(value, list) else value


def _options(given: argparse.Namespace) -> ExaminationOptions:
    key = None
    if given.api_key_env:
        key = os.environ.get(given.api_key_env, "").strip()
        if not key:
            raise ConfigurationError(f"The environment variable {given.api_key_env} is not set.")
        if not fits_a_header(key):
            raise ConfigurationError(
                f"The key in {given.api_key_env} contains line breaks, control or non-ASCII "
                "characters: copy it again."
            )
    if given.url and re.match(r"(?:\w+://)?[^/?#]*@", given.url.strip()):
        raise ConfigurationError(
            "The URL holds credentials, which other users of this machine can see in the list of "
            "processes. Leave them out, and name the environment variable that has the server's "
            "key: --api-key-env NAME."
        )
    only = [name.strip() for text in given.only for name in text.split(",") if name.strip()]
    return ExaminationOptions(
        url=given.url,
        model=given.model,
        provider=given.provider,
        api_key=key,
        timeout=given.timeout,
        wait=given.wait,
        most=given.max_concurrency,
        only=tuple(only),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="langchain-easyllm doctor",
        description="Find out which server answers at a URL, and what of what it claims works. "
        "It sends some short requests, and says how many.",
        epilog=f"Checks: {', '.join(CHECKS)}. Exit code: 0 all that the server claims works, "
        "1 something of it does not, 2 the server cannot be checked.",
    )
    add = parser.add_argument
    add("url", nargs="?", help="the server's URL; default: Inference Providers")
    add("--model", help="the model to name in requests")
    add("--provider", help="the Inference Provider")
    add("--api-key-env", metavar="NAME", help="the environment variable that has the key")
    add("--only", action="append", default=[], metavar="NAMES",
        help="the checks to run, separated by commas; `tools` is all of tools")  # fmt: skip
    add("--timeout", type=_some_seconds, default=15.0, metavar="SECONDS",
        help="how long an answer may take (default: 15)")  # fmt: skip
    add("--wait", type=_seconds, default=0.0, metavar="SECONDS",
        help="how long to wait for a model that is loading (default: 0)")  # fmt: skip
    add("--max-concurrency", type=_number, metavar="NUMBER",
        help="the most requests at once; 0 leaves that check out (default: 64, and 4 for "
        "Inference Providers)")  # fmt: skip
    add("--json", action="store_true", help="print the report as JSON")
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("a number of seconds is wanted")
    return value


def _some_seconds(text: str) -> float:
    if not (value := _seconds(text)):
        raise argparse.ArgumentTypeError("more than 0 seconds are wanted")
    return value


def _number(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 1024:
        raise argparse.ArgumentTypeError("a number from 0 to 1024 is wanted")
    return value
