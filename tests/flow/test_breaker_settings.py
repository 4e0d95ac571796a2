"""Balance: what the settings of breaker and health checks change."""

import threading

import pytest

from gateway import Connection, Node, Origin, Received, get, one_route, plain

FAILURE = plain(b"", "500 Internal Server Error")


def state_after(node: Node, origin: Origin, *answers: bytes) -> str:
    """The breaker's state after these answers."""
    for answer in answers:
        origin.script(answer)
        get(node.address, "/")
    node.records(len(answers))
    return str(node.state()["services"][0]["breaker"]["state"])


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
        assert state_after(node, origin, FAILURE) == "open"


@pytest.mark.parametrize("breaker", ["{enabled: false, minimum_requests: 1}", "off"])
def test_a_breaker_that_is_off_has_no_state(origin: Origin, breaker: str) -> None:
    with Node(one_route(origin, service=f"circuit_breaker: {breaker}")) as node:
        assert node.state()["services"][0]["breaker"] is None
        for _ in range(30):
            origin.script(FAILURE)
            assert get(node.address, "/").status == 500


def test_as_many_probes_as_configured_close_the_breaker(origin: Origin) -> None:
    breaker = "circuit_breaker: {minimum_requests: 1, open_for: 100ms, probes: 3}"
    with Node(one_route(origin, service=breaker)) as node:
        assert state_after(node, origin, FAILURE) == "open"
        assert threading.Event().wait(0.2) is False
        assert state_after(node, origin, plain(), plain()) == "half_open"
        assert state_after(node, origin, plain()) == "closed"


def test_a_check_that_is_not_answered_in_time_counts_as_failed() -> None:
    never = threading.Event()

    def hang(connection: Connection, received: Received) -> None:
        never.wait(10)

    check = "health_check: {interval: 100ms, timeout: 100ms, unhealthy_after: 1}"
    with Origin(hang) as origin, Node(one_route(origin, service=check)) as node:
        node.wait_for(lambda state: not state["services"][0]["instances"][0]["healthy"])
        assert origin.requests[0].line == "GET /healthz HTTP/1.1"
        never.set()
