"""The texts of configurations, version by version, so that `explain` can show the line that decided a request
also after the file was changed.

Kept is what the files said before anything was put in for `${env:}` and `${file:}`; values of names that
sound like secrets are struck out. Key files are not kept. Bounds: `MOST_VERSIONS` and `MOST_BYTES`
(compressed), the oldest go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gatewright.control.state import StateDirectory

log = logging.getLogger("gatewright.control")

MOST_VERSIONS = 1000
MOST_BYTES = 64 << 20
BUSY_SECONDS = 2.0
STRUCK = "***"

_TABLES = (
    "CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, applied_at TEXT)",
    "CREATE TABLE IF NOT EXISTS files (version INTEGER, path TEXT, hash TEXT, "
    "PRIMARY KEY (version, path)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS texts (hash TEXT PRIMARY KEY, text BLOB) WITHOUT ROWID",
)
_NAME = r"[\w.-]*(?:secret|password|passwd|token|credential|pepper|private)s?"
# A name with its value, in any of the formats; what is given by an expression is no secret.
_NAMED = re.compile(
    rf"""(?P<name>["']?\b{_NAME}\b["']?\s*(?:[:=]\s*|\s))(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,}}\])#"'][^,}}\])#\n]*)""",
    re.IGNORECASE,
)
_NAME_ALONE = re.compile(rf"""^(\s*)(?:-\s+)?["']?{_NAME}["']?\s*[:=]\s*[|>\[]?[-+]?\s*$""", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"(://[^/\s:@\"']*:)([^@/\s\"']+)(@)")
_WORDS = re.compile(r"(?:true|false|null|none|off|on|\d{1,6}(?:ms|s|m|h|d|B|KiB|MiB)?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeptText:
    """What a file said in one version, and whether the newest version says the same."""

    lines: tuple[str, ...]
    is_newest: bool


class KeptTexts:
    """The SQLite file. Each call opens and closes it; all raise `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, version: int, texts: Mapping[str, bytes], applied_at: str) -> None:
        """Keep the files of a version, all of them or nothing, and forget what is beyond the bounds."""
        struck = {
            path: without_secrets(text.decode("utf-8", "replace")).encode() for path, text in texts.items()
        }
        with contextlib.closing(self._open()) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO versions VALUES (?, ?)", (version, applied_at))
            for path, text in struck.items():
                digest = hashlib.sha256(text).hexdigest()
                connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (version, path, digest))
                connection.execute("INSERT OR IGNORE INTO texts VALUES (?, ?)", (digest, zlib.compress(text)))
            forget(connection)

    def keep_again(self, earlier: int, version: int, applied_at: str) -> None:
        """Keep that a version has the files of an earlier one."""
        with contextlib.closing(self._open()) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO versions VALUES (?, ?)", (version, applied_at))
            connection.execute(
                "INSERT OR REPLACE INTO files SELECT ?, path, hash FROM files WHERE version = ?",
                (version, earlier),
            )

    def applied_at(self, version: int) -> tuple[str | None, int | None]:
        """When a version became live, and the number of the newest; `None` for what is not known."""
        if not self._path.exists():
            return None, None
        with contextlib.closing(self._open_to_read()) as connection:
            found = connection.execute(
                "SELECT applied_at FROM versions WHERE version = ?", (version,)
            ).fetchone()
            newest = connection.execute("SELECT max(version) FROM versions").fetchone()
            return found[0] if found else None, newest[0]

    def text(self, version: int, path: str) -> KeptText | None:
        """What a file said in a version; `None` where that is not kept."""
        if not self._path.exists():
            return None
        with contextlib.closing(self._open_to_read()) as connection:
            rows = connection.execute(
                "SELECT files.hash, text FROM files JOIN texts ON texts.hash = files.hash WHERE path = ? AND "
                "version IN (?, (SELECT max(version) FROM versions)) ORDER BY version",
                (path, version),
            ).fetchall()
            mine = connection.execute(
                "SELECT hash FROM files WHERE version = ? AND path = ?", (version, path)
            ).fetchone()
        found = next((text for digest, text in rows if mine and digest == mine[0]), None)
        if found is None:
            return None
        return KeptText(tuple(zlib.decompress(found).decode().split("\n")), rows[-1][0] == mine[0])

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        self._path.chmod(0o600)
        for statement in _TABLES:
            connection.execute(statement)
        return connection

    def _open_to_read(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)


def keep_texts(state: StateDirectory, version: int, source: Mapping[str, bytes] | int) -> None:
    """Keep the files of a version, or that they say what those of an earlier version did. Never raises:
    without the texts `explain` still tells file and line.
    """
    texts, now = KeptTexts(state.configurations), datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        if isinstance(source, int):
            texts.keep_again(source, version, now)
        else:
            texts.keep(version, source, now)
    except (sqlite3.Error, OSError) as error:
        log.warning("texts of the configuration cannot be kept", extra={"error": str(error)})


def forget(connection: sqlite3.Connection) -> None:
    """Delete what is beyond the bounds, the oldest versions first; the newest stays in any case."""
    while True:
        count, oldest, newest = connection.execute(
            "SELECT count(*), min(version), max(version) FROM versions"
        ).fetchone()
        size = connection.execute("SELECT COALESCE(sum(length(text)), 0) FROM texts").fetchone()[0]
        if (count <= MOST_VERSIONS and size <= MOST_BYTES) or oldest == newest:
            return
        connection.execute("DELETE FROM versions WHERE version = ?", (oldest,))
        connection.execute("DELETE FROM files WHERE version = ?", (oldest,))
        connection.execute("DELETE FROM texts WHERE hash NOT IN (SELECT hash FROM files)")


def without_secrets(text: str) -> str:
    """A text with the values of names that sound like secrets struck out; its lines stay where they are."""
    struck: list[str] = []
    depth: int | None = None
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        if depth is not None and line.strip() and (indent > depth or line.lstrip().startswith("- ")):
            # Below a name that has its value in the lines that follow.
            struck.append(f"{line[:indent]}{STRUCK}" if "${" not in line else line)
            continue
        name = _NAME_ALONE.match(line)
        depth = len(name[1]) if name else None
        struck.append(_IN_ADDRESS.sub(rf"\1{STRUCK}\3", _NAMED.sub(_without_value, line)))
    return "\n".join(struck)


def _without_value(found: re.Match[str]) -> str:
    value = found["value"].strip()
    bare = value.strip("\"'")
    if not bare or bare.startswith(("${", "{", "[")) or _WORDS.fullmatch(bare):
        return found[0]
    return found["name"] + STRUCK
