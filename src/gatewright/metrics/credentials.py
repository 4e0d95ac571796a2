"""Metrics of where credentials come from: key sets, stores of API keys, issuers, revocations."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.keystore.sharing import SharingHealth
from gatewright.metrics.family import Family, counter, gauge


def credential_metrics(node: Node) -> list[Family]:
    return [
        *key_set_metrics(node),
        *key_store_metrics(node),
        *revocation_metrics(node),
        *introspection_metrics(node),
    ]


def key_age(state: dict[str, object]) -> float:
    return float(str(state["age_seconds"])) if state["has_keys"] else float("inf")


def key_set_metrics(node: Node) -> list[Family]:
    sets = [({"identity": str(state["identity"])}, state) for state in node.key_sets.state()]
    return [
        gauge(
            "gateway_key_set_available",
            "1 while keys of the identity are in place.",
            [(one, 1.0 if state["has_keys"] else 0.0) for one, state in sets],
        ),
        counter(
            "gateway_key_set_fetch_failures_total",
            "Fetches of a key set that failed.",
            [(one, float(str(state["failures"]))) for one, state in sets],
        ),
        gauge(
            "gateway_key_set_age_seconds",
            "Time since the keys of the identity were last fetched; infinite while there are none.",
            [(one, key_age(state)) for one, state in sets],
        ),
        gauge(
            "gateway_key_set_stale",
            "1 while keys are used beyond their lifetime because no newer ones can be had.",
            [(one, 1.0 if state["stale"] else 0.0) for one, state in sets],
        ),
        gauge(
            "gateway_key_set_next_refresh_seconds",
            "Time until the keys of the identity are fetched again.",
            [(one, float(str(state["next_refresh_seconds"]))) for one, state in sets],
        ),
        counter(
            "gateway_key_set_save_failures_total",
            "Attempts to keep fetched key sets on disk that failed.",
            node.key_sets.save_failures,
        ),
    ]


def key_store_metrics(node: Node) -> list[Family]:
    keys = node.stored_keys
    return [
        gauge(
            "gateway_key_store_connected",
            "1 while the store of API keys can be asked; 0 also where there is none.",
            1.0 if keys.health.connected else 0.0,
        ),
        counter(
            "gateway_key_store_failures_total",
            "Attempts to ask or write the store of API keys that failed.",
            keys.health.failures,
        ),
        *key_sharing_metrics(keys.sharing),
        counter(
            "gateway_key_uses_lost_total",
            "Uses of API keys that were not written because the store could not be for too long.",
            keys.usage.lost,
        ),
        counter(
            "gateway_key_leaks_suspected_total",
            "Alerts that an API key was used from too many networks.",
            keys.usage.leaks.alerts,
        ),
    ]


def key_sharing_metrics(health: SharingHealth) -> list[Family]:
    return [
        gauge(
            "gateway_key_sharing_connected",
            "1 while API keys are shared with other nodes; 0 also where that is not configured.",
            1.0 if health.connected else 0.0,
        ),
        counter(
            "gateway_key_sharing_failures_total",
            "Attempts to ask the memory of shared API keys that failed.",
            health.failures,
        ),
        counter(
            "gateway_key_sharing_hits_total",
            "API keys that another node had looked up.",
            health.hits,
        ),
    ]


def introspection_metrics(node: Node) -> list[Family]:
    issuers = [({"identity": name}, health) for name, health in sorted(node.introspections.health.items())]
    return [
        gauge(
            "gateway_token_issuer_reachable",
            "1 while the issuer of the identity answers what its tokens are worth.",
            [(one, 1.0 if health.reachable else 0.0) for one, health in issuers],
        ),
        counter(
            "gateway_token_issuer_failures_total",
            "Questions about tokens that their issuer did not answer, or not clearly.",
            [(one, health.failures) for one, health in issuers],
        ),
    ]


def revocation_metrics(node: Node) -> list[Family]:
    revocations = node.revocations
    health, sharing = revocations.health, revocations.sharing
    return [
        counter(
            "gateway_token_revocation_save_failures_total",
            "Attempts to store revocations of tokens that failed.",
            health.save_failures,
        ),
        counter(
            "gateway_token_revocations_full_total",
            "Times that there was no room for more revocations of tokens.",
            health.full,
        ),
        gauge(
            "gateway_token_revocation_sharing_connected",
            "1 while revocations are shared with other nodes; 0 also where they are not to be.",
            1.0 if sharing.connected else 0.0,
        ),
        counter(
            "gateway_token_revocation_sharing_failures_total",
            "Attempts to ask the place of shared revocations that failed.",
            sharing.failures,
        ),
        counter(
            "gateway_token_revocation_sharing_changes_total",
            "Revocations that were told to other nodes or taken from them.",
            [({"direction": "told"}, sharing.told), ({"direction": "taken"}, sharing.taken)],
        ),
    ]
