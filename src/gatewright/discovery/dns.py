"""Instances given by host name: resolved again every 30 s, pushed when they changed, kept when a look-up fails."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

log = logging.getLogger("gatewright.discovery")

INTERVAL_SECONDS = 30.0
LOOKUP_SECONDS = 5.0
MAXIMUM_ADDRESSES = 256

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Push = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class NamedInstance:
    """One instance as the user wrote it: `users.internal:8080`, `10.0.0.1:80`, `[::1]:80`."""

    name: str
    weight: int = 1

    def split(self) -> tuple[str, int]:
        host, _, port = self.name.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def is_address(self) -> bool:
        try:
            ipaddress.ip_address(self.split()[0])
        except ValueError:
            return False
        return True


@dataclass(slots=True)
class Watched:
    """One service with at least one host name."""

    instances: tuple[NamedInstance, ...]
    # What each name gave last; a failed look-up keeps it (DS-2).
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pushed: bytes | None = None


async def resolve(host: str, port: int) -> list[str]:
    """Every address of a host, sorted, as `address:port`. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({socket_address(entry[4][0], port) for entry in found})[:MAXIMUM_ADDRESSES]


def socket_address(address: object, port: int) -> str:
    text = str(address)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


class DnsDiscovery:
    """Keeps the instances of services whose configuration names hosts."""

    def __init__(self, push: Push, resolver: Resolve = resolve, interval: float = INTERVAL_SECONDS) -> None:
        self._push = push
        self._resolve = resolver
        self._interval = interval
        self._services: dict[str, Watched] = {}
        self.failures = 0

    def use(self, services: Iterable[tuple[str, Sequence[NamedInstance]]]) -> None:
        """Watch these services from now on; those without a host name are left alone."""
        watched = {}
        for service, instances in services:
            if all(instance.is_address for instance in instances):
                continue
            fresh = Watched(tuple(instances))
            before = self._services.get(service)
            if before is not None:
                fresh.addresses = before.addresses
            watched[service] = fresh
        self._services = watched

    async def run(self) -> None:
        """Look up and push, for ever."""
        while True:
            await self.check()
            await asyncio.sleep(self._interval)

    async def check(self) -> None:
        """Look every name up once and push the services whose instances changed."""
        for service, watched in list(self._services.items()):
            names = [instance for instance in watched.instances if not instance.is_address]
            await asyncio.gather(*(self._look_up(watched, instance) for instance in names))
            self._push_if_changed(service, watched)

    async def _look_up(self, watched: Watched, instance: NamedInstance) -> None:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._resolve(*instance.split())
        except (OSError, TimeoutError) as error:
            self.failures += 1
            fields = {"instance": instance.name, "error": str(error) or "no answer in time"}
            log.warning("host name cannot be resolved", extra=fields)
            return
        if found:
            watched.addresses[instance.name] = tuple(found)

    def _push_if_changed(self, service: str, watched: Watched) -> None:
        if not all(instance.is_address or instance.name in watched.addresses for instance in watched.instances):
            # A name that never resolved is not in the snapshot either; what is there stays until it does.
            if not any(instance.name in watched.addresses for instance in watched.instances):
                return
        document = json.dumps(instances_document(watched)).encode()
        if document == watched.pushed:
            return
        try:
            self._push(service, document)
        except Exception:
            log.exception("instances refused", extra={"service": service})
            return
        watched.pushed = document
        log.info("instances changed", extra={"service": service, "instances": len(json.loads(document))})


def instances_document(watched: Watched) -> list[dict[str, object]]:
    """The instances of a service as the data plane takes them; a name with several addresses gives several."""
    document: list[dict[str, object]] = []
    for instance in watched.instances:
        addresses = (instance.name,) if instance.is_address else watched.addresses.get(instance.name, ())
        for address in addresses:
            document.append({"name": instance.name, "address": address, "weight": instance.weight})
    return document
