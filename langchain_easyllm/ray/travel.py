"""What travels to the actors, and what would be left behind on the way."""

from __future__ import annotations

import io
from typing import Any

from .._fields.client_owner import ClientOwner
from ..errors import ConfigurationError, EasyLLMError
from .extra import needs_ray

with needs_ray():
    from ray import cloudpickle


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc] # Ray has no types here
    """A pickler that notes the models and embeddings that it meets."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.owners: list[ClientOwner] = []

    def persistent_id(self, value: object) -> None:
        if isinstance(value, ClientOwner):
            self.owners.append(value)


def pack(value: object, name: str) -> bytes:
    """Return a pickled object; raises a sentence on what cannot travel to the actors."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(value)
    except EasyLLMError:
        raise  # says it by itself
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"The {name} cannot be sent to the actors, as it cannot be pickled "
            f"({type(error).__name__}: {reason}): open files, locks and clients where they are "
            "used, in a function of a module."
        ) from error
    for owner in pickler.owners:
        _check_secrets(owner)
    return file.getvalue()


def unpack(packed: bytes, name: str) -> Any:  # noqa: ANN401 - what was packed
    """Return what was packed; raises a sentence where a module is missing in the actor."""
    try:
        return cloudpickle.loads(packed)
    except Exception as error:
        raise ConfigurationError(
            f"The {name} cannot be loaded in the actor ({type(error).__name__}: {error}): install "
            "its modules on each node, or send them by the runtime_env of ray.init."
        ) from error


def _check_secrets(owner: ClientOwner) -> None:
    private = owner.__getstate__()["__pydantic_private__"]
    if left := (*private["_missing_secrets"], *private["_missing_clients"]):
        raise ConfigurationError(
            f"The {type(owner).__name__} would arrive in the actors without its "
            f"{', '.join(left)}: keys, clients and functions that cannot be pickled stay behind. "
            "Give api_key as a function of a module, which finds the token where it is called."
        )
