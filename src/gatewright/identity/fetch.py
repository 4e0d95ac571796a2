"""Fetching one JSON Web Key Set by URL, within bounds."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import dataclass, field

import httpx2

from gatewright.errors import GatewrightError

MAXIMUM_BYTES = 1 << 20
MAXIMUM_KEYS = 1000


class KeySetError(GatewrightError):
    """A key set could not be had."""


@dataclass(frozen=True, slots=True)
class KeySetTimes:
    """When a key set is fetched and given up; all in seconds."""

    refresh: float = 1800.0
    # Between two fetches that unknown keys ask for: invented key ids must not become a flood of fetches.
    minimum_refresh: float = 30.0
    # An hour, and 15 minutes more while the issuer is down (D15).
    lifetime: float = 4500.0
    timeout: float = 5.0
    jitter: float = 60.0
    first_retry: float = 1.0
    longest_retry: float = 300.0


@dataclass(frozen=True, slots=True)
class KeySetSource:
    """Where the key set of one identity comes from."""

    identity: str
    url: str
    allow_http: bool = False
    times: KeySetTimes = field(default_factory=KeySetTimes)

    def check(self) -> None:
        """Refuse a URL that anybody on the way could answer. Raises `KeySetError`."""
        url = httpx2.URL(self.url)
        if url.scheme == "https" or (url.scheme == "http" and (self.allow_http or is_loopback(url.host))):
            return
        raise KeySetError(f"`{self.url}` is neither https nor on this machine")


def is_loopback(host: str) -> bool:
    """Is this host name or address the machine itself?"""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def fetch_key_set(client: httpx2.AsyncClient, source: KeySetSource) -> bytes:
    """The key set of `source` as canonical JSON, at most 1 MiB and 1,000 keys, in time. Raises
    `KeySetError`.
    """
    source.check()
    seconds = source.times.timeout
    try:
        async with asyncio.timeout(seconds):
            body = await read_bounded(client, source.url)
    except TimeoutError as error:
        raise KeySetError(f"no answer within {seconds:g} s") from error
    except httpx2.HTTPError as error:
        raise KeySetError(f"{type(error).__name__}: {error}") from error
    return checked(body)


async def read_bounded(client: httpx2.AsyncClient, url: str) -> bytes:
    headers = {"accept": "application/jwk-set+json, application/json"}
    # A redirect would let the issuer, or whoever speaks for it, send the gateway to any address: it is an
    # error.
    async with client.stream("GET", url, headers=headers, follow_redirects=False) as response:
        if response.status_code != httpx2.codes.OK:
            raise KeySetError(f"status {response.status_code}")
        body = bytearray()
        async for part in response.aiter_bytes():
            body += part
            if len(body) > MAXIMUM_BYTES:
                raise KeySetError(f"larger than {MAXIMUM_BYTES} bytes")
    return bytes(body)


def checked(body: bytes) -> bytes:
    """A key set without anything but its keys. Raises `KeySetError`."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise KeySetError("not JSON") from error
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise KeySetError("not a key set: `keys` is not a list of objects")
    if not keys or len(keys) > MAXIMUM_KEYS:
        # An empty set would lock every caller out; keeping the old keys until they expire is what D15 asks
        # for.
        raise KeySetError(f"a key set with {len(keys)} keys; 1 to {MAXIMUM_KEYS} are accepted")
    return json.dumps({"keys": keys}, separators=(",", ":"), sort_keys=True).encode()
