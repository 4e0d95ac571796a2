"""Traces to their part of the snapshot."""

from typing import Any

from gatewright.config.models import Gateway


def compile_tracing(gateway: Gateway) -> dict[str, Any] | None:
    """What the data plane has to know; nothing where no traces are wanted."""
    tracing = gateway.tracing
    if tracing is None:
        return None
    return {
        "propagate": tracing.propagate,
        "sample": tracing.sample,
        "parent_based": tracing.parent_based,
    }
