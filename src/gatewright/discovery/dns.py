"""Instances given by host name: looked up again every 30 s, pushed when they changed, kept when a look-up
fails.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from gatewright.config.addresses import (
    Address,
    Endpoint,
    Resolver,
    read_endpoint,
    resolve,
    system_resolver,
)

log = logging.getLogger("gatewright.discovery")

INTERVAL_SECONDS = 30.0
LOOKUP_SECONDS = 5.0
LOOKUPS_AT_ONCE = 8
MAXIMUM_ADDRESSES = 256

Push = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class NamedInstance:
    """One instance as the user wrote it: `users.internal:8080`, `10.0.0.1:80`, `[::1]:80`,
    `unix:/run/users.sock`."""

    name: str
    weight: int = 1

    @property
    def address(self) -> Endpoint:
        return read_endpoint(self.name)


Services = Sequence[tuple[str, Sequence[NamedInstance]]]


def has_names(instances: Iterable[NamedInstance]) -> bool:
    """Does any of them have to be looked up?"""
    return any(instance.address.is_name() for instance in instances)


class DnsDiscovery:
    """Keeps the instances of services whose configuration names hosts."""

    def __init__(
        self, push: Push, resolver: Resolver = system_resolver, interval: float = INTERVAL_SECONDS
    ) -> None:
        self._push = push
        self._resolver = resolver
        self._interval = interval
        self._services: Services = ()
        # What each name gave last; a failed look-up keeps it (DS-2).
        self._known: dict[Address, tuple[str, ...]] = {}
        self._pushed: dict[str, bytes] = {}
        # Of their own: look-ups that hang must not take the threads that the data plane's calls wait in.
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="dns")
        self.failures = 0

    def use(self, services: Services) -> None:
        """Watch these services from now on; those without a host name are left alone."""
        self._services = tuple((name, instances) for name, instances in services if has_names(instances))
        # A new snapshot brings its own instances, so everything is pushed once more.
        self._pushed = {}
        wanted = {instance.address for _, instances in self._services for instance in instances}
        self._known = {address: found for address, found in self._known.items() if address in wanted}

    async def run(self) -> None:
        """Look up and push, for ever."""
        while True:
            await asyncio.sleep(self._interval)
            await self.check()

    async def check(self) -> None:
        """Look every name up once and push the services whose instances changed."""
        services = self._services
        await self.look_up(services)
        for service, instances in services:
            self._push_if_changed(service, instances)

    async def look_up(self, services: Services) -> None:
        """Look up every name of these services, all at once, each for at most 5 s."""
        addresses = {instance.address for _, instances in services for instance in instances}
        names = [address for address in addresses if isinstance(address, Address) and address.is_name()]
        await asyncio.gather(*(self._look_up(name) for name in names))

    def known(self, host: str, port: int) -> Sequence[str]:
        """What a name gave last: a resolver that never waits. Raises `OSError` when it never gave
        anything.
        """
        found = self._known.get(Address(host, port))
        if not found:
            raise OSError(f"`{host}` cannot be resolved")
        return found

    def close(self) -> None:
        """Start no further look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await loop.run_in_executor(self._threads, self._resolver, address.host, address.port)
        except (OSError, TimeoutError) as error:
            self.failures += 1
            fields = {"host": address.host, "error": str(error) or "no answer in time"}
            log.warning("host name cannot be resolved", extra=fields)
            return
        if found:
            self._known[address] = tuple(sorted(set(found)))[:MAXIMUM_ADDRESSES]

    def _push_if_changed(self, service: str, instances: Sequence[NamedInstance]) -> None:
        document = self.document(instances)
        text = json.dumps(document).encode()
        # A service whose names never resolved has no instances in the snapshot either.
        if not document or text == self._pushed.get(service):
            return
        try:
            self._push(service, text)
        except Exception:
            log.exception("instances refused", extra={"service": service})
            return
        self._pushed[service] = text
        log.info("instances set", extra={"service": service, "instances": len(document)})

    def document(self, instances: Sequence[NamedInstance]) -> list[dict[str, object]]:
        """Instances as the data plane takes them; a name with several addresses gives several."""
        document: list[dict[str, object]] = []
        for instance in instances:
            try:
                found = resolve(instance.address, self.known)
            except OSError:
                continue
            for one in found:
                document.append({"name": instance.name, "address": one, "weight": instance.weight})
        return document
