"""Quotas that outlive the process: stored as additions, never twice, restored once."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gatewright.control.quotas import QuotaFile, QuotaKeeper, QuotaSettings

NOW = 1_800_000_000.0
LATER = int(NOW * 1000) + 1_000
Line = dict[str, Any]


def line(used: int, caller: str = "ann", tier: str = "daily", ends_ms: int = LATER) -> Line:
    return {"tier": tier, "caller": [{"user": caller}], "period": 20_833, "ends_ms": ends_ms, "used": used}


class Counters:
    """A data plane that has counted some batches and remembers what it is given."""

    def __init__(self, *batches: list[Line]) -> None:
        self.batches = [json.dumps(batch).encode() for batch in batches]
        self.restored: list[Line] = []

    def take_quotas(self, maximum: int) -> bytes | None:
        return self.batches.pop(0) if self.batches else None

    def restore_quotas(self, quotas: bytes) -> int:
        lines = json.loads(quotas)
        self.restored += lines
        return len(lines)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "quotas.sqlite"


def keeper(counters: Counters, path: Path) -> QuotaKeeper:
    return QuotaKeeper(counters, path, lambda: NOW)


def stored(path: Path, tiers: tuple[str, ...] = ("daily",), now_ms: int = 0) -> list[Line]:
    batches: Iterator[bytes] = QuotaFile(path).batches(tiers, now_ms)
    return [one for batch in batches for one in json.loads(batch)]


def spoil(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)


def mend(path: Path) -> None:
    path.unlink()


async def test_what_was_added_is_summed_and_given_back_to_the_next_process(path: Path) -> None:
    counters = Counters([line(3), line(1, "bob")], [line(4)])
    assert await keeper(counters, path).save()
    next_one = Counters()
    kept = keeper(next_one, path)
    await kept.use(QuotaSettings(("daily",), 60))
    await kept.close()
    assert sorted(next_one.restored, key=lambda one: one["used"]) == [line(1, "bob"), line(7)]


async def test_a_process_and_the_one_that_takes_over_add_to_the_same_sums(path: Path) -> None:
    old, new = keeper(Counters([line(3)], [line(5)]), path), keeper(Counters([line(2)]), path)
    await old.save()
    await new.save()
    await old.save()
    assert stored(path) == [line(10)]


async def test_a_batch_that_cannot_be_stored_is_kept_and_stored_once(path: Path) -> None:
    counters = Counters([line(3)])
    kept = keeper(counters, path)
    spoil(path)
    assert not await kept.save()
    assert not await kept.save()
    assert (kept.failures, kept.saves) == (2, 0)
    mend(path)
    assert await kept.save()
    assert await kept.save()
    assert (kept.saves, stored(path)) == (1, [line(3)])


async def test_tiers_are_restored_once_and_only_when_they_are_kept(path: Path) -> None:
    await keeper(Counters([line(3), line(4, tier="monthly"), line(5, tier="gone")]), path).save()
    counters = Counters()
    kept = keeper(counters, path)
    await kept.use(QuotaSettings(("daily",), 60))
    await kept.use(QuotaSettings(("daily", "monthly"), 60))
    await kept.use(QuotaSettings((), 60))
    await kept.use(QuotaSettings(("daily",), 60))
    await kept.close()
    assert counters.restored == [line(3), line(4, tier="monthly")]


async def test_periods_that_are_over_are_forgotten(path: Path) -> None:
    over = line(9, "zed", ends_ms=int(NOW * 1000))
    QuotaFile(path).add(json.dumps([over]).encode(), 0)
    assert stored(path) == [over]
    await keeper(Counters([line(1)]), path).save()
    assert stored(path) == [line(1)]


async def test_a_file_that_cannot_be_read_is_said_and_counting_begins(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(path)
    counters = Counters()
    kept = keeper(counters, path)
    await kept.use(QuotaSettings(("daily",), 60))
    assert (counters.restored, kept.failures) == ([], 1)
    assert "count from zero" in caplog.text
    mend(path)
    await kept.close()


def test_a_batch_is_stored_whole_or_not_at_all(path: Path) -> None:
    broken = [line(1), {**line(2, "bob"), "used": None, "tier": None}]
    with pytest.raises(sqlite3.Error):
        QuotaFile(path).add(json.dumps(broken).encode(), 0)
    assert stored(path) == []


async def test_everything_is_stored_every_interval_without_being_asked(path: Path) -> None:
    kept = keeper(Counters([line(6)]), path)
    await kept.use(QuotaSettings(("daily",), 0.01))
    while not stored(path):
        assert kept.failures == 0
        await asyncio.sleep(0.005)
    await kept.close()
    assert stored(path) == [line(6)]
