"""Asking issuers what tokens are worth (RFC 7662), within bounds. What is asked about is in no log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from gatewright.errors import GatewrightError
from gatewright.identity.fetch import is_loopback
from gatewright.outgoing.answers import UNCOMPRESSED, read_bounded
from gatewright.outgoing.asking import asking

log = logging.getLogger("gatewright.identity")

MAXIMUM_BYTES = 64 << 10
CONNECTIONS = 200

Document = dict[str, Any]
NOBODY_CAN_TELL: Document = {"ok": False}


class IntrospectionError(GatewrightError):
    """An issuer did not say what a token is worth."""


@dataclass(frozen=True, slots=True)
class IntrospectionSource:
    """Whom to ask about the tokens of one identity, and how the gateway proves itself. Seconds."""

    identity: str
    url: str
    allow_http: bool = False
    client: tuple[str, str] | None = field(default=None, repr=False)
    bearer: str | None = field(default=None, repr=False)
    timeout: float = 2.0

    def check(self) -> None:
        """Refuse an address where anybody on the way could answer. Raises `IntrospectionError`."""
        url = httpx2.URL(self.url)
        if url.scheme == "https" or (url.scheme == "http" and (self.allow_http or is_loopback(url.host))):
            return
        raise IntrospectionError(f"`{self.url}` is neither https nor on this machine")


@dataclass(slots=True)
class IntrospectionHealth:
    """How asking one issuer goes."""

    reachable: bool = True
    failures: int = 0
    error: str | None = None


class Introspections:
    """Asks the issuers of one node. Belongs to one event loop; the data plane asks once about a token, and
    bounds how many questions are open.
    """

    def __init__(self) -> None:
        self._sources: Mapping[str, IntrospectionSource] = {}
        self._client = asking(CONNECTIONS)
        self.health: dict[str, IntrospectionHealth] = {}

    def use(self, sources: Sequence[IntrospectionSource]) -> None:
        """Ask these from now on."""
        self._sources = {source.identity: source for source in sources}
        self.health = {name: self.health.get(name, IntrospectionHealth()) for name in self._sources}

    async def close(self) -> None:
        await self._client.aclose()

    async def answer(self, question: Document) -> Document:
        """Answer the data plane's question about one token: whether it is active, with what the issuer says,
        or that nobody can tell.
        """
        source = self._sources.get(str(question["identity"]))
        if source is None:
            return NOBODY_CAN_TELL
        try:
            async with asyncio.timeout(source.timeout):
                body = await self._ask(source, str(question["token"]))
            found = answer_of(body)
        except TimeoutError:
            return self._failed(source, f"no answer within {source.timeout:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return self._failed(source, type(error).__name__)
        except IntrospectionError as error:
            return self._failed(source, str(error))
        self._succeeded(source)
        return found

    async def _ask(self, source: IntrospectionSource, token: str) -> bytes:
        source.check()
        headers = {"accept": "application/json", **UNCOMPRESSED}
        if source.bearer is not None:
            headers["authorization"] = f"Bearer {source.bearer}"
        asked = self._client.stream(
            "POST",
            source.url,
            data={"token": token, "token_type_hint": "access_token"},
            headers=headers,
            auth=source.client,
            # Whoever is redirected to would get the token and the gateway's own credentials.
            follow_redirects=False,
        )
        async with asked as response:
            if response.status_code != httpx2.codes.OK:
                raise IntrospectionError(f"status {response.status_code}")
            return await read_bounded(response, MAXIMUM_BYTES, IntrospectionError)

    def _succeeded(self, source: IntrospectionSource) -> None:
        health = self.health.setdefault(source.identity, IntrospectionHealth())
        if not health.reachable:
            log.info("tokens are introspected again", extra={"identity": source.identity})
        health.reachable, health.error = True, None

    def _failed(self, source: IntrospectionSource, error: str) -> Document:
        health = self.health.setdefault(source.identity, IntrospectionHealth())
        if health.reachable:
            extra = {"identity": source.identity, "error": error}
            log.error("tokens cannot be introspected", extra=extra)
        health.reachable, health.failures, health.error = False, health.failures + 1, error
        return NOBODY_CAN_TELL


def answer_of(body: bytes) -> Document:
    """What the data plane is told of an answer. Raises `IntrospectionError` where it says nothing clear."""
    try:
        text = body.decode()
        document = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise IntrospectionError("not JSON, or a member is repeated") from error
    active = document.get("active") if isinstance(document, dict) else None
    if not isinstance(active, bool):
        raise IntrospectionError("`active` is neither true nor false")
    return {"ok": True, "active": True, "claims": text} if active else {"ok": True, "active": False}


def once(pairs: Iterable[tuple[str, Any]]) -> Document:
    """An object whose members are each there once: two readers could take either of two."""
    found: Document = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found
