"""Times in questions: `1h` ago, `2026-11-27T14:00:00Z`, `2026-11-27 14:00`, `14:00` of today; without a zone
in UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from gatewright.records.fields import RecordQueryError

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")


def moment_of(text: str, now: datetime) -> datetime:
    """The time that a text stands for, in UTC. Raises `RecordQueryError` with what would work."""
    ago = _AGO.fullmatch(text)
    clock = _CLOCK.fullmatch(text)
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        if clock is not None:
            return now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        cure = "write `15m`, `1h`, `7d`, `14:00`, `2026-11-27` or `2026-11-27T14:00:00Z`"
        raise RecordQueryError(f"`{text}` is no time; {cure}") from error
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def text_of(moment: datetime) -> str:
    """A moment as records write it, so that text compares as time does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
