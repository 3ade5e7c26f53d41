"""The values of the options of `with_structured_output`."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode", "prompt"]
METHODS: tuple[str, ...] = get_args(Method)

WholeMode: TypeAlias = Literal["auto", "final", "partial"]
"""What a stream yields: values of one type with the answer."""

OutputMode: TypeAlias = Literal["auto", "final", "partial", "items"]
OUTPUT_MODES: tuple[str, ...] = get_args(OutputMode)
