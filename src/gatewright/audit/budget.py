"""How many decisions are written one by one: an attack must not fill the disk with what it was refused."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from gatewright.audit.entries import DECISION, Draft

OMITTED = "decisions.omitted"
MOST_NAMES = 100


class Budget:
    """Lets so many pass in a second; the others are counted by what they were, in one entry a second."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self.omitted = 0
        self._clock = clock
        self._second = 0
        self._passed = 0
        self._counts: Counter[str] = Counter()
        self._ended = False
        self._mutex = threading.Lock()

    def admitted(self, drafts: Sequence[Draft]) -> list[Draft]:
        """What is to be written now, with the count of an earlier second."""
        with self._mutex:
            written = self._turn(int(self._clock()))
            for draft in drafts:
                if self._passed < self.per_second:
                    self._passed += 1
                    written.append(draft)
                else:
                    self._count(draft.what)
            return written

    def end(self) -> None:
        """Let the next call give what was counted, whatever the time."""
        self._ended = True

    def _turn(self, second: int) -> list[Draft]:
        if second == self._second and not self._ended:
            return []
        self._second, self._passed = second, 0
        counts, self._counts = self._counts, Counter()
        if not counts:
            return []
        fields = {"counts": dict(counts), "total": counts.total()}
        return [Draft(DECISION, {"principal": "gateway"}, OMITTED, "counted", fields)]

    def _count(self, what: str) -> None:
        self.omitted += 1
        is_known = what in self._counts or len(self._counts) < MOST_NAMES
        self._counts[what if is_known else "other"] += 1
