"""Tenants to their part of the snapshot."""

from typing import TYPE_CHECKING, Any

from gatewright.config.models.tenants import host_of, path_of

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded


def compile_tenants(loaded: "Loaded") -> dict[str, Any] | None:
    """Give the document of the tenants; `None` where there are none."""
    tenants = loaded.gateway.tenants
    if tenants is None:
        return None
    return {
        "at": str(loaded.at("tenants")),
        "from": [_source(source) for source in tenants.sources],
        "required": tenants.required,
        "unknown": tenants.unknown,
        "tier": tenants.tier,
        "quotas": tenants.quotas,
        "max": tenants.max,
        "known": [
            {
                "name": tenant.name,
                "at": str(loaded.at("tenants", "known", number)),
                "tier": tenant.tier,
                "quotas": tenant.quotas,
                "disabled": tenant.disabled,
            }
            for number, tenant in enumerate(tenants.known)
        ],
    }


def _source(source: str) -> str | dict[str, Any]:
    kind, _, rest = source.partition(":")
    host, path = host_of(source), path_of(source)
    if host is not None:
        return {"host": {"before": host[0], "after": host[1]}}
    if path is not None:
        return {"path": path}
    if kind == "header":
        return {"header": rest.lower()}
    return {"claim": rest} if kind == "claim" else "partner"
