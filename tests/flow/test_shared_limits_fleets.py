"""Limit: a Redis with sentinels, a cluster, TLS and users."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway import Authority, Client, Issuer, Node, Origin, encode, get, one_route
from gateway.redis import RedisServer, until
from gateway.redis_fleet import MASTER, PASSWORD, Cluster, Sentinels
from gatewright.control.fleet import FleetStore
from gatewright.health.dependencies import ask_redis
from gatewright.redis_clients import RedisSettings, RedisTarget

pytestmark = pytest.mark.needs("redis-server")

PATIENT = "shared_limits: {deadline: 10s, open_for: 200ms, failures: 2, nodes: 1, max_waiting: 100000}"


def tiers(*each: str) -> str:
    return "tiers: [" + ", ".join(f"{{{one}}}" for one in each) + "]"


def connected(node: Node) -> Node:
    workers = node.state()["workers"]
    node.wait_for(lambda state: state["limit_store"]["connected_workers"] == workers, 30)
    return node


@pytest.fixture
def sentinels(free_port: Callable[[], int], tmp_path: Path) -> Iterator[Sentinels]:
    running = Sentinels([free_port() for _ in range(5)], tmp_path)
    yield running
    running.kill()


@pytest.fixture
def cluster(free_port: Callable[[], int], tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster([free_port() for _ in range(6)], tmp_path)
    yield running
    running.kill()


def test_a_failover_by_sentinels_is_followed_and_counts_are_kept(
    origin: Origin, sentinels: Sentinels
) -> None:
    login = f"{{master: {MASTER}, username: default, password: {PASSWORD}}}"
    text = one_route(
        origin,
        "rate_limit: {tier: t, on_failure: closed}",
        tiers("name: t, limit: 9, window: 1h, per: client_ip, share: exact"),
        f"redis: {{url: [{sentinels.urls}], sentinel: {login}}}",
        PATIENT,
    )
    with Node(text) as node:
        connected(node)
        assert get(node.address, "/").get("x-ratelimit-remaining") == "8"
        replica = sentinels.replica.ask()
        until(lambda: bool(list(replica.scan_iter("rate:*"))))
        sentinels.master.kill()
        until(lambda: replica.info("replication")["role"] == "master")
        until(lambda: get(node.address, "/").status == 200)
        # Nobody told how many are left while Redis could not be asked.
        until(lambda: int(get(node.address, "/").get("x-ratelimit-remaining") or 9) <= 6)


def test_tiers_on_several_servers_of_a_cluster_count_together_and_give_back(
    origin: Origin, cluster: Cluster
) -> None:
    issuer = Issuer()
    text = one_route(
        origin,
        "rate_limit: [wide, narrow], auth: {accept: [mobile]}",
        tiers(
            "name: wide, limit: 12, window: 1h, per: global, share: exact",
            "name: narrow, limit: 2, window: 1h, per: user, share: exact",
        ),
        f"redis: {{url: [{cluster.urls}], cluster: true}}",
        f"identities: [{issuer.identity}]",
        "revocations: {share: none}",
        PATIENT,
    )
    with Node(text) as node:
        connected(node)
        users = [issuer.bearer(sub=f"user-{number}") for number in range(5)]
        for user in users:
            assert [get(node.address, "/", user).status for _ in range(4)] == [200, 200, 429, 429]
        keys = [len(list(server.ask().scan_iter("rate:*"))) for server in cluster.servers]
        assert sum(keys) == 6
        assert max(keys) < 6
        # Ten have passed: two are left, since what the refused ones were charged is given back.
        [wide] = [server for server in cluster.servers if list(server.ask().scan_iter("rate:{global}:wide"))]
        until(lambda: wide.ask().get("rate:{global}:wide").endswith(":10"))
        assert get(node.address, "/", issuer.bearer(sub="another")).get("x-ratelimit-remaining") == "1"
        assert node.metric("gateway_limit_fallbacks_total") == 0


def test_of_many_parallel_requests_exactly_the_limit_passes_in_a_cluster(cluster: Cluster) -> None:
    text = "\n".join([
        "routes: [{name: all, match: /, service: self, rate_limit: t}]",
        "records: {sinks: []}",
        tiers("name: t, limit: 123, window: 1d, per: client_ip, share: exact"),
        f"redis: {{url: [{cluster.urls}], cluster: true}}",
        PATIENT,
    ])

    def ask(node: Node) -> int:
        with Client(node.address, 60) as client:
            client.send(encode("/") * 150)
            return sum(client.response().status == 200 for _ in range(150))

    with Node(text, workers=2) as one, Node(text, workers=2) as other, ThreadPoolExecutor(8) as pool:
        nodes = [connected(one), connected(other)]
        asked = [pool.submit(ask, nodes[place % 2]) for place in range(8)]
        assert sum(done.result(120) for done in asked) == 123
        assert sum(node.metric("gateway_limit_fallbacks_total") for node in nodes) == 0


def test_whoever_asks_a_cluster_beside_the_limits_leaves_no_connection_open(cluster: Cluster) -> None:
    watching = [server.ask() for server in cluster.servers]

    def connections() -> list[int]:
        return [one.info("clients")["connected_clients"] for one in watching]

    async def ask(target: RedisTarget) -> tuple[FleetStore, list[dict[str, Any]]]:
        wrong: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: wrong.append(told))
        for _ in range(3):
            outcome = await ask_redis(RedisSettings(target, 5.0))
            assert outcome is not None
            assert outcome.well
        store = FleetStore(target, 5.0)
        assert await store.exchange("one", "aaaaaaaa 1") == {"one": "aaaaaaaa 1"}
        await store.close()
        await asyncio.to_thread(until, lambda: connections() == before)
        return store, wrong

    before = connections()
    urls = tuple(f"redis://127.0.0.1:{server.port}" for server in cluster.servers)
    _, wrong = asyncio.run(ask(RedisTarget(urls, cluster=True)))
    assert wrong == []


@pytest.fixture
def secured(free_port: Callable[[], int], tmp_path: Path) -> Iterator[tuple[Authority, RedisServer]]:
    authority = Authority(tmp_path / "certificates")
    pair = authority.issue("redis", "localhost")
    users = "user default off", "user gateway on >s3cret ~rate* +@all"
    (tmp_path / "users.acl").write_text("\n".join(users) + "\n")
    port = free_port()
    options = (
        *("--port", "0", "--tls-port", str(port), "--tls-cert-file", str(pair.file)),
        *("--tls-key-file", str(pair.key_file), "--tls-ca-cert-file", str(authority.file)),
        *("--aclfile", str(tmp_path / "users.acl")),
    )
    running = RedisServer(port, tmp_path / "redis", *options)
    yield authority, running
    running.kill()


@pytest.mark.parametrize("is_trusted", [True, False])
def test_tls_demands_a_trusted_server_and_a_certificate_and_a_user(
    origin: Origin, secured: tuple[Authority, RedisServer], tmp_path: Path, is_trusted: bool
) -> None:
    authority, server = secured
    shown = authority.issue("client", "gateway.test")
    trusted = authority if is_trusted else Authority(tmp_path / "strangers")
    text = one_route(
        origin,
        "rate_limit: {tier: t, on_failure: closed}",
        tiers("name: t, limit: 9, window: 1h, per: client_ip, share: exact"),
        f'redis: {{url: "rediss://gateway:s3cret@localhost:{server.port}/0", tls: {{ca_file: '
        f"{trusted.file}, certificate: {shown.yaml}}}}}",
        PATIENT,
    )
    with Node(text) as node:
        if is_trusted:
            connected(node)
            assert get(node.address, "/").get("x-ratelimit-remaining") == "8"
        else:
            node.wait_for(lambda state: "ertificate" in (state["limit_store"]["error"] or ""))
            assert get(node.address, "/").status == 503


@pytest.fixture
def guarded(free_port: Callable[[], int], tmp_path: Path) -> Iterator[RedisServer]:
    users = "user default off", "user gateway on >s3cret ~rate* +@all"
    (tmp_path / "users.acl").write_text("\n".join(users) + "\n")
    options = ("--aclfile", str(tmp_path / "users.acl"), "--unixsocket", str(tmp_path / "r.sock"))
    running = RedisServer(free_port(), tmp_path / "redis", *options)
    yield running
    running.kill()


@pytest.mark.parametrize(
    "url",
    [
        "redis://gateway:{password}@127.0.0.1:{port}/3",
        "unix://{directory}/r.sock?db=3&user=gateway&pass={password}",
    ],
)
def test_counts_are_in_the_database_of_the_url_and_its_password_is_demanded(
    origin: Origin, guarded: RedisServer, tmp_path: Path, url: str
) -> None:
    def text(password: str) -> str:
        return one_route(
            origin,
            "rate_limit: {tier: t, on_failure: closed}",
            tiers("name: t, limit: 9, window: 1h, per: client_ip, share: exact"),
            f'redis: {{url: "{url.format(password=password, port=guarded.port, directory=tmp_path)}"}}',
            PATIENT,
        )

    with Node(text("s3cret")) as node:
        connected(node)
        assert get(node.address, "/").get("x-ratelimit-remaining") == "8"
        of_database = {
            number: guarded.ask(username="gateway", password="s3cret", db=number) for number in (0, 3)
        }
        assert of_database[3].get("rate:{ip:127.0.0.1}:t") is not None
        assert of_database[0].get("rate:{ip:127.0.0.1}:t") is None
    with Node(text("wrong")) as node:
        node.wait_for(lambda state: "WRONGPASS" in (state["limit_store"]["error"] or ""))
        assert get(node.address, "/").status == 503
