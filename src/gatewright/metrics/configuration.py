"""Metrics of the configuration that is live, and of the certificates in it."""

from __future__ import annotations

from gatewright.control.expiry import expiries
from gatewright.control.node import Node
from gatewright.metrics.family import Family, counter, gauge


def configuration_metrics(node: Node) -> list[Family]:
    status = node.status
    valid = 1 if status.state == "valid" else 0
    return [
        gauge(
            "gateway_config_info",
            "Always 1; the label is a digest of the configuration without `node` and `admin`.",
            [({"digest": node.configuration.digest}, 1.0)] if node.configuration else [],
        ),
        gauge(
            "gateway_config_digests",
            "Different configurations of the nodes that share a Redis; 0 where that is not known.",
            node.fleet.digests,
        ),
        gauge(
            "gateway_fleet_nodes",
            "Nodes that share a Redis, this one included; 0 where that is not known.",
            node.fleet.nodes,
        ),
        gauge("gateway_config_valid", "1 while the files are what is live.", valid),
        counter(
            "gateway_config_reloads_total",
            "Configurations that were applied.",
            status.reloads,
        ),
        counter(
            "gateway_config_reload_failures_total",
            "Configurations refused.",
            status.failures,
        ),
    ]


def certificate_metrics(node: Node) -> list[Family]:
    ends = [
        ({"listener": one.listener, "name": one.name}, one.at.timestamp()) for one in expiries(node.loaded())
    ]
    return [
        gauge("gateway_certificate_expiry_timestamp_seconds", "When a certificate of a listener ends.", ends)
    ]
