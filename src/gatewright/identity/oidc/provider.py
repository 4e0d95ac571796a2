"""One provider: where it is asked, by which keys it signs, what it answers."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from gatewright.identity.fetch import KeySetError, fetch_key_set
from gatewright.identity.oidc.asking import ask_for_tokens, discover, withdraw
from gatewright.identity.oidc.id_token import (
    Claims,
    Expected,
    UnknownKeyError,
    read_id_token,
    read_logout_token,
)
from gatewright.identity.oidc.settings import Endpoints, OidcSettings, ProviderError, TokenError

log = logging.getLogger("gatewright.identity")

REFRESH_SECONDS = 86_400.0
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0
KEYS_SECONDS = 3_600.0
# Between two fetches that unknown keys ask for.
LEAST_SECONDS = 30.0
# A provider that has just failed is not asked by the next session at once.
PAUSE_SECONDS = 2.0

Push = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Clocks:
    """What time it is, in seconds."""

    steady: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


class Provider:
    """What is known of the provider of one identity. Belongs to one event loop."""

    def __init__(
        self,
        settings: OidcSettings,
        client: httpx2.AsyncClient,
        push: Push,
        clocks: Clocks,
    ) -> None:
        self.settings = settings
        self.due_at = 0.0
        self.error: str | None = None
        self._client = client
        self._push = push
        self._clock, self._now = clocks.steady, clocks.wall
        self._endpoints = settings.endpoints
        self._failures = 0
        self._keys: list[dict[str, Any]] = []
        self._keys_at: float | None = None
        self._failed_at: float | None = None
        self._discovering = asyncio.Lock()
        self._fetching = asyncio.Lock()

    @property
    def is_known(self) -> bool:
        """Is it known where browsers are to be sent?"""
        return self._endpoints is not None

    async def refresh(self) -> None:
        """Ask the provider where it is asked, unless the configuration says; fails into the log."""
        if self.settings.endpoints is not None:
            self.due_at = self._clock() + REFRESH_SECONDS
            return
        async with self._discovering:
            try:
                found = await discover(self._client, self.settings)
            except (ProviderError, ValueError) as error:
                self._failed(error)
                return
            self._endpoints, self.error, self._failures = found, None, 0
            self.due_at = self._clock() + REFRESH_SECONDS * random.uniform(0.9, 1)  # noqa: S311 - no secret.
            self._push(self.settings.identity, self.document(found))

    @staticmethod
    def document(endpoints: Endpoints) -> bytes:
        """What the data plane is told."""
        told = {
            "authorization_endpoint": endpoints.authorization,
            "end_session_endpoint": endpoints.end_session,
        }
        return json.dumps({"provider": told}).encode()

    async def exchange(self, question: Mapping[str, Any]) -> tuple[Claims, dict[str, Any]]:
        """What a code is worth. Raises `ProviderError`, `RefusedError` and `TokenError`."""
        endpoints = self._known()
        issuer = question.get("issuer")
        if issuer != self.settings.issuer and (issuer is not None or endpoints.says_issuer):
            # The answer of another provider, mixed up with this one's (RFC 9207).
            raise TokenError("the answer is of another issuer")
        form = {
            "grant_type": "authorization_code",
            "code": str(question["code"]),
            "redirect_uri": str(question["redirect_uri"]),
            "code_verifier": str(question["verifier"]),
        }
        tokens = await self._ask(endpoints, form)
        expected = Expected(self._now(), str(question["nonce"]), tokens.get("access_token"))
        return await self._claims(tokens.get("id_token"), expected), tokens

    async def renew(self, refresh_token: str, subject: str) -> tuple[Claims | None, dict[str, Any]]:
        """What a refresh token is worth; no claims where no ID token came with it. Raises as `exchange`."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        tokens = await self._ask(self._known(), form)
        if tokens.get("id_token") is None:
            return None, tokens
        expected = Expected(self._now(), access_token=tokens.get("access_token"), subject=subject)
        return await self._claims(tokens["id_token"], expected), tokens

    async def give_back(self, refresh_token: str) -> None:
        """Let the provider forget a refresh token. Raises `ProviderError`."""
        await withdraw(self._client, self.settings, self._known(), refresh_token)

    async def logout(self, token: str) -> Claims:
        """What a logout token of the provider says. Raises `ProviderError` and `TokenError`."""
        now = self._now()
        try:
            return read_logout_token(token, await self._key_set(), self.settings, now)
        except UnknownKeyError:
            return read_logout_token(token, await self._key_set(newer=True), self.settings, now)

    def _known(self) -> Endpoints:
        if self._endpoints is None:
            raise ProviderError("the provider is not known yet")
        return self._endpoints

    async def _ask(self, endpoints: Endpoints, form: Mapping[str, str]) -> dict[str, Any]:
        if self._failed_at is not None and self._clock() - self._failed_at < PAUSE_SECONDS:
            raise ProviderError("the provider has just failed")
        try:
            tokens = await ask_for_tokens(self._client, self.settings, endpoints, form)
        except ProviderError:
            self._failed_at = self._clock()
            raise
        self._failed_at = None
        return tokens

    async def _claims(self, token: object, expected: Expected) -> Claims:
        if not isinstance(token, str):
            raise TokenError("there is no ID token")
        try:
            return read_id_token(token, await self._key_set(), self.settings, expected)
        except UnknownKeyError:
            return read_id_token(token, await self._key_set(newer=True), self.settings, expected)

    async def _key_set(self, *, newer: bool = False) -> list[dict[str, Any]]:
        """The provider's keys, at most an hour old; `newer`: unless they are quite new already."""
        async with self._fetching:
            age = None if self._keys_at is None else self._clock() - self._keys_at
            if age is None or age > KEYS_SECONDS or (newer and age > LEAST_SECONDS):
                try:
                    fetched = await fetch_key_set(self._client, self.settings.keys_at(self._known().jwks))
                except KeySetError as error:
                    raise ProviderError(f"key set: {error}") from error
                self._keys, self._keys_at = json.loads(fetched)["keys"], self._clock()
            return self._keys

    def _failed(self, error: Exception) -> None:
        self.error = str(error)
        delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(self._failures, 20), LONGEST_RETRY_SECONDS)
        self._failures += 1
        self.due_at = self._clock() + delay * random.uniform(1, 1.5)  # noqa: S311 - no secret.
        fields = {"identity": self.settings.identity, "error": self.error, "retry_seconds": delay}
        log.warning("discovery of a provider failed", extra=fields)
