"""A health check to its part of the snapshot."""

from typing import Any

from gatewright.config.models import HealthCheck, TcpHealthCheck
from gatewright.config.models.health import bounds_of


def compile_health_check(check: HealthCheck | TcpHealthCheck | None, at: str) -> dict[str, Any] | None:
    """Give the document of a check, if there is one."""
    if check is None:
        return None
    return {
        "at": at,
        "kind": _http(check) if isinstance(check, HealthCheck) else check.kind,
        "port": check.port,
        "interval_ms": int(check.interval),
        "unhealthy_interval_ms": int(check.unhealthy_interval or check.interval),
        "jitter": check.jitter,
        "timeout_ms": int(check.timeout),
        "unhealthy_after": check.unhealthy_after,
        "healthy_after": check.healthy_after,
        "starts_unhealthy": check.initial == "unhealthy",
    }


def _http(check: HealthCheck) -> dict[str, Any]:
    return {
        "http": {
            "path": check.path,
            "host": check.host,
            "headers": [[name.lower(), value] for name, value in check.headers.items()],
            "statuses": [list(bounds_of(status)) for status in check.expect],
        }
    }
