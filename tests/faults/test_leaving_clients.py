"""A client that hangs up at every point: nothing leaks, what was read is recorded, others are served."""

import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from gateway import Client, Connection, Node, Origin, Received, Record, plain
from gateway.client import encode
from gateway.origin import OK, Handler

TEXT = """
version: 1
services:
  - {{name: slow, instances: ["{slow}"], circuit_breaker: off}}
routes:
  - {{name: slow, match: /slow/*, service: slow}}
  - {{name: fixed, match: /fixed, respond: {{body: fixed}}}}
"""
BIG = 4 * 1024 * 1024


@dataclass
class Setting:
    """A gateway before a service that the test controls."""

    node: Node
    slow: Origin
    number: int = 0
    # By target, and each for one request: those that have hung up may come late, and are not meant.
    meant: dict[str, Handler] = field(default_factory=dict)

    def serve(self, connection: Connection, received: Received) -> None:
        handler = self.meant.pop(received.target, None)
        if handler is None:
            connection.body(received)
            connection.send(OK)
        else:
            handler(connection, received)

    def wait_for(self, target: str) -> None:
        """Return when a request has come to the service."""
        while self.slow.next_request().target != target:
            pass

    def name(self) -> str:
        self.number += 1
        return f"leave-{self.number}"

    def check_that_nothing_is_left(self) -> None:
        """No connection, no request, no place in a pool; and the service is asked again at once."""
        idle = self.node.wait_for(lambda state: state["connections"] == 0 and state["in_flight"] == 0)
        assert [one["in_flight"] for service in idle["services"] for one in service["instances"]] == [0]
        with Client(self.node.address) as client:
            client.send(encode("/slow/after"))
            assert client.response().body == b"ok"
        assert self.slow.errors == []
        assert self.node.metric("gateway_panics_total") == 0

    def record_of(self, request_id: str) -> Record:
        while (record := self.node.record())["request_id"] != request_id:
            pass
        return record


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    with Origin() as slow, Node(TEXT.format(slow=slow.address)) as node:
        made = Setting(node, slow)
        slow.answer = made.serve
        yield made


def reset(client: Client) -> None:
    """Hang up as a process that was killed while it still had something to read."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def leave(client: Client, how: str) -> None:
    if how == "reset":
        reset(client)
    elif how == "half":
        client.socket.shutdown(socket.SHUT_WR)
        client.rest()
    else:
        client.socket.close()


WAYS = ["close", "reset", "half"]


@pytest.mark.parametrize("how", WAYS)
def test_hanging_up_at_any_byte_of_a_request_leaves_nothing(setting: Setting, how: str) -> None:
    whole = encode("/slow/post", method="POST", body=b"0123456789")
    for end in range(len(whole)):
        with Client(setting.node.address) as client:
            client.send(whole[:end])
            leave(client, how)
    setting.check_that_nothing_is_left()


@pytest.mark.parametrize("how", WAYS)
def test_hanging_up_while_the_service_thinks_is_recorded_and_tells_the_service(
    setting: Setting, how: str
) -> None:
    ended = threading.Event()

    def think(connection: Connection, received: Received) -> None:
        # The gateway gives the connection up: nobody wants the answer any more.
        assert connection.socket.recv(1) == b""
        ended.set()

    setting.meant["/slow/think"] = think
    name = setting.name()
    with Client(setting.node.address) as client:
        client.send(encode("/slow/think", [("X-Request-ID", name)]))
        setting.wait_for("/slow/think")
        leave(client, how)
    record = setting.record_of(name)
    assert (record["status"], record["error_type"], record["route_id"]) == (499, "client_closed", "slow")
    assert ended.wait(30)
    setting.check_that_nothing_is_left()


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_hanging_up_in_an_upload_is_recorded_and_never_ends_the_body(
    setting: Setting, framing: str, how: str
) -> None:
    cut = threading.Event()

    def take(connection: Connection, received: Received) -> None:
        with pytest.raises(ConnectionError):
            connection.body(received)
        cut.set()

    setting.meant["/slow/upload"] = take
    name = setting.name()
    told, part = ("Content-Length", "100000"), b"a" * 50_000
    if framing == "chunked":
        told, part = ("Transfer-Encoding", "chunked"), b"c350\r\n" + part + b"\r\n"
    with Client(setting.node.address) as client:
        client.send(encode("/slow/upload", [told, ("X-Request-ID", name)], "POST") + part)
        setting.wait_for("/slow/upload")
        leave(client, how)
    record = setting.record_of(name)
    assert (record["status"], record["error_type"]) == (499, "client_closed")
    assert cut.wait(30)
    setting.check_that_nothing_is_left()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("taken", [0, 1, 100, 100_000])
def test_hanging_up_in_a_response_is_recorded(setting: Setting, taken: int, how: str) -> None:
    left = threading.Event()

    def answer(connection: Connection, _: Received) -> None:
        whole = plain(b"x" * BIG)
        connection.send(whole[: BIG // 2])
        # All of it may find room in buffers, and would be an answer that has come to its end.
        left.wait(30)
        connection.send(whole[BIG // 2 :])

    setting.meant["/slow/big"] = answer
    name = setting.name()
    with Client(setting.node.address) as client:
        client.send(encode("/slow/big", [("X-Request-ID", name)]))
        client.read(taken)
        leave(client, how)
    left.set()
    record = setting.record_of(name)
    assert record["error_type"] == "client_closed"
    # The client may have left before the head came to it, or after.
    assert record["status"] in {200, 499}
    assert record["response_bytes"] < BIG
    setting.check_that_nothing_is_left()


def test_hanging_up_between_requests_leaves_nothing_and_is_no_error(setting: Setting) -> None:
    before = setting.node.metric("gateway_client_aborts_total")
    for how in WAYS:
        with Client(setting.node.address) as client:
            client.send(encode("/fixed"))
            assert client.response().body == b"fixed"
            leave(client, how)
    setting.check_that_nothing_is_left()
    assert setting.node.metric("gateway_client_aborts_total") == before


def test_requests_sent_ahead_by_a_client_that_leaves_do_no_harm(setting: Setting) -> None:
    for count in (1, 10, 200):
        with Client(setting.node.address) as client:
            client.send(encode("/fixed") * count)
            reset(client)
    setting.check_that_nothing_is_left()


def test_other_clients_are_served_while_hundreds_hang_up(setting: Setting) -> None:
    with Client(setting.node.address) as steady:
        for _ in range(300):
            with Client(setting.node.address) as client:
                client.send(encode("/slow/left"))
                reset(client)
            steady.send(encode("/fixed"))
            assert steady.response().body == b"fixed"
    setting.check_that_nothing_is_left()
