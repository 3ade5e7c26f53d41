"""Every example of the documentation runs, and prints what its page shows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..support.documentation import matches, read_page

ROOT = Path(__file__).parents[2]
AFTER = Path(__file__).parent / "after"
"""What holds of the names of a page, and of its servers, when its blocks have run."""


def pages() -> list[Path]:
    """The pages that have examples."""
    found = [*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")]
    return sorted(page for page in found if read_page(page.read_text("utf-8")).python())


def runs() -> list[tuple[Path, int | None]]:
    """A page, or one of its blocks where each runs alone."""
    listed: list[tuple[Path, int | None]] = []
    for path in pages():
        page = read_page(path.read_text("utf-8"))
        alone = [(path, n) for n, block in enumerate(page.python()) if block.not_run is None]
        listed += alone if page.alone else [(path, None)]
    return listed


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else f"block {value}"


def stem(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix().replace("/", "_")


@pytest.mark.parametrize(("page", "block"), runs(), ids=name)
def test_the_examples_run(page: Path, block: int | None) -> None:
    command = [sys.executable, "-m", "tests.docs_tests.run_page", str(page)]
    if block is not None:
        command += ["--block", str(block)]
    after = AFTER / f"{stem(page)}.py"
    if after.exists() and block is None:
        command += ["--after", str(after)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_what_is_run_afterwards_belongs_to_a_page() -> None:
    assert {path.stem for path in AFTER.glob("*.py")} <= set(map(stem, pages()))


PAGE = """
<!-- servers: 8080=vllm(a/b):"two words" 8081=offline?cut_after=4 hub
     https://x.example.com=tei -->

```python title="x"
print(1)
```

```text
1
```

1. A list

    <!-- not run: it needs
         a GPU -->

    ```python
    print(2)
    ```

```bash
make
```
"""


def test_a_page_is_read() -> None:
    page = read_page(PAGE)
    first, second = page.python()
    assert (first.code, first.line, first.output, first.not_run) == ("print(1)\n", 6, "1\n", None)
    assert (second.code, second.output) == ("print(2)\n", None)
    assert second.not_run is not None
    assert second.not_run.split() == ["it", "needs", "a", "GPU"]
    assert page.servers == {
        "8080": 'vllm(a/b):"two words"',
        "8081": "offline?cut_after=4",
        "https://router.huggingface.co": "hub",
        "https://x.example.com": "tei",
    }
    assert not page.alone
    with pytest.raises(ValueError, match="eighty"):
        read_page("<!-- servers: eighty=tgi -->")


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a  \nb", True),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("took ... s\n", "took 0.3 s\n", True),
        ("a\n", "a\nb\n", False),
        ("a\n...\nd\n", "a\nb\n", False),
    ],
)
def test_dots_stand_for_anything(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_a_block_that_fails_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nx = 1\nprint(nothing)\n```\n")
    command = [sys.executable, "-m", "tests.docs_tests.run_page", str(page)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"{page}:4: NameError" in done.stdout
    assert 'page.md", line 5' in done.stdout
