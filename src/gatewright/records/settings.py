"""How records are delivered to a sink: batches, the queue, retries and the spill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SpillSettings:
    """Where records wait on disk that the sink does not take: at most `size` bytes in `directory`."""

    directory: Path
    size: int = 256 << 20


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Waits between attempts in seconds, doubled from `first` to `longest`; for ever without `attempts`."""

    first: float = 0.2
    longest: float = 10.0
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class LaneSettings:
    """A batch is given to the sink when it has `batch_records`, `batch_bytes`, or its oldest record has
    waited for `batch_wait` seconds. What waits in memory takes at most `queue_bytes`.
    """

    batch_records: int = 1000
    batch_bytes: int = 1 << 20
    batch_wait: float = 0.05
    queue_bytes: int = 32 << 20
    retry: RetrySettings = RetrySettings()
    spill: SpillSettings | None = None
