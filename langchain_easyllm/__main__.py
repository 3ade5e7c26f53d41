"""`python -m langchain_easyllm`, and the command `langchain-easyllm`: its sub-commands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from ._nearest import did_you_mean


class Command(NamedTuple):
    """A sub-command: the module whose `main(arguments)` it is, and what it does."""

    module: str
    help: str


COMMANDS = {
    "doctor": Command(".doctor.command", "find out which server answers, and what of it works"),
    "bulk": Command(".bulk.__main__", "embed or answer the rows of large files"),
    "offline": Command(".offline.__main__", "run a server with small models"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command.

    Args:
        arguments: The arguments; by default those of the process.

    Returns:
        The exit code.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments)] or ["--help"]
    command = COMMANDS.get(name)
    if command is not None:
        code: object = import_module(command.module, __package__).main(rest)
        return code if isinstance(code, int) else 0
    if name in ("-h", "--help"):
        print(_help())  # noqa: T201 - this is a program
        return 0
    hint = did_you_mean(name, COMMANDS, f"there are {', '.join(COMMANDS)}.")
    print(f"There is no command {name!r}: {hint}", file=sys.stderr)  # noqa: T201
    return 2


def _help() -> str:
    lines = [f"  {name:<10}{command.help}" for name, command in COMMANDS.items()]
    usage = "usage: langchain-easyllm COMMAND ...  (COMMAND --help says more)"
    return "\n".join([usage, "", *lines])


if __name__ == "__main__":
    sys.exit(main())
