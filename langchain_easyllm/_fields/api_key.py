"""A token as a field: where it came from decides where it may go."""

from __future__ import annotations

from pydantic import SecretStr

__all__ = ["EnvironmentKey", "GivenKey", "environment_key"]


class _Key(SecretStr):
    """A key that knows where it came from."""

    def __repr__(self) -> str:
        return f"SecretStr('{self}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._secret_value == other.get_secret_value()

    def __hash__(self) -> int:
        return hash(self._secret_value)


class EnvironmentKey(_Key):
    """A token that nobody gave by hand, however often an object is made again from its fields."""


class GivenKey(_Key):
    """A key given by hand, and the server's root that it was given for."""

    def __init__(self, value: str, home: str) -> None:
        super().__init__(value)
        self.home = home


def environment_key() -> SecretStr | None:
    """Return the environment's token, or the stored login's."""
    from .._http.auth import environment_token  # noqa: PLC0415 - sockets load with the first object

    token = environment_token()
    return EnvironmentKey(token) if token else None
