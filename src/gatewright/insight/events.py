"""Events that are alerts by themselves: what any part of the gateway logs to `gatewright.alerts`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from gatewright.insight.states import Alert

NAME = "gatewright.alerts"
MOST = 1000
MOST_FIELDS = 20
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "alert"}
# Numbers that change from time to time do not make another alert.
SUBJECTS = ("key", "identity", "service", "route", "tier", "sink", "file", "channel")


class Events(logging.Handler):
    """Takes events from any thread, and holds them until somebody asks."""

    def __init__(self) -> None:
        super().__init__()
        self._held: deque[tuple[float, str, str, dict[str, Any]]] = deque()
        self._lock = threading.Lock()
        self.dropped = 0

    def attach(self) -> None:
        logging.getLogger(NAME).addHandler(self)

    def detach(self) -> None:
        logging.getLogger(NAME).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        name = getattr(record, "alert", None)
        if name is None:
            return
        fields = {one: value for one, value in vars(record).items() if one not in _STANDARD}
        told = {one: value for one, value in list(fields.items())[:MOST_FIELDS]}
        with self._lock:
            if len(self._held) >= MOST:
                self._held.popleft()
                self.dropped += 1
            self._held.append((record.created, str(name), record.getMessage(), told))

    def taken(self, now: float) -> list[Alert]:
        """What came since the last time, as alerts."""
        with self._lock:
            held, self._held = self._held, deque()
        return [self._alert(event, now) for event in held]

    def _alert(self, event: tuple[float, str, str, dict[str, Any]], now: float) -> Alert:
        _, name, text, fields = event
        subject = next((str(fields[one]) for one in SUBJECTS if one in fields), "gateway")
        told = {
            one: value if isinstance(value, int | float | str) else str(value)
            for one, value in fields.items()
        }
        return Alert(name, subject, "high", text, 1.0, 0.0, now, fields=told | {"event": True})
