"""`make sinks-http`: spans of a whole node, as the OpenTelemetry Collector understood them. Every trace that
was sampled is there with its relations, although the collector is killed in the middle; no other is there.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from gateway import Origin, RunningGateway, get
from gateway.ports import unused_ports
from stores.http import Received, Reply, Store, as_json
from stores.servers import Collector, running, until

REQUESTS = 400
SERVER, CLIENT = 2, 3
TEXT = """
services:
  - {{name: users, instances: ["{origin}"]}}
  - {{name: halved, instances: ["{dead}", "{origin}"], circuit_breaker: off}}
routes:
  - {{name: users, match: /users, service: users, auth: none}}
  - name: halved
    match: /halved
    service: halved
    auth: none
    retry: {{attempts: 1, "on": [connect_failure], budget: {{ratio: 1, minimum_per_second: 1000}}}}
tracing:
  sample: 0.5
  export:
    url: "{collector}"
    protocol: {protocol}
    errors: none
    batch: {{wait: 20ms, records: 20}}
    retry: {{first: 50ms, longest: 500ms, attempts: 1000}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
"""


class TraceStore(Store):
    """What the collector passed on, span by span. One that comes again is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: dict[tuple[str, str], dict[str, Any]] = {}
        self.times: Counter[tuple[str, str]] = Counter()

    def accept(self, request: Received) -> Reply:
        assert request.path == "/v1/traces"
        for resource in json.loads(request.body)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    self._keep((span["traceId"], span["spanId"]), span)
        return as_json({})

    def _keep(self, id_: tuple[str, str], span: dict[str, Any]) -> None:
        assert self.spans.setdefault(id_, span) == span
        self.times[id_] += 1

    def traces(self) -> dict[str, list[dict[str, Any]]]:
        found = defaultdict(list)
        for (trace, _), span in list(self.spans.items()):
            found[trace].append(span)
        return found


def check_relations(spans: list[dict[str, Any]], parent: str | None, told: set[str]) -> int:
    """One root, everything else below it, attempts within it; give how many attempts there are. `told` are
    the spans that services were told of.
    """
    [root] = [span for span in spans if span["kind"] == SERVER]
    assert root.get("parentSpanId", "") == (parent or "")
    attempts = [span for span in spans if span["kind"] == CLIENT]
    known = {span["spanId"]: span for span in spans}
    assert told <= {root["spanId"]}
    for span in spans:
        if span is root:
            continue
        above = known[span["parentSpanId"]]
        assert above is root or above in attempts
        assert int(above["startTimeUnixNano"]) <= int(span["startTimeUnixNano"])
        assert int(span["endTimeUnixNano"]) <= int(above["endTimeUnixNano"]) + 1_000_000
    return len(attempts)


def ask(public: int, numbers: range) -> dict[str, str]:
    """A request for each number; two thirds come with a trace, whose parents are given by trace."""
    parents = {}
    for number in numbers:
        path = ("/users", "/halved", "/nowhere")[number % 3]
        headers = []
        if number % 9 < 6:
            trace, parent, flags = f"{number + 1:032x}", f"{number + 1:016x}", f"{number % 2:02x}"
            headers, parents[trace] = [("traceparent", f"00-{trace}-{parent}-{flags}")], parent
        answer = get(("127.0.0.1", public), path, *headers)
        assert answer.status == (404 if path == "/nowhere" else 200)
    return parents


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_sampled_trace_of_a_node_is_whole_in_a_collector_that_is_killed(
    tmp_path: Path, protocol: str
) -> None:
    ports = unused_ports()
    dead = f"127.0.0.1:{next(ports)}"
    behind, origin = TraceStore(), Origin()
    with behind, origin, running(Collector(tmp_path, behind.url)) as collector:
        settings = {"collector": collector.addresses[protocol], "protocol": protocol, "dead": dead}
        text = TEXT.format(origin=origin.address, **settings)
        node = RunningGateway(tmp_path, (next(ports), next(ports)), text)
        try:
            node.start()
            parents = ask(node.public, range(REQUESTS // 2))
            until(lambda: behind.spans)
            collector.kill()
            parents |= ask(node.public, range(REQUESTS // 2, REQUESTS))
            collector.start()
            told = told_to(origin)
            sampled = {trace for trace, (_, is_sampled) in told.items() if is_sampled}
            sampled |= {trace for trace in parents if int(trace, 16) % 2 == 0}
            until(lambda: sampled <= set(behind.traces()))
        finally:
            node.end()
    traces = behind.traces()
    attempts = sum(
        check_relations(spans, parents.get(trace), told.get(trace, (set(), True))[0])
        for trace, spans in traces.items()
    )
    # What began here and went to no service was told to nobody; all others are known one by one.
    others = {trace for trace in traces if trace not in sampled}
    assert all(len(traces[trace]) == 2 and trace not in told for trace in others)
    twice = sum(behind.times.values()) - len(behind.times)
    print(
        f"{protocol}: {REQUESTS} requests, {len(sampled)} sampled traces known and {len(others)} without a "
        f"service, {len(behind.spans)} spans, {attempts} attempts, {twice} spans twice",
        end=" ",
    )
    assert attempts > len(sampled & set(told))


def told_to(origin: Origin) -> dict[str, tuple[set[str], bool]]:
    """By trace, what services were told: spans, and whether it is sampled."""
    told: dict[str, tuple[set[str], bool]] = {}
    for request in origin.requests:
        _, trace, span, flags = (request.get("traceparent") or "").split("-")
        spans, _ = told.setdefault(trace, (set(), flags == "01"))
        spans.add(span)
    return told
