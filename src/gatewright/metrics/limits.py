"""Metrics of what limits keep beyond the process: quotas, bans, blocked networks."""

from __future__ import annotations

from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge


def limit_metrics(node: Node) -> list[Family]:
    return [
        *quota_metrics(node),
        *ban_metrics(node),
        *address_metrics(node),
        *block_sharing_metrics(node),
    ]


def quota_metrics(node: Node) -> list[Family]:
    quotas = node.quotas
    return [
        counter("gateway_quota_saves_total", "Batches of quotas stored.", quotas.saves),
        counter(
            "gateway_quota_save_failures_total",
            "Attempts to store quotas, or to read what was stored, that failed.",
            quotas.failures,
        ),
    ]


def ban_metrics(node: Node) -> list[Family]:
    bans, sharing = node.bans, node.bans.sharing
    return [
        counter(
            "gateway_ban_save_failures_total",
            "Attempts to store bans, or to read what was stored, that failed.",
            bans.failures,
        ),
        gauge(
            "gateway_ban_sharing_connected",
            "1 while bans are shared with other nodes; 0 also where that is not configured.",
            1.0 if sharing.connected else 0.0,
        ),
        counter(
            "gateway_ban_sharing_failures_total",
            "Attempts to tell bans to other nodes, or to hear of theirs, that failed.",
            sharing.failures,
        ),
        counter(
            "gateway_ban_sharing_changes_total",
            "Bans and their ends that were told to other nodes or taken from them.",
            [({"direction": "told"}, sharing.told), ({"direction": "taken"}, sharing.taken)],
        ),
    ]


def address_metrics(node: Node) -> list[Family]:
    files = node.address_files.watched.values()
    return [
        counter(
            "gateway_address_file_failures_total",
            "Changed files of addresses that were refused.",
            sum(watched.failures for watched in files),
        ),
        counter(
            "gateway_address_blocks_refused_total",
            "Blocks of other nodes that were not taken, because `screening.max_blocks` were.",
            node.blocks.refused,
        ),
    ]


def block_sharing_metrics(node: Node) -> list[Family]:
    health = node.block_sharing.health
    return [
        gauge(
            "gateway_block_sharing_connected",
            "1 while networks that are blocked by hand are shared with other nodes.",
            int(health.connected),
        ),
        counter(
            "gateway_block_sharing_failures_total",
            "Times that Redis could not be asked about them.",
            health.failures,
        ),
    ]
