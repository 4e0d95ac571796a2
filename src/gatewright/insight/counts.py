"""What the data plane counted of requests: taken once, and handed to all who want it.

Each request counts when it is over, in the minute in which it began, whether it has a record or not. Counts
wait in the data plane until whoever needs them has them taken: roll-ups before they write, alerts before they
are evaluated. So the shorter of both intervals says how long they wait, and it takes no thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from gatewright.insight.histogram import Distribution

log = logging.getLogger("gatewright.insight")

MOST = 10_000
"""Cells between two takings where nobody says how many; beyond it the data plane tells requests less
apart.
"""


class Counted(NamedTuple):
    """What requests of one kind came to since counts were last taken, as `Engine.take_counts` gives it.

    `minute` is its start in seconds since 1970. What a request does not have is an empty text, or 0.
    `programs` are those whose `User-Agent` says that it is one.
    """

    minute: int
    route_id: str
    backend_service: str
    backend_instance: str
    status: int
    tenant_id: str
    requests: int
    programs: int
    request_bytes: int
    response_bytes: int
    total: Distribution
    overhead: Distribution
    upstream: Distribution


class CountSource(Protocol):
    """Where requests are counted: the engine."""

    def count_requests(self, most: int) -> None: ...
    def take_counts(self) -> list[tuple[Any, ...]]: ...


class Consumer(Protocol):
    """Who wants to know what was counted."""

    def add(self, cells: Sequence[Counted]) -> None:
        """Take these, which are given once. Must not block for long."""


class Counts:
    """Hands what was counted to every consumer. Any thread may ask for it."""

    def __init__(self, source: CountSource) -> None:
        self._source = source
        # How many cells each wants told apart.
        self._consumers: dict[Consumer, int] = {}
        self._most = 0
        self._lock = threading.RLock()

    def begin(self) -> None:
        """Have requests counted before anybody says that he wants it, since they come as soon as a node
        listens.
        """
        with self._lock:
            self._count(MOST)

    def attach(self, consumer: Consumer, most: int = MOST) -> None:
        """Give to this one, too, what is counted from now on, in at most so many cells; to the first one also
        what was counted before. One that is there already only changes its bound.
        """
        with self._lock:
            if consumer not in self._consumers:
                self.take()
            self._consumers[consumer] = most
            self._adjust()

    def detach(self, consumer: Consumer) -> None:
        """Give this one what was counted up to now, and nothing any more. Where nobody is left, nothing is
        counted.
        """
        with self._lock:
            if consumer in self._consumers:
                if len(self._consumers) == 1:
                    # First, so that nothing is left over for whoever comes next.
                    self._count(0)
                self.take()
                del self._consumers[consumer]
            self._adjust()

    def take(self) -> None:
        """Hand out what was counted since the last time. Raises what the engine raises."""
        with self._lock:
            if not self._consumers:
                return
            cells = [Counted._make(one) for one in self._source.take_counts()]
            for consumer in self._consumers:
                try:
                    consumer.add(cells)
                except Exception:
                    # What one makes of it must not be missing to the others: it is given once.
                    log.exception("what was counted of requests was not understood")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take, then let nothing be taken until the block ends."""
        with self._lock:
            self.take()
            yield

    def _adjust(self) -> None:
        is_over = self._most and not self._consumers
        self._count(max(self._consumers.values(), default=0))
        if is_over:
            # Nobody came who wanted it; whoever comes later does not want it either.
            self._source.take_counts()

    def _count(self, most: int) -> None:
        if most != self._most:
            self._source.count_requests(most)
            self._most = most
