"""The audit of one node, as the rest of it knows it: `act` for what somebody did, `decided` for what the
gateway refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gatewright.audit.budget import Budget
from gatewright.audit.entries import ACT, DECISION, Draft, bounded
from gatewright.audit.files import AuditError
from gatewright.audit.log import GATEWAY, AuditLog, AuditSettings
from gatewright.audit.reading import Page, Wanted, read_newest

log = logging.getLogger("gatewright.audit")

# Acts that a full disk keeps from being written wait in memory for their next chance.
MOST_WAITING = 1_000
CHECK_SECONDS = 60.0
WAIT_SECONDS = 10.0
EXPIRE_SECONDS = 3600.0


class Audit:
    """Writes entries, each also as a line of the logger `gatewright.audit`. Nothing here raises for a log
    that cannot be written, unless it says so: what is lost is counted and said.
    """

    def __init__(self, directory: Path) -> None:
        self.log = AuditLog(directory)
        self.failures = 0
        self.lost = 0
        self.error: str | None = None
        self._waiting: list[Draft] = []
        self._mutex = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "audit")
        self._told: int | None = None
        self.budget = Budget(self.log.settings.decisions_per_second)

    @property
    def settings(self) -> AuditSettings:
        return self.log.settings

    def use(self, settings: AuditSettings) -> None:
        """Keep the log from now on as these say."""
        self.log.use(settings)
        self.budget.per_second = settings.decisions_per_second

    async def turned_away(self, draft: Draft) -> None:
        """Say that somebody may not even ask; within the bound of decisions."""
        await self._soon(self.decided, [draft])

    def decided(self, drafts: Sequence[Draft]) -> None:
        """Write decisions, as many in a second as the settings allow; the others are counted in an entry.
        Blocks.
        """
        if self.settings.decisions:
            written = self.budget.admitted(drafts)
            if written:
                self.write(written)

    @property
    def waiting(self) -> int:
        """How many entries wait for the log to be written again."""
        return len(self._waiting)

    async def act(
        self,
        who: Mapping[str, str],
        what: str,
        fields: Mapping[str, object] | None = None,
        outcome: str = "done",
    ) -> None:
        """Say who did what, and wait until it is on disk. `fields` hold no secret."""
        draft = Draft(ACT, who, what, outcome, fields or {})
        level = logging.INFO if who == GATEWAY else logging.WARNING
        extra = {"who": dict(who), "outcome": outcome, "fields": bounded(draft.fields)}
        log.log(level, what, extra=extra)
        await self._soon(self.write, [draft])

    async def applied(self, version: int, files: Iterable[Path]) -> None:
        """Say that a configuration is live."""
        fields = {"version": version, "files": [str(path) for path in files]}
        await self.act(GATEWAY, "configuration.apply", fields)

    async def ready(self) -> None:
        """Raises `AuditError` where the log cannot be written and `audit.required` is set."""
        if self.settings.required and not await self._soon(self.write, []):
            raise AuditError(self.error or "the audit log cannot be written")

    async def _soon(self, work: Callable[[list[Draft]], bool | None], drafts: list[Draft]) -> bool:
        """Do it in the thread of the log; give whether it was done. A disk that hangs holds nobody up for
        longer than `WAIT_SECONDS`.
        """
        doing = asyncio.get_running_loop().run_in_executor(self._thread, work, drafts)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await asyncio.shield(doing) is not False
        except TimeoutError:
            self.failures += 1
            self.error = f"the disk has not answered within {WAIT_SECONDS:g} s"
            log.error("audit log cannot be written yet", extra={"error": self.error})
            return False

    def write(self, drafts: Sequence[Draft]) -> bool:
        """Write, or keep for later where that fails, within a bound; give whether all is written. Blocks."""
        with self._mutex:
            waiting, self._waiting = self._waiting, []
            drafts = [*waiting, *drafts]
            try:
                self.log.append(drafts)
            except AuditError as error:
                self._failed(drafts, error)
                return False
            self.error = None
            return True

    def _failed(self, drafts: Sequence[Draft], error: AuditError) -> None:
        self.failures += 1
        self.error = str(error)
        # Acts go before decisions, the oldest before the newest.
        ordered = sorted(drafts, key=lambda draft: draft.kind == DECISION)
        self._waiting = sorted(ordered[:MOST_WAITING], key=lambda draft: draft.time)
        self.lost += len(ordered[MOST_WAITING:])
        log.error("audit log cannot be written", extra={"error": str(error), "waiting": len(self._waiting)})

    async def run(self) -> None:
        """Tell the log's end to whoever keeps the gateway's own log elsewhere, try again what could not be
        written, and delete what is too old; for ever.
        """
        next_expiry = time.monotonic()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await self._in_thread(self.check)
            if time.monotonic() >= next_expiry:
                next_expiry = time.monotonic() + EXPIRE_SECONDS
                await self._in_thread(self.expire)

    def check(self) -> None:
        """Write what waits and what was only counted; say where the log ends, where that is new."""
        self.decided([])
        if self._waiting:
            self.write([])
        head = self.log.head
        if head is not None and head[0] != self._told:
            self._told = head[0]
            # Kept elsewhere, this line proves that nothing was cut off since.
            log.info("audit checkpoint", extra={"seq": head[0], "hash": head[1]})

    def expire(self) -> None:
        try:
            self.log.expire()
        except AuditError as error:
            log.error("old audit entries cannot be deleted", extra={"error": str(error)})

    async def read(self, wanted: Wanted) -> Page:
        """Entries that pass. Raises `AuditError`."""
        return await asyncio.to_thread(read_newest, self.log.directory, wanted)

    async def close(self) -> None:
        """Write what waits, say where the log ends, give the file back."""
        self.budget.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_SECONDS):
                await self._in_thread(self.check)
        self.log.close()
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def state(self) -> dict[str, object]:
        """For people: where the log ends, and whether it can be written."""
        head = self.log.head
        return {
            "seq": head and head[0],
            "hash": head and head[1],
            "sealed": self.settings.key is not None,
            "written": dict(self.log.written),
            "waiting": len(self._waiting),
            "failures": self.failures,
            "lost": self.lost,
            "omitted": self.budget.omitted,
            "error": self.error,
        }
