"""The current OpenTelemetry span as headers (`traceparent`), where a program traces."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from .headers import checked_headers


def is_traced() -> bool:
    """Whether a span is current; where nothing imported OpenTelemetry, none can be."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return False
    try:
        return bool(trace.get_current_span().get_span_context().is_valid)
    except Exception:  # noqa: BLE001 - a broken tracer breaks no call
        return False


def trace_headers() -> Mapping[str, str]:
    """Return what the configured propagators say of the current span."""
    if not is_traced():
        return {}
    carrier: dict[str, str] = {}
    try:
        from opentelemetry import propagate  # noqa: PLC0415 - the program's own, if it has it

        propagate.inject(carrier)
        return checked_headers(carrier)
    except Exception:  # noqa: BLE001 - a broken tracer breaks no call
        return {}
