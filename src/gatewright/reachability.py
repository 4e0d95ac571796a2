"""Whether a server that is asked again and again answers, told in the log when that changes and only then."""

from __future__ import annotations

import logging
from dataclasses import dataclass


@dataclass(slots=True)
class Reachability:
    """What is known of one server. It counts as not reached until it has answered once."""

    connected: bool = False
    failures: int = 0
    error: str | None = None
    """What was wrong last, as long as it is."""

    def answered(self, log: logging.Logger, message: str) -> None:
        """It has answered; `message` is logged where it had not before."""
        if not self.connected:
            log.info(message)
        self.connected, self.error = True, None

    def failed(
        self, error: Exception, log: logging.Logger, message: str, level: int = logging.WARNING
    ) -> None:
        """It has not; `message` is logged with the reason, unless that was said already."""
        is_first = self.connected or not self.failures
        self.connected, self.failures = False, self.failures + 1
        self.error = str(error) or type(error).__name__
        if is_first:
            log.log(level, message, extra={"error": self.error})

    def state(self) -> dict[str, object]:
        """For the admin API."""
        return {"connected": self.connected, "failures": self.failures, "error": self.error}
