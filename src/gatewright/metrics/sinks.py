"""Metrics of where records go, and of where metrics are sent."""

from __future__ import annotations

from collections.abc import Callable

from gatewright.control.node import Node
from gatewright.metrics.family import Family, Sample, counter, gauge
from gatewright.records.sinks.thinning import ThinnedSink
from gatewright.records.tally import REASONS, SinkCounts


def sink_metrics(node: Node) -> list[Family]:
    counts = node.records.counts()
    return [
        counter("gateway_sink_records_total", "Records stored.", each(counts, lambda one: one.stored)),
        counter("gateway_sink_dropped_total", "Records lost, by reason.", drops(counts)),
        counter(
            "gateway_sink_failures_total",
            "Attempts to store a batch that failed.",
            each(counts, lambda one: one.failures),
        ),
        *backlog_metrics(counts),
        *batch_metrics(counts),
        *thinning_metrics([one for one in node.records.sinks() if isinstance(one, ThinnedSink)]),
    ]


def thinning_metrics(sinks: list[ThinnedSink]) -> list[Family]:
    """How keeping some records for longer goes."""
    thinned: list[Sample] = [({"sink": one.name}, one.thinner.counts.segments) for one in sinks]
    failures: list[Sample] = [({"sink": one.name}, one.thinner.counts.failures) for one in sinks]
    return [
        counter(
            "gateway_sink_thinned_segments_total",
            "Hours or days of which only what `keep` names is left.",
            thinned,
        ),
        counter("gateway_sink_thinning_failures_total", "Hours or days that could not be thinned.", failures),
    ]


def backlog_metrics(counts: list[SinkCounts]) -> list[Family]:
    """What waits for each sink, and for how long."""
    return [
        gauge(
            "gateway_sink_queued_records",
            "Records that wait for the sink in memory, or are being stored.",
            each(counts, lambda one: one.queued + one.in_flight),
        ),
        gauge(
            "gateway_sink_queued_bytes",
            "Bytes of the records that wait in memory.",
            each(counts, lambda one: one.queued_bytes),
        ),
        gauge(
            "gateway_sink_spilled_records",
            "Records that wait for the sink on disk.",
            each(counts, lambda one: one.spilled),
        ),
        gauge(
            "gateway_sink_spilled_bytes",
            "Bytes of the spill on disk.",
            each(counts, lambda one: one.spilled_bytes),
        ),
        gauge(
            "gateway_sink_lag_seconds",
            "Age of the oldest record that is not stored; 0 where all are.",
            each(counts, lambda one: one.lag),
        ),
        gauge(
            "gateway_sink_last_success_seconds",
            "Time since a batch was last stored, or since the sink is in use.",
            each(counts, lambda one: one.since_success),
        ),
    ]


def each(counts: list[SinkCounts], value: Callable[[SinkCounts], float]) -> list[Sample]:
    return [({"sink": one.name}, value(one)) for one in counts]


def drops(counts: list[SinkCounts]) -> list[Sample]:
    """Every reason of every sink, so that a rate can be told from the first loss on."""
    return [
        ({"sink": one.name, "reason": reason}, one.drops.get(reason, 0))
        for one in counts
        for reason in REASONS
    ]


def batch_metrics(counts: list[SinkCounts]) -> list[Family]:
    """How long batches take, as two counters: the mean by rate, and how many were slow."""
    return [
        counter(
            "gateway_sink_batches_total",
            "Batches stored.",
            [({"sink": one.name}, one.batches.count) for one in counts],
        ),
        counter(
            "gateway_sink_batch_seconds_total",
            "Time that stored batches took, from their first attempt on.",
            [({"sink": one.name}, one.batches.seconds) for one in counts],
        ),
    ]


def push_metrics(node: Node) -> list[Family]:
    """How pushing goes."""
    health = node.pushes
    return [
        gauge(
            "gateway_metrics_push_connected",
            "1 while the collector of metrics takes them; 0 also where there is none.",
            1.0 if health.connected else 0.0,
        ),
        counter("gateway_metrics_push_requests_total", "Requests that the collector took.", health.requests),
        counter(
            "gateway_metrics_push_failures_total",
            "Times that metrics could not be sent to the collector.",
            health.failures,
        ),
        counter(
            "gateway_metrics_push_rejected_total",
            "Data points that the collector rejected.",
            health.rejected,
        ),
    ]
