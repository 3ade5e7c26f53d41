"""Read the bundled models, verified by checksum before anything of them is used."""

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

__all__ = ["bundled", "read_tensors", "read_verified"]

_REINSTALL = 'reinstall the package: pip install --force-reinstall "langchain-easyllm[offline]".'


def bundled(name: str) -> Traversable:
    """Return the folder of a bundled model: "chat" or "embeddings"."""
    return resources.files(__package__) / "models" / name


def read_verified(folder: Traversable) -> dict[str, bytes]:
    """Read the files that a folder's `SHA256SUMS` lists.

    The bytes returned are the very bytes that were verified.

    Args:
        folder: A folder with a file `SHA256SUMS`, written as `sha256sum` writes it.

    Returns:
        The content of each listed file by its name.

    Raises:
        ConfigurationError: If a file is missing or is not what it was, naming it.
    """
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
    """Return the arrays of a safetensors file by name, in the types that they are stored in."""
    return load(data)


def _read(folder: Traversable, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The offline model's file {name} cannot be read "
            f"({error.strerror or type(error).__name__}): {_REINSTALL}"
        ) from error
