"""What is known of one check: how often in a row it went well or not, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["unknown", "healthy", "unhealthy"]

LONGEST_MESSAGE = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a check went once."""

    well: bool
    message: str | None = None
    details: Any = None
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Patience:
    """How many outcomes in a row change what is said."""

    unhealthy_after: int = 1
    healthy_after: int = 1


@dataclass(slots=True)
class Standing:
    """One check. `critical` ones make the gateway unhealthy, others degraded."""

    name: str
    critical: bool = False
    custom: bool = False
    patience: Patience = field(default_factory=Patience)
    status: Status = "unknown"
    since: datetime | None = None
    checked_at: datetime | None = None
    last: Outcome | None = None
    in_a_row: int = 0

    def take(self, outcome: Outcome, now: datetime | None = None) -> bool:
        """Count an outcome; give whether the status is another one now."""
        now = now or datetime.now(UTC)
        alike = self.last is not None and self.last.well == outcome.well
        self.in_a_row = self.in_a_row + 1 if alike else 1
        self.last, self.checked_at = outcome, now
        wanted: Status = "healthy" if outcome.well else "unhealthy"
        needed = self.patience.healthy_after if outcome.well else self.patience.unhealthy_after
        # Nothing is known yet that a first good outcome would contradict.
        if outcome.well and self.status == "unknown":
            needed = 1
        if self.status == wanted or self.in_a_row < needed:
            return False
        self.status, self.since = wanted, now
        return True

    def document(self) -> dict[str, Any]:
        last = self.last
        return {
            "check": self.name,
            "status": self.status,
            "critical": self.critical,
            "custom": self.custom,
            "message": last and last.message and last.message[:LONGEST_MESSAGE],
            "since": self.since and self.since.isoformat(timespec="milliseconds"),
            "checked_at": self.checked_at and self.checked_at.isoformat(timespec="milliseconds"),
            "took_ms": last and last.took_ms and round(last.took_ms, 3),
            "in_a_row": self.in_a_row,
            "details": last and last.details,
        }
