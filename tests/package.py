"""Check what would be published: `make package`, and `make release` for the version as well.

The wheel is installed into a clean environment, from which the checkout cannot be imported, and the
README's examples run there, each alone, beside the offline server.
"""

from __future__ import annotations

import argparse
import email
import re
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

from langchain_easyllm.offline import offline_server

from .support.documentation import code_blocks

ROOT = Path(__file__).parents[1]
SHOWN = "http://localhost:8080"
OFFLINE = "langchain_easyllm.offline"


def main() -> int:
    """Check the files in a folder, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the wheel and the sdist, and nothing else")
    parser.add_argument("--version", help="the version that is to be released")
    chosen = parser.parse_args()
    [wheel] = chosen.folder.glob("*.whl")
    [sdist] = chosen.folder.glob("*.tar.gz")
    for file in (wheel, sdist):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    problems = dead_links(wheel)
    if chosen.version is not None:
        problems += not_ready(chosen.version, wheel)
    with tempfile.TemporaryDirectory() as scratch, offline_server() as server:
        problems += examples_that_fail(wheel, Path(scratch), server.base_url)
    print(
        "\n".join(problems) or "Ready: the wheel installs, and the README's examples run with it."
    )
    return 1 if problems else 0


def dead_links(wheel: Path) -> list[str]:
    """List links of the README that lead nowhere on the package index's page."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        readme = email.message_from_bytes(archive.read(name)).get_payload()
    links = re.findall(r"\]\(([^)]+)\)", str(readme))
    problems = [f"The README's link {link} is relative." for link in links if "://" not in link]
    source = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", source):
        if not (ROOT / link).exists():
            problems.append(f"README.md links to {link}, which is not there.")
    return problems


def not_ready(version: str, wheel: Path) -> list[str]:
    """List the files that speak of another version."""
    places = {
        wheel.name: wheel.name.startswith(f"langchain_easyllm-{version}-"),
        "CHANGELOG.md": re.search(
            rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", _text("CHANGELOG.md"), re.MULTILINE
        ),
        "CITATION.cff": f"\nversion: {version}\n" in _text("CITATION.cff"),
    }
    return [f"{place} is not of version {version}." for place, right in places.items() if not right]


def examples_that_fail(wheel: Path, scratch: Path, server: str) -> list[str]:
    """Run each example of the README alone, and list those that fail or print something else."""
    python = _environment(scratch / "venv", str(wheel), "langchain>=1,<2")
    examples = list(_examples(_text("README.md")))
    problems = []
    for number, (code, _) in enumerate(examples, 1):
        if OFFLINE in code:
            ran = _run(python, code, scratch, server)
            if 'pip install "langchain-easyllm[offline]"' not in ran.stderr:
                problems.append(
                    f"Without its extra, example {number} does not name it: {ran.stderr}"
                )
    _install(python, f"{wheel}[offline]")
    for number, (code, expected) in enumerate(examples, 1):
        ran = _run(python, code, scratch, server)
        if ran.returncode or (expected is not None and ran.stdout.strip() != expected.strip()):
            problems.append(f"Example {number} of the README: {ran.stdout}{ran.stderr}")
    return problems


def _examples(text: str) -> list[tuple[str, str | None]]:
    # Each block of Python, and the output that stands right behind it.
    found = re.findall(
        r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", text, re.DOTALL | re.MULTILINE
    )
    assert len(found) == len(code_blocks("python", text))
    return [(code, expected or None) for code, expected in found]


def _environment(folder: Path, *packages: str) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    _install(python, *packages)
    return python


def _install(python: Path, *packages: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run(command, check=True)


def _run(python: Path, code: str, scratch: Path, server: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-I", "-c", code.replace(SHOWN, server)]
    return subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
