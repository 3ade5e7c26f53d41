"""The fixtures that run one test in many ways, in a process without anybody's token."""

from __future__ import annotations

from ..face.conftest import _nobody, any_way, streamed, way, whole

__all__ = ["_nobody", "any_way", "streamed", "way", "whole"]
