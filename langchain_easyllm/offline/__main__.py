"""`python -m langchain_easyllm.offline --port 8080`: run the server until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields

from ..errors import ConfigurationError
from .faults import Faults
from .limits import LIKE, MODELS

_METAVARS = {
    "cold_start": "SECONDS",
    "cold_start_as": "loading|proxy",
    "delay": "SECONDS",
    "retry_after": "SECONDS",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server from the command line.

    Args:
        arguments: The arguments; by default those of the process.

    Returns:
        The exit code: 0 after Ctrl-C, 1 if the server cannot run.
    """
    options = vars(_parser().parse_args(arguments))
    host, port = options.pop("host"), options.pop("port")
    try:
        from .server import offline_server  # noqa: PLC0415 - needs the extra

        with offline_server(port, host=host, **options) as server:
            print(  # noqa: T201 - this is a program
                f"Serving on {server.base_url}: EasyLLMChat(base_url={server.base_url!r}). "
                "Ctrl-C ends it.",
                flush=True,
            )
            _wait()
    except ConfigurationError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _wait() -> None:
    """Wait for Ctrl-C or a polite request to terminate."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    while True:  # in steps, since Windows does not break into a wait without end
        time.sleep(60)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_easyllm.offline",
        description="Serve small models as TGI and TEI, vLLM or llama.cpp serve theirs, "
        "without any network.",
    )
    parser.add_argument("--port", type=int, default=8080, help="0 for any free port (8080)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--like",
        choices=LIKE,
        default=LIKE[0],
        help=f"the server that it speaks as ({LIKE[0]}, with TEI's routes)",
    )
    parser.add_argument(
        "--model",
        default=MODELS[0],
        metavar="|".join(MODELS),
        help=f"the language model ({MODELS[0]}); the others need an extra",
    )
    faults = parser.add_argument_group(
        "faults", "help(langchain_easyllm.offline.Faults) describes them."
    )
    for fault in fields(Faults):
        faults.add_argument(
            "--" + fault.name.replace("_", "-"),
            default=fault.default,
            type=_value,
            metavar=_METAVARS.get(fault.name, "COUNT"),
            help=f"default {fault.default}",
        )
    return parser


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    sys.exit(main())
