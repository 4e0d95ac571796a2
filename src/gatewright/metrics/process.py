"""Metrics of the process."""

from __future__ import annotations

import psutil

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge

PROCESS = psutil.Process()


def process_metrics(_: Node) -> list[Family]:
    """CPU time, memory and descriptors of the whole process, data plane included (MT-14)."""
    with PROCESS.oneshot():
        times, memory, descriptors = PROCESS.cpu_times(), PROCESS.memory_info(), PROCESS.num_fds()
    return [
        counter("process_cpu_seconds_total", "CPU time used.", times.user + times.system),
        gauge("process_resident_memory_bytes", "Memory in use.", memory.rss),
        gauge("process_open_fds", "Open file descriptors.", descriptors),
    ]
