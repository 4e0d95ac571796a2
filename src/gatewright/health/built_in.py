"""What a node checks of itself: functions of what is known of it. One that does not apply gives nothing."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gatewright.control.expiry import expiries, utc_now
from gatewright.health.standing import Outcome

if TYPE_CHECKING:
    from gatewright.control.node import Node

State = Mapping[str, Any]
# A sink that has stored nothing for so long, and has something to store.
SINK_SECONDS = 60.0


def configuration(node: Node, _: State) -> Outcome | None:
    """Is what is in the files live?"""
    if node.status.state == "none":
        return None
    errors = node.status.errors
    return Outcome(not errors, errors[0] if errors else f"version {node.status.version}")


def services(_: Node, state: State) -> Outcome | None:
    """Has every service a healthy instance?"""
    return without_instance(service["name"] for service in state.get("services", []) if is_down(service))


def critical_services(node: Node, state: State) -> Outcome | None:
    """Has every service that is `critical`?"""
    critical = node.health.settings.critical_services
    if not critical:
        return None
    down = (one["name"] for one in state.get("services", []) if one["name"] in critical and is_down(one))
    return without_instance(down)


def without_instance(names: Iterable[str]) -> Outcome:
    down = sorted(names)
    return Outcome(not down, f"no healthy instance: {', '.join(down)}" if down else None, down or None)


def is_down(service: Mapping[str, Any]) -> bool:
    instances = service.get("instances", [])
    states = [one.get("state", "healthy" if one.get("healthy", True) else "unhealthy") for one in instances]
    return "healthy" not in states


def certificates(node: Node, _: State) -> Outcome | None:
    """Has every listener with TLS a certificate that is still good?"""
    return judged(node, utc_now())


def judged(node: Node, now: datetime.datetime) -> Outcome | None:
    by_listener: dict[str, list[int]] = {}
    for one in expiries(node.loaded()):
        by_listener.setdefault(one.listener, []).append(one.days(now))
    if not by_listener:
        return None
    ended = sorted(listener for listener, days in by_listener.items() if max(days) < 0)
    least = min(min(days) for days in by_listener.values())
    message = f"all have ended: {', '.join(ended)}" if ended else f"the first ends in {least} days"
    return Outcome(not ended, message, {"days": least})


def key_sets(node: Node, _: State) -> Outcome | None:
    """Have all issuers given keys lately?"""
    listed = node.key_sets.state()
    if not listed:
        return None
    bad = [str(one["identity"]) for one in listed if one["stale"] or not one["has_keys"]]
    ages = {str(one["identity"]): one["age_seconds"] for one in listed}
    return Outcome(not bad, f"no keys, or old ones: {', '.join(bad)}" if bad else None, {"age_seconds": ages})


def logins(node: Node, _: State) -> Outcome | None:
    """Is every provider of logins known?"""
    listed = node.logins.state()
    return (
        of_names("not known", [str(one["identity"]) for one in listed if not one["is_known"]])
        if listed
        else None
    )


def key_store(node: Node, _: State) -> Outcome | None:
    """Can the store of API keys be asked?"""
    state, health = node.stored_keys.state(), node.stored_keys.health
    if state is None or not (health.connected or health.failures):
        # One that is being opened has neither answered nor failed yet.
        return None
    return Outcome(health.connected, health.error)


def redis(node: Node, state: State) -> Outcome | None:
    """Does Redis answer when it is asked, and for whatever else asks it?"""
    answer = node.health.redis_answer
    if answer is not None and not answer.well:
        return answer
    shared = {
        "limits": node.limit_store.is_well if state.get("limit_store") is not None else None,
        "breakers": connected(node.sharing.state()),
        "bans": connected(node.bans.state()),
        "revocations": connected(node.revocations.state()["sharing"]),
        "blocks": node.block_sharing.health.connected if node.block_sharing.is_used else None,
    }
    used = {name: is_well for name, is_well in shared.items() if is_well is not None}
    if not used:
        return answer
    return of_names("not reached for", [name for name, is_well in used.items() if not is_well])


def connected(state: Mapping[str, Any] | None) -> bool | None:
    return None if state is None else bool(state["connected"])


def sinks(node: Node, _: State) -> Outcome | None:
    """Does every sink store what it is given?"""
    counts = node.records.counts()
    late = [one.name for one in counts if one.queued + one.spilled and one.since_success > SINK_SECONDS]
    return of_names(f"nothing stored for {SINK_SECONDS:g} s", late) if counts else None


def audit(node: Node, _: State) -> Outcome | None:
    """Can the audit log be written?"""
    return Outcome(node.audit.error is None, node.audit.error)


def disk(node: Node, _: State) -> Outcome | None:
    """Has the disk of the state directory room?"""
    wanted, path = node.health.settings.min_free_disk, node.state.path
    if wanted == 0 or not path.exists():
        return None
    free = shutil.disk_usage(path).free
    return Outcome(free >= wanted, f"{free >> 20} MiB are free", {"free_bytes": free})


def of_names(fault: str, names: list[str]) -> Outcome:
    return Outcome(not names, f"{fault}: {', '.join(names)}" if names else None, names or None)


Look = Callable[["Node", State], Outcome | None]

BUILT_IN: dict[str, tuple[Look, bool]] = {
    "configuration": (configuration, False),
    "services": (services, False),
    "critical_services": (critical_services, True),
    "certificates": (certificates, True),
    "key_sets": (key_sets, False),
    "logins": (logins, False),
    "key_store": (key_store, False),
    "redis": (redis, False),
    "sinks": (sinks, False),
    "audit": (audit, False),
    "disk": (disk, False),
}
"""Every built-in check with its function, and whether it is critical. `self_check` is beside them."""
