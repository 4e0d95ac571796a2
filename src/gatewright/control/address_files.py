"""Files of addresses, countries and reputations: when one changes, the data plane reads it again.

They are looked at once a second rather than watched, which also works where file systems report nothing, and
read when they have stayed as they are from one look to the next: a file that is being written is no list.
What the data plane has read stays until a new file is read without a fault.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gatewright.errors import EngineError

log = logging.getLogger("gatewright.control")

LOOK_SECONDS = 1.0

Stamp = tuple[int, int, int] | None
"""Which file, when it was written, and its length; `None` where there is none."""


@dataclass(frozen=True, slots=True)
class AddressFile:
    """One file, as the data plane knows it: `addresses` with a name, `geography` or `reputation` without."""

    kind: str
    name: str
    path: Path
    most: int

    def stamp(self) -> Stamp:
        """What changes when the file does."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)


class Readers(Protocol):
    """What this needs of the data plane."""

    def reload_addresses(self, kind: str, name: str) -> bytes: ...


@dataclass(slots=True)
class Watched:
    """What is known of a file."""

    live: Stamp
    seen: Stamp
    failures: int = 0
    error: str | None = None


class AddressFiles:
    """Keeps the data plane's lists equal to their files. Belongs to one event loop."""

    def __init__(self, engine: Readers) -> None:
        self._engine = engine
        self._watched: dict[AddressFile, Watched] = {}
        self._one_at_a_time = asyncio.Lock()

    @property
    def watched(self) -> Mapping[AddressFile, Watched]:
        """The files, and what is known of them."""
        return self._watched

    def use(self, files: Sequence[AddressFile], stamps: Mapping[AddressFile, Stamp]) -> None:
        """Watch these files from now on; the data plane has read them after `stamps` were taken."""
        fresh = {file: Watched(stamps.get(file), stamps.get(file)) for file in files}
        self._watched = {file: self._watched.get(file, new) for file, new in fresh.items()}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Look once at every file."""
        async with self._one_at_a_time:
            files = list(self._watched)
            stamps = await asyncio.to_thread(stamps_of, files)
            for file, stamp in stamps.items():
                watched = self._watched.get(file)
                if watched is None or stamp == watched.live:
                    continue
                is_still = stamp == watched.seen
                watched.seen = stamp
                if is_still:
                    # A wrong file is told of once, and read again when it is another.
                    watched.live = stamp
                    await self._read(file, watched)

    async def _read(self, file: AddressFile, watched: Watched) -> None:
        told = {"kind": file.kind, "list": file.name or None}
        try:
            size = await asyncio.to_thread(self._engine.reload_addresses, file.kind, file.name)
        except EngineError as error:
            watched.failures, watched.error = watched.failures + 1, str(error)
            log.error("addresses refused; those read before stay", extra={**told, "error": str(error)})
            return
        watched.error = None
        log.info("addresses read", extra={**told, **json.loads(size)})


def stamps_of(files: Sequence[AddressFile]) -> dict[AddressFile, Stamp]:
    """The stamp of each. Blocks."""
    return {file: file.stamp() for file in files}
