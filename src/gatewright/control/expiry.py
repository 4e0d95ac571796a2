"""Certificates that are about to end: said in the log, on `/readyz` and `/health`, and as a metric."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gatewright.config import Loaded

log = logging.getLogger("gatewright.control")

DAYS = (30, 14, 7)
"""Days before the end at which it is said, each time louder (D40)."""
HIGH_DAYS = 7
LOOK_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate of a listener ends. `name` is its first DNS name, or its file."""

    listener: str
    name: str
    at: datetime.datetime

    def days(self, now: datetime.datetime) -> int:
        """Whole days that are left; negative once it has ended."""
        return (self.at - now) // datetime.timedelta(days=1)

    def step(self, now: datetime.datetime) -> int | None:
        """The last of `DAYS` that was reached, `None` before the first."""
        return min((step for step in DAYS if self.days(now) < step), default=None)

    def document(self, now: datetime.datetime) -> dict[str, object]:
        """What the admin listener says of it."""
        return {
            "listener": self.listener,
            "certificate": self.name,
            "expires_at": self.at.isoformat(timespec="seconds"),
            "days": self.days(now),
            "severity": "high" if self.days(now) < HIGH_DAYS else "warning",
        }


def expiries(loaded: Loaded | None) -> list[Expiry]:
    """Every certificate of every listener; of several for one name, the one that ends first."""
    found: dict[tuple[str, str], Expiry] = {}
    for listener, pairs in loaded.tls.listener_pairs.items() if loaded is not None else ():
        for pair in pairs:
            one = Expiry(listener, pair.names[0] if pair.names else pair.file, pair.not_after)
            key = (one.listener, one.name)
            if key not in found or one.at < found[key].at:
                found[key] = one
    return list(found.values())


def ending(all_of_them: Iterable[Expiry], now: datetime.datetime) -> list[Expiry]:
    """Those to warn about, the most urgent first."""
    return sorted((one for one in all_of_them if one.step(now) is not None), key=lambda one: one.at)


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class ExpiryWatch:
    """Says each step of each certificate once. A renewed certificate begins anew."""

    def __init__(self, loaded: Callable[[], Loaded | None]) -> None:
        self._loaded = loaded
        self._said: dict[Expiry, int] = {}

    async def run(self) -> None:
        """Look every hour, for ever."""
        while True:
            self.look(utc_now())
            await asyncio.sleep(LOOK_SECONDS)

    def look(self, now: datetime.datetime) -> None:
        """Say what has not been said."""
        due = {
            one: step for one in ending(expiries(self._loaded()), now) if (step := one.step(now)) is not None
        }
        for one, step in due.items():
            if self._said.get(one) != step:
                level = logging.ERROR if step <= HIGH_DAYS else logging.WARNING
                log.log(level, "certificate expires", extra=one.document(now))
        self._said = due
