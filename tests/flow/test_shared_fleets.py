"""Bans and revocations that nodes share by sentinels and over TLS: told at once, and after a failover."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway import Authority, Issuer, Origin, RevokingNode, listener, one_route, until
from gateway.redis import RedisServer
from gateway.redis_fleet import MASTER, PASSWORD, Sentinels
from gatewright.control.bans import BanKeeper
from gatewright.control.configuration import ban_settings

pytestmark = pytest.mark.needs("redis-server")

ANN = ("X-Forwarded-For", "192.0.2.1")
USER, SECRET = "gateway", "s3cret"


def text(origin: Origin, issuer: Issuer, redis: str) -> str:
    tier = "name: strict, limit: 1, window: 1h, per: client_ip, ban: {after: 1, within: 60s, lasts: 5m}"
    return one_route(
        origin,
        "auth: {accept: [mobile]}, rate_limit: strict",
        f"identities: [{issuer.identity}]",
        f"tiers: [{{{tier}}}]",
        listener("trusted_proxies: 127.0.0.1"),
        f"redis: {redis}",
        "node: {ban_interval: 100ms}",
        "revocations: {interval: 500ms}",
    )


@dataclass
class Pair:
    """Two nodes with one Redis, and whom they ban."""

    one: RevokingNode
    other: RevokingNode
    issuer: Issuer
    keepers: list[BanKeeper]

    async def check_revocations_are_told(self, name: str) -> None:
        """What the first revokes, the second refuses."""
        mine = self.issuer.bearer(jti=name)
        assert await self.other.status(mine, ("X-Forwarded-For", f"203.0.113.{len(name)}")) == 200
        await self.one.revoke("token", name)

        async def is_refused() -> bool:
            return await self.other.status(mine) == 401

        await until(is_refused)

    async def check_bans_are_told(self) -> None:
        """Whom the first bans, the second bans."""
        good = self.issuer.bearer()
        assert [await self.one.status(good, ANN) for _ in range(2)] == [200, 429]
        await until(lambda: b"192.0.2.1" in self.other.node.engine.bans())
        assert await self.other.status(good, ANN) == 429


async def started(opened: AsyncExitStack, configuration: str, issuer: Issuer, directory: Path) -> Pair:
    nodes = [await opened.enter_async_context(RevokingNode(configuration, directory / name)) for name in "ab"]
    keepers = []
    for number, running in enumerate(nodes):
        assert running.node.loaded is not None
        keeper = BanKeeper(running.node.engine, directory / f"bans-{number}.sqlite")
        await keeper.use(ban_settings(running.node.loaded.gateway))
        opened.push_async_callback(keeper.close)
        keepers.append(keeper)
    await until(lambda: all(keeper.sharing.connected for keeper in keepers))
    return Pair(nodes[0], nodes[1], issuer, keepers)


@pytest.fixture
async def opened() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def sentinels(free_port: Callable[[], int], tmp_path: Path) -> Iterator[Sentinels]:
    running = Sentinels([free_port() for _ in range(5)], tmp_path)
    yield running
    running.kill()


async def test_sentinels_name_the_server_by_which_nodes_tell_each_other_also_after_a_failover(
    origin: Origin, sentinels: Sentinels, opened: AsyncExitStack, tmp_path: Path
) -> None:
    issuer = Issuer("ES256")
    login = f"{{master: {MASTER}, username: default, password: {PASSWORD}}}"
    redis = f"{{url: [{sentinels.urls}], sentinel: {login}, timeout: 500ms}}"
    pair = await started(opened, text(origin, issuer, redis), issuer, tmp_path)
    await pair.check_revocations_are_told("t")
    await pair.check_bans_are_told()
    sentinels.master.kill()
    replica = sentinels.replica.ask()
    await until(lambda: replica.info("replication")["role"] == "master", 30)
    await pair.check_revocations_are_told("t2")


@pytest.fixture
def secured(free_port: Callable[[], int], tmp_path: Path) -> Iterator[tuple[Authority, RedisServer]]:
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("redis", "localhost")
    (tmp_path / "users.acl").write_text(f"user default off\nuser {USER} on >{SECRET} ~* &* +@all\n")
    port = free_port()
    options = (
        *("--port", "0", "--tls-port", str(port), "--tls-cert-file", str(pair.file)),
        *("--tls-key-file", str(pair.key_file), "--tls-ca-cert-file", str(authority.file)),
        *("--aclfile", str(tmp_path / "users.acl")),
    )
    running = RedisServer(port, tmp_path / "redis", *options)
    yield authority, running
    running.kill()


async def test_nodes_tell_each_other_over_tls_with_a_certificate_and_a_user(
    origin: Origin, secured: tuple[Authority, RedisServer], opened: AsyncExitStack, tmp_path: Path
) -> None:
    authority, server = secured
    shown, issuer = authority.issue("client", "gateway.test"), Issuer("ES256")
    tls = f"{{ca_file: {authority.file}, certificate: {shown.yaml}}}"
    url = f"rediss://{USER}:{SECRET}@localhost:{server.port}/0"
    configuration = text(origin, issuer, f"{{url: '{url}', tls: {tls}, timeout: 2s}}")
    pair = await started(opened, configuration, issuer, tmp_path)
    await pair.check_revocations_are_told("t")
    await pair.check_bans_are_told()


async def test_a_server_of_strangers_is_told_nothing_over_tls(
    origin: Origin, secured: tuple[Authority, RedisServer], opened: AsyncExitStack, tmp_path: Path
) -> None:
    """What is revoked holds on the node that was told, and nobody else hears of it."""
    authority, server = secured
    shown, issuer = authority.issue("client", "gateway.test"), Issuer("ES256")
    strangers = Authority(tmp_path / "strangers")
    tls = f"{{ca_file: {strangers.file}, certificate: {shown.yaml}}}"
    url = f"rediss://{USER}:{SECRET}@localhost:{server.port}/0"
    configuration = text(origin, issuer, f"{{url: '{url}', tls: {tls}, timeout: 500ms}}")
    node = await opened.enter_async_context(RevokingNode(configuration, tmp_path / "a"))
    assert (await node.revoke("token", "t1")).shared is False
    assert await node.status(issuer.bearer(jti="t1")) == 401
