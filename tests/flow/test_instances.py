"""Balance: which instances are asked at all, and what a service takes at most."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway import Client, Node, Origin, Refused, encode, get, plain

FAILURE = plain(b"", "500 Internal Server Error")
NO_BREAKER = "circuit_breaker: off, slow_start: 0s"


@pytest.fixture
def origins() -> Iterator[list[Origin]]:
    """Three instances of one service."""
    with ExitStack() as stack:
        yield [stack.enter_context(Origin()) for _ in range(3)]


def config(origins: list[Origin], options: str, *more: str) -> str:
    instances = ", ".join(f'"{origin.address}"' for origin in origins)
    services = ", ".join([f"{{name: users, instances: [{instances}], {options}}}", *more])
    return f"""
services: [{services}]
routes:
  - {{name: users, match: "/*", service: users}}
"""


def state_of(node: Node, place: int) -> str:
    return str(node.state()["services"][0]["instances"][place]["state"])


def unavailable(cause: str) -> Refused:
    return Refused(
        503,
        "service_unavailable",
        "balance",
        ("services", 0),
        {"cause": cause},
        retry_after=-1,
        body={"backend": "users"},
    )


def test_a_killed_instance_costs_one_request(origins: list[Origin]) -> None:
    ejection = "ejection: {consecutive_gateway_errors: 1}"
    with Node(config(origins, f"{ejection}, {NO_BREAKER}")) as node:
        origins[1].stop()
        statuses = [get(node.address, "/").status for _ in range(30)]
        assert statuses.count(502) == 1
        assert statuses.count(200) == 29
        assert [state_of(node, place) for place in range(3)] == ["healthy", "ejected", "healthy"]
        labels = {"service": "users", "instance": origins[1].address}
        assert node.metric("gateway_instance_ejections_total", **labels) == 1
        assert node.metric("gateway_instance_state", state="ejected", **labels) == 1
        assert node.metric("gateway_instance_healthy", **labels) == 0
        node.apply(config(origins, f"{ejection}, {NO_BREAKER}, panic_threshold: 10"))
        assert state_of(node, 1) == "ejected"


def test_answers_of_500_in_a_row_eject_and_time_brings_the_instance_back(origins: list[Origin]) -> None:
    ejection = "ejection: {consecutive_5xx: 3, base_time: 2s}"
    with Node(config(origins, f"{ejection}, {NO_BREAKER}")) as node:
        origins[0].answer = FAILURE
        failed = 0
        # Counted, and not looked at: on a busy machine it may be back by then.
        while node.metric("gateway_instance_ejections_total", instance=origins[0].address) == 0:
            failed += get(node.address, "/").status == 500
        assert failed == 3
        origins[0].answer = plain()
        node.wait_for(lambda state: state["services"][0]["instances"][0]["state"] == "healthy")
        assert {get(node.address, "/").status for _ in range(9)} == {200}
        assert len(origins[0].requests) == 6


def test_an_ejection_lasts_no_longer_than_the_longest(origins: list[Origin]) -> None:
    ejection = "ejection: {consecutive_5xx: 1, base_time: 1s, max_time: 1s}"
    with Node(config(origins, f"{ejection}, {NO_BREAKER}")) as node:
        origins[0].answer = FAILURE
        for count in (1, 2):
            while get(node.address, "/").status == 200:
                pass
            assert node.state()["services"][0]["instances"][0]["ejected_for_ms"] <= 1_000
            node.wait_for(lambda state: state["services"][0]["instances"][0]["state"] == "healthy")
            # It may have been back before anybody looked.
            assert node.metric("gateway_instance_ejections_total") == count


def test_ejection_stops_at_its_share_and_counts_what_it_would_have_done(origins: list[Origin]) -> None:
    with Node(config(origins, f"ejection: {{consecutive_5xx: 1, max_share: 50}}, {NO_BREAKER}")) as node:
        for origin in origins:
            origin.answer = FAILURE
        for _ in range(9):
            assert get(node.address, "/").status == 500
        assert [state_of(node, place) for place in range(3)].count("ejected") == 1
        assert node.metric("gateway_ejections_prevented_total", service="users") >= 1


def test_a_failing_service_is_no_matter_of_another(origins: list[Origin]) -> None:
    other = f'{{name: others, instances: ["{origins[2].address}"], ejection: on}}'
    text = config(origins[:2], "ejection: {consecutive_gateway_errors: 1, max_share: 100}", other)
    with Node(text + '  - {name: others, match: "/other/*", service: others}\n') as node:
        for origin in origins[:2]:
            origin.stop()
        assert [get(node.address, "/").status for _ in range(4)] == [502, 502, 503, 503]
        for _ in range(10):
            assert get(node.address, "/other/a").status == 200
        causes = [record["decisions"][-1]["inputs"].get("cause") for record in node.records(14)]
        assert causes[2:4] == ["no_healthy_instance"] * 2
        states = [one["instances"][0]["state"] for one in node.state()["services"]]
        assert states == ["ejected", "healthy"]


def test_when_all_are_out_the_refusal_tells_how_long(origins: list[Origin]) -> None:
    ejection = "ejection: {consecutive_gateway_errors: 1, base_time: 5m, max_share: 100}"
    with Node(config(origins[:1], f"{ejection}, {NO_BREAKER}")) as node:
        origins[0].stop()
        assert get(node.address, "/").status == 502
        response = get(node.address, "/")
        node.record()
        unavailable("no_healthy_instance").check(node, response)
        assert 280 <= int(response.get("retry-after") or 0) <= 300
        assert node.metric("gateway_service_unavailable_total", cause="no_healthy_instance") == 1


def test_below_the_panic_threshold_all_are_asked_again(origins: list[Origin]) -> None:
    ejection = "ejection: {consecutive_5xx: 1, max_share: 100}"
    with Node(config(origins, f"{ejection}, panic_threshold: 50, {NO_BREAKER}")) as node:
        for origin in origins[:2]:
            origin.answer = FAILURE
        statuses = [get(node.address, "/").status for _ in range(9)]
        # The first two of them go; then one of three is fewer than half.
        assert statuses.count(500) > 2
        assert node.state()["services"][0]["panic"] is True
        assert node.metric("gateway_balance_panic", service="users") == 1
        assert node.metric("gateway_balance_panics_total", service="users") == 1
        assert node.records(9)[-1]["decisions"][-1]["inputs"] == {"panic": "too_few_available"}


def test_a_drained_instance_gets_nothing_until_it_is_undrained(origins: list[Origin]) -> None:
    with Node(config(origins, NO_BREAKER)) as node, Client(node.address) as client:
        go = threading.Event()
        origins[0].script(go, plain(b"finished"))
        client.send(encode("/slow"))
        origins[0].next_request()
        assert node.engine.drain_instance("users", origins[0].address, True) == 1
        for _ in range(9):
            assert get(node.address, "/").status == 200
        assert (len(origins[0].requests), state_of(node, 0)) == (1, "draining")
        go.set()
        assert client.response().body == b"finished"
        node.apply(config(origins, f"{NO_BREAKER}, balance: random"))
        document = [
            {"name": origin.address, "address": origin.address, "weight": 2} for origin in origins[:2]
        ]
        node.engine.set_instances("users", json.dumps(document).encode())
        for _ in range(9):
            get(node.address, "/")
        assert len(origins[0].requests) == 1
        assert node.metric("gateway_instance_state", state="draining", instance=origins[0].address) == 1
        assert node.engine.drain_instance("users", origins[0].address, False) == 1
        node.apply(config(origins, NO_BREAKER))
        for _ in range(9):
            get(node.address, "/")
        assert len(origins[0].requests) > 1
        assert node.engine.drain_instance("users", "nobody:1", True) is None


def test_an_instance_that_is_back_starts_slowly(origins: list[Origin]) -> None:
    with Node(config(origins, "slow_start: 1h, circuit_breaker: off")) as node:
        node.engine.drain_instance("users", origins[0].address, True)
        get(node.address, "/")
        node.engine.drain_instance("users", origins[0].address, False)
        for _ in range(60):
            assert get(node.address, "/").status == 200
        # A tenth of its weight: 20 of 60 would be its share; 15 have a chance of one in a hundred thousand.
        assert len(origins[0].requests) < 15
        shares = [one["share_percent"] for one in node.state()["services"][0]["instances"]]
        assert shares == [10, 100, 100]


def test_requests_in_flight_to_a_service_are_capped(origins: list[Origin]) -> None:
    go = threading.Event()
    with Node(config(origins, "max_in_flight: 1")) as node, Client(node.address) as client:
        origins[0].script(go, plain(b"first"))
        client.send(encode("/"))
        origins[0].next_request()
        refusal = unavailable("too_many_in_flight")
        refusal.check(node, get(node.address, "/"))
        assert node.metric("gateway_service_unavailable_total", cause="too_many_in_flight") == 1
        assert node.state()["services"][0]["capped_in_flight"] == 1
        go.set()
        assert client.response().body == b"first"
        node.record()
        assert get(node.address, "/").status == 200


def test_requests_per_second_to_a_service_are_capped_whoever_calls(origins: list[Origin]) -> None:
    with Node(config(origins, "max_requests_per_second: 1, burst: 2")) as node:
        passed = 0
        # On a busy machine a second may pass in between, and bring another one through.
        while (response := get(node.address, "/")).status == 200:
            passed += 1
        assert 2 <= passed < 20
        node.records(passed)
        unavailable("too_many_per_second").check(node, response)
        assert node.metric("gateway_service_unavailable_total", cause="too_many_per_second") == 1
        assert sum(len(origin.requests) for origin in origins) == passed
