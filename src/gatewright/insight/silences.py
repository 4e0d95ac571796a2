"""Silences: alerts that are known and not told, until a moment. Kept over restarts."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gatewright.control.durable import write_durably
from gatewright.errors import GatewrightError

MOST = 1000


class SilenceError(GatewrightError):
    """A silence cannot be made."""


class UnkeptError(SilenceError):
    """A change of silences holds, but not beyond a restart: their file cannot be written."""


@dataclass(frozen=True, slots=True)
class Silence:
    """Which alerts are not told: names and subjects, in which `*` stands for anything. Epoch seconds."""

    id: str
    alert: str
    subject: str
    until: float
    by: str
    why: str

    def covers(self, alert: str, subject: str) -> bool:
        return fnmatchcase(alert, self.alert) and fnmatchcase(subject, self.subject)


class Silences:
    """The silences of one node. Small: each change writes all of them."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._silences: dict[str, Silence] = {}

    def load(self) -> None:
        """Read what was kept; nothing where there is nothing that can be read."""
        try:
            kept: list[dict[str, Any]] = json.loads(self._path.read_bytes())
            self._silences = {one["id"]: Silence(**one) for one in kept}
        except (OSError, ValueError, TypeError, KeyError):
            self._silences = {}

    def active(self) -> list[Silence]:
        """Those that hold now, the first to end first."""
        now = self._clock()
        return sorted((one for one in self._silences.values() if one.until > now), key=lambda one: one.until)

    def add(self, alert: str, subject: str, seconds: float, note: tuple[str, str]) -> Silence:
        """Make one, with who made it and why. Blocks. Raises `SilenceError`, or `UnkeptError`."""
        active = self.active()
        if len(active) >= MOST:
            raise SilenceError(f"there are {MOST} silences; end some")
        by, why = note
        made = Silence(secrets.token_hex(4), alert, subject, self._clock() + seconds, by, why)
        self._silences = {one.id: one for one in (*active, made)}
        self._save()
        return made

    def end(self, silence: str) -> bool:
        """End one; give whether there was such a one. Blocks. Raises `UnkeptError`."""
        was_there = self._silences.pop(silence, None) is not None
        self._save()
        return was_there

    def is_silent(self, alert: str, subject: str) -> bool:
        return any(one.covers(alert, subject) for one in self.active())

    def _save(self) -> None:
        try:
            write_durably(self._path, json.dumps([asdict(one) for one in self.active()]).encode())
        except OSError as error:
            raise UnkeptError(f"it holds, but not beyond a restart: {error}") from error
