"""Run the blocks of one page, in this process: `python -m tests.docs_tests.run_page PAGE`.

Ends with 0 if every block did what the page says, else with 1 and says what happened instead.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.documentation import Block, matches, read_page, run_block
from tests.support.documentation_servers import documented_servers

ROOT = Path(__file__).parents[2]
FORGOTTEN = ("TOKEN", "PROXY", "HUGGINGFACE_", "HF_INFERENCE", "SSL_CERT", "CA_BUNDLE", "OPENAI_")


class BlockError(Exception):
    """A block does not do what the page says."""


def clean_environment(folder: Path) -> None:
    """Leave nothing of this machine's settings, and nothing to ask the Hub for."""
    for name in list(os.environ):
        if any(part in name.upper() for part in FORGOTTEN):
            del os.environ[name]
    home = folder / "home"
    home.mkdir()
    os.environ.update(HOME=str(home), HF_HOME=str(home / "hf"), HF_HUB_OFFLINE="1")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    work = folder / "work"
    work.mkdir()
    os.chdir(work)
    sys.path.insert(0, str(work))


def file_named(block: Block) -> str | None:
    """The file that a block is, by a comment in its first line: `# test_my_chain.py`."""
    first = block.code.partition("\n")[0]
    is_file = first.startswith("# ") and first.endswith(".py") and " " not in first[2:]
    return first[2:] if is_file else None


def run_one(block: Block, page: Path, names: dict[str, Any], out: io.StringIO) -> str:
    """Run a block and return what it printed; what is logged is printed, too."""
    name = file_named(block)
    if name is not None:
        Path(name).write_text(block.code, encoding="utf-8")
    if name is not None and name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BlockError(done.stdout + done.stderr)
        return done.stdout
    before = out.tell()
    with redirect_stdout(out), redirect_stderr(out):
        run_block(block.code, names, str(page), block.line)
    printed = out.getvalue()[before:]
    if block.output is not None and not matches(block.output, printed):
        raise BlockError(f"The page shows:\n{block.output}\nIt printed:\n{printed}")
    return printed


def run_page(page: Path, number: int | None, after: Path | None) -> int:
    """Run a page's blocks, or one of them, and then a file in the namespace that they made."""
    found = read_page(page.read_text(encoding="utf-8"))
    blocks = found.python() if number is None else [found.python()[number]]
    module = ModuleType("__main__")
    names: dict[str, Any] = module.__dict__
    sys.modules["__main__"] = module
    with tempfile.TemporaryDirectory() as folder:
        clean_environment(Path(folder))
        with documented_servers(found.servers, Path(folder)) as servers:
            out = io.StringIO()  # one for all: a handler of logs keeps what it was made with
            printed: list[str] = []
            for block in blocks:
                if block.not_run is not None:
                    continue
                try:
                    printed.append(run_one(block, page, names, out))
                except BaseException as error:
                    print(f"{page}:{block.line}: {type(error).__name__}")
                    print(error if isinstance(error, BlockError) else traceback.format_exc())
                    return 1
            if after is not None:
                names |= {"servers": servers, "printed": printed, "page": found}
                exec(compile(after.read_text(encoding="utf-8"), str(after), "exec"), names)
        os.chdir(ROOT)
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=Path)
    parser.add_argument("--block", type=int)
    parser.add_argument("--after", type=Path)
    given = parser.parse_args()
    sys.exit(run_page(given.page.resolve(), given.block, given.after and given.after.resolve()))
