"""Bans outlive the process, and where nodes share a Redis who is banned on one is banned on all."""

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import Node, Origin, RedisServer, get, listener, one_route, until
from gatewright.control.bans import BanKeeper
from gatewright.control.configuration import ban_settings

ANN, BOB = "192.0.2.1", "192.0.2.2"


def text(origin: Origin, *sections: str) -> str:
    ban = "ban: {after: 2, within: 60s, lasts: 5m, at_most: 1h}"
    tier = f"name: strict, limit: 1, window: 1h, per: client_ip, {ban}"
    return one_route(
        origin,
        "rate_limit: strict",
        f"tiers: [{{{tier}}}]",
        listener("trusted_proxies: 127.0.0.1"),
        *sections,
    )


class Banning:
    """A node with what a whole one has for its bans."""

    def __init__(self, node: Node, keeper: BanKeeper) -> None:
        self.node = node
        self.keeper = keeper

    async def ask(self, address: str) -> str:
        response = await asyncio.to_thread(get, self.node.address, "/", ("X-Forwarded-For", address))
        return "ok" if response.status == 200 else str(response.json()["error"])

    async def ban(self, address: str) -> None:
        assert [await self.ask(address) for _ in range(3)] == ["ok", "rate_limit_exceeded", "banned"]

    async def is_banned(self, address: str) -> bool:
        # A look that charges nothing.
        return f"ip:{address}" in [one["caller"] for one in json.loads(self.node.engine.bans())]


@asynccontextmanager
async def banning(configuration: str, directory: Path) -> AsyncIterator[Banning]:
    with Node(configuration) as node:
        assert node.loaded is not None
        keeper = BanKeeper(node.engine, directory / "bans.sqlite")
        await keeper.use(ban_settings(node.loaded.gateway))
        yield Banning(node, keeper)
        await keeper.close()


async def test_a_ban_outlives_the_process_and_a_lifted_one_does_not(origin: Origin, tmp_path: Path) -> None:
    async with banning(text(origin), tmp_path) as one:
        await one.ban(ANN)
        await one.ban(BOB)
        assert await one.keeper.lift(None, f"ip:{BOB}") == 1
    async with banning(text(origin), tmp_path) as other:
        assert await other.ask(ANN) == "banned"
        assert await other.ask(BOB) == "ok"
        [ban] = json.loads(other.node.engine.bans())
        assert 290_000 <= ban["remaining_ms"] <= 300_000


async def test_a_killed_process_forgets_no_ban_that_is_older_than_the_interval(
    origin: Origin, tmp_path: Path
) -> None:
    async with banning(text(origin, "node: {ban_interval: 100ms}"), tmp_path) as one:
        await one.ban(ANN)
        file = tmp_path / "bans.sqlite"
        await until(file.exists)
        copied = tmp_path / "killed"

        def copy() -> bool:
            """Copy what a process that is killed now would leave behind; false where a file has gone."""
            shutil.rmtree(copied, ignore_errors=True)
            copied.mkdir()
            try:
                for part in tmp_path.glob("bans.sqlite*"):
                    (copied / part.name).write_bytes(part.read_bytes())
            except FileNotFoundError:
                return False
            return True

        async def is_stored() -> bool:
            if not await asyncio.to_thread(copy):
                return False
            async with banning(text(origin), copied) as other:
                return await other.ask(ANN) == "banned"

        await until(is_stored)


Pair = tuple[Banning, Banning]


@pytest.fixture
async def pair(origin: Origin, server: RedisServer, tmp_path: Path) -> AsyncIterator[Pair]:
    shared = text(origin, f"redis: {{url: '{server.url}', timeout: 200ms}}", "node: {ban_interval: 100ms}")
    directories = [tmp_path / name for name in ("one", "other")]
    async with banning(shared, directories[0]) as one, banning(shared, directories[1]) as other:
        await until(lambda: one.keeper.sharing.connected and other.keeper.sharing.connected)
        yield one, other


@pytest.mark.needs("redis-server")
async def test_who_is_banned_on_one_node_is_banned_on_the_other_until_it_is_lifted_on_any(pair: Pair) -> None:
    one, other = pair
    await one.ban(ANN)
    await until(lambda: other.is_banned(ANN))
    assert await other.ask(ANN) == "banned"
    assert await other.ask(BOB) == "ok"
    assert await other.keeper.lift("strict", f"ip:{ANN}") == 1

    async def is_free() -> bool:
        return not await one.is_banned(ANN)

    await until(is_free)
    assert await other.ask(ANN) == "ok"


@pytest.mark.needs("redis-server")
@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_each_goes_on_alone_without_redis_and_they_meet_again(
    pair: Pair, server: RedisServer, fault: str
) -> None:
    one, other = pair
    if fault == "killed":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    await one.ban(ANN)
    await other.ban(BOB)
    await until(lambda: one.keeper.sharing.failures > 0 and other.keeper.sharing.failures > 0)
    if fault == "killed":
        server.start()
    else:
        server.signal(signal.SIGCONT)

    async def is_agreed() -> bool:
        return await one.is_banned(BOB) and await other.is_banned(ANN)

    await until(is_agreed)


@pytest.mark.needs("redis-server")
async def test_a_node_that_starts_later_hears_who_is_banned(
    pair: Pair, origin: Origin, server: RedisServer, tmp_path: Path
) -> None:
    await pair[0].ban(ANN)
    shared = f"redis: {{url: '{server.url}'}}"
    async with banning(text(origin, shared), tmp_path / "third") as third:
        await until(lambda: third.is_banned(ANN))
    alone = f"redis: {{url: '{server.url}', share_bans: false}}\ncircuit_breakers: {{share: redis}}"
    async with banning(text(origin, alone), tmp_path / "fourth") as fourth:
        await fourth.keeper.exchange()
        assert not await fourth.is_banned(ANN)


@pytest.mark.needs("redis-server")
async def test_what_others_write_into_the_stream_bans_nobody_for_longer_than_we_would(
    pair: Pair, server: RedisServer
) -> None:
    one, other = pair
    await one.ban(ANN)
    redis: Any = server.ask()
    entries = await until(lambda: redis.xrange("gatewright:bans"))
    ban = json.loads(entries[0][1]["ban"])["ban"]
    for wrong in (
        "no json",
        "{}",
        json.dumps({"by": "x", "ban": {}}),
        json.dumps({"by": "x", "ban": ban | {"caller": 7}}),
    ):
        redis.xadd("gatewright:bans", {"ban": wrong})
    redis.xadd("gatewright:bans", {"other": "x"})
    endless = ban | {"until_ms": 9_000_000_000_000, "ends_ms": 9_000_000_000_000}
    redis.xadd("gatewright:bans", {"ban": json.dumps({"by": "x", "ban": endless})})

    async def is_longer() -> bool:
        return (
            max(one["remaining_ms"] for one in json.loads(other.node.engine.bans()) or [{"remaining_ms": 0}])
            > 300_000
        )

    await until(is_longer)
    [listed] = json.loads(other.node.engine.bans())
    assert listed["remaining_ms"] <= 3_600_000
