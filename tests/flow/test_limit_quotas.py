"""Limit: counts of days and months, which survive the process and changes of the configuration."""

import asyncio
import datetime
import json
import time
import zoneinfo
from pathlib import Path

import pytest

from gateway import Node, Origin, get, one_route
from gatewright.control.quotas import QuotaKeeper, QuotaSettings

NEVER = 1_000.0


def text(origin: Origin, options: str = "calendar: day", limit: int = 5) -> str:
    tier = f"name: daily, limit: {limit}, per: client_ip, {options}"
    return one_route(origin, "rate_limit: daily", f"tiers: [{{{tier}}}]")


def remaining(node: Node) -> str | None:
    return get(node.address, "/").get("x-ratelimit-remaining")


async def counts_on(node: Node, path: Path) -> QuotaKeeper:
    keeper = QuotaKeeper(node.engine, path)
    await keeper.use(QuotaSettings(("daily",), NEVER))
    return keeper


async def test_a_quota_goes_on_where_it_was_when_the_process_ended(origin: Origin, tmp_path: Path) -> None:
    path = tmp_path / "quotas.sqlite"
    with Node(text(origin)) as node:
        keeper = await counts_on(node, path)
        assert [await asyncio.to_thread(remaining, node) for _ in range(3)] == ["4", "3", "2"]
        await keeper.close()
        # Only what is new goes out again.
        assert await asyncio.to_thread(remaining, node) == "1"
        [line] = json.loads(node.engine.take_quotas(10) or b"[]")
        assert line["used"] == 1
    with Node(text(origin)) as node:
        # A request that comes before what was stored is back is counted as well.
        assert await asyncio.to_thread(remaining, node) == "4"
        keeper = await counts_on(node, path)
        assert await asyncio.to_thread(remaining, node) == "0"
        assert (await asyncio.to_thread(get, node.address, "/")).status == 429
        await keeper.close()


def test_changes_of_a_tier_reset_no_counts(origin: Origin) -> None:
    with Node(text(origin)) as node:
        assert [remaining(node), remaining(node)] == ["4", "3"]
        node.apply(text(origin, limit=9))
        assert remaining(node) == "6"
        node.apply(text(origin, "algorithm: sliding_log, window: 1d"))
        assert remaining(node) == "1"
        node.apply(text(origin, "calendar: month"))
        assert remaining(node) == "0"


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
@pytest.mark.parametrize("unit", ["day", "month"])
def test_a_period_ends_at_midnight_of_its_zone(origin: Origin, zone: str, unit: str) -> None:
    with Node(text(origin, f"calendar: {unit}, zone: {zone}")) as node:
        before = datetime.datetime.now(zoneinfo.ZoneInfo(zone))
        told = int(get(node.address, "/").get("x-ratelimit-reset") or 0)
        after = datetime.datetime.now(zoneinfo.ZoneInfo(zone))
        assert told in {end_of(unit, before), end_of(unit, after)}
        assert told > time.time() - 1


def end_of(unit: str, moment: datetime.datetime) -> int:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return int((midnight + datetime.timedelta(days=1)).timestamp())
    first = midnight.replace(day=1) + datetime.timedelta(days=32)
    return int(first.replace(day=1).timestamp())


def test_what_was_stored_of_a_tier_that_is_no_more_is_left_out(origin: Origin) -> None:
    with Node(text(origin)) as node:
        get(node.address, "/")
        [line] = json.loads(node.engine.take_quotas(10) or b"[]")
        assert node.engine.restore_quotas(json.dumps([line, {**line, "tier": "gone"}]).encode()) == 1
        assert node.engine.restore_quotas(json.dumps([{**line, "period": 1}]).encode()) == 0
        assert remaining(node) == "2"
        assert json.loads(node.engine.take_quotas(10) or b"[]")[0]["used"] == 1
        assert node.engine.take_quotas(10) is None
