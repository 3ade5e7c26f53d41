"""Constructor fields of a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from .errors import ConfigurationError
from .wire import looks_like_url

if TYPE_CHECKING:
    from .local import LocalSettings

__all__ = ["LOCAL", "LocalFields"]

LOCAL = "local"
"""The `api` of a model in this process."""

_ONLY_LOCAL = ("device", "device_map", "pipeline", "pipeline_kwargs")


class LocalFields(BaseModel):
    """What a local model (`api="local"`) is loaded with, and how much it does at once."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    pipeline: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    """A `transformers` text-generation pipeline of your own, in place of `model`. Default: none."""

    device: int | str | None = None
    """Where a local model goes: `"cpu"`, `"cuda"`, `0`, ... Default: transformers' choice."""

    device_map: str | dict[str, int | str] | None = None
    """How a local model is spread over devices (`"auto"`); needs accelerate. Default: it is not."""

    pipeline_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of `transformers.pipeline` for a local model. Default: none."""

    batch_size: int = Field(default=8, ge=1)
    """Most prompts that go through a local model together. Default 8."""

    def _is_local(self) -> bool:
        return self.__dict__.get("api") == LOCAL

    def _check_no_local_fields(self) -> None:
        """Refuse a local model's fields beside a server.

        Raises:
            ConfigurationError: If there is one.
        """
        for name in _ONLY_LOCAL:
            if self.__dict__[name] not in (None, {}):
                raise ConfigurationError(
                    f"{name} is for a local model: set api='local', or leave it out."
                )

    def _checked_local_model(self, model: str | None) -> str | None:
        """Refuse what cannot be loaded, as far as that can be told without loading it.

        Returns:
            The model's name; a pipeline's own, where none was given.

        Raises:
            ConfigurationError: If there is neither model nor pipeline, or not a good one, or a
                library is missing.
        """
        from .local import check_libraries, check_model, check_pipeline  # noqa: PLC0415 - if local

        if self.device is not None and self.device_map is not None:
            raise ConfigurationError("device and device_map are two ways to say one: set one.")
        if self.pipeline is not None:
            check_pipeline(self.pipeline)
            own = getattr(getattr(self.pipeline, "model", None), "name_or_path", None)
            return model or own or None
        if not model or looks_like_url(model):
            raise ConfigurationError(
                "api='local' runs a model in this process: set model to its folder or repository "
                "id, or pipeline to a transformers pipeline."
            )
        check_model(model)
        check_libraries("torch", "transformers")
        return model

    def _local_settings(
        self, model: str | None, kwargs: Mapping[str, object], token: str | None
    ) -> LocalSettings:
        from .local import LocalSettings, check_model  # noqa: PLC0415 - if local

        return LocalSettings(
            model=check_model(model) if model and self.pipeline is None else model,
            pipeline=self.pipeline,
            device=self.device,
            device_map=self.device_map,
            model_kwargs=kwargs,
            pipeline_kwargs=self.pipeline_kwargs,
            batch_size=self.batch_size,
            token=token,
        )
