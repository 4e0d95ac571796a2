"""Logging of the operating half: one JSON line per event on stderr, fields instead of sentences, no
secrets.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import IO

# Attributes that every record has; whatever else a record carries was given as `extra`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Prints time, level, logger, event and the fields given as `extra`; one record is one line."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        event.update({name: value for name, value in vars(record).items() if name not in STANDARD})
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str, ensure_ascii=False)


def configure(stream: IO[str] | None = None, level: int = logging.INFO) -> None:
    """Send every event of `level` and above to `stream` (default stderr). Replaces earlier handlers."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # The client logs each fetched URL at this level, and HPACK what it encodes; a URL may hold a credential.
    for name in ("httpx2", "httpcore2", "hpack", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)
