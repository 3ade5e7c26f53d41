"""Bundled files that are damaged or gone, and libraries that are not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.resources import as_file
from pathlib import Path

import pytest

from langchain_easyllm.errors import ConfigurationError
from langchain_easyllm.offline._extra import MissingExtraError, needs_extra
from langchain_easyllm.offline.weights import bundled, read_verified

REINSTALL = 'reinstall the package: pip install --force-reinstall "langchain-easyllm\\[offline\\]"'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with as_file(bundled("chat")) as source:
        return Path(shutil.copytree(source, tmp_path / "chat"))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("chat", {"config.json", "model.safetensors", "tokenizer.json"}),
        ("embeddings", {"model.safetensors", "tokenizer.json"}),
    ],
)
def test_the_bundled_files_are_what_they_were(name, names):
    files = read_verified(bundled(name))
    assert files.keys() == names
    assert all((bundled(name) / file).read_bytes() == content for file, content in files.items())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("place", [0, 200, -1])
def test_one_changed_byte_is_noticed(folder, name, place):
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{name} is damaged: {REINSTALL}"):
        read_verified(folder)


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_a_file_cut_short_is_noticed(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ConfigurationError, match=f"safetensors is damaged: {REINSTALL}"):
        read_verified(folder)


@pytest.mark.parametrize("name", ["SHA256SUMS", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ConfigurationError, match=f"{name} cannot be read .*: {REINSTALL}"):
        read_verified(folder)


@pytest.mark.parametrize("content", [b"", b"no checksum\xff\n", b"abc\n", b"<<<<<<< HEAD\n"])
def test_a_damaged_list_of_checksums_is_noticed(folder, content):
    (folder / "SHA256SUMS").write_bytes(content)
    with pytest.raises(ConfigurationError, match=REINSTALL):
        read_verified(folder)


MODULES = {
    "numpy": "llama",
    "safetensors": "weights",
    "tokenizers": "language_model",
    "threadpoolctl": "embedding_model, langchain_easyllm.offline.llama",
}


@pytest.mark.parametrize("missing", MODULES)
def test_a_missing_library_is_reported_with_the_command_that_installs_it(missing):
    # None in sys.modules is how Python itself says that a module cannot be imported.
    code = f"import sys; sys.modules[{missing!r}] = None\n"
    code += f"import langchain_easyllm.offline.{MODULES[missing]}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        "langchain_easyllm.offline._extra.MissingExtraError: The offline models need "
        f'{missing}, which is not installed: run pip install "langchain-easyllm[offline]".'
    )


def test_a_missing_llguidance_is_reported_where_a_constraint_is_made():
    code = "import sys; sys.modules['llguidance'] = None\n"
    code += "from langchain_easyllm.offline.constraint import Constraint\n"
    code += "print('imported'); Constraint.regex('a')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "imported\n"
    assert 'run pip install "langchain-easyllm[offline]".' in done.stderr


def test_a_missing_extra_is_an_import_error_and_others_pass():
    assert {ImportError, ConfigurationError} <= set(MissingExtraError.__mro__)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"), needs_extra():
        import no_such_library  # noqa: F401
