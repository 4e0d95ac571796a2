"""Revocations in the state directory, so that a restart brings no token back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from gatewright.errors import GatewrightError
from gatewright.revocation.entries import Revocation, of_text

BUSY_SECONDS = 2.0

_TABLE = """CREATE TABLE IF NOT EXISTS revocations (
    id TEXT PRIMARY KEY, ends_ms INTEGER NOT NULL, entry TEXT NOT NULL
) WITHOUT ROWID"""
_PUT = "INSERT OR REPLACE INTO revocations VALUES (?, ?, ?)"


class RevocationFileError(GatewrightError):
    """What was revoked cannot be read, so that nobody can tell which tokens are good."""


class RevocationFile:
    """The SQLite file. Each call opens and closes it, since calls come from threads of a pool; all block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, now_ms: int) -> list[Revocation]:
        """Everything that is not over. Raises `RevocationFileError`."""
        if not self._path.exists():
            return []
        query = "SELECT entry FROM revocations WHERE ends_ms > ?"
        try:
            with contextlib.closing(self._open()) as connection:
                entries = [of_text(text) for (text,) in connection.execute(query, (now_ms,))]
        except (sqlite3.Error, OSError) as error:
            raise RevocationFileError(self._refusal(str(error))) from error
        if None in entries:
            raise RevocationFileError(self._refusal("an entry cannot be understood"))
        return [entry for entry in entries if entry is not None]

    def put(self, entries: Iterable[Revocation], now_ms: int) -> None:
        """Store entries, all or none, so that a power cut does not undo it, and forget what is over. Raises
        `sqlite3.Error` or `OSError`.
        """
        rows = [(entry.id, entry.until_ms, entry.text()) for entry in entries]
        with contextlib.closing(self._open()) as connection, connection:
            connection.executemany(_PUT, rows)
            connection.execute("DELETE FROM revocations WHERE ends_ms <= ?", (now_ms,))

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(_TABLE)
        return connection

    def _refusal(self, cause: str) -> str:
        return (
            f"`{self._path}`: revoked tokens cannot be read ({cause}); without them they were good again: "
            "repair the file, or move it away if that is what you want"
        )
