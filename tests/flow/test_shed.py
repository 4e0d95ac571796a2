"""Shed: what the node refuses when it is short of processor time or memory, by the priority of the route."""

import json
import resource
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest

from gateway import Client, Node, Origin, Refused, encode, get, plain, routes
from gatewright._engine import decide

PRIORITIES = ("P0", "P1", "P2", "P3")


def with_every_priority(origin: Origin, overload: str) -> str:
    """A route for each priority, `/P0` to `/P3`, under this section `overload`."""
    each = [
        f"name: {name}, match: '/{name}', priority: {name}, service: users, rate_limit: none"
        for name in PRIORITIES
    ]
    return routes(origin, *each) + f"overload: {{{overload}}}\n"


def served(node: Node) -> list[str]:
    """The priorities that are answered by the service; each of the others is refused as it should be."""
    good = []
    for number, name in enumerate(PRIORITIES):
        response = get(node.address, f"/{name}")
        if response.status == 200:
            node.record()
            good.append(name)
            continue
        assert response.get("x-load-shed") in {"cpu", "memory"}
        inputs = {"reason": response.get("x-load-shed")}
        Refused(503, "overloaded", "shed", ("routes", number), inputs, retry_after=-1).check(node, response)
    return good


def refused(state: Mapping[str, Any]) -> list[str]:
    return state["overload"]["refused"]


def compute_until(node: Node, priorities: list[str]) -> None:
    """Keep a processor busy until the node refuses these."""
    end = time.monotonic() + 30
    while refused(node.state()) != priorities:
        assert time.monotonic() < end, node.state()["overload"]
        sum(range(300_000))


def test_busy_processors_shed_what_matters_least_until_they_idle_again(origin: Origin) -> None:
    overload = "cpu: {p3: 8, p2: 100, p1: 100, window: 1s}, margin: 3, retry_after: 7s"
    with Node(with_every_priority(origin, overload)) as node:
        assert served(node) == [*PRIORITIES]
        while (response := get(node.address, "/P3")).status == 200:
            node.record()
            compute_until(node, ["P3"])
        assert response.status == 503
        assert response.get("x-load-shed") == "cpu"
        assert 7 <= int(response.get("retry-after") or 0) <= 14
        decision = node.record()["decisions"][-1]
        assert (decision["verdict"], decision["inputs"]["threshold"]) == ("refused", 8)
        assert decision["inputs"]["resumes"] == 5
        assert get(node.address, "/P2").status == 200
        assert node.metric("gateway_requests_shed_total", priority="P3", reason="cpu") == 1
        assert node.metric("gateway_requests_shed_total") == 1
        node.wait_for(lambda state: refused(state) == [], 30)
        assert node.metric("gateway_shed_priorities", reason="cpu") == 0
        assert get(node.address, "/P3").status == 200


def test_memory_above_its_limit_refuses_everything(origin: Origin) -> None:
    # The window is also how long a priority stays refused at least.
    cpu = "cpu: {window: 1s}"
    with Node(with_every_priority(origin, f"{cpu}, memory: {{limit: 16MiB}}")) as node:
        node.wait_for(lambda state: len(refused(state)) == 4)
        assert served(node) == []
        assert node.metric("gateway_requests_shed_total", priority="P0", reason="memory") == 1
        assert node.metric("gateway_memory_percent") > 95
        assert node.metric("gateway_memory_limit_bytes") == 16 << 20
        node.apply(with_every_priority(origin, f"{cpu}, memory: off"))
        node.wait_for(lambda state: refused(state) != [*PRIORITIES], 30)


def test_memory_above_the_lower_threshold_refuses_low_priorities(origin: Origin) -> None:
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    overload = f"memory: {{low: 2, all: 100, limit: {20 * now}B}}, margin: 1"
    with Node(with_every_priority(origin, overload)) as node:
        node.wait_for(lambda state: refused(state) == ["P2", "P3"])
        assert served(node) == ["P0", "P1"]


def test_service_at_its_limit_is_asked_for_what_matters_only(origin: Origin) -> None:
    overload = "cpu: off, memory: off, concurrency: {minimum: 10, maximum: 10, tolerance: 2}"
    go = threading.Event()
    with Node(with_every_priority(origin, overload)) as node, ExitStack() as clients:
        assert get(node.address, "/P0").status == 200
        node.wait_for_metric(10, "gateway_concurrency_limit", service="users")
        origin.next_request()
        for _ in range(6):
            origin.script(go, plain(b"waited"))
            clients.enter_context(Client(node.address)).send(encode("/P0"))
            # Before it has begun there, another request could take its script.
            origin.next_request()
        node.wait_for(lambda state: state["in_flight"] == 6)
        assert node.metric("gateway_concurrency_in_flight", service="users") == 6
        response = get(node.address, "/P3")
        assert (response.status, response.get("x-load-shed")) == (503, "concurrency")
        shed = node.records(2)[1]["decisions"][-1]["inputs"]
        assert (shed["value"], shed["threshold"]) == (6, 6)
        assert node.metric("gateway_requests_shed_total", priority="P3", reason="concurrency") == 1
        assert get(node.address, "/P2").status == 200
        go.set()
        node.wait_for(lambda state: state["in_flight"] == 0)
        assert get(node.address, "/P3").status == 200


CASES = [
    ({}, 4),
    ({"cpu_percent": 60}, 4),
    ({"cpu_percent": 61}, 3),
    ({"cpu_percent": 76}, 2),
    ({"cpu_percent": 91}, 1),
    ({"cpu_percent": 100}, 1),
    ({"memory_percent": 80}, 4),
    ({"memory_percent": 81}, 2),
    ({"memory_percent": 96}, 0),
    ({"in_flight": 3000}, 3),
    ({"in_flight": 4999}, 1),
    ({"in_flight": 5000}, 0),
]


@pytest.mark.parametrize(("facts", "count"), CASES)
def test_explain_tells_whom_a_state_of_the_node_would_refuse(
    origin: Origin, facts: dict[str, int], count: int
) -> None:
    with Node(with_every_priority(origin, "")) as node:
        snapshot = node.snapshot
    about = {"method": "GET", "host": "a", "headers": [], "peer": "127.0.0.1", "listener": None, "now_ms": 0}
    requests = [{**about, "target": f"/{name}", "content_length": None, **facts} for name in PRIORITIES]
    verdicts = json.loads(decide(snapshot, b"{}", json.dumps(requests).encode()))
    assert [verdict["action"] for verdict in verdicts] == ["proxy"] * count + ["refuse"] * (4 - count)
    for verdict in verdicts[count:]:
        inputs = verdict["decisions"][-1]["inputs"]
        assert (verdict["status"], verdict["decisions"][-1]["stage"]) == (503, "shed")
        assert [inputs["value"]] == list(facts.values())
