"""A checked configuration to the snapshot that the engine compiles:
`crates/dataplane/src/snapshot/document.rs`.
"""

import base64
import json
import socket
from typing import Any

import gatewright
from gatewright.config.addresses import Resolver, system_resolver
from gatewright.config.claims import keeps_claims
from gatewright.config.compile_addresses import compile_screening
from gatewright.config.compile_answer import compile_error_pages
from gatewright.config.compile_authorization import compile_permissions
from gatewright.config.compile_introspection import compile_introspection
from gatewright.config.compile_jwt import compile_jwt
from gatewright.config.compile_listener import compile_listener
from gatewright.config.compile_login import compile_login, login_routes
from gatewright.config.compile_overload import compile_overload
from gatewright.config.compile_recording import compile_recording
from gatewright.config.compile_route import compile_route
from gatewright.config.compile_service import compile_service
from gatewright.config.compile_tenants import compile_tenants
from gatewright.config.compile_tiers import compile_shared_store, compile_tiers
from gatewright.config.compile_tracing import compile_tracing
from gatewright.config.loading import Loaded
from gatewright.config.models import (
    ApiKeyIdentity,
    BasicIdentity,
    Gateway,
    IntrospectionIdentity,
    JwtIdentity,
    KeyStore,
    OidcIdentity,
    SignatureIdentity,
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
    gateway, defaults = loaded.gateway, loaded.gateway.defaults
    services = [compile_service(loaded, one, resolver, warnings) for one in range(len(gateway.services))]
    document = {
        "format": FORMAT,
        "version": version,
        "node": _node(loaded),
        "listeners": [compile_listener(loaded, number) for number in range(len(gateway.listeners))],
        "services": services,
        "identities": [_identity(loaded, number) for number in range(len(gateway.identities))],
        "key_store": None if gateway.key_store is None else _key_store(gateway.key_store),
        "passwords": _passwords(gateway),
        "tiers": compile_tiers(loaded),
        "tenants": compile_tenants(loaded),
        "shared_store": compile_shared_store(loaded),
        "screening": compile_screening(loaded),
        "tracing": compile_tracing(gateway),
        "routes": _routes(loaded),
        "permissions": compile_permissions(loaded),
        "authorities": _authorities(loaded),
        "overload": compile_overload(gateway.overload),
        "unauthenticated_tier": _tier(defaults.unauthenticated_tier),
        "failed_authentication_tier": _tier(defaults.failed_authentication_tier),
        "limit_headers": defaults.limit_headers,
        "error_pages": compile_error_pages(gateway.error_pages, None),
        "security_headers": defaults.security_headers,
        "recording": compile_recording(loaded),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _authorities(loaded: Loaded) -> dict[str, list[str]]:
    return {
        name: [base64.b64encode(der).decode() for der in ders]
        for name, ders in loaded.tls.authorities.items()
    }


def _routes(loaded: Loaded) -> list[dict[str, Any]]:
    own = [compile_route(loaded, number) for number in range(len(loaded.gateway.routes))]
    return own + login_routes(loaded)


def _node(loaded: Loaded) -> dict[str, Any]:
    node, records = loaded.gateway.node, loaded.gateway.records
    return {
        "name": node.name or socket.gethostname(),
        "software": gatewright.__version__,
        "max_in_flight": node.max_in_flight,
        "max_limit_keys": node.max_limit_keys,
        "max_limit_waiting": node.max_limit_waiting,
        "max_rule_steps": node.max_rule_steps,
        # Nobody would read them: 0 tells the engine to write none.
        "record_queue": records.queue if loaded.gateway.needs_records else 0,
        "token_cache": node.token_cache,
        "max_revocations": loaded.gateway.revocations.max_entries,
        "max_metric_names": loaded.gateway.metrics.max_names,
        "max_file_transfers": node.max_file_transfers,
        "max_compressions": node.max_compressions,
        "max_retry_memory_bytes": int(node.max_retry_memory),
    }


def _identity(loaded: Loaded, number: int) -> dict[str, Any]:
    identity = loaded.gateway.identities[number]
    keys = loaded.keys.get(identity.name)
    if isinstance(identity, JwtIdentity):
        kind = compile_jwt(identity, keys, keep_claims=keeps_claims(loaded.gateway))
    elif isinstance(identity, ApiKeyIdentity):
        kind = _api_key(identity, keys)
    elif isinstance(identity, IntrospectionIdentity):
        kind = compile_introspection(identity, keep_claims=keeps_claims(loaded.gateway))
    elif isinstance(identity, OidcIdentity):
        kind = compile_login(identity)
    elif isinstance(identity, BasicIdentity):
        kind = {"realm": identity.realm, **(keys or {"users": []})}
    elif isinstance(identity, SignatureIdentity):
        kind = _signature(identity) | dict(keys or {"keys": []})
    else:
        kind = {"user_from": identity.user_from, "scopes": identity.scopes, "allow": identity.allow}
    return {"name": identity.name, "at": str(loaded.at("identities", number)), "kind": {identity.kind: kind}}


def _api_key(identity: ApiKeyIdentity, keys: object) -> dict[str, Any]:
    return {
        "header": identity.header.lower(),
        "pepper": identity.pepper,
        "keys": keys,
        "stored": bool(identity.keys.store),
    }


def _signature(identity: SignatureIdentity) -> dict[str, Any]:
    return {
        "label": identity.label,
        "components": identity.components,
        "max_age_ms": int(identity.max_age),
        "leeway_ms": int(identity.leeway),
        "needs_nonce": identity.nonce == "required",
        "needs_digest": identity.digest == "required",
        "max_body_bytes": int(identity.max_body),
        "max_nonces": identity.max_nonces,
    }


def _passwords(gateway: Gateway) -> dict[str, Any] | None:
    if not any(isinstance(identity, BasicIdentity) for identity in gateway.identities):
        return None
    passwords = gateway.passwords
    return {
        "cache_ttl_ms": int(passwords.cache_ttl),
        "cache": passwords.cache,
        "timeout_ms": int(passwords.timeout),
        "max_checks": passwords.max_checks,
        "checks_per_address": passwords.checks_per_address,
    }


def _key_store(store: KeyStore) -> dict[str, Any]:
    return {
        "secret": store.secret,
        "previous_secret": store.previous_secret,
        "cache_ttl_ms": int(store.cache_ttl),
        "cache_keys": store.cache_keys,
        "refused_ttl_ms": int(store.refused_ttl),
        "cache_refused": store.cache_refused,
        "timeout_ms": int(store.timeout),
        "max_lookups": store.max_lookups,
        "lookups_per_address": store.lookups_per_address,
    }


def _tier(name: str) -> str | None:
    return None if name == NONE else name
