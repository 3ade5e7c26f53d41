"""A key that travels by the name of its variable."""

from __future__ import annotations

import os

from ..errors import ConfigurationError


class EnvironmentVariable:
    """A function for `api_key`: it reads a variable where it is called, in an actor for example."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> str:
        value = os.environ.get(self._name)
        if not value:
            raise ConfigurationError(f"The environment variable {self._name} is not set.")
        return value
