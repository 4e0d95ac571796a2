"""Ports for programs that cannot be told port 0."""

import random
import socket
from collections.abc import Iterator
from pathlib import Path

LOWEST = 10_000


def unused_ports() -> Iterator[int]:
    """Ports of 127.0.0.1 that nothing listened on a moment ago, each once.

    All are below those that the kernel gives to outgoing connections: such a one could take the port before
    the program does, and whoever asks whether it listens already could be connected with himself.
    """
    first, _ = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    ports = range(LOWEST, int(first))
    if not ports:
        raise OSError(f"the kernel gives all ports from {first} on to outgoing connections")
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
