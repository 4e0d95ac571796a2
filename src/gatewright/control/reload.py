"""Reloading: when files change or on SIGHUP. An invalid configuration changes nothing and is said aloud.

Directories are watched, not files, because editors and Kubernetes replace files (a ConfigMap swaps a
symbolic link). What is then compared is content, so that a log file written beside the configuration
causes no reload.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

from watchfiles import awatch

from gatewright.audit.log import GATEWAY
from gatewright.control.configuration import Configuration, read
from gatewright.control.node import Node
from gatewright.control.status import errors_of
from gatewright.errors import GatewrightError

log = logging.getLogger("gatewright.control")

# However long changes go on, they are read after this many times the quiet time.
LONGEST_QUIET_TIMES = 8
QUIET_MILLISECONDS = 250
# Also without any event: some file systems report none.
POLL_MILLISECONDS = 10_000
SUFFIXES = frozenset({".yaml", ".yml", ".kdl", ".json", ".py"})


class Reloader:
    """Keeps a node's live configuration equal to its files."""

    def __init__(self, node: Node, paths: Sequence[Path], configuration: Configuration | None) -> None:
        self._node = node
        self._paths = tuple(paths)
        self._files = watched(configuration, self._paths)
        self._seen = fingerprint(self._files)
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Watch for ever; the set of directories follows what the last valid configuration read."""
        while True:
            directories = directories_of(self._files)
            async for _ in awatch(
                *directories,
                watch_filter=None,
                step=self._quiet(),
                debounce=self._quiet() * LONGEST_QUIET_TIMES,
                rust_timeout=POLL_MILLISECONDS,
                yield_on_timeout=True,
                recursive=False,
                ignore_permission_denied=True,
            ):
                if self._is_wanted():
                    await self.check()
                if directories_of(self._files) != directories:
                    break

    def _is_wanted(self) -> bool:
        configuration = self._node.configuration
        return configuration is None or configuration.gateway.reload.watch

    def _quiet(self) -> int:
        configuration = self._node.configuration
        return QUIET_MILLISECONDS if configuration is None else int(configuration.gateway.reload.debounce)

    async def check(self) -> bool:
        """Reload if what the files say has changed; give whether a new configuration is live."""
        async with self._one_at_a_time:
            # Not before it is this one's turn: a signal may bring about what the change of the file does.
            now = await asyncio.to_thread(fingerprint, self._files)
            return now != self._seen and await self._reload()

    async def reload(self) -> bool:
        """Read, compile and apply what the files say now; give whether it is live. Never raises for a bad
        one.
        """
        async with self._one_at_a_time:
            return await self._reload()

    async def _reload(self) -> bool:
        # Taken before reading, so that a change during the reading is seen afterwards.
        self._seen = await asyncio.to_thread(fingerprint, self._files)
        try:
            configuration = await self._read()
            await self._node.apply(configuration)
        except (GatewrightError, OSError) as error:
            await self._refused(error)
            return False
        return True

    async def _read(self) -> Configuration:
        configuration = await asyncio.to_thread(read, self._paths)
        files = watched(configuration, self._paths)
        if files == self._files:
            return configuration
        # What of them is new has to be known before it is read, or a change meanwhile would never be seen.
        self._files = files
        self._seen = await asyncio.to_thread(fingerprint, files)
        return await asyncio.to_thread(read, self._paths)

    async def _refused(self, error: Exception) -> None:
        self._node.status.refused(error)
        live, errors = self._node.status.version, errors_of(error)
        for text in errors:
            log.error("configuration refused", extra={"error": text, "live_version": live})
        told = {"live_version": live, "errors": errors, "files": sorted(map(str, self._files))}
        await self._node.audit.act(GATEWAY, "configuration.apply", told, "refused")


def watched(configuration: Configuration | None, paths: Sequence[Path]) -> frozenset[Path]:
    """Every file and directory whose change may change the configuration."""
    read_before = (*configuration.files, *configuration.directories) if configuration else ()
    return frozenset(read_before) | frozenset(paths)


def directories_of(files: Iterable[Path]) -> set[Path]:
    """What to watch so that a change of these files is seen: their directories, existing ones only."""
    found = {path if path.is_dir() else path.parent for path in files}
    # A file reached by a symbolic link can change at either end.
    found |= {path.resolve().parent for path in files if path.is_symlink()}
    return {path for path in found if path.is_dir()}


def fingerprint(files: Iterable[Path]) -> str:
    """Equal as long as the files have the same content and no configuration file came or went beside them."""
    digest = hashlib.sha256()
    files = set(files)
    for path in sorted(files):
        digest.update(f"\0{path}\0".encode())
        digest.update(content(path))
    for directory in sorted(directories_of(files)):
        names = sorted(path.name for path in directory.iterdir() if path.suffix in SUFFIXES)
        digest.update(f"\0{directory}\0{names}".encode())
        # Files of a directory that was given as a whole may be newer than the list of files read.
        if directory in files:
            for name in names:
                digest.update(content(directory / name))
    return digest.hexdigest()


def content(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        return str(error.errno).encode()
