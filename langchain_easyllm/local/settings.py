"""What a local model is loaded with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["LocalSettings"]


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """What makes two objects use the same model.

    Attributes:
        model: A folder, or a repository id on the Hub; a pipeline's name.
        pipeline: A pipeline that the caller made, or None.
        device: Where the model goes, as `transformers.pipeline` takes it.
        device_map: How it is spread over devices, as `from_pretrained` takes it.
        model_kwargs: Further arguments of `from_pretrained`.
        pipeline_kwargs: Further arguments of `transformers.pipeline`.
        batch_size: Most prompts that go through the model together.
        token: A Hugging Face token, to download it with.
    """

    model: str | None = None
    pipeline: Callable[..., object] | None = None
    device: object = None
    device_map: object = None
    model_kwargs: Mapping[str, object] = field(default_factory=dict)
    pipeline_kwargs: Mapping[str, object] = field(default_factory=dict)
    batch_size: int = 8
    token: str | None = field(default=None, repr=False)

    @property
    def key(self) -> object:
        """What the registry knows the model by."""
        if self.pipeline is not None:
            return id(self.pipeline), self.batch_size
        settings = (self.device, self.device_map, self.model_kwargs, self.pipeline_kwargs)
        return self.model, repr(settings), self.batch_size
