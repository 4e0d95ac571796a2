"""A health check to its part of the snapshot."""

from typing import Any

from gatewright.config.models import GrpcHealthCheck, HealthCheck, Service, TcpHealthCheck
from gatewright.config.models.health import bounds_of


def compile_health_check(service: Service, at: str) -> dict[str, Any] | None:
    """Give the document of a service's check, if it has one."""
    check = service.health_check
    if check is None:
        return None
    return {
        "at": at,
        "kind": _kind(check, service.protocol),
        "port": check.port,
        "interval_ms": int(check.interval),
        "unhealthy_interval_ms": int(check.unhealthy_interval or check.interval),
        "jitter": check.jitter,
        "timeout_ms": int(check.timeout),
        "unhealthy_after": check.unhealthy_after,
        "healthy_after": check.healthy_after,
        "starts_unhealthy": check.initial == "unhealthy",
    }


def _kind(check: HealthCheck | TcpHealthCheck | GrpcHealthCheck, protocol: str) -> str | dict[str, Any]:
    if isinstance(check, TcpHealthCheck):
        return "tcp"
    if isinstance(check, GrpcHealthCheck):
        return {"grpc": {"service": check.service}}
    return {"http2" if protocol == "http2" else "http": _http(check)}


def _http(check: HealthCheck) -> dict[str, Any]:
    return {
        "path": check.path,
        "host": check.host,
        "headers": [[name.lower(), value] for name, value in check.headers.items()],
        "statuses": [list(bounds_of(status)) for status in check.expect],
    }
