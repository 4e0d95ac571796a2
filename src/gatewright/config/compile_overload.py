"""What a checked configuration says about overload, as its part of the snapshot."""

from typing import Any

from gatewright.config.models import Concurrency, CpuShedding, MemoryShedding, Overload


def compile_overload(overload: Overload) -> dict[str, Any]:
    """Give the section as a member of the snapshot."""
    return {
        "cpu": _cpu(overload.cpu) if overload.cpu.enabled else None,
        "memory": _memory(overload.memory) if overload.memory.enabled else None,
        "concurrency": _concurrency(overload.concurrency) if overload.concurrency.enabled else None,
        "margin": overload.margin,
        "retry_after_ms": int(overload.retry_after),
    }


def _cpu(cpu: CpuShedding) -> dict[str, Any]:
    return {"p1": cpu.p1, "p2": cpu.p2, "p3": cpu.p3, "window_ms": int(cpu.window)}


def _memory(memory: MemoryShedding) -> dict[str, Any]:
    limit = None if memory.limit is None else int(memory.limit)
    return {"low": memory.low, "all": memory.all, "limit_bytes": limit}


def _concurrency(concurrency: Concurrency) -> dict[str, Any]:
    return {
        "minimum": concurrency.minimum,
        "maximum": concurrency.maximum,
        "tolerance": concurrency.tolerance,
    }
