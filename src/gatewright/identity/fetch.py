"""Fetching one JSON Web Key Set by URL, or from wherever its issuer says that it is, within bounds."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import dataclass, field

import httpx2

from gatewright.errors import GatewrightError
from gatewright.identity.discovery import DiscoveryError, key_set_address
from gatewright.outgoing.answers import UNCOMPRESSED, read_bounded

MAXIMUM_BYTES = 1 << 20
MAXIMUM_KEYS = 1000
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class KeySetError(GatewrightError):
    """A key set could not be had."""


@dataclass(frozen=True, slots=True)
class KeySetTimes:
    """When a key set is fetched and given up; all in seconds."""

    refresh: float = 1800.0
    # Between two fetches that unknown keys ask for: invented key ids must not become a flood of fetches.
    minimum_refresh: float = 30.0
    # An hour, and 15 minutes more while the issuer is down (D15).
    lifetime: float = 3600.0
    extension: float = 900.0
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
    # Where `url` is that of a discovery document: whose it must be.
    issuer: str | None = None

    def check(self, address: str) -> None:
        """Refuse a URL that anybody on the way could answer. Raises `KeySetError`."""
        try:
            url = httpx2.URL(address)
        except httpx2.InvalidURL as error:
            raise KeySetError(f"`{address[:200]}` is no URL") from error
        if url.scheme == "https" or (url.scheme == "http" and (self.allow_http or is_loopback(url.host))):
            return
        raise KeySetError(f"`{address[:200]}` is neither https nor on this machine")


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
    seconds = source.times.timeout
    try:
        async with asyncio.timeout(seconds):
            return checked(await fetched(client, await address_of(client, source)))
    except TimeoutError as error:
        raise KeySetError(f"no answer within {seconds:g} s") from error
    except httpx2.HTTPError as error:
        raise KeySetError(f"{type(error).__name__}: {error}") from error
    except DiscoveryError as error:
        raise KeySetError(str(error)) from error


async def address_of(client: httpx2.AsyncClient, source: KeySetSource) -> str:
    """Where the key set is, by the issuer's own word where it has to be asked. Raises `KeySetError`."""
    source.check(source.url)
    if source.issuer is None:
        return source.url
    address = key_set_address(await fetched(client, source.url), source.issuer)
    source.check(address)
    return address


async def fetched(client: httpx2.AsyncClient, url: str) -> bytes:
    headers = {"accept": "application/jwk-set+json, application/json", **UNCOMPRESSED}
    # A redirect would let the issuer, or whoever speaks for it, send the gateway to any address: it is an
    # error.
    async with client.stream("GET", url, headers=headers, follow_redirects=False) as response:
        if response.status_code != httpx2.codes.OK:
            raise KeySetError(f"status {response.status_code}")
        return await read_bounded(response, MAXIMUM_BYTES, KeySetError)


def checked(body: bytes) -> bytes:
    """A key set without anything but its public keys. Raises `KeySetError`."""
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
    # Whoever can fetch a secret can sign with it. Private members are no use to anybody here.
    public = [{k: v for k, v in key.items() if k not in PRIVATE} for key in keys if key.get("kty") != "oct"]
    if not public:
        raise KeySetError("a key set of nothing but secrets")
    return json.dumps({"keys": public}, separators=(",", ":"), sort_keys=True).encode()
