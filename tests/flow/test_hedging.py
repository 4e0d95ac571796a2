"""Hedging: a read whose answer is slow to come goes to another instance, too, and the first answer wins."""

import contextlib
import threading
from collections.abc import Sequence

import pytest
from h2.errors import ErrorCodes

from gateway import RESET, Client, Connection, Http2, Http2Origin, Node, Origin, Received, encode, get, plain
from gateway.attempts import ask, attempts, retry
from gateway.http2_origin import Stream

QUICK = "delay: 20ms"
FAIR = "circuit_breaker: off"


class Silent:
    """Takes requests and says nothing until the gateway leaves."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.left = threading.Event()

    def __call__(self, connection: Connection, _: Received) -> None:
        self.asked.set()
        with contextlib.suppress(OSError):
            assert connection.socket.recv(1) == b""
            self.left.set()


def several(origins: Sequence[Origin | Http2Origin], route: str, service: str = FAIR) -> str:
    instances = ", ".join(f'"{origin.address}"' for origin in origins)
    return (
        f"services: [{{name: users, instances: [{instances}], {service}}}]\n"
        f"routes: [{{name: users, match: /*, service: users, {route}}}]\n"
    )


def hedge(*settings: str) -> str:
    return f"hedge: {{{', '.join([QUICK, *settings])}}}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_first_answer_wins_and_the_other_attempt_is_given_up(origin: Origin, method: str) -> None:
    silent = Silent()
    with Origin(silent) as slow, Node(several([slow, origin], hedge())) as node:
        assert ask(node, method) == 200
        assert silent.left.wait(30), "the connection of the attempt that lost was kept open"
        record = node.record()
        assert (record["attempts"], record["backend_instance"]) == (2, origin.address)
        assert attempts(record) == [
            {"instance": slow.address, "error": "cancelled", "race": "lost"},
            {"instance": origin.address, "status": 200, "race": "won"},
        ]
        assert node.metric("gateway_hedges_total", service="users", result="won") == 1
        assert node.metric("gateway_hedges_total") == 1
        in_flight = [one["in_flight"] for one in node.state()["services"][0]["instances"]]
        assert in_flight == [0, 0]
    assert len(slow.requests) == len(origin.requests) == 1
    assert slow.requests[0].head == origin.requests[0].head


def test_an_answer_in_time_is_the_only_one_that_is_asked_for(origin: Origin) -> None:
    with Origin() as other, Node(several([origin, other], "timeout: 50s, hedge: {delay: 40s}")) as node:
        assert {ask(node) for _ in range(4)} == {200}
        assert [(one["attempts"], attempts(one)) for one in node.records(4)] == [(1, [])] * 4
        assert node.metric("gateway_hedges_total") == 0


def test_the_first_attempt_may_still_win(origin: Origin) -> None:
    silent, go = Silent(), threading.Event()

    def late(connection: Connection, _: Received) -> None:
        go.wait(30)
        connection.send(plain(b"late"))

    origin.script(late)
    with Origin(silent) as slower, Node(several([origin, slower], hedge())) as node:
        with Client(node.address) as client:
            client.send(encode("/"))
            assert silent.asked.wait(30)
            go.set()
            assert client.response().body == b"late"
            # The connection of the winner is a connection like others.
            client.send(encode("/"))
            client.response()
        first, second = attempts(node.record())
        assert first == {"instance": slower.address, "error": "cancelled", "race": "lost"}
        assert second == {"instance": origin.address, "status": 200, "race": "won"}
        assert node.metric("gateway_hedges_total", result="lost") >= 1


@pytest.mark.parametrize(
    ("method", "body"), [("POST", None), ("PUT", b"a"), ("DELETE", None), ("OPTIONS", None), ("GET", b"a")]
)
def test_only_reads_without_a_body_are_sent_to_two(origin: Origin, method: str, body: bytes | None) -> None:
    silent = Silent()
    with Origin(silent) as slow, Node(several([slow, origin], hedge() + ", timeout: 300ms")) as node:
        assert ask(node, method, body) == 504
    assert origin.requests == []


@pytest.mark.parametrize("extra", [1, 2])
def test_as_many_are_asked_as_told_and_none_of_them_twice(extra: int) -> None:
    with contextlib.ExitStack() as stack:
        silent = [Silent() for _ in range(4)]
        slow = [stack.enter_context(Origin(one)) for one in silent]
        node = stack.enter_context(Node(several(slow, hedge(f"attempts: {extra}"))))
        with Client(node.address) as client:
            client.send(encode("/"))
            node.wait_for(lambda _: sum(one.asked.is_set() for one in silent) == 1 + extra)
            # Time for many more, if there were any.
            assert threading.Event().wait(0.2) is False
        record = node.record()
        assert (record["attempts"], record["error_type"]) == (1 + extra, "client_closed")
        assert sorted(len(one.requests) for one in slow) == [0] * (3 - extra) + [1] * (1 + extra)


def test_when_none_of_those_that_were_asked_answers_the_time_of_the_route_is_over() -> None:
    silent = Silent()
    route = hedge() + ", timeout: 500ms"
    with Origin(silent) as one, Origin(silent) as other, Node(several([one, other], route)) as node:
        assert ask(node) == 504
        assert node.record()["error_type"] == "upstream_timeout"


def test_nobody_is_asked_twice_where_there_is_one_instance_only() -> None:
    silent = Silent()
    with Origin(silent) as slow, Node(several([slow], hedge("attempts: 3") + ", timeout: 2s")) as node:
        assert ask(node) == 504
        record = node.record()
        assert record["attempts"] == 1
        denied = [step["inputs"] for step in record["decisions"] if step["verdict"] == "hedge_denied"]
        assert denied == [{"reason": "no_instance"}]
    assert len(slow.requests) == 1


def test_an_instance_that_is_out_is_not_asked(origin: Origin) -> None:
    silent = Silent()
    with Origin(silent) as slow, Node(several([slow, origin], hedge() + ", timeout: 300ms")) as node:
        node.engine.drain_instance("users", origin.address, True)
        assert ask(node) == 504
    assert origin.requests == []


def test_the_budget_is_for_them_as_well() -> None:
    silent = Silent()
    route = hedge("budget: {ratio: 0.5, minimum_per_second: 0}") + ", timeout: 1s"
    with Origin(silent) as one, Origin(silent) as other, Node(several([one, other], route)) as node:
        assert {ask(node) for _ in range(4)} == {504}
        assert [record["attempts"] for record in node.records(4)] == [1, 2, 1, 2]
        assert node.metric("gateway_retry_budget_exhausted_total", service="users") == 2
        assert node.metric("gateway_hedges_total", result="failed") == 2


def test_an_attempt_that_is_given_up_says_nothing_about_its_instance(origin: Origin) -> None:
    breaker = "circuit_breaker: {scope: instance, consecutive_failures: 1, failure_ratio: off}"
    check = "health_check: {kind: tcp, interval: 1h, unhealthy_after: 1}"
    ejection = "ejection: {consecutive_gateway_errors: 1, max_share: 100}"
    silent = Silent()
    service = f"{breaker}, {check}, {ejection}, slow_start: 0s"
    with Origin(silent) as slow, Node(several([slow, origin], hedge(), service)) as node:
        assert {ask(node) for _ in range(6)} == {200}
        node.records(6)
        (state,) = node.state()["services"]
        assert [one["state"] for one in state["instances"]] == ["healthy", "healthy"]
        assert {breaker["state"] for breaker in state["breakers"]} == {"closed"}
        assert [one["in_flight"] for one in state["instances"]] == [0, 0]


def test_a_failure_ends_no_race_while_another_is_running(origin: Origin) -> None:
    go, asked = threading.Event(), threading.Event()

    def fails_late(connection: Connection, _: Received) -> None:
        assert asked.wait(30)
        connection.reset()
        go.set()

    def answers_later(connection: Connection, _: Received) -> None:
        asked.set()
        assert go.wait(30)
        connection.send(plain())

    origin.script(answers_later)
    with Origin(fails_late) as failing, Node(several([failing, origin], hedge())) as node:
        assert ask(node) == 200
        assert attempts(node.record()) == [
            {"instance": failing.address, "error": "connection_reset"},
            {"instance": origin.address, "status": 200, "race": "won"},
        ]
        assert node.metric("gateway_upstream_failures_total", fault="connection_reset") == 1


@pytest.mark.parametrize(("options", "status"), [("", 503), (retry("attempts: 1"), 200)])
def test_a_status_wins_unless_retries_answer_it(origin: Origin, options: str, status: int) -> None:
    go, asked = threading.Event(), threading.Event()

    def answers_later(connection: Connection, _: Received) -> None:
        asked.set()
        go.wait(30)
        with contextlib.suppress(OSError):
            connection.send(plain())

    def busy(connection: Connection, _: Received) -> None:
        assert asked.wait(30)
        connection.send(plain(b"busy", "503 Service Unavailable"))
        if options:
            go.set()

    origin.script(answers_later)
    route = ", ".join(filter(None, [hedge(), options]))
    with Origin(busy) as failing, Node(several([failing, origin], route)) as node:
        assert ask(node) == status
        go.set()


def test_when_all_have_failed_retries_go_on_elsewhere() -> None:
    with contextlib.ExitStack() as stack:
        gate = threading.Barrier(2, timeout=30)

        def fails(connection: Connection, _: Received) -> None:
            gate.wait()
            connection.reset()

        failing = [stack.enter_context(Origin(fails)) for _ in range(2)]
        origin = stack.enter_context(Origin())
        node = stack.enter_context(Node(several([*failing, origin], f"{hedge()}, {retry()}")))
        assert ask(node) == 200
        told = attempts(node.record())
        assert [one.get("error", one.get("status")) for one in told] == ["connection_reset"] * 2 + [200]
        assert told[-1]["instance"] == origin.address


def test_a_client_that_leaves_ends_all_attempts() -> None:
    silent = [Silent(), Silent()]
    with Origin(silent[0]) as one, Origin(silent[1]) as other, Node(several([one, other], hedge())) as node:
        with Client(node.address) as client:
            client.send(encode("/"))
            assert silent[1].asked.wait(30)
        assert silent[0].left.wait(30)
        assert silent[1].left.wait(30)
        assert node.record()["error_type"] == "client_closed"


def test_a_body_behind_the_answer_that_won_has_the_patience_of_the_route(origin: Origin) -> None:
    silent, pause = Silent(), threading.Event()
    origin.script(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", pause, b"cd")
    with (
        Origin(silent) as slow,
        Node(several([slow, origin], hedge())) as node,
        Client(node.address) as client,
    ):
        client.send(encode("/"))
        assert silent.left.wait(30)
        pause.set()
        assert client.response().body == b"abcd"


def test_clients_of_http2_get_the_same(origin: Origin) -> None:
    silent = Silent()
    with (
        Origin(silent) as slow,
        Node(several([slow, origin], hedge())) as node,
        Http2(node.address) as client,
    ):
        assert client.request("/").status == 200
        assert node.record()["attempts"] == 2


def test_the_stream_of_an_attempt_that_lost_is_reset_and_its_connection_used_again() -> None:
    streams: list[Stream] = []

    def slow_once(stream: Stream) -> None:
        streams.append(stream)
        if len(streams) > 1:
            stream.answer(b"slow")

    def answer(stream: Stream) -> None:
        stream.answer()

    with (
        Http2Origin(slow_once) as slow,
        Http2Origin(answer) as origin,
        Node(several([slow, origin], hedge(), f"{FAIR}, protocol: http2")) as node,
    ):
        assert get(node.address).body == b"ok"
        node.wait_for(lambda _: streams[0].reset is not None)
        assert streams[0].reset == ErrorCodes.CANCEL
        # Where it is slow all the same, the other one answers first.
        assert b"slow" in (get(node.address).body for _ in range(100))
        assert len(slow.connections) == 1


def test_interim_answers_of_attempts_that_may_lose_reach_nobody(origin: Origin) -> None:
    origin.script(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + plain())
    with Origin() as other, Node(several([origin, other], hedge())) as node:
        answer = get(node.address)
        assert (answer.status, answer.interim) == (200, [])


def test_a_reset_before_the_delay_is_over_is_a_matter_of_retries(origin: Origin) -> None:
    origin.script(RESET)
    with Origin() as other:
        with Node(several([origin, other], "hedge: {delay: 9s}, timeout: 10s")) as node:
            assert ask(node) == 502
            assert node.record()["attempts"] == 1
        assert other.requests == []
