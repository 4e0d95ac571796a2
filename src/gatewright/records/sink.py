"""The seam between the record worker and a place where records go."""

from __future__ import annotations

from typing import Protocol

from gatewright.errors import GatewrightError
from gatewright.records.batch import Batch


class SinkError(GatewrightError):
    """A sink could not store a batch; the same batch is tried again, not before `wait` seconds where the
    store asks for that.
    """

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RejectedError(SinkError):
    """The store refused `records` records of a batch for good and has the rest: no retry would help."""

    def __init__(self, message: str, records: int) -> None:
        super().__init__(message)
        self.records = records


class Sink(Protocol):
    """Where records go. Used by one thread only, which may block for as long as the sink takes."""

    @property
    def name(self) -> str:
        """Label of this sink in metrics and logs, and the name of its spill."""
        ...

    def write(self, batch: Batch) -> None:
        """Store a whole batch or raise `SinkError`; the same batch then comes again, so a store that does
        not look at the ids of its chunks may store it twice. Put a deadline on every wait.
        """
        ...

    def reopen(self) -> None:
        """Open files anew after somebody rotated them. Takes effect at the next write."""
        ...

    def close(self) -> None:
        """Give back what is held. Never raises."""
        ...
