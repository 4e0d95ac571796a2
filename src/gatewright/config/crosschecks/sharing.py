"""What nodes share: a server that is named, a client that is installed, and somebody who uses it."""

import importlib.util
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import ApiKeyIdentity, CircuitBreakers, KeyStore, Revocations
from gatewright.config.positions import Position
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find stores that nobody uses, and users of stores that are not there."""
    gateway = view.gateway
    sharers: list[tuple[str, CircuitBreakers | KeyStore | Revocations]] = [
        ("circuit_breakers", gateway.circuit_breakers),
        ("revocations", gateway.revocations),
    ]
    if gateway.key_store is not None:
        sharers.append(("key_store", gateway.key_store))
    sharing = [section for section, settings in sharers if settings.share == "redis"]
    for section in sharing:
        yield from _redis(view, view.at(section, "share"))
    shares_bans = gateway.redis is not None and gateway.redis.share_bans and any(t.ban for t in gateway.tiers)
    if shares_bans and not sharing:
        yield from _redis(view, view.key_at("redis"))
    used = sharing or shares_bans or gateway.shares_revocations
    if not used and gateway.redis is not None:
        yield view.key_at("redis").problem(
            "`redis` does nothing; share something, with `circuit_breakers: {share: redis}`"
        )
    yield from _key_store(view)


def _redis(view: View, at: Position) -> Iterator[Problem]:
    if view.gateway.redis is None:
        yield at.problem("`redis` is not configured; add `redis: {url: redis://HOST}`")
    if importlib.util.find_spec("redis") is None:
        yield at.problem("the Redis client is not installed; `pip install 'gatewright[redis]'`")


def _key_store(view: View) -> Iterator[Problem]:
    store = view.gateway.key_store
    users = [
        (number, identity)
        for number, identity in enumerate(view.gateway.identities)
        if isinstance(identity, ApiKeyIdentity) and identity.keys.store
    ]
    for number, identity in users:
        if store is None and view.complete:
            yield view.at("identities", number, "keys").problem(
                "`key_store` is not configured; add `key_store: {secret: ...}`"
            )
        if identity.pepper is not None:
            yield view.at("identities", number, "pepper").problem(
                "`pepper` does nothing here; keys of the store are hashed with `key_store.secret`"
            )
    if store is None:
        return
    if not users and view.complete:
        yield view.key_at("key_store").problem(
            "`key_store` does nothing; let an identity use it, with `kind: api_key, keys: {store: true}`"
        )
    if store.url is not None and importlib.util.find_spec("asyncpg") is None:
        yield view.at("key_store", "url").problem(
            "the PostgreSQL client is not installed; `pip install 'gatewright[postgresql]'`"
        )
