"""Answers what the data plane asks about logins: what a code is worth, what a refresh token is worth, who has
left.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from gatewright.identity.oidc.granting import granted
from gatewright.identity.oidc.provider import Clocks, Provider, Push
from gatewright.identity.oidc.settings import (
    OidcSettings,
    ProviderError,
    RefusedError,
    TokenError,
    UserError,
)
from gatewright.identity.questions import NO, Answer, Question
from gatewright.outgoing.asking import asking
from gatewright.revocation.entries import Revocation
from gatewright.revocation.service import RevocationsFullError

log = logging.getLogger("gatewright.identity")

# A request that was under way with an old refresh token gets what the first one got.
REUSE_SECONDS = 60.0
MAXIMUM_REMEMBERED = 10_000
# Refresh tokens that are being given back to their providers.
MAXIMUM_GIVEN_BACK = 100
NOBODY = b'{"provider":{"authorization_endpoint":""}}'
LONGEST_WAIT_SECONDS = 60.0
LEAST_WAIT_SECONDS = 0.05

Revoke = Callable[[Sequence[Revocation]], Awaitable[object]]


class Logins:
    """Every provider of the live configuration. Belongs to one event loop."""

    def __init__(self, push: Push, revoke: Revoke, clocks: Clocks | None = None) -> None:
        self._push = push
        self._revoke = revoke
        self._clocks = clocks or Clocks()
        self._client = asking(50)
        self._providers: dict[str, Provider] = {}
        self._remembered: OrderedDict[str, tuple[float, Question]] = OrderedDict()
        self._giving_back: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    @property
    def answers(self) -> dict[str, Answer]:
        """Who answers, by kind of question."""
        return {
            "exchange_code": self.exchange,
            "refresh_session": self.refresh,
            "end_session": self.end,
            "check_logout": self.check_logout,
        }

    async def use(self, settings: Sequence[OidcSettings], seconds: float) -> None:
        """Keep these providers and no others; wait at most `seconds` for what new ones say of themselves."""
        kept = {name: one for name, one in self._providers.items() if one.settings in settings}
        self._providers = {
            one.identity: kept.get(one.identity) or Provider(one, self._client, self._push, self._clocks)
            for one in settings
        }
        fresh = [one.refresh() for name, one in self._providers.items() if name not in kept]
        if fresh:
            _, late = await asyncio.wait(map(asyncio.ensure_future, fresh), timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for name, one in self._providers.items():
            # Browsers must not be sent to the provider that the identity had before.
            if name not in kept and not one.is_known:
                self._push(name, NOBODY)
        self._changed.set()

    async def run(self) -> None:
        """Ask providers again what has changed, for ever."""
        while True:
            self._changed.clear()
            now = self._clocks.steady()
            await asyncio.gather(*(one.refresh() for one in self._providers.values() if one.due_at <= now))
            nearest = min(
                (one.due_at for one in self._providers.values()), default=now + LONGEST_WAIT_SECONDS
            )
            wait = max(LEAST_WAIT_SECONDS, min(nearest - self._clocks.steady(), LONGEST_WAIT_SECONDS))
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """End what is under way."""
        for task in self._giving_back:
            task.cancel()
        await self._client.aclose()

    def state(self) -> list[dict[str, object]]:
        """For `/health`: what is known of each provider."""
        return [
            {"identity": name, "issuer": one.settings.issuer, "is_known": one.is_known, "error": one.error}
            for name, one in sorted(self._providers.items())
        ]

    async def exchange(self, question: Question) -> Question:
        """Answer `exchange_code`."""
        return await self._answered(question, self._exchange)

    async def refresh(self, question: Question) -> Question:
        """Answer `refresh_session`, the same as a moment ago for the same refresh token: it may be worth
        nothing any more.
        """
        token = question["refresh_token"]
        key = hashlib.sha256(f"{question['identity']}\0{question['session']}\0{token}".encode()).hexdigest()
        known = self._remembered.get(key)
        if known is not None and self._clocks.steady() - known[0] < REUSE_SECONDS:
            return known[1]
        answer = await self._answered(question, self._renew)
        if answer["ok"]:
            self._remembered[key] = (self._clocks.steady(), answer)
            while len(self._remembered) > MAXIMUM_REMEMBERED:
                self._remembered.popitem(last=False)
        return answer

    async def end(self, question: Question) -> Question:
        """Answer `end_session`: no node takes the session any more, and its provider is told in its own
        time.
        """
        entry = self._revocation(question, ("token", question["session"]), question["until_ms"])
        is_revoked = await self._revoked(entry)
        token, provider = question.get("refresh_token"), self._providers.get(question["identity"])
        if token and provider is not None and len(self._giving_back) < MAXIMUM_GIVEN_BACK:
            task = asyncio.ensure_future(give_back(provider, token))
            self._giving_back.add(task)
            task.add_done_callback(self._giving_back.discard)
        return {"ok": is_revoked}

    async def check_logout(self, question: Question) -> Question:
        """Answer `check_logout`: a session or all of a user end here because they ended there."""
        return await self._answered(question, self._log_out)

    async def _answered(
        self, question: Question, work: Callable[[Provider, Question], Awaitable[Question]]
    ) -> Question:
        provider = self._providers.get(question["identity"])
        if provider is None:
            return NO
        try:
            return await work(provider, question)
        except ProviderError as error:
            failure, answer = error, NO
        except RefusedError as error:
            failure, answer = error, {"ok": True, "failed": "refused"}
        except TokenError as error:
            failure, answer = error, {"ok": True, "failed": "token"}
        except UserError as error:
            failure, answer = error, {"ok": True, "failed": "user"}
        fields = {"identity": question["identity"], "question": question["kind"], "error": str(failure)}
        level = logging.INFO if isinstance(failure, RefusedError) else logging.WARNING
        log.log(level, "a provider did not grant a login", extra=fields)
        return answer

    @staticmethod
    async def _exchange(provider: Provider, question: Question) -> Question:
        claims, tokens = await provider.exchange(question)
        return {"ok": True, "granted": granted(claims, tokens, provider.settings.claims)}

    @staticmethod
    async def _renew(provider: Provider, question: Question) -> Question:
        claims, tokens = await provider.renew(question["refresh_token"], question["subject"])
        # A provider that rotates nothing leaves the token as it is.
        tokens.setdefault("refresh_token", question["refresh_token"])
        return {"ok": True, "granted": granted(claims, tokens, provider.settings.claims)}

    async def _log_out(self, provider: Provider, question: Question) -> Question:
        claims = await provider.logout(question["token"])
        sid = claims.get("sid")
        whom = ("token", "sid:" + sid) if isinstance(sid, str) else ("subject", claims["sub"])
        until = int(self._clocks.wall() * 1000) + question["lifetime_ms"]
        return {"ok": await self._revoked(self._revocation(question, whom, until))}

    def _revocation(self, question: Question, whom: tuple[str, str], until_ms: int) -> Revocation:
        now = int(self._clocks.wall() * 1000)
        kind, value = whom
        return Revocation(kind, question["identity"], value, now, until_ms, now, by="logout")

    async def _revoked(self, entry: Revocation) -> bool:
        try:
            await self._revoke([entry])
        except RevocationsFullError as error:
            log.error("a session could not be ended", extra={"error": str(error)})
            return False
        return True


async def give_back(provider: Provider, token: str) -> None:
    try:
        await provider.give_back(token)
    except ProviderError as error:
        fields = {"identity": provider.settings.identity, "error": str(error)}
        log.info("a refresh token could not be given back", extra=fields)
