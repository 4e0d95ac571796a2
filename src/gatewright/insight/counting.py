"""Lets a node count its requests: roll-ups as the live configuration wants them, and what objectives are told
of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gatewright.insight.budget_history import LockedError, history
from gatewright.insight.counts import Counts, CountSource
from gatewright.insight.objectives import Budget
from gatewright.insight.rollups import RollupSettings, RollupWriter

log = logging.getLogger("gatewright.insight")


class Counting:
    """What is counted, and its roll-ups where there are any. `use` belongs to one thread at a time."""

    def __init__(self, source: CountSource) -> None:
        self.counts = Counts(source)
        self.rollups: RollupWriter | None = None

    def use(self, settings: RollupSettings | None) -> None:
        """Write roll-ups as these say from now on; with `None` none. Blocks while what is there is
        written.
        """
        rollups = self.rollups
        if settings is None:
            if rollups is not None:
                self.counts.detach(rollups)
                rollups.close()
            self.rollups = None
            return
        if rollups is None:
            self.rollups = rollups = RollupWriter(settings, self.counts.take)
        else:
            # In place: what is not written yet stays.
            rollups.use(settings)
        # Two minutes may have something between two takings.
        self.counts.attach(rollups, 2 * settings.max_keys)
        rollups.start()

    def fill(self, budgets: Sequence[Budget], now: float) -> bool:
        """Let budgets hold what roll-ups have in place of what they counted themselves; without roll-ups they
        stay as they are. Gives whether that is done: not while roll-ups cannot be written, since what only
        budgets have would be lost, nor while somebody has locked one. Blocks while it reads, and only
        briefly for a lock.
        """
        rollups = self.rollups
        if rollups is None:
            return True
        # All that they counted is in the files then, and nothing comes to either before they are read.
        with self.counts.held():
            if not rollups.flush_briefly():
                return False
            lost = rollups.lost.all(rollups.directory)
            try:
                found = history(rollups.directory, [budget.goal for budget in budgets], now, lost)
            except LockedError as error:
                log.warning("roll-ups cannot be read yet", extra={"error": str(error)})
                return False
            for budget, minutes in zip(budgets, found.minutes, strict=True):
                budget.minutes, budget.missed = minutes, found.missed
        return True

    def close(self) -> None:
        """Take what was counted last and write it. Call when the data plane has ended. Blocks."""
        try:
            self.counts.take()
        finally:
            if self.rollups is not None:
                self.rollups.close()
