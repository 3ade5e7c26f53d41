"""Let atheris search for input that breaks a test: `python -m tests.fuzz [TARGET ...]`.

Each target is a test of the suite that takes random input. atheris makes it from bytes, and keeps
those that reach new lines of the package in `.fuzz/TARGET`, from where the next run goes on.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

TARGETS = {
    "http": ("http.test_fuzzing", "test_a_broken_response_is_never_read_as_another"),
    "http-bytes": ("http.test_fuzzing", "test_any_bytes_are_a_response_or_refused"),
    "sse": ("http.test_fuzzing", "test_any_bytes_are_an_event_stream"),
    "errors": ("http.test_fuzzing", "test_whatever_a_server_says_of_its_failure_becomes_an_error"),
    "tools": ("tool_formats.test_fuzzing", "test_any_text_is_read_alike_however_it_is_cut"),
    "templates": ("prompts.test_fuzzing", "test_any_template_is_rendered_or_refused"),
    "conversations": ("prompts.test_fuzzing", "test_any_conversation_is_rendered_or_refused"),
    "schemas": ("structured_output.test_fuzzing", "test_any_schema_is_taken_or_refused"),
    "json": ("structured_output.test_fuzzing", "test_json_is_found_in_any_text_or_not"),
}
CORPUS = Path(__file__).parents[2] / ".fuzz"
MISSING = (
    "atheris is not installed: it has wheels for some versions of Python on Linux only "
    "(see https://pypi.org/project/atheris/#files). `HYPOTHESIS_PROFILE=long make test` runs the "
    "same tests without it."
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"there is no target {unknown[0]!r}: there are {', '.join(TARGETS)}")
    return options


def _fuzz(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    module, test = TARGETS[name]
    with atheris.instrument_imports(include=["langchain_easyllm"]):
        tests = importlib.import_module(f"tests.unit_tests.{module}")
    check = getattr(tests, test).hypothesis
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}-",
        "-max_len=2048",
        "-timeout=30",  # a hang is a crash
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(folder)], check.fuzz_one_input)
    atheris.Fuzz()


def main() -> None:
    """Fuzz the targets one after the other; the exit status is 1 where one broke."""
    options = _arguments()
    if find_spec("atheris") is None:
        print(MISSING)
        return
    if options.here:
        _fuzz(options.targets[0], options.seconds)
        return
    broken = []
    for name in options.targets or TARGETS:
        print(f"{name}: {options.seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", name, "--here", "--seconds"]
        done = subprocess.run([*command, str(options.seconds)], check=False)
        if done.returncode:
            broken.append(name)
            module, test = TARGETS[name]
            path = f"tests/unit_tests/{module.replace('.', '/')}.py"
            print(f"{name} broke: the input is in {CORPUS.name}/{name}-crash-*, and the smallest")
            print(f"example that hypothesis finds: python -m pytest {path} -k {test}")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
