"""A token as a field: its origin decides where it may be sent."""

from __future__ import annotations

from pydantic import SecretStr


class _Key(SecretStr):
    """A key that compares equal to any `SecretStr` of the same value."""

    def __repr__(self) -> str:
        return f"SecretStr('{self}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._secret_value == other.get_secret_value()

    def __hash__(self) -> int:
        return hash(self._secret_value)


class EnvironmentKey(_Key):
    """A token of the environment, also where another object's fields pass it on."""


class GivenKey(_Key):
    """A key given by hand, with the root URL of the server that it was given for."""

    def __init__(self, value: str, origin: str) -> None:
        super().__init__(value)
        self.origin = origin


def environment_key() -> SecretStr | None:
    from .._http.auth import environment_token  # noqa: PLC0415 - sockets load with the first object

    token = environment_token()
    return EnvironmentKey(token) if token else None
