"""What nodes share: a server that is named, a client that is installed, and somebody who uses it."""

import importlib.util
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs

from gatewright.config.crosschecks.view import View
from gatewright.config.models import ApiKeyIdentity, CircuitBreakers, KeyStore, Redis, Revocations
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
    tiers = [number for number, tier in enumerate(gateway.tiers) if tier.share != "none"]
    for section in sharing:
        yield from _redis(view, view.at(section, "share"))
    for number in tiers:
        yield from _redis(view, view.at("tiers", number, "share"))
    shares_bans = gateway.redis is not None and gateway.redis.share_bans and any(t.ban for t in gateway.tiers)
    shares = shares_bans or (gateway.redis is not None and gateway.redis.share_blocks)
    if shares and not sharing and not tiers:
        yield from _redis(view, view.key_at("redis"))
    used = sharing or tiers or shares or gateway.shares_revocations
    if not used and gateway.redis is not None:
        yield view.key_at("redis").problem(
            "`redis` does nothing; share something, with `circuit_breakers: {share: redis}`"
        )
    if gateway.redis is not None:
        others = [*sharing]
        others += ["redis.share_bans"] if shares_bans else []
        others += ["revocations"] if gateway.shares_revocations and "revocations" not in sharing else []
        yield from _servers(view, gateway.redis, others)
    yield from _key_store(view)


def _servers(view: View, redis: Redis, others: Sequence[str]) -> Iterator[Problem]:
    """Find addresses that do not fit together. `others`: what is shared besides limits."""
    schemes = {url.partition(":")[0] for url in redis.url}
    at = view.at("redis", "url")
    if redis.cluster and redis.sentinel is not None:
        yield view.at("redis", "cluster").problem("a cluster has no sentinels; leave out one of them")
    elif len(redis.url) > 1 and not redis.cluster and redis.sentinel is None:
        yield at.problem("several addresses are those of sentinels or of a cluster; say which")
    if len(schemes) > 1:
        yield at.problem("all addresses have TLS or none has; write all of them with one scheme")
    if "unix" in schemes and (redis.cluster or redis.sentinel is not None):
        yield at.problem("sentinels and clusters are asked for addresses of a network; leave out `unix:`")
    if redis.tls is not None and schemes != {"rediss"}:
        yield view.at("redis", "tls").problem("`tls` is for `rediss://` addresses")
    if redis.cluster and any(_database(url) for url in redis.url):
        yield at.problem("a cluster has no database but 0; leave out the number behind the address")
    if redis.cluster and others:
        names = ", ".join(f"`{name}`" for name in others)
        yield view.at("redis", "cluster").problem(
            f"a cluster is for tiers with `share`; {names} would need one server, or sentinels"
        )


def _database(url: str) -> str:
    """The number of the database that an address of a network names, as clients read it; empty for 0."""
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    told = parse_qs(query).get("db", [place.partition("/")[2].strip("/")])
    return "" if scheme == "unix" else told[0].strip("0")


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
