"""Deep health asks what the node depends on: what is dead or hangs is told in the very answer for which it
was asked, and so is that it is back.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import Origin, Postgres, RedisServer
from gateway.credentials import Issuer
from gateway.health import AskedGateway as Gateway
from gateway.health import of
from gateway.key_store import SECRET
from gateway.origin import plain

CONFIGURATION = """
services: [{{name: users, instances: ["127.0.0.1:1"]}}]
routes: [{{name: users, match: /*, service: users, auth: {{accept: [{identity}]}}}}]
health: {{interval: 1h, deep_interval: 100ms, self_check: off}}
{rest}
"""
FILE = "path: keys/keys.sqlite"
KEYS = "identities: [{name: partners, kind: api_key, keys: {store: true}}]\n"


@pytest.fixture
def run(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Gateway]]:
    """Runs a node with this at the end of its configuration."""
    with ExitStack() as stack:

        def running(rest: str, identity: str = "partners") -> Gateway:
            text = CONFIGURATION.format(rest=rest, identity=identity)
            gateway = Gateway(tmp_path, (free_port(), free_port()), text)
            stack.callback(gateway.end)
            gateway.start()
            return gateway

        yield running


def store(place: str, timeout: str = "10s") -> str:
    settings = f"{place}, secret: '{SECRET}', watch_interval: 5s, timeout: {timeout}"
    return f"{KEYS}key_store: {{{settings}}}\n"


def well(gateway: Gateway, check: str) -> None:
    """Return when it is said to be so; what is slow for once on a busy machine is asked again."""
    gateway.awaited("/health?deep=1", lambda _, told: of(told, check) == {"healthy"})


def message(health: dict[str, Any], check: str) -> str:
    return next(str(one["message"]) for one in health["checks"] if one["check"] == check)


@pytest.mark.needs("redis-server")
@pytest.mark.parametrize("fault", ["killed", "hung"])
def test_a_redis_that_is_killed_or_hangs_is_told_and_told_when_it_is_back(
    run: Callable[..., Gateway], tmp_path: Path, free_port: Callable[[], int], fault: str
) -> None:
    server = RedisServer(free_port(), tmp_path)
    try:
        redis = f"redis: {{url: '{server.url}', timeout: 200ms, share_blocks: true}}\n"
        gateway = run(store(FILE) + redis)
        well(gateway, "redis")
        server.kill() if fault == "killed" else server.signal(signal.SIGSTOP)
        health = gateway.deeply()
        assert of(health, "redis") == {"unhealthy"}
        assert message(health, "redis").startswith("does not answer: ")
        assert health["status"] == "degraded"
        assert gateway.asked("/readyz")[0] == 200
        server.start() if fault == "killed" else server.signal(signal.SIGCONT)
        well(gateway, "redis")
    finally:
        server.signal(signal.SIGCONT)
        server.kill()


@pytest.mark.needs("postgres")
def test_a_store_in_postgresql_that_hangs_or_is_killed_is_told(
    run: Callable[..., Gateway], free_port: Callable[[], int]
) -> None:
    server = Postgres(free_port())
    try:
        gateway = run(store(f"url: '{server.url}'", "300ms"))
        well(gateway, "key_store")
        server.freeze(True)
        health = gateway.deeply()
        assert of(health, "key_store") == {"unhealthy"}
        assert message(health, "key_store") == "TimeoutError"
        server.freeze(False)
        well(gateway, "key_store")
        server.stop()
        health = gateway.deeply()
        assert of(health, "key_store") == {"unhealthy"}
        assert health["dependencies"]["key_store"]["connected"] is False
        assert SECRET not in str(health)
    finally:
        server.close()


def test_a_store_in_sqlite_that_is_gone_is_told(run: Callable[..., Gateway]) -> None:
    gateway = run(store(FILE))
    well(gateway, "key_store")
    for file in (gateway.directory / "keys").iterdir():
        # What the process has open goes on; what is written over does not.
        file.write_bytes(b"no database" * 1000)
    health = gateway.deeply()
    assert of(health, "key_store") == {"unhealthy"}
    assert "keys.sqlite" in message(health, "key_store")


def test_the_age_of_every_issuers_keys_is_told(run: Callable[..., Gateway]) -> None:
    with Origin(plain(json.dumps(Issuer().key_set).encode())) as server:
        identities = ", ".join(
            f"{{name: {name}, kind: jwt, issuer: 'https://{name}', audience: api, jwks: {{url: "
            f"'http://{server.address}/keys'}}}}"
            for name in ("one", "two")
        )
        gateway = run(f"identities: [{identities}]\n", "one, two")
        health = gateway.deeply()
    [ages] = [one["details"]["age_seconds"] for one in health["checks"] if one["check"] == "key_sets"]
    assert set(ages) == {"one", "two"}
    assert all(0 <= age < 60 for age in ages.values())
