"""Balance: what the settings of breaker and health checks change."""

import threading
import time

import pytest

from gateway import Client, Connection, Node, Origin, Received, encode, get, one_route, plain

FAILURE = plain(b"", "500 Internal Server Error")


def state_after(node: Node, origin: Origin, *answers: bytes) -> str:
    """The breaker's state after these answers."""
    for answer in answers:
        origin.script(answer)
        get(node.address, "/")
    node.records(len(answers))
    return str(node.state()["services"][0]["breakers"][0]["state"])


def test_the_ratio_decides_how_many_failures_open_the_breaker(origin: Origin) -> None:
    for ratio, state in {0.2: "open", 0.3: "closed"}.items():
        breaker = f"circuit_breaker: {{failure_ratio: {ratio}, minimum_requests: 4}}"
        with Node(one_route(origin, service=breaker)) as node:
            assert state_after(node, origin, plain(), plain(), plain(), FAILURE) == state, ratio


def test_failures_outside_the_window_are_forgotten(origin: Origin) -> None:
    breaker = "circuit_breaker: {window: 1s, minimum_requests: 4}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE, FAILURE, FAILURE) == "closed"
        assert threading.Event().wait(1.2) is False
        assert state_after(node, origin, FAILURE, FAILURE, FAILURE) == "closed"
        # The next one opens it, or one of those that come quicker one after the other.
        assert "open" in (state_after(node, origin, FAILURE) for _ in range(40))


@pytest.mark.parametrize("breaker", ["{enabled: false, minimum_requests: 1}", "off"])
def test_a_breaker_that_is_off_has_no_state(origin: Origin, breaker: str) -> None:
    with Node(one_route(origin, service=f"circuit_breaker: {breaker}")) as node:
        assert node.state()["services"][0]["breakers"] == []
        for _ in range(30):
            origin.script(FAILURE)
            assert get(node.address, "/").status == 500


def test_as_many_probes_as_configured_close_the_breaker(origin: Origin) -> None:
    breaker = "circuit_breaker: {minimum_requests: 1, open_for: 100ms, probes: 3, ramp: 0s}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE) == "open"
        assert threading.Event().wait(0.2) is False
        assert state_after(node, origin, plain(), plain()) == "half_open"
        assert state_after(node, origin, plain()) == "closed"


def test_failures_in_a_row_open_the_breaker_below_any_minimum(origin: Origin) -> None:
    breaker = "circuit_breaker: {consecutive_failures: 3, failure_ratio: off}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE, FAILURE, plain(), FAILURE, FAILURE) == "closed"
        assert state_after(node, origin, FAILURE) == "open"
        labels = {"from": "closed", "to": "open", "reason": "consecutive_failures"}
        assert node.metric("gateway_breaker_transitions_total", **labels) == 1


def test_slow_answers_open_the_breaker_and_the_record_says_so(origin: Origin) -> None:
    slow = threading.Event()
    breaker = "circuit_breaker: {slow_ratio: 0.5, slow_after: 500ms, minimum_requests: 2}"
    with Node(one_route(origin, service=breaker)) as node, Client(node.address) as client:
        get(node.address, "/")
        origin.script(slow, plain())
        client.send(encode("/"))
        origin.next_request()
        origin.next_request()
        assert slow.wait(0.6) is False
        slow.set()
        assert client.response().status == 200
        records = node.records(2)
        # The first is slow, too, where the machine is.
        slow = sum(record["upstream_latency_ms"] >= 500 for record in records)
        opened = records[1]["decisions"][-1]
        assert (opened["stage"], opened["verdict"]) == ("balance", "breaker_opened")
        assert opened["inputs"] == {"rule": "slow_ratio", "requests": 2, "failures": 0, "slow": slow}


@pytest.mark.parametrize(
    ("settings", "header", "much", "little"),
    [
        (
            "",
            "endpoint-load-metrics",
            "TEXT cpu_utilization=0.81,mem_utilization=0.1",
            "TEXT cpu_utilization=0.8",
        ),
        ("", "Endpoint-Load-Metrics", 'JSON {"cpu_utilization": 0.9}', 'JSON {"mem_utilization": 0.9}'),
        (", load_above: 50, load_header: X-Load", "X-Load", "51%", "50%"),
        (", load_metric: mem_utilization", "endpoint-load-metrics", "mem_utilization=1", "cpu_utilization=1"),
    ],
)
def test_instances_that_report_too_much_load_open_the_breaker_before_they_fail(
    origin: Origin, settings: str, header: str, much: str, little: str
) -> None:
    breaker = f"circuit_breaker: {{load_ratio: 0.5, minimum_requests: 4{settings}}}"
    answers = {name: plain(b"", "200 OK", (header, name)) for name in (much, little)}
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, *[answers[little]] * 3, answers[much]) == "closed"
        origin.script(answers[much])
        assert get(node.address, "/").get(header) is None, "the report is for the gateway"
        node.record()
        assert state_after(node, origin, answers[much]) == "open"
        refused = get(node.address, "/")
        assert refused.status == 503
        inputs = node.record()["decisions"][-1]["inputs"]
        assert (inputs["rule"], inputs["requests"], inputs["loaded"]) == ("load_ratio", 6, 3)


def test_a_report_counts_also_where_its_answer_is_replaced_by_another_attempt(origin: Origin) -> None:
    breaker = "circuit_breaker: {load_ratio: 0.5, minimum_requests: 1, failure_ratio: off}"
    with Node(one_route(origin, "retry: {on: [503]}", service=breaker)) as node:
        origin.script(plain(b"", "503 Service Unavailable", ("endpoint-load-metrics", "0.9")))
        assert get(node.address, "/").status == 503
        labels = {"from": "closed", "to": "open", "reason": "load_ratio"}
        assert node.metric("gateway_breaker_transitions_total", service="users", **labels) == 1


def test_without_the_rule_a_report_of_load_goes_on_as_it_is(origin: Origin) -> None:
    report = ("endpoint-load-metrics", "TEXT cpu_utilization=0.99")
    with Node(one_route(origin, service="circuit_breaker: {minimum_requests: 1}")) as node:
        origin.script(plain(b"", "200 OK", report))
        assert get(node.address, "/").get("endpoint-load-metrics") == report[1]
        assert node.record()["status"] == 200
        assert get(node.address, "/").status == 200


def test_a_window_of_calls_counts_the_last_so_many(origin: Origin) -> None:
    breaker = "circuit_breaker: {window_size: 4, minimum_requests: 4}"
    with Node(one_route(origin, service=breaker)) as node:
        answers = [FAILURE, FAILURE, plain(), plain(), plain(), plain(), FAILURE, FAILURE]
        assert state_after(node, origin, *answers) == "closed"
        assert state_after(node, origin, FAILURE) == "open"


def test_the_statuses_that_count_are_a_setting(origin: Origin) -> None:
    breaker = "circuit_breaker: {failure_statuses: [429, 502-504], minimum_requests: 3}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE, FAILURE, FAILURE) == "closed"
        limited = plain(b"", "429 Too Many Requests")
        assert state_after(node, origin, limited, limited, limited, limited) == "open"


def test_after_closing_a_tenth_passes_and_the_rest_is_told_when_to_come_back(origin: Origin) -> None:
    breaker = "circuit_breaker: {minimum_requests: 1, open_for: 100ms, probes: 1, ramp: 30s}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE) == "open"
        assert threading.Event().wait(0.2) is False
        assert state_after(node, origin, plain()) == "closed"
        assert node.metric("gateway_breaker_admitted_percent", service="users") == 10
        answers = [get(node.address, "/") for _ in range(20)]
        told = [int(answer.get("retry-after") or 0) for answer in answers if answer.status == 503]
        assert [answer.status for answer in answers].count(200) == 2
        assert len(told) == 18
        assert all(1 <= seconds <= 10 for seconds in told)
        refused = next(record for record in node.records(20) if record["status"] == 503)
        assert refused["decisions"][-1]["inputs"] == {"cause": "breaker_ramp"}
        assert node.metric("gateway_breaker_refused_total", service="users") == 18


def test_a_reader_that_is_slow_does_not_keep_the_breaker_from_its_verdict(origin: Origin) -> None:
    breaker = (
        "circuit_breaker: {minimum_requests: 1, open_for: 100ms, probes: 1, probe_timeout: 2s, ramp: 0s}"
    )
    with Node(one_route(origin, service=breaker)) as node, Client(node.address) as client:
        assert state_after(node, origin, FAILURE) == "open"
        assert threading.Event().wait(0.2) is False
        # More than all buffers between them hold; the client reads none of it.
        origin.script(plain(b"x" * (32 << 20)))
        client.send(encode("/"))
        shown = node.wait_for(lambda state: state["services"][0]["breakers"][0]["state"] == "closed")
        assert "half_open" in [change["to"] for change in shown["services"][0]["breakers"][0]["recent"]]
        assert get(node.address, "/").status == 200


def test_recent_changes_are_listed_with_reason_and_numbers(origin: Origin) -> None:
    breaker = "circuit_breaker: {minimum_requests: 2}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE, FAILURE) == "open"
        shown = node.state()["services"][0]["breakers"][0]
        change = shown["recent"][0]
        assert (change["from"], change["to"], change["reason"]) == ("closed", "open", "failure_ratio")
        assert (change["counted"]["requests"], change["counted"]["failures"]) == (2, 2)
        assert shown["opened_ms"] == change["at_ms"]
        opened = node.metric("gateway_breaker_opened_timestamp_seconds", service="users")
        assert opened == change["at_ms"] // 1000


def test_an_instance_whose_breaker_is_open_is_not_picked(origin: Origin) -> None:
    with Origin(FAILURE) as failing:
        text = f"""
services:
  - {{name: users, instances: ["{origin.address}", "{failing.address}"],
     circuit_breaker: {{scope: instance, minimum_requests: 2}}}}
routes: [{{name: users, match: "/*", service: users}}]
"""
        with Node(text) as node:
            statuses = [get(node.address, "/").status for _ in range(20)]
            assert statuses.count(500) == 2
            states = {one["instance"]: one["state"] for one in node.state()["services"][0]["breakers"]}
            assert states == {origin.address: "closed", failing.address: "open"}
            assert node.metric("gateway_breaker_state", instance=failing.address) == 2


def test_a_route_with_its_own_breaker_leaves_the_service_to_the_others(origin: Origin) -> None:
    text = f"""
services: [{{name: users, instances: ["{origin.address}"], circuit_breaker: {{minimum_requests: 2}}}}]
routes:
  - {{name: pay, match: /pay, service: users, circuit_breaker: own}}
  - {{name: rest, match: "/*", service: users}}
"""
    with Node(text) as node:
        for _ in range(2):
            origin.script(FAILURE)
            assert get(node.address, "/pay").status == 500
        node.records(2)
        assert get(node.address, "/pay").status == 503
        assert get(node.address, "/other").status == 200
        states = {one["name"]: one["state"] for one in node.state()["services"][0]["breakers"]}
        assert states == {"users": "closed", "users/pay": "open"}
        assert node.metric("gateway_breaker_state", route="pay") == 2


def test_a_breaker_held_open_by_hand_refuses_and_says_so(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        assert node.engine.set_breaker("users", b'{"action": "open", "by": "ann", "why": "test"}') == 1
        refused = get(node.address, "/")
        assert (refused.status, refused.json()["backend"], refused.get("retry-after")) == (503, "users", "30")
        assert node.record()["decisions"][-1]["inputs"]["rule"] == "opened_by_hand"
        held = node.state()["services"][0]["breakers"][0]["held"]
        assert (held["by"], held["why"]) == ("ann", "test")
        assert node.engine.set_breaker("users", b'{"action": "reset"}') == 1
        assert get(node.address, "/").status == 200


def test_a_check_that_is_not_answered_in_time_counts_as_failed() -> None:
    never = threading.Event()

    def hang(connection: Connection, received: Received) -> None:
        never.wait(30)

    check = "health_check: {interval: 100ms, timeout: 100ms, unhealthy_after: 1}"
    with Origin(hang) as origin, Node(one_route(origin, service=check)) as node:
        node.wait_for(lambda state: not state["services"][0]["instances"][0]["healthy"])
        assert origin.next_request().line == "GET /healthz HTTP/1.1"
        never.set()


def half_open(node: Node, origin: Origin) -> None:
    """Open the breaker by a failure and wait until its next request is a probe."""
    assert state_after(node, origin, FAILURE) == "open"
    assert threading.Event().wait(0.2) is False


def test_as_many_probes_at_a_time_pass_as_configured(origin: Origin) -> None:
    breaker = "circuit_breaker: {minimum_requests: 1, open_for: 100ms, concurrent_probes: 2, ramp: 0s}"
    with (
        Node(one_route(origin, service=breaker)) as node,
        Client(node.address) as first,
        Client(node.address) as second,
    ):
        half_open(node, origin)
        origin.next_request()
        hold = threading.Event()
        origin.script(hold, plain())
        origin.script(hold, plain())
        for client in (first, second):
            client.send(encode("/"))
            origin.next_request()
        assert get(node.address, "/").status == 503
        hold.set()
        assert [client.response().status for client in (first, second)] == [200, 200]


def test_a_failed_probe_may_begin_the_count_anew_but_not_for_ever(origin: Origin) -> None:
    breaker = (
        "circuit_breaker: {minimum_requests: 1, open_for: 100ms, probes: 2, ramp: 0s, "
        "on_probe_failure: restart, probe_limit: 4}"
    )
    with Node(one_route(origin, service=breaker)) as node:
        half_open(node, origin)
        assert state_after(node, origin, plain(), FAILURE, plain()) == "half_open"
        assert state_after(node, origin, FAILURE) == "open"


def test_openings_in_a_row_grow_to_their_maximum(origin: Origin) -> None:
    breaker = (
        "circuit_breaker: {minimum_requests: 1, open_for: 500ms, probes: 1, ramp: 0s, "
        "open_growth: 10, max_open_for: 4s}"
    )
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE) == "open"
        assert threading.Event().wait(0.6) is False
        began = time.monotonic()
        assert state_after(node, origin, FAILURE) == "open"
        # The second opening would last ten times as long as the first, which is longer than it may.
        refused = get(node.address, "/")
        assert refused.status == 503
        assert 4 - (time.monotonic() - began) <= int(refused.get("retry-after") or 0) <= 4
