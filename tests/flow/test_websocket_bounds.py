"""WebSocket: the limits of a connection and of a route, and how connections end that nobody closes."""

import socket
import struct
import threading
import time
from contextlib import ExitStack

import pytest

from gateway import CLOSE, RESET, Client, Connection, Node, Origin, Received, Refused, get, one_route
from gateway.client import Address
from gateway.translation import Ways
from gateway.websocket import (
    close_code,
    frame,
    handshake,
    open_raw,
    read_frame,
    switch,
    until_closed,
)

BYE = frame(8, struct.pack(">H", 1000))


STILL = 0.5
"""A socket that takes nothing for this long takes nothing."""
THREE_OF_A_CALLER = {"messages_per_second_per_caller": 3}


def limited(**limits: object) -> str:
    return f"websocket: {{{', '.join(f'{name}: {value}' for name, value in limits.items())}}}"


def closed(node: Node, reason: str) -> float:
    """How many connections have ended so, once the next record is there."""
    assert node.record()["status"] == 101
    return node.metric("gateway_websocket_closed_total", reason=reason)


class Peer:
    """The service's side, one connection at a time: tells the code that it was closed with."""

    def __init__(self, origin: Origin, *first: bytes, echoes: bool = False) -> None:
        self.echoes = echoes
        self.code: int | None = None
        self.is_told = threading.Event()
        origin.script(switch(*first), self._read)

    def _read(self, connection: Connection, received: Received) -> None:
        while True:
            opcode, payload = read_frame(connection)
            if opcode == 8:
                self.code = int.from_bytes(payload[:2], "big")
                self.is_told.set()
                connection.send(frame(8, payload, masked=False))
                connection.socket.close()
                return
            if self.echoes:
                connection.send(frame(opcode, payload, masked=False))

    def closed_with(self) -> int | None:
        assert self.is_told.wait(30)
        return self.code


@pytest.mark.parametrize(
    ("limits", "sent", "told"),
    [
        ({"max_message": "1KiB"}, frame(2, bytes(1025)), (1009, "message_too_large")),
        (
            {"max_message": "1KiB"},
            frame(2, bytes(1024), fin=False) + frame(0, b"", fin=False) + frame(0, b"a"),
            (1009, "message_too_large"),
        ),
        ({"messages_per_second": 3}, frame(1, b"a") * 4, (1008, "too_many_messages")),
        ({"messages_per_second": 3}, frame(9) * 4, (1008, "too_many_messages")),
        ({"idle_timeout": "1s"}, frame(1, b"a"), (1001, "idle")),
        ({"idle_timeout": "1h"}, b"\x82\xff" + b"\xff" * 12, (1002, "malformed")),
    ],
)
def test_both_sides_are_told_what_a_connection_has_too_much_of(
    ways: Ways, origin: Origin, limits: dict[str, object], sent: bytes, told: tuple[int, str]
) -> None:
    peer, (code, reason) = Peer(origin), told
    with Node(ways.route(origin, limited(**limits))) as node, open_raw(ways.door(node)) as client:
        client.send(sent)
        assert close_code(client) == code
        assert peer.closed_with() == code
        client.send(BYE)
        assert client.rest() == b""
        assert closed(node, reason) == 1


def test_what_is_within_the_limits_goes_on_for_ever(ways: Ways, origin: Origin) -> None:
    peer = Peer(origin)
    route = ways.route(origin, limited(max_message="1KiB", messages_per_second=5, idle_timeout="1h"))
    with Node(route) as node, open_raw(ways.door(node)) as client:
        client.send((frame(2, bytes(512), fin=False) + frame(0, bytes(512))) * 5)
        client.send(BYE)
        assert close_code(client) == 1000
        assert peer.closed_with() == 1000
        client.socket.close()
        assert closed(node, "client") == 1


def test_a_service_may_not_send_too_large_a_message_either(ways: Ways, origin: Origin) -> None:
    peer = Peer(origin, frame(2, bytes(1024), masked=False), frame(2, bytes(1025), masked=False))
    with Node(ways.route(origin, limited(max_message="1KiB"))) as node, open_raw(ways.door(node)) as client:
        assert read_frame(client) == (2, bytes(1024))
        assert (close_code(client), peer.closed_with()) == (1009, 1009)
        client.send(BYE)
        assert closed(node, "message_too_large") == 1


def test_a_close_frame_of_ours_waits_for_the_end_of_a_frame(ways: Ways, origin: Origin) -> None:
    goes_on = threading.Event()
    whole = frame(2, b"x" * 5_000, masked=False)

    def rest(connection: Connection, received: Received) -> None:
        assert read_frame(connection)[0] == 8
        connection.send(whole[1_000:] + frame(1, b"too late", masked=False) + frame(8, masked=False))

    origin.script(switch(whole[:1_000]), goes_on, rest, CLOSE)
    with Node(ways.route(origin, limited(max_message="8KiB"))) as node, open_raw(ways.door(node)) as client:
        assert client.read(4) == whole[:4]
        client.send(frame(2, bytes(8_193)))
        goes_on.set()
        assert client.read(5_000) == whole[4:]
        assert close_code(client) == 1009
        client.send(BYE)
        assert client.rest() == b""


@pytest.mark.parametrize(
    ("option", "status", "error"),
    [
        ({"max_connections_per_caller": 2}, 429, "too_many_websockets"),
        ({"max_connections": 2}, 503, "websockets_full"),
    ],
)
def test_a_caller_and_a_route_may_have_so_many_at_once(
    ways: Ways, origin: Origin, option: dict[str, int], status: int, error: str
) -> None:
    origin.script(switch(), until_closed)
    with Node(ways.route(origin, limited(**option))) as node, open_raw(ways.door(node)):
        peer = Peer(origin)
        with open_raw(ways.door(node)) as second:
            with Client(ways.door(node)) as third:
                third.send(handshake())
                response = third.response()
                Refused(status, error, "limit", ("routes", 0), {"limit": 2}, retry_after=5).check(
                    node, response
                )
            second.send(BYE)
            assert (close_code(second), peer.closed_with()) == (1000, 1000)
        assert closed(node, "client") == 1
        origin.script(switch(), until_closed)
        open_raw(ways.door(node)).socket.close()


def after_others(ways: Ways, origin: Origin) -> int:
    """What the second connection of a caller reads for a fourth message, after the first sent three."""
    route = ways.route(origin, limited(**THREE_OF_A_CALLER))
    peers = [Peer(origin, echoes=True)]
    with Node(route) as node, open_raw(ways.door(node)) as first:
        peers.append(Peer(origin, echoes=True))
        with open_raw(ways.door(node)) as second:
            first.send(frame(1, b"a") * 3)
            assert [read_frame(first) for _ in range(3)] == [(1, b"a")] * 3
            second.send(frame(1, b"b"))
            opcode, payload = read_frame(second)
            second.send(BYE)
            is_ended = opcode == 8
            assert peers[1].closed_with() == (1008 if is_ended else 1000)
            assert closed(node, "too_many_messages") == is_ended
            if is_ended:
                assert payload == struct.pack(">H", 1008) + b"too many messages"
                assert second.rest() == b""
            # Who was silent then has nothing to answer for.
            first.send(BYE)
            assert (close_code(first), peers[0].closed_with()) == (1000, 1000)
    return opcode


def test_messages_of_a_caller_are_counted_over_all_its_connections(ways: Ways, origin: Origin) -> None:
    # A machine that stands still for a second between the connections starts over.
    assert any(after_others(ways, origin) == 8 for _ in range(5))


def test_messages_of_another_caller_are_not_counted(origin: Origin) -> None:
    route = one_route(origin, limited(**THREE_OF_A_CALLER))
    with Node(route) as node, ExitStack() as clients:
        for source in ("127.0.0.1", "127.0.0.2"):
            Peer(origin, echoes=True)
            client = clients.enter_context(open_raw(node.address, source=(source, 0)))
            client.send(frame(1, b"a") * 3)
            assert [read_frame(client) for _ in range(3)] == [(1, b"a")] * 3


def test_it_holds_no_place_of_requests(origin: Origin) -> None:
    route, node_ = "websocket: true, priority: P0", "node: {max_in_flight: 1}"
    with Node(one_route(origin, route, node_, service="pool: {max_connections: 1}")) as node:
        origin.script(switch(), until_closed)
        origin.script(switch(), until_closed)
        with open_raw(node.address), open_raw(node.address):
            node.wait_for_metric(2, "gateway_websocket_connections")
            node.wait_for_metric(0, "gateway_in_flight_requests")
            assert get(node.address, "/").status == 200


def test_a_drain_leaves_it_open_until_its_last_moments_and_then_tells_both_sides(
    ways: Ways, origin: Origin
) -> None:
    peer = Peer(origin, echoes=True)
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)) as client:
        ended: list[bool] = []
        began = time.monotonic()
        drain = threading.Thread(target=lambda: ended.append(node.engine.drain(2.0)))
        drain.start()
        node.wait_for(lambda state: bool(state["draining"]))
        answer = (1, b"still here")
        while answer == (1, b"still here"):
            client.send(frame(1, b"still here"))
            answer = read_frame(client)
        assert (answer[0], int.from_bytes(answer[1][:2], "big"), peer.closed_with()) == (8, 1001, 1001)
        # The last moments of two seconds are one.
        assert time.monotonic() - began >= 1
        client.send(BYE)
        assert client.rest() == b""
        client.socket.close()
        drain.join()
        assert ended == [True]
        assert closed(node, "draining") == 1


def test_a_drain_cuts_those_who_do_not_listen_when_its_time_is_over(ways: Ways, origin: Origin) -> None:
    origin.script(switch(), until_closed)
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)) as client:
        assert not node.engine.drain(0.3)
        node.engine.stop()
        assert close_code(client) == 1001
        assert client.rest() == b""
        record = node.record()
        assert (record["status"], record["error_type"]) == (101, "stopped")
        assert node.metric("gateway_websocket_connections") == 0


def test_a_reload_without_the_listener_tells_its_connections_to_leave(ways: Ways, origin: Origin) -> None:
    peer = Peer(origin)
    other = "listeners: [{name: other, address: '127.0.0.1:2'}]"
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)) as client:
        node.apply(ways.route(origin, "websocket: true", other))
        assert (close_code(client), peer.closed_with()) == (1001, 1001)


def test_a_reload_leaves_connections_open(ways: Ways, origin: Origin) -> None:
    peer = Peer(origin)
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)) as client:
        node.apply(ways.route(origin))
        client.send(frame(1, b"still here") + BYE)
        assert (close_code(client), peer.closed_with()) == (1000, 1000)


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_the_client_is_dropped_when_the_service_dies(ways: Ways, origin: Origin, end: str) -> None:
    origin.script(switch(frame(1, b"last", masked=False)), read_one, end)
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)) as client:
        assert read_frame(client) == (1, b"last")
        client.send(frame(1, b"a"))
        assert client.rest() == b""
        client.socket.close()
        assert closed(node, "service_gone") == 1


def read_one(connection: Connection, received: Received) -> None:
    assert read_frame(connection) == (1, b"a")


@pytest.mark.parametrize("is_reset", [False, True])
def test_the_service_is_dropped_when_the_client_vanishes(ways: Ways, origin: Origin, is_reset: bool) -> None:
    gone = threading.Event()

    def wait(connection: Connection, received: Received) -> None:
        until_closed(connection, received)
        gone.set()

    origin.script(switch(), wait, CLOSE)
    with Node(ways.route(origin, "websocket: true")) as node:
        client = open_raw(ways.door(node))
        if is_reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
        assert gone.wait(30)
        assert closed(node, "client_gone") == 1


def test_the_timeout_of_the_route_ends_with_the_handshake(ways: Ways, origin: Origin) -> None:
    goes_on = threading.Event()

    def answer(connection: Connection, received: Received) -> None:
        switch()(connection, received)
        goes_on.wait(30)
        connection.send(frame(8, struct.pack(">H", 1000), masked=False))
        until_closed(connection, received)

    origin.answer = answer
    with (
        Node(ways.route(origin, "websocket: true, timeout: 500ms")) as node,
        opened_in_time(ways.door(node)) as client,
    ):
        client.socket.settimeout(0.7)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(30)
        goes_on.set()
        assert close_code(client) == 1000


def opened_in_time(address: Address) -> Client:
    """A connection that has become a WebSocket; on a busy machine a handshake may be late."""
    while True:
        client = Client(address)
        client.send(handshake())
        if client.response().status == 101:
            return client
        client.socket.close()


def test_a_service_that_does_not_read_holds_its_client_back(ways: Ways, origin: Origin) -> None:
    sent, done = 0, threading.Event()
    origin.script(switch(), done, CLOSE)
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)) as client:
        client.socket.settimeout(STILL)
        data = frame(2, bytes(60_000))
        with pytest.raises(TimeoutError):
            while sent < 120_000_000:
                client.send(data)
                sent += len(data)
        done.set()
        assert sent < 60_000_000


def test_who_does_not_read_holds_the_other_side_back(ways: Ways, origin: Origin) -> None:
    taken: list[int] = []
    stalled = threading.Event()

    def flood(connection: Connection, received: Received) -> None:
        connection.socket.settimeout(STILL)
        data = frame(2, bytes(60_000), masked=False)
        try:
            while len(taken) < 2_000:
                connection.send(data)
                taken.append(len(data))
        except TimeoutError:
            pass
        stalled.set()

    origin.script(switch(), flood, CLOSE)
    with Node(ways.route(origin, "websocket: true")) as node, open_raw(ways.door(node)):
        assert stalled.wait(30)
        # What the kernel's buffers of two connections hold, and no more.
        assert sum(taken) < 60_000_000
