"""Timestamps of records as numbers."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

SECOND = 1_000_000_000


def nanoseconds_of(timestamp: str, otherwise: int) -> int:
    """`2026-02-06T14:30:00.042Z` in nanoseconds since 1970, or `otherwise` for a text that is no time."""
    fraction = timestamp[19:].removesuffix("Z")
    try:
        return _second(timestamp[:19]) * SECOND + (int(fraction[1:].ljust(9, "0")[:9]) if fraction else 0)
    except ValueError:
        return otherwise


# Records that are sent together are of few seconds.
@lru_cache(maxsize=256)
def _second(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp())
