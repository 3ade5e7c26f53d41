"""`python -m langchain_easyllm.bulk embed documents/ vectors/ --base-url http://localhost:8080`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, cast

from ..errors import ConfigurationError, EasyLLMError
from .key_variable import EnvironmentVariable

DONE, CANNOT_RUN, SOME_FAILED, INTERRUPTED = 0, 2, 3, 130
"""The exit codes."""

_COMMON = "keep", "id_column", "part_rows", "max_errors", "patience", "retry_errors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a bulk job from the command line.

    Args:
        arguments: The arguments; by default those of the process.

    Returns:
        The exit code: 0 if all rows have their results, 2 if the job cannot run or go on, 3 if some
        rows failed, 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result = _embed(options) if options.command == "embed" else _run(options)
    except KeyboardInterrupt:
        goes_on = options.engine == "local" or options.id_column
        print(  # noqa: T201 - this is a program
            f"Interrupted. Finished parts are in {options.target}."
            + (" Run the same command again to continue." if goes_on else ""),
            file=sys.stderr,
        )
        return INTERRUPTED
    except SystemExit as end:  # asyncio lets nobody note it in a row
        print(f"The chain has ended the program (SystemExit: {end}).", file=sys.stderr)  # noqa: T201
        return CANNOT_RUN
    except (EasyLLMError, OSError) as error:
        # As text, an error of a job on Ray is a traceback.
        print(getattr(error, "message", error), file=sys.stderr)  # noqa: T201
        return CANNOT_RUN
    print(result)  # noqa: T201
    return SOME_FAILED if result.failed else DONE


def _embed(options: argparse.Namespace) -> Any:  # noqa: ANN401 - a result, which needs the extra
    from ..embeddings import EasyLLMEmbeddings  # noqa: PLC0415 - loads at first use

    fields: dict[str, Any] = dict(_named(given) for given in options.option)
    for name in ("model", "batch_size", "max_concurrency", "dimensions", "document_prompt"):
        if (value := getattr(options, name)) is not None:
            fields[name] = value
    if urls := options.base_url:
        fields["base_url"] = urls[0] if len(urls) == 1 else urls
    if variable := options.api_key_env:
        key = EnvironmentVariable(variable)
        value = key()
        fields["api_key"] = value if options.engine == "local" else key
    embeddings = EasyLLMEmbeddings(**fields)
    if options.engine == "ray":
        from ..ray.command_line import embed_files  # noqa: PLC0415 - needs the extra

        return embed_files(options, embeddings)
    from .jobs import embed  # noqa: PLC0415 - needs the extra

    return embed(
        options.source,
        options.target,
        embeddings,
        column=options.column,
        into=options.into,
        dtype=options.dtype,
        **_common(options),
    )


def _run(options: argparse.Namespace) -> Any:  # noqa: ANN401 - as above
    chain = import_chain(options.chain)
    if options.engine == "ray":
        from ..ray.command_line import run_on_files  # noqa: PLC0415 - needs the extra

        return run_on_files(options, chain)
    from .jobs import run  # noqa: PLC0415 - needs the extra

    return run(
        options.source,
        options.target,
        chain,
        column=options.column,
        into=options.into,
        max_concurrency=options.max_concurrency,
        name=options.chain,
        **_common(options),
    )


def _common(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in _COMMON}
    return {name: value for name, value in given.items() if value is not None}


def import_chain(name: str) -> Any:  # noqa: ANN401 - checked where it is run
    """Return the runnable that `module:name` stands for."""
    module, colon, path = name.partition(":")
    if not (module and colon and path):
        raise ConfigurationError(f"--chain {name!r} has to be my_module:my_chain.")
    if "" not in sys.path and os.getcwd() not in sys.path:  # noqa: PTH109 - as Python has it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        found: object = import_module(module)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"--chain: {module} cannot be imported ({type(error).__name__}: {error})."
        ) from error
    for part in path.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"--chain: {module} has no {path}.")
        found = getattr(found, part)
    from langchain_core.runnables import Runnable  # noqa: PLC0415 - loads at first use

    if not isinstance(found, Runnable):
        raise ConfigurationError(
            f"--chain: {name} is no runnable but {type(found).__name__}: name a chain or a model, "
            "or put a function into a RunnableLambda."
        )
    return found


def _named(given: str) -> tuple[str, object]:
    name, equals, value = given.partition("=")
    if not equals:
        raise ConfigurationError(f"--option {given!r} has to be NAME=VALUE.")
    try:
        return name, cast("object", json.loads(value))
    except ValueError:
        return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m langchain_easyllm.bulk",
        description="Embed texts, or run a chain on prompts, from files to Parquet parts. "
        "Run the same command again to continue a job that was stopped.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    embed = commands.add_parser("embed", help="embed a column of texts")
    run = commands.add_parser("run", help="run a chain or a model on each row")
    for command in (embed, run):
        command.add_argument("source", help="a .parquet, .jsonl or .csv file, or a folder")
        command.add_argument("target", help="the folder for the parts")
    embed.add_argument("--column", default="text", help="the column of texts (text)")
    embed.add_argument("--into", default="embedding", help="the column for vectors (embedding)")
    embed.add_argument("--dtype", choices=["float32", "float16"], default="float32")
    embed.add_argument("--base-url", action="append", metavar="URL", help="may be given repeatedly")
    embed.add_argument("--model")
    embed.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the key")
    embed.add_argument("--batch-size", type=int, metavar="TEXTS")
    embed.add_argument("--max-concurrency", type=int, metavar="REQUESTS")
    embed.add_argument("--dimensions", type=int)
    embed.add_argument("--document-prompt", metavar="TEXT")
    embed.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="any other field of EasyLLMEmbeddings",
    )  # fmt: skip
    run.add_argument("--chain", required=True, metavar="MODULE:NAME", help="what is run")
    run.add_argument("--column", help="the column that is its input (the row as a dictionary)")
    run.add_argument("--into", default="answer", help="the column for answers (answer)")
    run.add_argument("--max-concurrency", type=int, default=128, metavar="ROWS")
    for command in (embed, run):
        _add_common(command)
    return parser


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine", choices=["local", "ray"], default="local",
        help="this process, or actors of a Ray cluster (%(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--actors", type=int, default=2, help="processes of --engine ray (%(default)s)"
    )
    command.add_argument(
        "--keep", action="append", metavar="COLUMN",
        help="a column of the input to keep; may be given repeatedly (all)",
    )  # fmt: skip
    command.add_argument("--id-column", metavar="COLUMN", help="whose values have to be unique")
    command.add_argument(
        "--part-rows", type=int, metavar="ROWS",
        help="rows in a part (4096; with --engine ray and a chain 512)",
    )  # fmt: skip
    command.add_argument(
        "--max-errors", type=float, default=1.0, metavar="SHARE",
        help="of rows that may fail before the job stops, 0 to 1 (%(default)s)",
    )  # fmt: skip
    command.add_argument(
        "--patience", type=float, default=600.0, metavar="SECONDS",
        help="to wait for a server that answers nothing (%(default)s)",
    )  # fmt: skip
    command.add_argument("--retry-errors", action="store_true", help="only the rows that failed")


if __name__ == "__main__":
    sys.exit(main())
