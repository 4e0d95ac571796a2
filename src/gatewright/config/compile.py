"""A checked configuration to the snapshot that the engine compiles:
`crates/dataplane/src/snapshot/document.rs`.
"""

import ipaddress
import json
import socket
from typing import Any

import gatewright
from gatewright.config.addresses import Resolver, instances_of, read_address, socket_address, system_resolver
from gatewright.config.compile_route import compile_route, tier_of
from gatewright.config.loading import Loaded
from gatewright.config.models import (
    BUILT_IN_TIERS,
    ApiKeyIdentity,
    CircuitBreaker,
    HealthCheck,
    JwtIdentity,
    Listener,
    Pool,
    Tier,
)
from gatewright.config.models.routes import NONE
from gatewright.errors import Problem

FORMAT = 1
"""The value of `format` that this build writes."""


def compile(
    loaded: Loaded,
    version: int,
    resolver: Resolver = system_resolver,
    warnings: list[Problem] | None = None,
) -> bytes:
    """Give the snapshot as JSON: the same bytes for the same configuration, version and addresses.

    Host names of instances are looked up with `resolver`, which may block; an instance without an address is
    left out, and a warning appended to `warnings`.
    """
    gateway = loaded.gateway
    services = [_service(loaded, number, resolver, warnings) for number in range(len(gateway.services))]
    unauthenticated = gateway.defaults.unauthenticated_tier
    document = {
        "format": FORMAT,
        "version": version,
        "node": _node(loaded),
        "listeners": [
            _listener(loaded, number, listener) for number, listener in enumerate(gateway.listeners)
        ],
        "services": services,
        "identities": [_identity(loaded, number) for number in range(len(gateway.identities))],
        "tiers": _tiers(loaded),
        "routes": [compile_route(loaded, number) for number in range(len(gateway.routes))],
        "unauthenticated_tier": None if unauthenticated == NONE else unauthenticated,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _node(loaded: Loaded) -> dict[str, Any]:
    node, records = loaded.gateway.node, loaded.gateway.records
    return {
        "name": node.name or socket.gethostname(),
        "software": gatewright.__version__,
        "max_in_flight": node.max_in_flight,
        "max_limit_keys": node.max_limit_keys,
        # Nobody would read them: 0 tells the engine to write none.
        "record_queue": records.queue if records.sinks else 0,
        "token_cache": node.token_cache,
    }


def _listener(loaded: Loaded, number: int, listener: Listener) -> dict[str, Any]:
    address = read_address(listener.address)
    return {
        "name": listener.name,
        "at": str(loaded.at("listeners", number)),
        "address": socket_address(address.host, address.port),
        "max_connections": listener.max_connections,
        "header_timeout_ms": int(listener.header_timeout),
        "idle_timeout_ms": int(listener.idle_timeout),
        "body_timeout_ms": int(listener.body_timeout),
        "write_timeout_ms": int(listener.write_timeout),
        "max_header_bytes": int(listener.max_header_bytes),
        "max_uri_bytes": int(listener.max_uri_bytes),
        "trusted_proxies": [str(ipaddress.ip_network(network)) for network in listener.trusted_proxies],
        "path_parameters": listener.path_parameters,
    }


def _service(
    loaded: Loaded, number: int, resolver: Resolver, warnings: list[Problem] | None
) -> dict[str, Any]:
    service = loaded.gateway.services[number]
    instances, problems = instances_of(
        service, resolver, lambda place: loaded.at("services", number, "instances", place)
    )
    if warnings is not None:
        warnings.extend(problems)
    at = str(loaded.at("services", number))
    return {
        "name": service.name,
        "at": at,
        "instances": instances,
        "health_check": _health_check(
            service.health_check, str(loaded.at("services", number, "health_check"))
        ),
        "circuit_breaker": _breaker(
            service.circuit_breaker, str(loaded.at("services", number, "circuit_breaker"))
        ),
        "pool": _pool(service.pool),
    }


def _health_check(check: HealthCheck | None, at: str) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "at": at,
        "path": check.path,
        "interval_ms": int(check.interval),
        "timeout_ms": int(check.timeout),
        "unhealthy_after": check.unhealthy_after,
        "healthy_after": check.healthy_after,
    }


def _breaker(breaker: CircuitBreaker, at: str) -> dict[str, Any] | None:
    if not breaker.enabled:
        return None
    return {
        "at": at,
        "failure_ratio": breaker.failure_ratio,
        "window_ms": int(breaker.window),
        "minimum_requests": breaker.minimum_requests,
        "open_for_ms": int(breaker.open_for),
        "probes": breaker.probes,
    }


def _pool(pool: Pool) -> dict[str, Any]:
    return {
        "max_connections": pool.max_connections,
        "max_pending": pool.max_pending,
        "connect_timeout_ms": int(pool.connect_timeout),
        "idle_timeout_ms": int(pool.idle_timeout),
        "max_lifetime_ms": int(pool.max_lifetime),
    }


def _identity(loaded: Loaded, number: int) -> dict[str, Any]:
    identity = loaded.gateway.identities[number]
    keys = loaded.keys.get(identity.name)
    kind = _jwt(identity, keys) if isinstance(identity, JwtIdentity) else _api_key(identity, keys)
    return {"name": identity.name, "at": str(loaded.at("identities", number)), "kind": {identity.kind: kind}}


def _jwt(identity: JwtIdentity, keys: object) -> dict[str, Any]:
    return {
        "header": identity.header.lower(),
        "issuer": identity.issuer,
        "audiences": identity.audience,
        "leeway_ms": int(identity.leeway),
        "require_expiry": identity.require_expiry,
        "user_claim": identity.user_claim,
        "scope_claims": identity.scope_claims,
        "keys": keys,
    }


def _api_key(identity: ApiKeyIdentity, keys: object) -> dict[str, Any]:
    return {"header": identity.header.lower(), "pepper": identity.pepper, "keys": keys}


def _tiers(loaded: Loaded) -> list[dict[str, Any]]:
    """Give the tiers that are defined, then the built-in ones that something uses."""
    gateway = loaded.gateway
    used = {limit.tier for route in gateway.routes if (limit := tier_of(route, gateway.defaults)) is not None}
    used.add(gateway.defaults.unauthenticated_tier)
    for document in loaded.keys.values():
        used |= {key["tier"] for key in document["keys"] if isinstance(key, dict) and key.get("tier")}
    defined = [(tier, str(loaded.at("tiers", number))) for number, tier in enumerate(gateway.tiers)]
    names = {tier.name for tier in gateway.tiers}
    built_in = [(tier, "built-in") for tier in BUILT_IN_TIERS if tier.name in used - names]
    return [_tier(tier, at) for tier, at in (*defined, *built_in)]


def _tier(tier: Tier, at: str) -> dict[str, Any]:
    return {"name": tier.name, "at": at, "limit": tier.limit, "window_ms": int(tier.window), "per": tier.per}
