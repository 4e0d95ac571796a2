"""What happens during a soak, written as it happens: a run that breaks off has told what it knew."""

import time
from datetime import UTC, datetime
from pathlib import Path


class Journal:
    """Lines with the time of day and the seconds since the beginning."""

    def __init__(self, path: Path) -> None:
        self._start = time.monotonic()
        self._file = path.open("a", encoding="utf-8")

    def say(self, what: str) -> None:
        seconds = time.monotonic() - self._start
        self._file.write(f"{datetime.now(UTC):%H:%M:%S.%f} {seconds:8.3f} {what}\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()
