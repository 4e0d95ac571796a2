"""The rules that hold without anybody writing them, and what a rule is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Test = Literal["above", "below", "rises", "falls", "absent"]
Reading = Literal["value", "increase", "rate", "mean", "left"]
"""How a metric is read: as it is, by how much it rose in the window, that in a second, the mean of what a
histogram counted, or the seconds left until the moment that it names.
"""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What is watched and when it is an alert. Seconds; shares from 0 to 1; latencies in milliseconds.

    `watch` is of requests, `metric` of the metrics page: exactly one is there. `by` is `gateway`, `service`
    or `route` of requests, or the label of a metric whose series are told apart. A rule that compares is over
    when the value is `clear` times the threshold, so that one at its edge does not flap.
    """

    name: str
    severity: str
    text: str
    threshold: float = 0.0
    watch: str | None = None
    metric: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    reading: Reading = "value"
    test: Test = "above"
    by: str = "gateway"
    window: float = 5 * MINUTE
    minimum: int = 20
    lasts: float = 0.0
    percentile: float = 0.99
    clear: float = 0.9
    # With `rises`: less than this is no alert, however much it rose.
    floor: float = 0.0
    # Of the series of a metric that have the same `by`: how they become one.
    joins: Literal["max", "sum"] = field(default="max")


_RULES = (
    # Requests.
    Rule("error_rate", "high", "more than 5 % of requests fail", 0.05, "errors", window=MINUTE),
    Rule(
        "error_rate_critical",
        "critical",
        "more than 10 % of requests fail",
        0.10,
        "errors",
        window=MINUTE,
        lasts=3 * MINUTE,
    ),
    Rule(
        "error_rate_rises", "high", "five times as many requests fail", 5, "errors", test="rises", floor=0.01
    ),
    Rule(
        "service_bad_gateway",
        "high",
        "more than half of the requests of a service cannot be delivered",
        0.5,
        "bad_gateways",
        by="service",
        window=MINUTE,
    ),
    Rule(
        "service_silent",
        "high",
        "a service gets no requests any more",
        watch="requests",
        test="absent",
        by="service",
        window=2 * MINUTE,
    ),
    Rule(
        "route_client_errors",
        "medium",
        "nearly all requests of a route are refused",
        0.95,
        "client_errors",
        by="route",
        window=MINUTE,
    ),
    Rule(
        "service_not_found",
        "medium",
        "a service does not know much of what it is asked for",
        0.1,
        "not_found",
        by="service",
        window=MINUTE,
        minimum=50,
    ),
    Rule(
        "overhead_p99",
        "medium",
        "1 % of requests take over 100 ms in the gateway",
        100,
        "overhead",
        minimum=100,
    ),
    Rule(
        "overhead_p99_early",
        "low",
        "1 % of requests take over 50 ms in the gateway",
        50,
        "overhead",
        minimum=100,
    ),
    Rule(
        "slow_tail",
        "medium",
        "few requests of a service are very slow, which its median hides",
        5000,
        "latency",
        by="service",
        percentile=0.995,
        minimum=100,
    ),
    Rule("bot_traffic", "medium", "more than half of the requests are of programs", 0.5, "bots", minimum=100),
    # Where programs are the usual callers the rule above is to be off; this one tells of those who come.
    Rule(
        "bot_traffic_rises",
        "medium",
        "programs make twice the share of the requests: what looks like success may be bots",
        2,
        "bots",
        test="rises",
        minimum=100,
        floor=0.3,
    ),
    Rule(
        "responses_shrink",
        "medium",
        "successful answers of a service have become much shorter: they may be empty",
        5,
        "response_bytes",
        test="falls",
        by="service",
        minimum=50,
    ),
    Rule("traffic_rises", "low", "five times as many requests come", 5, "requests", test="rises", floor=10),
    # Dependencies.
    Rule(
        "limit_store_unavailable",
        "high",
        "shared limits are not counted: no refusals then mean no enforcement",
        0,
        metric="gateway_limit_store_workers",
        labels=(("state", "open"),),
    ),
    Rule(
        "limit_store_slow",
        "medium",
        "Redis of shared limits takes longer than 5 ms",
        0.005,
        metric="gateway_limit_store_duration_seconds",
        reading="mean",
        window=MINUTE,
    ),
    Rule(
        "service_unhealthy",
        "high",
        "no instance of a service is healthy",
        1,
        metric="gateway_instance_healthy",
        by="service",
        test="below",
        clear=1.0,
    ),
    Rule(
        "breaker_stuck_open",
        "high",
        "the breaker of a service stays open",
        1.5,
        metric="gateway_breaker_state",
        by="service",
        lasts=5 * MINUTE,
    ),
    Rule(
        "breaker_oscillates",
        "high",
        "the breaker of a service opens again and again",
        3,
        metric="gateway_breaker_transitions_total",
        labels=(("to", "open"),),
        reading="increase",
        by="service",
        window=10 * MINUTE,
        joins="sum",
    ),
    Rule(
        "backend_connections",
        "medium",
        "a service has more than 1,000 connections",
        1000,
        metric="gateway_backend_connections",
        by="service",
        joins="sum",
    ),
    Rule(
        "key_set_unavailable",
        "critical",
        "there are no keys to check tokens with",
        1,
        metric="gateway_key_set_available",
        by="identity",
        test="below",
        clear=1.0,
    ),
    Rule(
        "key_set_fetch_failures",
        "medium",
        "key sets cannot be fetched",
        0,
        metric="gateway_key_set_fetch_failures_total",
        reading="increase",
        by="identity",
        window=10 * MINUTE,
    ),
    Rule(
        "key_store_failures",
        "high",
        "the store of API keys cannot be asked",
        0,
        metric="gateway_key_store_failures_total",
        reading="increase",
    ),
    Rule(
        "discovery_failures",
        "medium",
        "names of instances cannot be looked up",
        0,
        metric="gateway_dns_failures_total",
        reading="increase",
        window=MINUTE,
    ),
    Rule(
        "configuration_refused",
        "medium",
        "the files are not what is live",
        1,
        metric="gateway_config_valid",
        test="below",
        clear=1.0,
    ),
    Rule(
        "configurations_differ",
        "high",
        "nodes that share a Redis have different configurations",
        1,
        metric="gateway_config_digests",
        lasts=2 * MINUTE,
        clear=1.0,
    ),
    *(
        Rule(
            f"certificate_expires_{days}d",
            severity,
            f"a certificate ends in less than {days} days",
            days * DAY,
            metric="gateway_certificate_expiry_timestamp_seconds",
            reading="left",
            by="name",
            test="below",
            clear=1.0,
        )
        for days, severity in ((30, "low"), (14, "medium"), (7, "high"))
    ),
    # The node.
    Rule(
        "memory",
        "high",
        "more than 80 % of the memory is used",
        80,
        metric="gateway_memory_percent",
        lasts=MINUTE,
    ),
    Rule(
        "processor",
        "medium",
        "more than 80 % of the processors is used",
        80,
        metric="gateway_cpu_percent",
        lasts=MINUTE,
    ),
    Rule(
        "shedding", "high", "requests are refused for want of resources", 0, metric="gateway_shed_priorities"
    ),
    Rule(
        "limit_violations",
        "medium",
        "more than 100 requests a second are over a limit",
        100,
        metric="gateway_rate_limited_total",
        reading="rate",
        window=MINUTE,
        joins="sum",
    ),
    Rule(
        "authentication_failures",
        "medium",
        "more than 100 authentications a second fail",
        100,
        metric="gateway_authentication_failures_total",
        reading="rate",
        window=MINUTE,
        joins="sum",
    ),
    Rule(
        "records_lost",
        "high",
        "records are lost",
        0,
        metric="gateway_sink_dropped_total",
        reading="increase",
        by="sink",
    ),
    Rule(
        "records_lag",
        "medium",
        "a sink is five minutes behind",
        300,
        metric="gateway_sink_lag_seconds",
        by="sink",
    ),
    Rule(
        "panics",
        "high",
        "connections end by a fault of the gateway",
        0,
        metric="gateway_worker_panics_total",
        reading="increase",
    ),
)

SHIPPED = {rule.name: rule for rule in _RULES}
"""By name."""

METRICS = frozenset(
    name
    for rule in _RULES
    if rule.metric is not None
    for name in ([rule.metric] if rule.reading != "mean" else [f"{rule.metric}_sum", f"{rule.metric}_count"])
)
"""What of the metrics page rules read."""

LONGEST_READING = max(rule.window for rule in _RULES if rule.metric is not None)
