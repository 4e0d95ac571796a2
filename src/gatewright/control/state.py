"""What a node remembers across restarts: its last version number and its last good snapshot.

The state directory is `node.state_directory` of the configuration (relative to the first configuration file),
else `.gatewright` beside the first configuration file; if that place cannot be written,
`$XDG_STATE_HOME/gatewright` (default `~/.local/state/gatewright`).
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from gatewright.control.durable import write_durably

DIRECTORY_NAME = ".gatewright"


def choose_directory(first_file: Path, configured: str | None = None) -> Path:
    """The state directory of a node whose first configuration file is `first_file`. Does not create it."""
    beside = first_file if first_file.is_dir() else first_file.parent
    if configured is not None:
        return beside / Path(configured).expanduser()
    chosen = beside / DIRECTORY_NAME
    if os.access(chosen if chosen.exists() else beside, os.W_OK):
        return chosen
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "gatewright"


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """The files of one node's state. Two nodes must not share a directory."""

    path: Path

    @property
    def records(self) -> Path:
        """Where the SQLite sink keeps its segments by default."""
        return self.path / "records"

    @property
    def spills(self) -> Path:
        """Where records wait for sinks that do not take them."""
        return self.path / "spill"

    @property
    def snapshot_file(self) -> Path:
        return self.path / "last-good.json"

    @property
    def version_file(self) -> Path:
        return self.path / "version"

    @property
    def revocations(self) -> Path:
        """Where revocations of tokens are kept."""
        return self.path / "revocations.sqlite"

    @property
    def key_sets(self) -> Path:
        """Where fetched key sets are kept."""
        return self.path / "key-sets.json"

    @property
    def quotas(self) -> Path:
        """Where counts of days and months are kept."""
        return self.path / "quotas.sqlite"

    @property
    def bans(self) -> Path:
        """Where bans are kept."""
        return self.path / "bans.sqlite"

    @property
    def rollups(self) -> Path:
        """Where roll-ups of requests are kept."""
        return self.path / "rollups"

    @property
    def configurations(self) -> Path:
        """Where texts of configurations are kept, for `explain`."""
        return self.path / "configurations.sqlite"

    @property
    def silences(self) -> Path:
        """Where silences of alerts are kept."""
        return self.path / "silences.json"

    @property
    def blocks(self) -> Path:
        """Where networks that are blocked by hand are kept."""
        return self.path / "blocked-networks.jsonl"

    @property
    def audit(self) -> Path:
        """Where the audit log is kept."""
        return self.path / "audit"

    def last_version(self) -> int:
        """The highest version number handed out so far; 0 for a new or unreadable directory."""
        candidates = [0, self._snapshot_version()]
        with contextlib.suppress(OSError, ValueError):
            candidates.append(int(self.version_file.read_text(encoding="ascii")))
        return max(candidates)

    def next_version(self) -> int:
        """A number higher than every earlier one, remembered before it is used. Raises `OSError`."""
        version = self.last_version() + 1
        write_durably(self.version_file, f"{version}\n".encode("ascii"))
        return version

    def save_snapshot(self, snapshot: bytes) -> None:
        """Remember a snapshot that was applied. It may hold secrets: only its owner may read it. Raises
        `OSError`.
        """
        write_durably(self.snapshot_file, snapshot)

    def last_snapshot(self) -> bytes | None:
        """The snapshot that was applied last, or `None` when there is none that can be read."""
        try:
            return self.snapshot_file.read_bytes()
        except OSError:
            return None

    def _snapshot_version(self) -> int:
        # The snapshot outlives a lost version file, and its version must not be handed out again.
        try:
            return int(json.loads(self.snapshot_file.read_bytes())["version"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
