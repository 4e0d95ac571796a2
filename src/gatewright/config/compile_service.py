"""A service of a checked configuration to its part of the snapshot."""

from typing import Any

from gatewright.config.addresses import Resolver, instances_of
from gatewright.config.certificates import trusted_by
from gatewright.config.compile_balance import compile_balance
from gatewright.config.compile_health import compile_health_check
from gatewright.config.loading import Loaded
from gatewright.config.models import CircuitBreaker, Pool, Service, ServiceTls
from gatewright.config.models.breakers import statuses
from gatewright.errors import Problem


def compile_service(
    loaded: Loaded, number: int, resolver: Resolver, warnings: list[Problem] | None
) -> dict[str, Any]:
    """Give one service as a member of the snapshot; what cannot be looked up is appended to `warnings`."""
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
        "balance": compile_balance(loaded, number),
        "health_check": compile_health_check(service, str(loaded.at("services", number, "health_check"))),
        "circuit_breaker": _breaker(
            service.circuit_breaker, str(loaded.at("services", number, "circuit_breaker"))
        ),
        "own_breakers": [
            route.name
            for route in loaded.gateway.routes
            if route.service == service.name and route.circuit_breaker == "own"
        ]
        if service.circuit_breaker.enabled
        else [],
        "pool": _pool(service.pool),
        "max_header_bytes": int(service.max_header_bytes),
        "protocol": _protocol(service),
        "tls": None if service.tls is None else _tls(loaded, service.name, service.tls),
    }


def _tls(loaded: Loaded, name: str, tls: ServiceTls) -> dict[str, Any]:
    pair = loaded.tls.service_pairs.get(name)
    return {
        "verify": tls.verify,
        "authorities": trusted_by(tls),
        "server_name": tls.server_name,
        "certificate": None if pair is None else pair.document(),
        "min_version": tls.min_version,
    }


def _breaker(breaker: CircuitBreaker, at: str) -> dict[str, Any] | None:
    if not breaker.enabled:
        return None
    return {
        "at": at,
        "scope": breaker.scope,
        "failure_ratio": breaker.failure_ratio,
        "slow_ratio": breaker.slow_ratio,
        "slow_after_ms": int(breaker.slow_after),
        "consecutive_failures": breaker.consecutive_failures,
        "load": _load(breaker),
        "window": {"milliseconds": int(breaker.window)}
        if breaker.window_size is None
        else {"calls": breaker.window_size},
        "minimum_requests": breaker.minimum_requests,
        "failure_statuses": [list(statuses(text)) for text in breaker.failure_statuses],
        "open_for_ms": int(breaker.open_for),
        "open_growth": breaker.open_growth,
        "max_open_for_ms": int(breaker.max_open_for),
        "probes": breaker.probes,
        "concurrent_probes": breaker.concurrent_probes,
        "on_probe_failure": breaker.on_probe_failure,
        "probe_limit": breaker.probe_limit,
        "probe_timeout_ms": int(breaker.probe_timeout),
        "ramp_ms": int(breaker.ramp),
    }


def _load(breaker: CircuitBreaker) -> dict[str, Any] | None:
    if breaker.load_ratio is None:
        return None
    return {
        "ratio": breaker.load_ratio,
        "above": breaker.load_above / 100,
        "header": breaker.load_header.lower(),
        "metric": breaker.load_metric,
    }


def _pool(pool: Pool) -> dict[str, Any]:
    return {
        "max_connections": pool.max_connections,
        "min_connections": pool.min_connections,
        "max_pending": pool.max_pending,
        "connect_timeout_ms": int(pool.connect_timeout),
        "idle_timeout_ms": int(pool.idle_timeout),
        "max_lifetime_ms": int(pool.max_lifetime),
    }


def _protocol(service: Service) -> str | dict[str, Any]:
    if service.protocol == "http1":
        return "http1"
    http2 = service.http2
    return {
        "http2": {
            "max_streams": http2.max_streams,
            "window": int(http2.window),
            "ping_interval_ms": int(http2.ping_interval),
            "ping_timeout_ms": int(http2.ping_timeout),
        }
    }
