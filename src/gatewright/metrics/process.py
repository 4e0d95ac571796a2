"""Metrics of the process and of the machine, or the container, that it runs on (MT-14)."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import psutil

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge

PROCESS = psutil.Process()


def process_metrics(_: Node) -> list[Family]:
    """What the whole process uses, data plane included; named as Prometheus' own libraries do."""
    with PROCESS.oneshot():
        times, memory, descriptors = PROCESS.cpu_times(), PROCESS.memory_info(), PROCESS.num_fds()
        threads, began = PROCESS.num_threads(), PROCESS.create_time()
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        counter("process_cpu_seconds_total", "CPU time used.", times.user + times.system),
        gauge("process_resident_memory_bytes", "Memory in use.", memory.rss),
        gauge("process_virtual_memory_bytes", "Address space in use.", memory.vms),
        gauge("process_open_fds", "Open file descriptors.", descriptors),
        gauge("process_max_fds", "File descriptors that may be open.", most),
        gauge("process_threads", "Threads, those of the data plane included.", threads),
        gauge("process_start_time_seconds", "Unix time at which the process began.", began),
        *process_disk_metrics(),
    ]


def process_disk_metrics() -> list[Family]:
    text = "Bytes that the process had read from disks, and written to them."
    with contextlib.suppress(OSError, psutil.Error):
        used = PROCESS.io_counters()
        samples = [({"direction": "read"}, used.read_bytes), ({"direction": "written"}, used.write_bytes)]
        return [counter("gateway_process_disk_bytes_total", text, samples)]
    return [counter("gateway_process_disk_bytes_total", text, ())]


def host_metrics(node: Node) -> list[Family]:
    """What there is around the process. In a container the network is its own, the rest the machine's."""
    memory, loads = psutil.virtual_memory(), psutil.getloadavg()
    return [
        gauge("gateway_host_memory_bytes", "Memory of the machine.", memory.total),
        gauge(
            "gateway_host_memory_available_bytes",
            "Memory of the machine that is free or can be freed.",
            memory.available,
        ),
        gauge("gateway_host_load", "Threads that run or wait to, averaged over a minute.", loads[0]),
        gauge("gateway_host_processors", "Processors of the machine.", psutil.cpu_count() or 0),
        *network_metrics(),
        *disk_metrics(node.state.path),
    ]


def network_metrics() -> list[Family]:
    """All interfaces but the loopback one."""
    interfaces = psutil.net_io_counters(pernic=True)
    counted = [used for name, used in interfaces.items() if name != "lo"]
    both = ({"direction": "received"}, {"direction": "sent"})
    octets = (sum(used.bytes_recv for used in counted), sum(used.bytes_sent for used in counted))
    dropped = (sum(used.dropin for used in counted), sum(used.dropout for used in counted))
    faults = (sum(used.errin for used in counted), sum(used.errout for used in counted))
    return [
        counter(
            "gateway_host_network_bytes_total",
            "Bytes on all interfaces but the loopback one.",
            zip(both, octets, strict=True),
        ),
        counter(
            "gateway_host_network_drops_total",
            "Packets dropped on those interfaces.",
            zip(both, dropped, strict=True),
        ),
        counter(
            "gateway_host_network_errors_total",
            "Packets in error on those interfaces.",
            zip(both, faults, strict=True),
        ),
    ]


def disk_metrics(state: Path) -> list[Family]:
    """The disk that has the state directory, or will."""
    where = next(place for place in (state, *state.absolute().parents) if place.exists())
    samples = []
    with contextlib.suppress(OSError):
        used = psutil.disk_usage(str(where))
        samples = [({"state": "used"}, used.used), ({"state": "free"}, used.free)]
    return [
        gauge(
            "gateway_state_disk_bytes", "Bytes of the disk that holds the state directory, by state.", samples
        )
    ]
