"""Bans that outlive the process and hold on other nodes: stored and told once, and never lost to a fault."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gatewright.control.ban_stream import StreamError
from gatewright.control.bans import MOST_UNTOLD, BanFile, BanKeeper, BanSettings
from gatewright.redis_clients import Place

NOW = 1_800_000_000.0
NOW_MS = int(NOW * 1000)
NEVER = 1_000.0
Line = dict[str, Any]


def line(caller: str = "ann", until: int = 60_000, tier: str = "strict", ends: int = 120_000) -> Line:
    until_ms = NOW_MS + until if until else 0
    return {
        "tier": tier,
        "caller": [{"user": caller}],
        "until_ms": until_ms,
        "bans": 1 if until else 0,
        "ends_ms": NOW_MS + ends if until else 0,
    }


class Engine:
    """A data plane that has something to tell and remembers what it is given."""

    def __init__(self, *batches: list[Line]) -> None:
        self.batches = [json.dumps(batch).encode() for batch in batches]
        self.restored: list[Line] = []

    def take_bans(self, maximum: int) -> bytes | None:
        return self.batches.pop(0) if self.batches else None

    def restore_bans(self, bans: bytes) -> int:
        lines = json.loads(bans)
        self.restored += lines
        return len(lines)

    def lift_bans(self, tier: str | None, caller: str | None) -> int:
        self.batches.append(json.dumps([line(caller or "ann", until=0)]).encode())
        return 1


class Redis:
    """A stream that nodes share, which can be broken."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.broken = False
        self.opened = 0

    def connect(self, _url: Place, _timeout: float) -> "Redis":
        self.opened += 1
        return self

    async def tell(self, entries: Sequence[str]) -> None:
        self._answer()
        self.entries += entries

    async def hear(self, after: str) -> tuple[str, list[str]]:
        self._answer()
        place = int(after.partition("-")[0])
        found = self.entries[place : place + 3]
        return f"{place + len(found)}-0", found

    async def close(self) -> None:
        pass

    def _answer(self) -> None:
        if self.broken:
            raise StreamError("gone")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "bans.sqlite"


def spoil(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)


def mend(path: Path) -> None:
    path.unlink()


def keeper(engine: Engine, path: Path, redis: Redis | None = None) -> BanKeeper:
    return BanKeeper(engine, path, (redis or Redis()).connect, lambda: NOW)


def settings(*tiers: str, url: str | None = None) -> BanSettings:
    return BanSettings(tiers or ("strict",), NEVER, url)


def stored(path: Path, now_ms: int = NOW_MS) -> list[Line]:
    return BanFile(path).lines(now_ms)


async def test_bans_are_given_back_to_the_next_process_but_for_those_that_were_lifted(path: Path) -> None:
    engine = Engine([line("ann"), line("bob")], [line("bob", until=0), line("ann", until=90_000)])
    one = keeper(engine, path)
    await one.use(settings())
    await one.close()
    next_one = Engine()
    other = keeper(next_one, path)
    await other.use(settings())
    await other.close()
    assert next_one.restored == [line("ann", until=90_000)]


async def test_what_is_over_is_deleted(path: Path) -> None:
    BanFile(path).store([line("ann", ends=1), line("bob", ends=9)], NOW_MS)
    assert len(stored(path)) == 2
    BanFile(path).store([], NOW_MS + 1)
    assert stored(path, 0) == [line("bob", ends=9)]


async def test_bans_that_cannot_be_stored_are_kept_until_they_can(path: Path) -> None:
    spoil(path)
    kept = keeper(Engine([line("ann")], [line("ann", until=70_000)]), path)
    await kept.exchange()
    await kept.exchange()
    assert kept.failures == 2
    mend(path)
    await kept.exchange()
    assert stored(path) == [line("ann", until=70_000)]


async def test_a_file_that_cannot_be_read_stops_nothing(path: Path) -> None:
    spoil(path)
    kept = keeper(Engine(), path)
    await kept.use(settings())
    assert kept.failures == 1
    await kept.close()


async def test_what_one_node_tells_the_other_takes_and_nobody_hears_himself(path: Path) -> None:
    redis = Redis()
    engines = Engine([line("ann"), line("bob"), line("cid"), line("dot")]), Engine()
    one, other = (
        keeper(engine, path.with_name(name), redis) for engine, name in zip(engines, "ab", strict=True)
    )
    for node in (one, other):
        await node.use(settings(url="redis://"))
        await node.exchange()
    assert engines[0].restored == []
    assert engines[1].restored == [line("ann"), line("bob"), line("cid"), line("dot")]
    assert await other.lift(None, "bob") == 1
    await one.exchange()
    assert engines[0].restored == [line("bob", until=0)]
    assert (one.sharing.connected, one.sharing.told, one.sharing.taken) == (True, 4, 1)
    # Both would know it again after a start without Redis.
    for name in "ab":
        assert {one["caller"][0]["user"] for one in stored(path.with_name(name))} == {"ann", "cid", "dot"}
    await one.close()
    await other.close()


async def test_what_could_not_be_told_is_told_when_redis_is_back(path: Path) -> None:
    redis = Redis()
    redis.broken = True
    engine = Engine([line("ann")], [line("bob")])
    kept = keeper(engine, path, redis)
    await kept.use(settings(url="redis://"))
    await kept.exchange()
    assert (kept.sharing.connected, kept.sharing.error) == (False, "gone")
    state = kept.state()
    assert state is not None
    assert state["failures"] >= 1
    redis.broken = False
    await kept.exchange()
    assert [json.loads(entry)["ban"] for entry in redis.entries] == [line("ann"), line("bob")]
    assert kept.sharing.connected
    await kept.close()


async def test_so_many_wait_to_be_told_and_no_more(path: Path) -> None:
    redis = Redis()
    redis.broken = True
    engine = Engine([line(str(number)) for number in range(MOST_UNTOLD + 5)])
    kept = keeper(engine, path, redis)
    await kept.use(settings(url="redis://"))
    await kept.exchange()
    redis.broken = False
    await kept.exchange()
    assert len(redis.entries) == MOST_UNTOLD
    await kept.close()


async def test_a_node_that_learns_of_another_tier_hears_all_again(path: Path) -> None:
    redis = Redis()
    redis.entries = [json.dumps({"by": "another", "ban": line(tier="late")})]
    engine = Engine()
    kept = keeper(engine, path, redis)
    await kept.use(settings("strict", url="redis://"))
    await kept.exchange()
    await kept.use(settings("strict", "late", url="redis://"))
    await kept.exchange()
    assert [one["tier"] for one in engine.restored].count("late") >= 2
    await kept.close()


async def test_what_others_write_under_our_name_harms_nobody(path: Path) -> None:
    redis = Redis()
    redis.entries = [
        "",
        "no json",
        "[]",
        '{"by": "x"}',
        '{"by": "x", "ban": 1}',
        '{"by": "x", "ban": {"tier": 1}}',
    ]
    redis.entries.append(json.dumps({"by": "x", "ban": line() | {"until_ms": 1 << 80}}))
    kept = keeper(Engine(), path, redis)
    await kept.use(settings(url="redis://"))
    await kept.exchange()
    assert kept.sharing.connected
    assert stored(path) == []
    await kept.close()


async def test_without_a_tier_that_bans_nobody_is_asked(path: Path) -> None:
    redis = Redis()
    kept = keeper(Engine(), path, redis)
    await kept.use(BanSettings((), NEVER, "redis://"))
    await kept.exchange()
    await kept.close()
    assert redis.opened == 0
    assert kept.state() is None
    assert stored(path) == []
