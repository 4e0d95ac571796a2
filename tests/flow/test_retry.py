"""Retries: which failures are answered by another attempt, which never, and what bounds them."""

import threading
from collections.abc import Callable

import pytest

from gateway import (
    CLOSE,
    RESET,
    Client,
    Connection,
    Http2,
    Node,
    Origin,
    Received,
    encode,
    get,
    one_route,
    plain,
)
from gateway.attempts import ask, attempts, retry
from gateway.origin import Step

BUSY = plain(b"busy", "503 Service Unavailable")
GARBAGE = b"\x16\x03\x01\x00\xa5 is no HTTP\r\n\r\n"

FAILURES: dict[str, tuple[Step, str]] = {
    "reset": (RESET, "connection_reset"),
    "close": (CLOSE, "connection_reset"),
    "garbage": (GARBAGE, "invalid_response"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_connection_that_breaks_before_the_head_is_answered_by_another_attempt(
    origin: Origin, failure: str
) -> None:
    step, error = FAILURES[failure]
    origin.script(step)
    with Node(one_route(origin, retry())) as node:
        assert ask(node) == 200
        record = node.record()
        assert (record["status"], record["attempts"], record["error_type"]) == (200, 2, None)
        told = [{"instance": origin.address, "error": error}, {"instance": origin.address, "status": 200}]
        assert attempts(record) == told
        assert node.metric("gateway_retries_total", service="users", reason="reset") == 1


@pytest.mark.parametrize("options", ["", "retry: off", retry("on: [503, connect_failure]")])
def test_what_is_not_listed_is_not_answered_so(origin: Origin, options: str) -> None:
    origin.script(RESET)
    with Node(one_route(origin, options)) as node:
        assert ask(node) == 502
        record = node.record()
        assert (record["attempts"], attempts(record)) == (1, [])
        assert node.metric("gateway_retries_total") == 0
    assert len(origin.requests) == 1


def test_statuses_that_are_listed_are_answered_by_another_attempt_and_the_last_one_counts(
    origin: Origin,
) -> None:
    with Node(one_route(origin, retry("on: [503]"))) as node:
        origin.script(BUSY)
        assert ask(node) == 200
        for _ in range(3):
            origin.script(BUSY)
        answer = get(node.address)
        assert (answer.status, answer.body) == (503, b"busy")
        origin.script(plain(b"", "500 Internal Server Error"))
        assert ask(node) == 500
        assert [record["attempts"] for record in node.records(3)] == [2, 3, 1]
        assert node.metric("gateway_retries_total", reason="status") == 3
    # What was thrown away was complete, so its connection was used again.
    assert origin.connections == 1


def test_an_answer_that_is_thrown_away_half_way_takes_its_connection_along(origin: Origin) -> None:
    origin.script(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000\r\n\r\nhalf")
    with Node(one_route(origin, retry())) as node:
        assert get(node.address).body == b"ok"
    assert origin.connections == 2


@pytest.mark.parametrize(
    ("method", "methods", "status"),
    [
        ("POST", "idempotent", 502),
        ("PATCH", "idempotent", 502),
        ("PUT", "idempotent", 200),
        ("DELETE", "idempotent", 200),
        ("POST", "[POST]", 200),
        ("GET", "[POST]", 502),
    ],
)
def test_only_methods_that_may_arrive_twice_do(
    origin: Origin, method: str, methods: str, status: int
) -> None:
    origin.script(RESET)
    with Node(one_route(origin, retry(f"methods: {methods}"))) as node:
        assert ask(node, method, b"a" if method in {"POST", "PUT", "PATCH"} else None) == status
    assert len(origin.requests) == (2 if status == 200 else 1)


def pair(first: str, second: str, route: str, service: str = "circuit_breaker: off") -> str:
    return (
        f'services: [{{name: users, instances: ["{first}", "{second}"], {service}}}]\n'
        f"routes: [{{name: users, match: /*, service: users, {route}}}]\n"
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_instance_that_cannot_be_connected_to_costs_no_request_whatever_its_method(
    origin: Origin, free_port: Callable[[], int], method: str
) -> None:
    gone = f"127.0.0.1:{free_port()}"
    with Node(pair(gone, origin.address, retry("attempts: 1"))) as node:
        assert {ask(node, method, b"a" if method == "POST" else None) for _ in range(6)} == {200}
        moved = [attempts(record) for record in node.records(6) if record["attempts"] == 2]
        told = [
            {"instance": gone, "error": "connection_refused"},
            {"instance": origin.address, "status": 200},
        ]
        assert len(moved) >= 3
        assert all(one == told for one in moved)
        # The first is a retry. From then on it is known to be gone, and nobody need ask for the next attempt.
        assert node.metric("gateway_retries_total", reason="connect_failure") == 1
        assert node.metric("gateway_stale_resends_total") == len(moved) - 1


def test_another_attempt_goes_to_an_instance_that_was_not_tried(origin: Origin) -> None:
    with Origin(BUSY) as busy, Node(pair(busy.address, origin.address, retry("attempts: 1"))) as node:
        assert [ask(node) for _ in range(10)] == [200] * 10
        assert node.metric("gateway_retries_total") == len(busy.requests) >= 4


def test_silence_ends_an_attempt_and_not_the_request(origin: Origin) -> None:
    silent = threading.Event()
    origin.script(silent)
    # On a busy machine the second one may be late as well.
    settings = retry("attempts: 10", "per_try_timeout: 400ms")
    with Node(one_route(origin, f"{settings}, timeout: 30s")) as node:
        assert ask(node) == 200
        silent.set()
        *failed, last = attempts(node.record())
        assert failed == [{"instance": origin.address, "error": "upstream_timeout"}] * len(failed) != []
        assert last == {"instance": origin.address, "status": 200}
        assert node.metric("gateway_retries_total", reason="timeout") == len(failed)


def test_all_attempts_together_end_with_the_timeout_of_the_route(origin: Origin) -> None:
    silent = threading.Event()
    for _ in range(10):
        origin.script(silent)
    settings = retry("attempts: 10", "per_try_timeout: 200ms")
    with Node(one_route(origin, f"timeout: 1s, {settings}")) as node:
        assert ask(node) == 504
        silent.set()
        record = node.record()
        assert record["error_type"] == "upstream_timeout"
        assert 2 <= record["attempts"] <= 5


def test_after_the_head_of_the_answer_the_patience_is_that_of_the_route(origin: Origin) -> None:
    pause, begun = threading.Event(), b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"
    # On a busy machine a head may be late, and the next attempt gets the same.
    for _ in range(11):
        origin.script(begun, pause, b"cd")
    settings = retry("attempts: 10", "per_try_timeout: 400ms")
    with Node(one_route(origin, settings)) as node, Client(node.address) as client:
        client.send(encode("/"))
        head = b""
        while not head.endswith(b"\r\n\r\nab"):
            head += client.receive()
        assert pause.wait(0.6) is False
        pause.set()
        assert client.read(2) == b"cd"


@pytest.mark.parametrize("size", [10, 60_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_kept_arrives_whole_in_every_attempt(origin: Origin, size: int, chunked: bool) -> None:
    body = bytes(index % 251 for index in range(size))
    origin.script(BUSY)
    head = f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
    sent = head + body
    if chunked:
        chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
        sent = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
    with Node(one_route(origin, retry())) as node, Client(node.address) as client:
        # What came with the head and what came later are kept alike.
        client.send(sent[: len(sent) // 2])
        client.send(sent[len(sent) // 2 :])
        assert client.response().status == 200
    assert [received.body for received in origin.requests] == [body, body]


def test_a_service_that_breaks_off_in_a_body_gets_what_is_left_of_it_with_the_next_attempt(
    origin: Origin,
) -> None:
    taken = threading.Event()

    def breaks_off(connection: Connection, _: Received) -> None:
        connection.read(4)
        connection.reset()
        taken.set()

    origin.script(breaks_off)
    with Node(one_route(origin, retry())) as node, Client(node.address) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nbody")
        assert taken.wait(30)
        client.send(b"rest")
        assert client.response().status == 200
    assert origin.requests[-1].body == b"bodyrest"


@pytest.mark.parametrize(("size", "status"), [(1_024, 200), (1_025, 503), (30_000, 503)])
def test_a_request_with_a_longer_body_is_sent_once(origin: Origin, size: int, status: int) -> None:
    origin.script(BUSY)
    with Node(one_route(origin, retry("max_body: 1KiB"))) as node:
        assert ask(node, "PUT", b"a" * size) == status
    assert len(origin.requests) == (2 if status == 200 else 1)


def test_a_body_with_trailers_is_sent_once(origin: Origin) -> None:
    origin.script(BUSY)
    with Node(one_route(origin, retry())) as node, Client(node.address) as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(b"1\r\na\r\n0\r\nx-a: b\r\n\r\n")
        assert client.response().status == 503


def test_bodies_of_all_requests_together_are_kept_within_the_bound_of_the_node(origin: Origin) -> None:
    origin.script(BUSY)
    program = "node: {max_retry_memory: 20KiB}\n" + one_route(origin, retry())
    with Node(program) as node:
        assert ask(node, "PUT", b"a" * 30_000) == 503
        assert node.metric("gateway_retry_bodies_dropped_total") == 1
        denied = node.record()["decisions"][-1]
        assert (denied["verdict"], denied["inputs"]) == ("retry_denied", {"reason": "node_memory"})
        # What one held is there for the next.
        for _ in range(3):
            origin.script(BUSY)
            assert ask(node, "PUT", b"a" * 15_000) == 200


def test_an_attempt_gives_its_place_within_the_caps_to_the_next(origin: Origin) -> None:
    origin.script(BUSY)
    caps = "max_in_flight: 1, circuit_breaker: off"
    with Node(one_route(origin, retry(), service=caps)) as node:
        assert ask(node) == 200


def test_nothing_is_sent_again_once_the_client_has_a_part_of_an_answer(origin: Origin) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with Node(one_route(origin, retry())) as node:
        origin.script(half, RESET)
        with Client(node.address) as client, pytest.raises(ConnectionError):
            client.send(encode("/"))
            client.response()
        origin.script(hint, BUSY)
        with Client(node.address) as client:
            client.send(encode("/"))
            answer = client.response()
        assert (answer.interim, answer.status) == ([103], 503)
        assert [record["attempts"] for record in node.records(2)] == [1, 1]


def test_a_budget_keeps_a_storm_down_to_its_share(origin: Origin) -> None:
    origin.answer = BUSY
    budget = "budget: {ratio: 0.2, minimum_per_second: 0}"
    service = "circuit_breaker: off"
    with Node(one_route(origin, retry("attempts: 10", budget), service=service)) as node:
        with Client(node.address) as client:
            for _ in range(50):
                client.send(encode("/"))
                assert client.response().status == 503
        assert len(origin.requests) == 60
        denied = node.records(50)[0]["decisions"][-1]
        assert node.metric("gateway_retries_total") == 10
        assert node.metric("gateway_retry_budget_exhausted_total", service="users") == 50
        assert (denied["verdict"], denied["inputs"]) == ("retry_denied", {"reason": "budget"})


def test_each_attempt_counts_for_the_breaker_and_an_open_one_ends_them(origin: Origin) -> None:
    for _ in range(2):
        origin.script(BUSY)
    breaker = "circuit_breaker: {consecutive_failures: 2, failure_ratio: off}"
    with Node(one_route(origin, retry("attempts: 5"), service=breaker)) as node:
        answer = get(node.address)
        # Not the breaker's refusal: the service did answer.
        assert (answer.status, answer.body) == (503, b"busy")
        assert node.state()["services"][0]["breakers"][0]["state"] == "open"
        record = node.record()
        verdicts = [step["verdict"] for step in record["decisions"]]
        assert verdicts[-3:] == ["breaker_opened", "attempted", "retry_denied"]
        assert record["decisions"][-1]["inputs"] == {"reason": "no_instance"}
    assert len(origin.requests) == 2


def test_each_attempt_counts_for_the_health_of_its_instance(
    origin: Origin, free_port: Callable[[], int]
) -> None:
    check = "health_check: {interval: 1h, timeout: 1s, unhealthy_after: 2}, circuit_breaker: off"
    gone = f"127.0.0.1:{free_port()}"
    with Node(pair(gone, origin.address, retry(), check)) as node:
        assert [ask(node) for _ in range(4)] == [200] * 4
        # One failure is that of the probe at the start.
        node.wait_for(lambda state: not state["services"][0]["instances"][0]["healthy"])


def test_every_attempt_has_the_same_identifiers(origin: Origin) -> None:
    origin.script(BUSY)
    with Node(one_route(origin, retry())) as node:
        assert ask(node) == 200
        record = node.record()
    for name in ("x-request-id", "traceparent"):
        assert len({received.get(name) for received in origin.requests}) == 1, name
    assert {received.get("x-request-id") for received in origin.requests} == {record["request_id"]}


def test_no_wait_begins_that_would_last_longer_than_the_route_allows(origin: Origin) -> None:
    origin.script(RESET)
    settings = "timeout: 5ms, retry: {backoff: {base: 10s, max: 10s}}"
    with Node(one_route(origin, settings)) as node:
        assert ask(node) in {502, 504}
        assert node.record()["attempts"] == 1


def test_clients_of_http2_get_the_same(origin: Origin) -> None:
    for _ in range(2):
        origin.script(BUSY)
    with Node(one_route(origin, retry())) as node, Http2(node.address) as client:
        assert client.request("/").status == 200
        assert node.record()["attempts"] == 3


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_instance_that_takes_no_connection_fails_one_request_on_all_workers(
    origin: Origin, free_port: Callable[[], int], method: str
) -> None:
    gone = f"127.0.0.1:{free_port()}"
    with Node(pair(gone, origin.address, "timeout: 5s"), workers=2) as node:
        body = b"a" if method == "POST" else None
        assert sorted(ask(node, method, body) for _ in range(20)) == [200] * 19 + [502]
        assert node.metric("gateway_retries_total") == 0


def test_an_instance_that_breaks_the_second_connection_as_well_is_left_for_another(origin: Origin) -> None:
    with Origin() as dying, Node(pair(dying.address, origin.address, "timeout: 5s")) as node:
        assert {ask(node) for _ in range(4)} == {200}
        for _ in range(2):
            dying.script(RESET)
        assert {ask(node) for _ in range(2)} == {200}
        (moved,) = [record for record in node.records(6) if record["attempts"] > 1]
        told = [
            {"instance": dying.address, "error": "connection_reset"},
            {"instance": origin.address, "status": 200},
        ]
        assert attempts(moved) == told


def test_an_instance_that_closed_its_connections_and_is_gone_costs_no_request(origin: Origin) -> None:
    """Without any retry: nothing was sent to it."""
    dying = Origin()
    with Node(pair(dying.address, origin.address, "timeout: 5s")) as node:
        assert {ask(node) for _ in range(4)} == {200}
        dying.stop()
        answers = {ask(node, method, b"a" if method == "POST" else None) for method in ("GET", "POST")}
        assert answers == {200}
        moved = [record for record in node.records(6) if record["attempts"] == 2]
        assert [one["instance"] for one in attempts(moved[0])] == [dying.address, origin.address]
        assert node.metric("gateway_retries_total") == 0
        assert node.metric("gateway_stale_resends_total") == len(moved)
