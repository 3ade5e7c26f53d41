"""`from_model_id`, as langchain-huggingface's classes have it: a model's name to fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .._nearest import did_you_mean
from .._servers.profile import NEUTRAL_FIELDS
from ..errors import ConfigurationError
from .aliases import ALIASES
from .connection import LOCAL

_TASK = "text-generation"
_LOCAL_BACKENDS = ("default", "pipeline")
_SERVED_BACKENDS = ("endpoint", "text-gen")
# Runtimes of langchain-huggingface that no longer are, or that this package does not load.
_OTHER_RUNTIMES = ("openvino", "ipex")


def fields_of_model_id(
    model_id: str,
    *,
    task: str | None,
    backend: str,
    local: Mapping[str, object],
    given: Mapping[str, object],
    known: Collection[str],
) -> dict[str, Any]:
    """Return constructor arguments; `local` are those that only a model in this process has."""
    local = {name: value for name, value in local.items() if value is not None}
    if backend in _SERVED_BACKENDS:
        kept = {name: local.pop(name) for name in ("model_kwargs",) if name in local}
        for name in local:
            raise ConfigurationError(
                f"{name} is for a model in this process, and backend={backend!r} is a server: "
                "leave one of them out."
            )
        return {"model": model_id, **({"task": task} if task else {}), **kept, **given}
    _check_backend(backend)
    _check_task(task)
    device = local.get("device")
    if isinstance(device, int) and device < 0 and "device_map" in local:
        del local["device"]  # -1 is what their examples have for "none in particular"
    return {"api": LOCAL, "model": model_id, **_without_generation(local, known), **given}


def _without_generation(local: dict[str, object], known: Collection[str]) -> dict[str, object]:
    """Make fields of a pipeline's arguments that are fields here: those of generation."""
    arguments = local.get("pipeline_kwargs")
    if not isinstance(arguments, Mapping):
        return local
    names = {name: ALIASES.get(name, name) for name in arguments}
    moved = [name for name, own in names.items() if own in NEUTRAL_FIELDS and own in known]
    rest = {name: value for name, value in arguments.items() if name not in moved}
    return {**local, "pipeline_kwargs": rest, **{name: arguments[name] for name in moved}}


def _check_backend(backend: object) -> None:
    if backend in _OTHER_RUNTIMES:
        raise ConfigurationError(
            f"backend={backend!r} is not loaded here: leave it out, or serve the model with it and "
            "give its base_url."
        )
    if backend not in _LOCAL_BACKENDS:
        choices = (*_LOCAL_BACKENDS, *_SERVED_BACKENDS)
        hint = did_you_mean(backend, choices, f"use {', '.join(map(repr, choices))}.", cutoff=0.5)
        raise ConfigurationError(f"backend={backend!r:.50} is not known: {hint}")


def _check_task(task: object) -> None:
    if task in (None, _TASK, "conversational"):
        return
    serve = (
        f"a model in this process does {_TASK!r} only; serve it (vLLM, TGI), and give its base_url."
    )
    hint = did_you_mean(task, [_TASK], serve, cutoff=0.9)
    raise ConfigurationError(f"task={task!r:.50} cannot be done here: {hint}")
