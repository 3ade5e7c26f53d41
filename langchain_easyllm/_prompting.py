"""The constructor field that names a prompt template."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from .errors import ConfigurationError

if TYPE_CHECKING:
    from .prompts import ChatPrompt

__all__ = ["AUTO", "PromptFields", "environment_prompt"]

AUTO = "auto"
"""The `prompt_builder` that means the model's own template."""


def environment_prompt() -> str | None:
    """Return the `prompt_builder` of the environment (`HUGGINGFACE_PROMPT`), or None."""
    return os.environ.get("HUGGINGFACE_PROMPT", "").strip() or None


class PromptFields(BaseModel):
    """How messages become the one string of a text api."""

    model_config = ConfigDict(arbitrary_types_allowed=True, defer_build=True)

    prompt_builder: str | Callable[[Any], str] | None = Field(
        default_factory=environment_prompt, validate_default=True
    )
    """A name of `langchain_easyllm.prompts.PROMPT_MAPPING`, a callable `(messages) -> str`, a
    `ChatPrompt`, a Jinja chat template, or `"auto"` for the model's own template. Default:
    `HUGGINGFACE_PROMPT`, else None: the server renders."""

    _found: tuple[object, ChatPrompt] | None = PrivateAttr(default=None)

    @field_validator("prompt_builder", mode="before")
    @classmethod
    def _known_prompt(cls, value: object) -> object:
        if value is not None and not isinstance(value, str) and not callable(value):
            raise ConfigurationError(
                "prompt_builder must be a name, a callable, a ChatPrompt, a Jinja template or "
                f"'auto', not {type(value).__name__}."
            )
        if isinstance(value, str) and value != AUTO:
            from ._templates import find_template  # noqa: PLC0415 - templates load when used

            find_template(value)
        return value

    def _template(self) -> ChatPrompt | None:
        """Return the template that the field names, or None for none and for `"auto"`."""
        spec = self.prompt_builder
        if spec is None or spec == AUTO:
            return None
        if self._found is None or self._found[0] is not spec:
            from ._templates import find_template  # noqa: PLC0415 - as above

            self._found = (spec, find_template(spec))
        return self._found[1]
