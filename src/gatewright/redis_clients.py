"""Clients of the Redis that nodes share: of one server, of a master that sentinels know, of a cluster. The
client is an extra: it is imported where it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from gatewright.errors import GatewrightError

DEFAULT_PORT = 26_379
CLOSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SentinelLogin:
    """What sentinels call the master, and who asks them."""

    master: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class RedisTarget:
    """Where Redis is: the URL of a server, those of sentinels, or those of some servers of a cluster."""

    urls: tuple[str, ...] = field(repr=False)
    sentinel: SentinelLogin | None = None
    cluster: bool = False
    ca_file: str | None = None
    certificate: tuple[str, str] | None = None
    """Files of a certificate and its key."""

    @property
    def tls(self) -> dict[str, Any]:
        """Options of a client that speaks TLS."""
        if not self.urls[0].startswith("rediss:"):
            return {}
        certificate, key = self.certificate or (None, None)
        options = {"ssl_ca_certs": self.ca_file, "ssl_certfile": certificate, "ssl_keyfile": key}
        return {name: value for name, value in options.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Which Redis, and how many seconds a connection and an answer may take."""

    target: RedisTarget
    timeout: float


Place = RedisTarget | str
"""A URL may stand for a server."""


def bounded(timeout: float, connections: int) -> dict[str, Any]:
    """Options of a client that waits `timeout` seconds for a connection and for each answer, and tries
    nothing again. What is no text in UTF-8 is read all the same.
    """
    from redis.asyncio.retry import Retry  # noqa: PLC0415 - an extra.
    from redis.backoff import NoBackoff  # noqa: PLC0415

    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "max_connections": connections,
        "retry": Retry(NoBackoff(), 0),
        "decode_responses": True,
        "encoding_errors": "replace",
    }


def failures() -> tuple[type[Exception], ...]:
    """What a client raises where Redis cannot be asked, or answers what it does not understand."""
    from redis.exceptions import RedisClusterException, RedisError  # noqa: PLC0415 - an extra.

    return RedisError, RedisClusterException, OSError, TimeoutError, ValueError


class SingleConnection:
    """One connection at most. After an error it must be closed, since an answer may still be under way."""

    error: ClassVar[type[GatewrightError]]
    """What is raised where Redis cannot be asked, or does not answer in time."""

    def __init__(self, place: Place, timeout: float) -> None:
        self._timeout = timeout
        try:
            self._client: Any = connect(place, **bounded(timeout, connections=1))
        except failures() as error:
            message = f"the address cannot be read: {error}"
            raise self.error(message) from error

    async def close(self) -> None:
        """Drop the connection, whatever is still under way on it."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await disconnect(self._client)

    async def _within(self, command: Any) -> Any:
        try:
            # A server that drips bytes keeps each of the client's own waits short; this is for all of them.
            async with asyncio.timeout(3 * self._timeout):
                return await command
        except failures() as error:
            message = str(error) or type(error).__name__
            raise self.error(message) from error


async def disconnect(client: Any) -> None:
    """Drop all connections of a client, those to sentinels too, whatever is still under way on them."""
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        # A client of a cluster: each server has a pool of its own.
        await client.aclose()
        return
    await pool.disconnect(inuse_connections=True)
    manager = getattr(pool, "sentinel_manager", None)
    for sentinel in manager.sentinels if manager is not None else ():
        await sentinel.connection_pool.disconnect(inuse_connections=True)


def connect(place: Place, **options: Any) -> Any:
    """Give a client, which connects when it is first used. Raises `ValueError` for an address that cannot be
    read.
    """
    target = RedisTarget((place,)) if isinstance(place, str) else place
    if target.sentinel is not None:
        return _through_sentinels(target, target.sentinel, options)
    if target.cluster:
        from redis.asyncio.cluster import RedisCluster  # noqa: PLC0415

        # Each server has a pool of its own.
        return RedisCluster.from_url(target.urls[0], **options, **target.tls)
    from redis.asyncio import Redis  # noqa: PLC0415

    return Redis.from_url(target.urls[0], **options, **target.tls)


def connect_waiting(place: Place, **options: Any) -> Any:
    """Give a client whose callers wait for one of `max_connections`, for `timeout` seconds at most."""
    target = RedisTarget((place,)) if isinstance(place, str) else place
    if target.sentinel is not None or target.cluster:
        return connect(target, **{name: value for name, value in options.items() if name != "timeout"})
    from redis.asyncio import BlockingConnectionPool, Redis  # noqa: PLC0415

    pool: Any = BlockingConnectionPool.from_url(target.urls[0], **options, **target.tls)
    return Redis(connection_pool=pool)


def _through_sentinels(target: RedisTarget, login: SentinelLogin, options: dict[str, Any]) -> Any:
    from redis.asyncio.sentinel import Sentinel  # noqa: PLC0415

    parts = [urlsplit(url) for url in target.urls]
    secured: dict[str, Any] = {"ssl": True, **target.tls} if parts[0].scheme == "rediss" else {}
    timeouts = {name: value for name, value in options.items() if name.startswith("socket_")}
    asking = {"username": login.username, "password": login.password, **secured, **timeouts}
    database = parts[0].path.strip("/")
    own = {
        "username": parts[0].username,
        "password": parts[0].password,
        "db": int(database) if database else 0,
        **secured,
        **options,
    }
    hosts = [(part.hostname or "localhost", part.port or DEFAULT_PORT) for part in parts]
    return Sentinel(hosts, sentinel_kwargs=asking, **own).master_for(login.master)
