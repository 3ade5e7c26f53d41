"""An error of a job as Ray Data shows those of its users' code: without its own frames."""

from __future__ import annotations

from ..errors import EasyLLMError
from .extra import needs_ray

with needs_ray():
    from ray.exceptions import UserCodeException


def as_user_error(error: EasyLLMError) -> Exception:
    """Return an error of the same class and contents that Ray takes for one of the user's code.

    Ray's own wrapper hides the class, so that nobody could catch it in the driver.
    """
    shown = _shown_class(type(error))(error.message)
    shown.__dict__.update(error.__dict__)
    return shown


def _shown_class(cls: type[EasyLLMError]) -> type[Exception]:
    def reduce(error: EasyLLMError) -> tuple[object, ...]:
        return _rebuild, (cls, error.message, dict(error.__dict__))

    namespace = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__reduce__": reduce}
    return type(cls.__name__, (cls, UserCodeException), namespace)


def _rebuild(cls: type[EasyLLMError], message: str, state: dict[str, object]) -> Exception:
    error = cls(message)
    error.__dict__.update(state)
    return as_user_error(error)
