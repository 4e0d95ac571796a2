"""Tokens that are revoked: refused from then on, on every node, and after a restart."""

import asyncio
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import Issuer, Origin, RedisServer, RevokingNode, until
from gatewright.revocation.file import RevocationFileError
from gatewright.revocation.service import RevocationsFullError, UnknownRevocationError

LONG_AGO = {"iat": 1_700_000_000}


def accepting(issuer: Issuer, origin: Origin, more: str = "") -> str:
    return "\n".join([
        f'services: [{{name: users, instances: ["{origin.address}"]}}]',
        f"identities: [{issuer.identity}]",
        "routes: [{name: users, match: /*, service: users, auth: {accept: [mobile]}}]",
        more,
        "",
    ])


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


async def test_what_is_revoked_is_refused_also_where_it_was_verified_before(
    issuer: Issuer, origin: Origin, tmp_path: Path
) -> None:
    async with RevokingNode(accepting(issuer, origin), tmp_path) as node:
        mine, other = issuer.bearer(jti="t1", **LONG_AGO), issuer.bearer(jti="t2", **LONG_AGO)
        assert await node.status(mine) == await node.status(mine) == await node.status(other) == 200
        assert await node.revoke("token", "t1") is not None
        assert await node.status(mine) == 401
        assert await node.status(other) == 200
        record = node.node.records(5)[3]
        step = next(one for one in record["decisions"] if one["stage"] == "authenticate")
        assert (step["verdict"], step["inputs"]["reason"]) == ("refused", "the credential was revoked")
        assert node.node.metric("gateway_token_revocations") == 1
        await node.tokens.restore(node.wish("token", "t1").id, "ann")
        assert await node.status(mine) == 200


async def test_users_and_identities_log_in_anew(issuer: Issuer, origin: Origin, tmp_path: Path) -> None:
    async with RevokingNode(accepting(issuer, origin), tmp_path) as node:
        ann, bob = issuer.bearer(sub="ann", **LONG_AGO), issuer.bearer(sub="bob", **LONG_AGO)
        without = issuer.bearer(sub="ann", iat=None)
        new = issuer.bearer(sub="ann", iat=int(time.time()) + 20)
        await node.revoke("subject", "ann")
        assert [await node.status(one) for one in (ann, without, new, bob)] == [401, 401, 200, 200]
        await node.revoke("identity", None, "another")
        assert await node.status(bob) == 200
        await node.revoke("identity", None, "mobile")
        assert [await node.status(one) for one in (ann, bob, new)] == [401, 401, 200]
        # Asking for less does not take back what is in force.
        await node.revoke("identity", None, "mobile", issued_before_ms=1)
        assert await node.status(bob) == 401


async def test_it_outlives_the_process_that_did_it(issuer: Issuer, origin: Origin, tmp_path: Path) -> None:
    text = accepting(issuer, origin)
    ended = issuer.bearer(jti="t2")
    async with RevokingNode(text, tmp_path) as node:
        for name in ("t1", "t2"):
            assert (await node.revoke("token", name)).stored
        await node.tokens.restore(node.wish("token", "t2").id, "ann")
        with pytest.raises(UnknownRevocationError):
            await node.tokens.restore(node.wish("token", "t2").id, "ann")
        # As if it were killed: nothing is stored at the end that was not before.
        async with RevokingNode(text, tmp_path) as next_one:
            assert await next_one.status(issuer.bearer(jti="t1")) == 401
            assert await next_one.status(ended) == 200
            assert [one.value for one in next_one.tokens.listed()] == ["t1"]


@pytest.mark.parametrize("spoilt", ["not a database", "an entry"])
async def test_a_list_that_cannot_be_read_stops_the_start(
    issuer: Issuer, origin: Origin, tmp_path: Path, spoilt: str
) -> None:
    text = accepting(issuer, origin)
    async with RevokingNode(text, tmp_path) as node:
        await node.revoke("token", "t1")
    file = tmp_path / "revocations.sqlite"
    if spoilt == "an entry":
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE revocations SET entry = '{}'")
    else:
        file.write_text(spoilt)
    node = RevokingNode(text, tmp_path)
    with pytest.raises(RevocationFileError, match="repair the file"):
        await node.__aenter__()
    await asyncio.to_thread(node.node.stop)


async def test_one_that_cannot_be_stored_holds_and_is_stored_later(
    issuer: Issuer, origin: Origin, tmp_path: Path
) -> None:
    directory = tmp_path / "state"
    directory.write_text("no directory")
    async with RevokingNode(accepting(issuer, origin), directory) as node:
        done = await node.revoke("token", "t1")
        assert (done.stored, done.shared) == (False, None)
        assert await node.status(issuer.bearer(jti="t1")) == 401
        # It tries again by itself.
        assert node.tokens.health.save_failures >= 1
        directory.unlink()
        await node.tokens.tick()
        assert (directory / "revocations.sqlite").exists()


async def test_it_ends_after_its_time(issuer: Issuer, origin: Origin, tmp_path: Path) -> None:
    now = time.time()
    async with RevokingNode(accepting(issuer, origin), tmp_path, lambda: now) as node:
        await node.revoke("token", "t1", until_ms=int(now * 1000) + 3_000_000)
        await node.tokens.tick()
        assert node.node.metric("gateway_token_revocations") == 1
        now += 3_000
        await node.tokens.tick()
        assert node.node.metric("gateway_token_revocations") == 0
        assert node.tokens.listed() == []


async def test_a_full_list_says_so_and_takes_whole_identities(
    issuer: Issuer, origin: Origin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = accepting(issuer, origin, "revocations: {max_entries: 2, lifetime: 1d}")
    async with RevokingNode(text, tmp_path) as node:
        await node.tokens.revoke([node.wish("token", "t1"), node.wish("subject", "ann")])
        with pytest.raises(RevocationsFullError, match=r"2 of 2 .* raise `revocations.max_entries`"):
            await node.tokens.revoke([node.wish("token", "t1"), node.wish("token", "t2")])
        assert await node.status(issuer.bearer(jti="t2")) == 200
        assert node.tokens.health.full == 1
        assert [one for one in caplog.records if getattr(one, "alert", "") == "token_revocations_full"]
        await node.revoke("token", "t1")
        await node.revoke("identity", None, "mobile")
        assert await node.status(issuer.bearer(jti="t2", **LONG_AGO)) == 401


Pair = tuple[RevokingNode, RevokingNode]


def shared(
    issuer: Issuer, origin: Origin, server: RedisServer, more: str = "interval: 5s", timeout: str = "10s"
) -> str:
    redis = f"redis: {{url: '{server.url}', timeout: {timeout}}}"
    return accepting(issuer, origin, f"{redis}\nrevocations: {{{more}}}")


@pytest.fixture
async def pair(issuer: Issuer, origin: Origin, server: RedisServer, tmp_path: Path) -> AsyncIterator[Pair]:
    text = shared(issuer, origin, server)
    # What they know was told.
    one, other = (RevokingNode(text, tmp_path / name, only_hears=True) for name in "ab")
    async with one, other:
        yield one, other


async def is_served(node: RevokingNode, header: tuple[str, str]) -> bool:
    return await node.status(header) == 200


async def is_refused(node: RevokingNode, header: tuple[str, str]) -> bool:
    return await node.status(header) == 401


@pytest.mark.needs("redis-server")
async def test_another_node_knows_at_once(pair: Pair, issuer: Issuer) -> None:
    one, other = pair
    mine = issuer.bearer(jti="t1")
    assert await other.status(mine) == await other.status(mine) == 200
    assert (await one.revoke("token", "t1")).shared is True
    await until(lambda: is_refused(other, mine))
    await other.settled()
    await other.tokens.restore(other.wish("token", "t1").id, "ann")
    await until(lambda: one.tokens.listed() == [])
    assert await one.status(mine) == await other.status(mine) == 200
    await other.settled()
    # It is stored there too: a restart without Redis forgets neither.
    assert one.tokens.sharing.told == 1
    assert other.tokens.sharing.taken == 1


@pytest.mark.needs("redis-server")
async def test_a_node_that_comes_later_knows_before_it_serves(
    pair: Pair, issuer: Issuer, origin: Origin, server: RedisServer, tmp_path: Path
) -> None:
    one, _ = pair
    many = [one.wish("token", f"t{number}") for number in range(1_200)]
    await one.tokens.revoke(many)
    async with RevokingNode(shared(issuer, origin, server), tmp_path / "c") as late:
        assert await late.status(issuer.bearer(jti="t1199")) == 401
        assert len(late.tokens.listed()) == 1_200


@pytest.mark.needs("redis-server")
@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_what_happens_without_redis_is_told_when_it_is_back(
    issuer: Issuer, origin: Origin, server: RedisServer, tmp_path: Path, fault: str
) -> None:
    text = shared(issuer, origin, server, "interval: 5s", timeout="1s")
    async with RevokingNode(text, tmp_path / "a") as one, RevokingNode(text, tmp_path / "b") as other:
        await check_that_it_is_told((one, other), issuer, server, fault)


async def check_that_it_is_told(pair: Pair, issuer: Issuer, server: RedisServer, fault: str) -> None:
    one, other = pair
    await one.revoke("token", "before")
    await until(lambda: len(other.tokens.listed()) == 1)
    if fault == "killed":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    done = await one.revoke("token", "t1")
    assert (done.stored, done.shared) == (True, False)
    await other.revoke("subject", "bob")
    await other.tokens.restore(other.wish("token", "before").id, "ann")
    assert await one.status(issuer.bearer(jti="t1")) == 401
    if fault == "killed":
        # With nothing in it: what it had, each node puts back.
        await asyncio.to_thread(server.start)
    else:
        server.signal(signal.SIGCONT)
    for node in pair:
        await until(lambda node=node: is_refused(node, issuer.bearer(jti="t1")))
        await until(lambda node=node: is_refused(node, issuer.bearer(sub="bob", **LONG_AGO)))
        await until(lambda node=node: is_served(node, issuer.bearer(jti="before")))
        await node.settled()
        assert sorted(entry.value or "" for entry in node.tokens.listed()) == ["bob", "t1"]
    await until(lambda: one.tokens.sharing.connected and other.tokens.sharing.connected)
    assert one.tokens.sharing.failures > 0


@pytest.mark.needs("redis-server")
async def test_a_change_that_was_not_heard_is_found(
    issuer: Issuer, origin: Origin, server: RedisServer, tmp_path: Path
) -> None:
    text = shared(issuer, origin, server, "interval: 100ms")
    async with RevokingNode(text, tmp_path / "a") as one:
        entry = one.wish("token", "t1")
        redis = server.ask()
        redis.hset("{revocations}:entries", entry.id, entry.text())
        redis.incr("{revocations}:changes")
        await until(lambda: is_refused(one, issuer.bearer(jti="t1")))


@pytest.mark.needs("redis-server")
async def test_nonsense_under_our_names_disturbs_nobody(
    pair: Pair, issuer: Issuer, server: RedisServer
) -> None:
    one, other = pair
    redis = server.ask()
    for text in (
        "",
        "[]",
        "{}",
        '{"number": 9, "entries": [{"kind": "token"}, 7]}',
        b"\xff\xfe",
        "[" * 5_000,
    ):
        redis.publish("{revocations}", text)
        redis.hset("{revocations}:entries", "x", text)
    await one.revoke("token", "t1")
    await until(lambda: is_refused(other, issuer.bearer(jti="t1")))
    await other.settled()
    assert len(other.tokens.listed()) == 1


@pytest.mark.needs("redis-server")
async def test_what_another_node_revokes_and_finds_no_room_revokes_all_older_tokens(
    pair: Pair, issuer: Issuer, origin: Origin, server: RedisServer, tmp_path: Path
) -> None:
    one, _ = pair
    text = shared(issuer, origin, server, "max_entries: 1, share: redis")
    async with RevokingNode(text, tmp_path / "c") as small:
        assert await small.status(issuer.bearer(jti="harmless", **LONG_AGO)) == 200
        await one.tokens.revoke([one.wish("token", f"t{number}", "mobile") for number in range(3)])
        await until(lambda: is_refused(small, issuer.bearer(jti="harmless", **LONG_AGO)))
        await small.settled()
        assert await small.status(issuer.bearer(iat=int(time.time()) + 20)) == 200
        assert small.node.metric("gateway_token_revocations_covered") == 2
        assert small.tokens.health.full > 0
        assert len(small.tokens.listed()) == 1
