"""The seam between the record worker and a place where records go."""

from __future__ import annotations

from typing import Protocol

from gatewright.errors import GatewrightError


class SinkError(GatewrightError):
    """A sink could not store a batch; the same batch may be tried again."""


class Sink(Protocol):
    """Where records go. Used by one thread only, which may block for as long as the sink takes."""

    @property
    def name(self) -> str:
        """Label of this sink in metrics and logs."""
        ...

    def write(self, lines: bytes) -> None:
        """Store a whole batch of JSON lines or raise `SinkError`; a retry may store it twice."""
        ...

    def reopen(self) -> None:
        """Open files anew after somebody rotated them. Takes effect at the next write."""
        ...

    def close(self) -> None:
        """Give back what is held. Never raises."""
        ...
