"""How a service chooses among its instances, to its part of the snapshot."""

from typing import TYPE_CHECKING, Any

from gatewright.config.models import Service
from gatewright.config.models.balance import Balance, Ejection, Hash, PeakEwma

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded


def compile_balance(loaded: "Loaded", number: int) -> dict[str, Any]:
    """Give the document of everything that decides which instance of a service gets a request."""
    service = loaded.gateway.services[number]
    at = str(loaded.at("services", number, "ejection"))
    return {
        "at": str(loaded.at("services", number, "balance")),
        "algorithm": _algorithm(service.balance),
        "slow_start_ms": int(service.slow_start),
        "panic_threshold": service.panic_threshold,
        "ejection": None if service.ejection is None else _ejection(service.ejection, at),
        "caps": _caps(service),
        "sticky": _sticky(loaded, number),
    }


def _sticky(loaded: "Loaded", number: int) -> dict[str, Any] | None:
    sticky = loaded.gateway.services[number].sticky
    if sticky is None:
        return None
    return {
        "at": str(loaded.at("services", number, "sticky")),
        "cookie": sticky.cookie,
        "secret": sticky.secret,
        "path": sticky.path,
        "max_age_s": None if sticky.max_age is None else int(sticky.max_age) // 1000,
        "same_site": sticky.same_site,
        "secure": sticky.secure,
        "drain_wait_ms": int(sticky.drain_wait),
    }


def _ejection(ejection: Ejection, at: str) -> dict[str, Any]:
    return {
        "at": at,
        "consecutive_5xx": ejection.consecutive_5xx,
        "consecutive_gateway_errors": ejection.consecutive_gateway_errors,
        "base_ms": int(ejection.base_time),
        "maximum_ms": int(ejection.max_time),
        "max_share": ejection.max_share,
    }


def _caps(service: Service) -> dict[str, Any]:
    rate = service.max_requests_per_second
    # A tenth of a second evens out what comes unevenly, and never doubles what a service gets.
    burst = service.burst or max(1, (rate or 0) // 10)
    return {
        "max_in_flight": service.max_in_flight,
        "rate": None if rate is None else {"per_second": rate, "burst": burst},
    }


def _algorithm(balance: Balance) -> Any:
    if isinstance(balance, PeakEwma):
        return {"peak_ewma": {"decay_ms": int(balance.decay)}}
    if isinstance(balance, Hash):
        return {"hash": _key(balance)}
    return balance.kind


def _key(balance: Hash) -> Any:
    name = balance.name or ""
    if balance.by == "header":
        return {"header": name.lower()}
    return {"cookie": name} if balance.by == "cookie" else balance.by
