"""Read the bundled models, verified by checksum before they are used."""

from __future__ import annotations

import hashlib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from ..errors import ConfigurationError
from ._extra import needs_extra

with needs_extra():
    from numpy.typing import NDArray
    from safetensors.numpy import load

_REINSTALL = 'reinstall the package: pip install --force-reinstall "langchain-easyllm[offline]".'


def bundled(name: str) -> Traversable:
    """Return the folder of a bundled model: "chat" or "embeddings"."""
    return resources.files(__package__) / "models" / name


def read_verified(folder: Traversable) -> dict[str, bytes]:
    """Read the files that a folder's `SHA256SUMS` lists: the very bytes that were verified."""
    sums = _read(folder, "SHA256SUMS").decode("ascii", "replace")
    listed = [line.split(maxsplit=1) for line in sums.splitlines()]
    if not listed or any(len(entry) != 2 for entry in listed):
        raise ConfigurationError(f"The offline model's file SHA256SUMS is damaged: {_REINSTALL}")
    content = {}
    for wanted, name in listed:
        content[name] = _read(folder, name)
        if hashlib.sha256(content[name]).hexdigest() != wanted:
            raise ConfigurationError(f"The offline model's file {name} is damaged: {_REINSTALL}")
    return content


def read_tensors(data: bytes) -> dict[str, NDArray[Any]]:
    return load(data)


def _read(folder: Traversable, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The offline model's file {name} cannot be read "
            f"({error.strerror or type(error).__name__}): {_REINSTALL}"
        ) from error
