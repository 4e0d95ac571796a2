"""Two nodes and one Redis: what one breaker does, the other does too, and no failure of Redis stops them."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway import Node, Origin, RedisServer, get, one_route, plain
from gatewright.control.sharing import BreakerSharing, SharingSettings

pytestmark = pytest.mark.needs("redis-server")

FAILURE = plain(b"", "500 Internal Server Error")
BREAKER = "circuit_breaker: {minimum_requests: 2, open_for: 30s, probes: 1, ramp: 0s}"
SECONDS = 60.0


class Half:
    """One of the two nodes."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.node = Node(one_route(origin, service=BREAKER))
        self.sharing = BreakerSharing(self.node.engine)

    @property
    def breaker(self) -> dict[str, Any]:
        return self.node.state()["services"][0]["breakers"][0]

    async def fail(self) -> None:
        """Opens this node's breaker by its own rule."""
        for _ in range(2):
            self.origin.script(FAILURE)
            await asyncio.to_thread(get, self.node.address, "/")
        self.node.records(2)
        assert self.breaker["state"] == "open"

    def reset(self) -> None:
        self.node.engine.set_breaker(None, b'{"action": "reset"}')


@pytest.fixture
async def halves(origin: Origin, server: RedisServer) -> AsyncIterator[tuple[Half, Half]]:
    made = Half(origin), Half(origin)
    # A closing that happens while Redis cannot be asked is nobody's news, so a slow one is waited for.
    settings = SharingSettings(server.url, timeout=2.0, interval=0.05, open_for={"users": 30.0})
    for half in made:
        await half.sharing.use(settings)
    for half in made:
        await until(lambda half=half: half.sharing.health.connected)
    yield made
    for half in made:
        await half.sharing.use(None)
        half.node.stop()


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not wanted():  # noqa: ASYNC110 - what it waits for is in other threads and processes.
            await asyncio.sleep(0.01)


async def test_an_opening_and_a_closing_reach_the_other_node(
    halves: tuple[Half, Half], server: RedisServer
) -> None:
    one, other = halves
    await one.fail()
    await until(lambda: other.breaker["state"] == "open")
    last = other.breaker["recent"][-1]
    assert (last["from"], last["to"], last["reason"]) == ("closed", "open", "shared")
    assert 25_000 < other.breaker["retry_after_ms"] <= 30_000
    stored = server.ask().hgetall("circuit:users")
    assert set(stored) == {"state", "failure_count", "last_failure_at", "opened_at"}
    assert (stored["state"], stored["failure_count"]) == ("open", "2")
    assert float(stored["last_failure_at"]) <= float(stored["opened_at"]) + 0.1
    assert server.ask().ttl("circuit:users") == -1
    one.reset()
    await until(lambda: other.breaker["state"] == "closed")
    assert other.breaker["recent"][-1]["reason"] == "shared"
    # What was taken from another node is not told again, or two nodes would never come to rest.
    assert other.sharing.health.pushed == 0


async def test_what_a_person_holds_stays_on_its_node(halves: tuple[Half, Half], server: RedisServer) -> None:
    one, other = halves
    one.node.engine.set_breaker("users", b'{"action": "open", "by": "ann", "why": null}')
    await other.fail()
    await until(lambda: server.ask().hget("circuit:users", "state") == "open")
    other.reset()
    await until(lambda: server.ask().hget("circuit:users", "state") == "closed")
    assert one.breaker["held"]["by"] == "ann"
    assert one.breaker["state"] == "open"


@pytest.mark.parametrize("fault", ["killed", "hung"])
async def test_without_redis_breakers_go_on_and_sharing_comes_back_by_itself(
    halves: tuple[Half, Half], server: RedisServer, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = halves
    if fault == "killed":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    await until(lambda: not one.sharing.health.connected and not other.sharing.health.connected)
    await one.fail()
    assert other.breaker["state"] == "closed"
    assert one.sharing.health.error
    assert "breakers are not shared" in caplog.text
    if fault == "killed":
        server.start()
    else:
        server.signal(signal.SIGCONT)
    await until(lambda: other.breaker["state"] == "open")
    # What one has told may be heard before its own answer.
    await until(lambda: one.sharing.health.connected)


async def test_garbage_under_our_names_is_nobodys_news(
    halves: tuple[Half, Half], server: RedisServer
) -> None:
    one, other = halves
    redis = server.ask()
    garbage = {"state": "open", "failure_count": "x", "last_failure_at": "nan", "opened_at": "inf"}
    for write in (
        lambda: redis.hset("circuit:users", mapping=garbage),
        lambda: redis.hset("circuit:users", "state", b"\xff\xfe"),
        lambda: (redis.delete("circuit:users"), redis.set("circuit:users", "text")),
    ):
        write()
        before = one.sharing.health.last or 0
        await until(lambda before=before: (one.sharing.health.last or 0) > before + 0.1)
        assert (one.breaker["state"], other.breaker["state"]) == ("closed", "closed")
        await until(lambda: one.sharing.health.connected)
    redis.delete("circuit:users")
    await one.fail()
    await until(lambda: other.breaker["state"] == "open")


async def test_a_restarted_redis_without_its_data_learns_again_what_is_open(
    halves: tuple[Half, Half], server: RedisServer
) -> None:
    one, other = halves
    await one.fail()
    await until(lambda: other.breaker["state"] == "open")
    server.kill()
    server.start()

    def knows() -> bool:
        with contextlib.suppress(OSError, Exception):
            return server.ask().hget("circuit:users", "state") == "open"
        return False

    await until(knows)


async def test_what_answers_without_being_redis_is_said_and_nothing_breaks(origin: Origin) -> None:
    half = Half(origin)
    settings = SharingSettings(f"redis://{origin.address}/0", 0.2, 0.05, {"users": 30.0})
    await half.sharing.use(settings)
    await until(lambda: half.sharing.health.failures > 2)
    await half.fail()
    assert not half.sharing.health.connected
    await half.sharing.use(None)
    half.node.stop()
