"""Addresses as people write them, and the look-up of host names."""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gatewright.config.models import Service
from gatewright.config.positions import Position
from gatewright.errors import Problem

Resolver = Callable[[str, int], Sequence[str]]
"""Gives the IP addresses of a host for a port, or raises `OSError`."""

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
MAX_PORT = 65_535
MAX_PATH = 107
"""Bytes of the longest path that the kernel connects to."""
UNIX = "unix:"


@dataclass(frozen=True, slots=True)
class Address:
    """A host, without brackets, and a port."""

    host: str
    port: int

    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """Give the host as an IP address; `None` where it is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def is_name(self) -> bool:
        """Say whether the host has to be looked up."""
        return self.ip() is None

    def is_loopback(self) -> bool:
        """Say whether only this machine can reach the address."""
        ip = self.ip()
        return self.host == "localhost" if ip is None else ip.is_loopback


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_network(text: str) -> Network:
    """Give a network, or the one address that is written. Raises `ValueError` with what would work."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        message = f"`{text}` is not a network; write `10.0.0.0/8`, `10.1.2.3` or `fd00::/8`"
        raise ValueError(message) from error
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        message = f"`{text}` is a network of IPv4 addresses; write it as one of IPv4"
        raise ValueError(message)
    if "/" in text and str(network.network_address) != text.partition("/")[0]:
        message = f"`{text}` has bits set outside its prefix; write `{network}`"
        raise ValueError(message)
    return network


def is_network(text: str) -> bool:
    """Say whether it is written as an address or a network, be it a wrong one, and not as a name."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class UnixPath:
    """A socket in the file system, by its absolute path."""

    path: str

    def is_name(self) -> bool:
        """Say whether it has to be looked up."""
        return False


Endpoint = Address | UnixPath
"""What can be listened on and connected to."""


def read_endpoint(text: str) -> Endpoint:
    """Read `unix:/PATH`, or what `read_address` reads. Raises `ValueError` with what would work."""
    if not text.startswith(UNIX):
        return read_address(text)
    path = text.removeprefix(UNIX)
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        message = f"`{text}` is not an absolute path; write `unix:/run/users.sock`"
        raise ValueError(message)
    if len(path.encode()) > MAX_PATH:
        message = f"`{text}` is too long; the path of a socket has at most {MAX_PATH} bytes"
        raise ValueError(message)
    if not all(33 <= ord(character) <= 126 for character in path):
        message = f"`{text}` holds spaces or special characters; use letters, digits and signs"
        raise ValueError(message)
    return UnixPath(path)


def read_address(text: str) -> Address:
    """Read `HOST:PORT` or `[IPV6]:PORT`. Raises `ValueError` with what would work."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= MAX_PORT:
        message = f"`{text}` is not an address; write host and port, such as `127.0.0.1:9001`"
        raise ValueError(message)
    if host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1]):
        return Address(host[1:-1], int(port))
    if "/" in text:
        message = f"`{text}` is not an address; write host and port alone, such as `users.internal:80`"
        raise ValueError(message)
    if ":" in host:
        message = f"`{text}` is not an address; an IPv6 address stands in brackets, such as `[::1]:9001`"
        raise ValueError(message)
    numeric = re.fullmatch(r"[0-9.]+", host) is not None
    if not _HOST.fullmatch(host) or (numeric and Address(host, 1).ip() is None):
        message = f"`{text}` is not an address; write host and port, such as `users.internal:80`"
        raise ValueError(message)
    return Address(host, int(port))


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the system; blocks for as long as it takes. Raises `OSError`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def socket_address(ip: str, port: int) -> str:
    """Write an IP address and a port as one text."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def resolve(address: Endpoint, resolver: Resolver) -> list[str]:
    """Give the socket addresses that an address stands for, in a fixed order. Raises `OSError`.

    IPv6 addresses of a name count only where it has no IPv4 address: `localhost` has both on most machines,
    and a service that listens on one of them would fail every second request.
    """
    if isinstance(address, UnixPath):
        return [UNIX + address.path]
    if address.ip() is not None:
        return [socket_address(address.host, address.port)]
    found = set(resolver(address.host, address.port))
    chosen = {ip for ip in found if ":" not in ip} or found
    return [socket_address(ip, address.port) for ip in sorted(chosen)]


def instances_of(
    service: Service, resolver: Resolver, place: Callable[[int], Position]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Give the instances of a service for the snapshot, and a warning for each that has no address now.

    A name with several addresses gives one instance for each, all of the same name and weight. `place` gives
    the position of an instance by its number.
    """
    instances: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, instance in enumerate(service.instances):
        try:
            found = resolve(read_endpoint(instance.address), resolver)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            problems.append(place(number).warning(f"instance `{instance.address}` is left out: {reason}"))
            continue
        instances += [{"name": instance.address, "address": one, "weight": instance.weight} for one in found]
    return instances, problems
