"""A token as a field, or the function that returns one: its origin decides where it may be sent."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .._http.user_functions import UserFunction


class _Key(SecretStr):
    """A key that compares equal to any `SecretStr` of the same value."""

    def __repr__(self) -> str:
        return f"SecretStr('{self}')"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretStr) or isinstance(other, FunctionKey):
            return False
        return self._secret_value == other.get_secret_value()

    def __hash__(self) -> int:
        return hash(self._secret_value)


class EnvironmentKey(_Key):
    """A token of the environment, also where another object's fields pass it on."""


class GivenKey(_Key):
    """A key given by hand, with the root URLs of the servers that it was given for."""

    def __init__(self, value: str, origins: tuple[str, ...]) -> None:
        super().__init__(value)
        self.origins = origins


class FunctionKey(_Key):
    """A function that returns a token, with the root URLs of the servers that it was given for.

    `get_secret_value` asks the function; what it returns is not kept.
    """

    def __init__(self, function: Callable[[], object], origins: tuple[str, ...] = ()) -> None:
        super().__init__("a function")
        self.function = function
        self.origins = origins

    @cached_property
    def source(self) -> UserFunction:
        """What the HTTP layer asks."""
        from .._http.user_functions import UserFunction  # noqa: PLC0415 - loads with the first request

        return UserFunction(self.function)

    def get_secret_value(self) -> str:
        """Ask the function for a token. Blocks."""
        from .._http.user_functions import ask_token  # noqa: PLC0415 - loads with the first request

        return ask_token(self.source) or ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionKey) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # a copy asks the same function

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in self.__dict__.items() if name != "source"}


def environment_key() -> SecretStr | None:
    from .._http.auth import environment_token  # noqa: PLC0415 - sockets load with the first object

    token = environment_token()
    return EnvironmentKey(token) if token else None


def as_key(value: object) -> object:
    """Return a given `api_key` so that no message of pydantic's ever shows it."""
    if isinstance(value, str):
        return SecretStr(value)
    if value is None or isinstance(value, SecretStr):
        return value
    check_function("api_key", value, "a str, a SecretStr or a function that returns one of them")
    return FunctionKey(value)  # type: ignore[arg-type]


def bind_key(key: object, origins: tuple[str, ...]) -> SecretStr | None:
    """Return a key with the servers that it is for; one of another object keeps its own."""
    if isinstance(key, FunctionKey) and not key.origins:
        return FunctionKey(key.function, origins)
    if isinstance(key, SecretStr) and not isinstance(key, _Key):
        return GivenKey(key.get_secret_value(), origins)
    if callable(key):
        return FunctionKey(key, origins)
    return key  # type: ignore[return-value]


def check_function(name: str, value: object, wanted: str) -> None:
    """Refuse what cannot be called, and a class, of which an object is meant."""
    if isinstance(value, type):
        raise ConfigurationError(
            f"{name} is the class {value.__name__}: give an object of it, or a function."
        )
    if not callable(value):
        raise ConfigurationError(f"{name} must be {wanted}, not {type(value).__name__}.")


def is_picklable(value: object) -> bool:
    """Whether a key or a function may and can be pickled: no secret may, and no lambda can."""
    if isinstance(value, SecretStr) and not isinstance(value, FunctionKey):
        return isinstance(value, EnvironmentKey)  # which is left out all the same
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - objects that can be called raise what they like
        return False
    return True
