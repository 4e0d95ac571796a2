"""The metrics that Python owns, as Prometheus text, printed below those of the data plane."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from gatewright.control.expiry import expiries
from gatewright.control.node import Node
from gatewright.keystore.sharing import SharingHealth

PROCESS = psutil.Process()

Sample = tuple[dict[str, str], float]


def family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> list[str]:
    """One metric with its help, type and samples; nothing at all without samples."""
    printed = [f"{name}{labels(given)} {value:.17g}" for given, value in samples]
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *printed] if printed else []


def labels(given: dict[str, str]) -> str:
    """`{sink="sqlite"}`, with what the format demands escaped."""
    if not given:
        return ""
    return "{" + ",".join(f'{name}="{escape(value)}"' for name, value in given.items()) + "}"


def escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def configuration_metrics(node: Node) -> list[str]:
    status = node.status
    valid = 1 if status.state == "valid" else 0
    return [
        *family("gateway_config_valid", "gauge", "1 while the files are what is live.", [({}, valid)]),
        *family(
            "gateway_config_reloads_total",
            "counter",
            "Configurations that were applied.",
            [({}, status.reloads)],
        ),
        *family(
            "gateway_config_reload_failures_total",
            "counter",
            "Configurations refused.",
            [({}, status.failures)],
        ),
    ]


def quota_metrics(node: Node) -> list[str]:
    quotas = node.quotas
    return [
        *family("gateway_quota_saves_total", "counter", "Batches of quotas stored.", [({}, quotas.saves)]),
        *family(
            "gateway_quota_save_failures_total",
            "counter",
            "Attempts to store quotas, or to read what was stored, that failed.",
            [({}, quotas.failures)],
        ),
    ]


def ban_metrics(node: Node) -> list[str]:
    bans, sharing = node.bans, node.bans.sharing
    return [
        *family(
            "gateway_ban_save_failures_total",
            "counter",
            "Attempts to store bans, or to read what was stored, that failed.",
            [({}, bans.failures)],
        ),
        *family(
            "gateway_ban_sharing_connected",
            "gauge",
            "1 while bans are shared with other nodes; 0 also where that is not configured.",
            [({}, 1.0 if sharing.connected else 0.0)],
        ),
        *family(
            "gateway_ban_sharing_failures_total",
            "counter",
            "Attempts to tell bans to other nodes, or to hear of theirs, that failed.",
            [({}, sharing.failures)],
        ),
        *family(
            "gateway_ban_sharing_changes_total",
            "counter",
            "Bans and their ends that were told to other nodes or taken from them.",
            [({"direction": "told"}, sharing.told), ({"direction": "taken"}, sharing.taken)],
        ),
    ]


def address_metrics(node: Node) -> list[str]:
    files = node.address_files.watched.values()
    return [
        *family(
            "gateway_address_file_failures_total",
            "counter",
            "Changed files of addresses that were refused.",
            [({}, sum(watched.failures for watched in files))],
        ),
        *family(
            "gateway_address_blocks_refused_total",
            "counter",
            "Blocks of other nodes that were not taken, because `screening.max_blocks` were.",
            [({}, node.blocks.refused)],
        ),
    ]


def sink_metrics(node: Node) -> list[str]:
    counts = [({"sink": count.name}, count) for count in node.records.counts()]
    return [
        *family(
            "gateway_sink_records_total",
            "counter",
            "Records stored.",
            [(one, count.stored) for one, count in counts],
        ),
        *family(
            "gateway_sink_dropped_total",
            "counter",
            "Records lost because the sink was slow or failed.",
            [(one, count.dropped) for one, count in counts],
        ),
        *family(
            "gateway_sink_failures_total",
            "counter",
            "Attempts to store a batch that failed.",
            [(one, count.failures) for one, count in counts],
        ),
        *family(
            "gateway_sink_queued_records",
            "gauge",
            "Records that wait for the sink.",
            [(one, count.queued) for one, count in counts],
        ),
    ]


def dependency_metrics(node: Node) -> list[str]:
    sets = [({"identity": str(state["identity"])}, state) for state in node.key_sets.state()]
    return [
        *family(
            "gateway_key_set_available",
            "gauge",
            "1 while keys of the identity are in place.",
            [(one, 1.0 if state["has_keys"] else 0.0) for one, state in sets],
        ),
        *family(
            "gateway_key_set_fetch_failures_total",
            "counter",
            "Fetches of a key set that failed.",
            [(one, float(str(state["failures"]))) for one, state in sets],
        ),
        *key_set_metrics(node),
        *family(
            "gateway_dns_failures_total",
            "counter",
            "Look-ups of instance names that failed.",
            [({}, node.discovery.failures)],
        ),
        *sharing_metrics(node),
        *block_sharing_metrics(node),
        *key_store_metrics(node),
        *revocation_metrics(node),
        *introspection_metrics(node),
    ]


def key_age(state: dict[str, object]) -> float:
    return float(str(state["age_seconds"])) if state["has_keys"] else float("inf")


def key_set_metrics(node: Node) -> list[str]:
    sets = [({"identity": str(state["identity"])}, state) for state in node.key_sets.state()]
    return [
        *family(
            "gateway_key_set_age_seconds",
            "gauge",
            "Time since the keys of the identity were last fetched; infinite while there are none.",
            [(one, key_age(state)) for one, state in sets],
        ),
        *family(
            "gateway_key_set_stale",
            "gauge",
            "1 while keys are used beyond their lifetime because no newer ones can be had.",
            [(one, 1.0 if state["stale"] else 0.0) for one, state in sets],
        ),
        *family(
            "gateway_key_set_next_refresh_seconds",
            "gauge",
            "Time until the keys of the identity are fetched again.",
            [(one, float(str(state["next_refresh_seconds"]))) for one, state in sets],
        ),
        *family(
            "gateway_key_set_save_failures_total",
            "counter",
            "Attempts to keep fetched key sets on disk that failed.",
            [({}, node.key_sets.save_failures)],
        ),
    ]


def key_store_metrics(node: Node) -> list[str]:
    keys = node.stored_keys
    return [
        *family(
            "gateway_key_store_connected",
            "gauge",
            "1 while the store of API keys can be asked; 0 also where there is none.",
            [({}, 1.0 if keys.health.connected else 0.0)],
        ),
        *family(
            "gateway_key_store_failures_total",
            "counter",
            "Attempts to ask or write the store of API keys that failed.",
            [({}, keys.health.failures)],
        ),
        *key_sharing_metrics(keys.sharing),
        *family(
            "gateway_key_uses_lost_total",
            "counter",
            "Uses of API keys that were not written because the store could not be for too long.",
            [({}, keys.usage.lost)],
        ),
        *family(
            "gateway_key_leaks_suspected_total",
            "counter",
            "Alerts that an API key was used from too many networks.",
            [({}, keys.usage.leaks.alerts)],
        ),
    ]


def key_sharing_metrics(health: SharingHealth) -> list[str]:
    return [
        *family(
            "gateway_key_sharing_connected",
            "gauge",
            "1 while API keys are shared with other nodes; 0 also where that is not configured.",
            [({}, 1.0 if health.connected else 0.0)],
        ),
        *family(
            "gateway_key_sharing_failures_total",
            "counter",
            "Attempts to ask the memory of shared API keys that failed.",
            [({}, health.failures)],
        ),
        *family(
            "gateway_key_sharing_hits_total",
            "counter",
            "API keys that another node had looked up.",
            [({}, health.hits)],
        ),
    ]


def block_sharing_metrics(node: Node) -> list[str]:
    health = node.block_sharing.health
    return [
        *family(
            "gateway_block_sharing_connected",
            "gauge",
            "1 while networks that are blocked by hand are shared with other nodes.",
            [({}, int(health.connected))],
        ),
        *family(
            "gateway_block_sharing_failures_total",
            "counter",
            "Times that Redis could not be asked about them.",
            [({}, health.failures)],
        ),
    ]


def sharing_metrics(node: Node) -> list[str]:
    health = node.sharing.health
    return [
        *family(
            "gateway_breaker_sharing_connected",
            "gauge",
            "1 while breakers are shared with other nodes; 0 also where that is not configured.",
            [({}, 1.0 if health.connected else 0.0)],
        ),
        *family(
            "gateway_breaker_sharing_failures_total",
            "counter",
            "Attempts to ask the store of shared breakers that failed.",
            [({}, health.failures)],
        ),
        *family(
            "gateway_breaker_sharing_changes_total",
            "counter",
            "Changes of breakers that were told to other nodes or taken from them.",
            [({"direction": "told"}, health.pushed), ({"direction": "taken"}, health.taken)],
        ),
    ]


def introspection_metrics(node: Node) -> list[str]:
    issuers = [({"identity": name}, health) for name, health in sorted(node.introspections.health.items())]
    return [
        *family(
            "gateway_token_issuer_reachable",
            "gauge",
            "1 while the issuer of the identity answers what its tokens are worth.",
            [(one, 1.0 if health.reachable else 0.0) for one, health in issuers],
        ),
        *family(
            "gateway_token_issuer_failures_total",
            "counter",
            "Questions about tokens that their issuer did not answer, or not clearly.",
            [(one, health.failures) for one, health in issuers],
        ),
    ]


def revocation_metrics(node: Node) -> list[str]:
    revocations = node.revocations
    health, sharing = revocations.health, revocations.sharing
    return [
        *family(
            "gateway_token_revocation_save_failures_total",
            "counter",
            "Attempts to store revocations of tokens that failed.",
            [({}, health.save_failures)],
        ),
        *family(
            "gateway_token_revocations_full_total",
            "counter",
            "Times that there was no room for more revocations of tokens.",
            [({}, health.full)],
        ),
        *family(
            "gateway_token_revocation_sharing_connected",
            "gauge",
            "1 while revocations are shared with other nodes; 0 also where they are not to be.",
            [({}, 1.0 if sharing.connected else 0.0)],
        ),
        *family(
            "gateway_token_revocation_sharing_failures_total",
            "counter",
            "Attempts to ask the place of shared revocations that failed.",
            [({}, sharing.failures)],
        ),
        *family(
            "gateway_token_revocation_sharing_changes_total",
            "counter",
            "Revocations that were told to other nodes or taken from them.",
            [({"direction": "told"}, sharing.told), ({"direction": "taken"}, sharing.taken)],
        ),
    ]


def certificate_metrics(node: Node) -> list[str]:
    return family(
        "gateway_certificate_expiry_timestamp_seconds",
        "gauge",
        "When a certificate of a listener ends.",
        [
            ({"listener": one.listener, "name": one.name}, one.at.timestamp())
            for one in expiries(node.loaded())
        ],
    )


def process_metrics() -> list[str]:
    """CPU time, memory and descriptors of the whole process, data plane included (MT-14)."""
    with PROCESS.oneshot():
        times, memory, descriptors = PROCESS.cpu_times(), PROCESS.memory_info(), PROCESS.num_fds()
    return [
        *family("process_cpu_seconds_total", "counter", "CPU time used.", [({}, times.user + times.system)]),
        *family("process_resident_memory_bytes", "gauge", "Memory in use.", [({}, memory.rss)]),
        *family("process_open_fds", "gauge", "Open file descriptors.", [({}, descriptors)]),
    ]


def exposition(node: Node) -> str:
    """Everything counted on this node, in text format 0.0.4. Blocks for as long as the data plane needs to
    sum up.
    """
    lines = [
        *configuration_metrics(node),
        *sink_metrics(node),
        *quota_metrics(node),
        *ban_metrics(node),
        *address_metrics(node),
        *dependency_metrics(node),
        *certificate_metrics(node),
        *process_metrics(),
    ]
    return node.engine.metrics().rstrip("\n") + "\n" + "\n".join(lines) + "\n"
