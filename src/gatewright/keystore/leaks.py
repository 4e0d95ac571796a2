"""Keys that look as if they had leaked: used from many networks within a time."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from gatewright.keystore.settings import LeakSettings

log = logging.getLogger("gatewright.alerts")

# Keys whose networks are remembered; above it those not used for longest are forgotten.
MOST_KEYS = 20_000


class LeakWatch:
    """Remembers where each key was used from; at most one network more than raises an alert for it."""

    def __init__(self, settings: LeakSettings | None, alerts: int = 0) -> None:
        self.settings = settings
        self.alerts = alerts
        self._seen: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        self._alerted: dict[str, float] = {}

    def look(self, key: str, networks: Sequence[str], now: float) -> bool:
        """Take note of where a key was used from; give whether that raised an alert, at most one a window."""
        settings = self.settings
        if settings is None:
            return False
        seen = self._seen.setdefault(key, OrderedDict())
        self._seen.move_to_end(key)
        if len(self._seen) > MOST_KEYS:
            forgotten, _ = self._seen.popitem(last=False)
            self._alerted.pop(forgotten, None)
        for network in networks:
            seen[network] = now
            seen.move_to_end(network)
        self._trim(seen, now)
        if len(seen) <= settings.networks:
            return False
        return self._alert(key, len(seen), now)

    def _trim(self, seen: OrderedDict[str, float], now: float) -> None:
        settings = self.settings
        while seen and settings is not None:
            _, at = next(iter(seen.items()))
            if now - at <= settings.window and len(seen) <= settings.networks + 1:
                return
            seen.popitem(last=False)

    def _alert(self, key: str, networks: int, now: float) -> bool:
        settings = self.settings
        if settings is None or now - self._alerted.get(key, -settings.window) < settings.window:
            return False
        self._alerted[key] = now
        self.alerts += 1
        extra = {
            "alert": "api_key_leak_suspected",
            "key": key,
            "networks": networks,
            "window_seconds": settings.window,
        }
        log.error("an API key is used from many networks: it may have leaked", extra=extra)
        return True
