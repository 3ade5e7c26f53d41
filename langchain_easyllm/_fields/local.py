"""Constructor fields of a model in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from .._servers.urls import is_url
from ..errors import ConfigurationError
from .client_owner import ClientOwner
from .connection import LOCAL

if TYPE_CHECKING:
    from .._generation.client import GenerationClient
    from .._local.settings import LocalSettings


class LocalModelChoice(ClientOwner):
    """Fields of every local model (`api="local"`), and its client."""

    device: int | str | None = None
    """The device of a local model: `"cpu"`, `"cuda"`, `0`, ... Default: the library's choice."""

    _only_local: ClassVar[tuple[str, ...]] = ("device",)
    """Fields that are for a local model only."""

    _libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    """The libraries that a local model needs."""

    _model_files: ClassVar[tuple[str, ...]] = ("config.json",)
    """Files of which the folder of a local model has at least one."""

    _embeds: ClassVar[bool] = False
    """Whether a local model embeds instead of generating text."""

    def _is_local(self) -> bool:
        return self.__dict__.get("api") == LOCAL

    @model_validator(mode="after")
    def _check_local_fields(self) -> Self:
        for name in () if self._is_local() else self._only_local:
            if self.__dict__[name] not in (None, {}):
                raise ConfigurationError(
                    f"{name} is for a local model: set api='local', or leave it out."
                )
        return self

    def _check_local(self) -> None:
        super()._check_local()
        self._check_local_model()

    def _check_local_model(self) -> None:
        """Check what can be checked without loading the model."""
        from .._local.settings import check_libraries, check_model  # noqa: PLC0415 - if local

        if not self.model or is_url(self.model):
            raise ConfigurationError(
                "api='local' runs a model in this process: set model to its folder, or to its "
                "repository id on the Hub."
            )
        check_model(self.model, self._model_files)
        check_libraries(*self._libraries)

    def _kwargs_of_body(self) -> Mapping[str, object]:
        """Return what `model_kwargs` adds to a request; it loads a local model instead."""
        return {} if self._is_local() else self.model_kwargs

    def _local_settings(self) -> LocalSettings:
        from .._local.settings import LocalSettings, check_model  # noqa: PLC0415 - if local

        return LocalSettings(
            model=check_model(self.model, self._model_files) if self.model else None,
            device=self.device,
            model_kwargs=self.model_kwargs,
            token=self._hub_token(),
        )

    def _new_client(self) -> GenerationClient:
        if not self._is_local():
            return super()._new_client()
        from .._generation.client import GenerationClient  # noqa: PLC0415 - loads with the first request
        from .._local.session import local_session  # noqa: PLC0415 - as above

        session = local_session(self._local_settings(), embeddings=self._embeds)
        return GenerationClient(session, self._hub_token())


class LocalModelFields(LocalModelChoice):
    """Fields of a local language model."""

    pipeline: Callable[..., Any] | None = Field(default=None, exclude=True, repr=False)
    """A `transformers` text-generation pipeline to use instead of `model`. Default: none."""

    device_map: str | dict[str, int | str] | None = None
    """How to distribute a local model over devices (`"auto"`); needs accelerate. Default: not."""

    pipeline_kwargs: dict[str, Any] = Field(default_factory=dict)
    """More arguments of `transformers.pipeline` for a local model. Default: none."""

    batch_size: int = Field(default=8, ge=1)
    """The maximum number of prompts that a local model processes together. Default 8."""

    _only_local: ClassVar[tuple[str, ...]] = ("device", "device_map", "pipeline", "pipeline_kwargs")

    @classmethod
    def _own_arguments(cls, values: Mapping[str, object]) -> dict[str, object]:
        own = super()._own_arguments(values)
        if own.get("pipeline") is not None and own.get("api", "auto") == "auto":
            own["api"] = LOCAL
        return own

    @classmethod
    def from_model_id(  # noqa: PLR0917 - HuggingFacePipeline's order
        cls,
        model_id: str,
        task: str | None = None,
        backend: str = "default",
        device: int | str | None = None,
        device_map: str | dict[str, int | str] | None = None,
        model_kwargs: dict[str, Any] | None = None,
        pipeline_kwargs: dict[str, Any] | None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> Self:
        """Return an object for a model in this process, as `HuggingFacePipeline.from_model_id`.

        Args:
            model_id: The model's folder, or its repository id on the Hub.
            task: `"text-generation"`, which is also the default.
            backend: `"default"` or `"pipeline"`: in this process. `"endpoint"` or `"text-gen"`, as
                in `ChatHuggingFace`: on the server of `base_url`, or on Inference Providers.
            device: See the field.
            device_map: See the field.
            model_kwargs: See the field.
            pipeline_kwargs: Arguments of `transformers.pipeline`; generation fields among them
                (`max_new_tokens`, `temperature`, ...) set the fields.
            batch_size: See the field.
            kwargs: Other fields.

        Returns:
            The object. The model is loaded with the first call.

        Raises:
            ConfigurationError: If the task or the backend is not one of these, or the model cannot
                be run here.
        """
        from .from_model_id import fields_of_model_id  # noqa: PLC0415 - seldom needed

        local = {
            "device": device,
            "device_map": device_map,
            "model_kwargs": model_kwargs,
            "pipeline_kwargs": pipeline_kwargs,
            "batch_size": batch_size,
        }
        fields = fields_of_model_id(
            model_id,
            task=task,
            backend=backend,
            local=local,
            given=kwargs,
            known=cls.model_fields,
        )
        return cls(**fields)

    def _check_local_model(self) -> None:
        from .._local.settings import check_pipeline  # noqa: PLC0415 - if local

        if self.device is not None and self.device_map is not None:
            raise ConfigurationError("device and device_map exclude each other: set one of them.")
        if self.pipeline is None:
            super()._check_local_model()
            return
        check_pipeline(self.pipeline)
        own = getattr(getattr(self.pipeline, "model", None), "name_or_path", None)
        if own and not self.model:
            self.model = str(own)

    def _local_settings(self) -> LocalSettings:
        if self.pipeline is not None:
            from .._local.settings import LocalSettings  # noqa: PLC0415 - if local

            return LocalSettings(self.model, pipeline=self.pipeline, batch_size=self.batch_size)
        return replace(
            super()._local_settings(),
            device_map=self.device_map,
            pipeline_kwargs=self.pipeline_kwargs,
            batch_size=self.batch_size,
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        memo[id(self.pipeline)] = self.pipeline  # a copy shares the model, as it shares sockets
        return super().__deepcopy__(memo)
