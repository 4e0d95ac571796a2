"""HTTP/2: what one connection may ask for, and what becomes of those that ask for more."""

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gateway import (
    Connection,
    GoneAway,
    Http2,
    Node,
    Origin,
    Received,
    Reset,
    get,
    listener,
    one_route,
    plain,
)
from gateway.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    WIDE,
    frame,
    pseudo,
    reset,
    settings,
    window,
)

Flood = Callable[[Http2], bytes]

BOUNDS = (
    "max_resets: 10, max_stream_errors: 10, max_overhead_frames: 50, max_continuations: 3,"
    "max_pending_resets: 1000"
)


def opened(client: Http2, *, ends: bool = False) -> bytes:
    """The bytes of a request whose body does not end."""
    return client.headers(client.open_stream(), pseudo("/", "POST"), ends=ends)


def rapid_resets(client: Http2) -> bytes:
    """CVE-2023-44487."""
    return b"".join(opened(client, ends=True) + reset(client.next_stream - 2) for _ in range(11))


def made_to_reset(client: Http2) -> bytes:
    """CVE-2025-8671: each stream is reset by the gateway, because its window grows beyond all bounds."""
    return b"".join(opened(client) + window(client.next_stream - 2, 2**31 - 1) for _ in range(11))


def empty_data(client: Http2) -> bytes:
    return opened(client) + frame(DATA, 0, client.next_stream - 2) * 60


def continuations(client: Http2) -> bytes:
    """CVE-2024-27316 and its kin."""
    block = client.encoder.encode(list(pseudo("/")))
    head = frame(HEADERS, END_STREAM, client.open_stream(), block)
    return head + frame(CONTINUATION, 0, client.next_stream - 2) * 4


def bomb(client: Http2) -> bytes:
    """A field of 4,000 bytes, and one byte for each time that it is meant again."""
    block = client.encoder.encode([*pseudo("/"), ("x", "y" * 3900)])
    return frame(HEADERS, END_STREAM | END_HEADERS, client.open_stream(), block + b"\xbe" * 1000)


FLOODS: dict[str, Flood] = {
    "resets": rapid_resets,
    "stream_errors": made_to_reset,
    "empty_data": empty_data,
    "priority": lambda _: frame(PRIORITY, 0, 1, b"\0\0\0\0\0") * 60,
    "settings": lambda _: settings({}) * 60,
    "ping": lambda _: frame(PING, 0, 0, b"12345678") * 60,
    "window_update": lambda _: window(0, 1) * 60,
    "continuation": continuations,
    "headers": bomb,
    "other": lambda _: frame(0xFA, 0, 0, b"abc") * 60,
}


def wait_counted(node: Node, kind: str) -> None:
    """One flood, of this kind. The client may learn of it before it is counted."""
    node.wait_for_metric(1, "gateway_http2_floods_total")
    assert node.metric("gateway_http2_floods_total", listener="public", kind=kind) == 1


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_its_connection_and_no_other(origin: Origin, kind: str) -> None:
    with (
        Node(one_route(origin, "", listener(f"http2: {{{BOUNDS}}}"))) as node,
        Http2(node.address) as neighbour,
    ):
        assert neighbour.request().status == 200
        with Http2(node.address) as client:
            assert client.request().status == 200
            client.send(FLOODS[kind](client))
            assert client.wait_closed() == ENHANCE_YOUR_CALM
        wait_counted(node, kind)
        assert neighbour.request().status == 200
        assert get(node.address).status == 200


@pytest.mark.parametrize("kind", ["priority", "settings", "ping", "window_update", "other"])
def test_what_a_client_may_send_is_served(origin: Origin, kind: str) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        client.send(FLOODS[kind](client))
        assert client.request().status == 200
        assert node.metric("gateway_http2_floods_total") == 0


def test_requests_pay_for_the_frames_that_come_with_them(origin: Origin) -> None:
    with Node(one_route(origin, "", listener(f"http2: {{{BOUNDS}}}"))) as node, Http2(node.address) as client:
        for _ in range(100):
            assert client.request().status == 200
            client.send(window(0, 2) + frame(PRIORITY, 0, client.next_stream, b"\0\0\0\0\1"))
        assert client.request().status == 200


def test_streams_reset_before_they_were_seen_are_bounded(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("http2: {max_pending_resets: 3}"))) as node:
        with Http2(node.address) as client:
            client.send(rapid_resets(client))
            assert client.wait_closed() == ENHANCE_YOUR_CALM
        wait_counted(node, "resets")


def test_tiny_pieces_of_a_body_that_nobody_reads_are_bounded(origin: Origin) -> None:
    hold = threading.Event()
    with Node(one_route(origin, service="pool: {max_connections: 1}")) as node:
        origin.script(hold)
        with Http2(node.address) as first, Http2(node.address) as client:
            first.begin("/first")
            origin.next_request()
            client.send(opened(client))
            client.send(frame(DATA, 0, 1, b"x") * 3000)
            assert client.wait_closed() == ENHANCE_YOUR_CALM
        hold.set()
        wait_counted(node, "small_data")


def test_streams_over_the_maximum_are_refused_one_by_one(origin: Origin) -> None:
    go = threading.Event()
    with (
        Node(one_route(origin, "", listener("http2: {max_streams: 3}"))) as node,
        Http2(node.address) as client,
    ):
        for _ in range(3):
            origin.script(go, plain())
        streams = [client.begin(f"/{number}") for number in range(4)]
        assert client.wait_reset(streams[3]) == REFUSED_STREAM
        go.set()
        assert [client.response(stream).status for stream in streams[:3]] == [200] * 3
        assert client.request().status == 200
        assert node.metric("gateway_http2_resets_total", cause="refused") == 1
        assert sorted(record["path"] for record in node.records(4)) == ["/", "/0", "/1", "/2"]


def test_a_head_that_stops_coming_ends_its_connection(origin: Origin) -> None:
    with (
        Node(one_route(origin, "", listener("header_timeout: 3s"))) as node,
        Http2(node.address) as client,
    ):
        assert client.request().status == 200
        block = client.encoder.encode(list(pseudo("/")))
        client.send(frame(HEADERS, END_STREAM, client.open_stream(), block))
        assert client.wait_closed() == NO_ERROR
        node.wait_for_metric(1, "gateway_timeouts_total", kind="head")


def test_a_connection_that_never_asks_is_closed(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("header_timeout: 200ms"))) as node:
        with Http2(node.address) as client:
            assert client.wait_closed() == NO_ERROR
        with Http2(node.address, begins=False) as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\n")
            assert client.wait_closed() is None
        node.wait_for_metric(2, "gateway_timeouts_total", kind="head")


def body_first(connection: Connection, received: Received) -> None:
    """Answers what is whole. No script: what was given up may come late, and take that of the next one."""
    connection.body(received)
    connection.send(plain())


def test_a_body_that_stops_coming_is_refused(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("body_timeout: 300ms"))) as node, Http2(node.address) as client:
        origin.answer = body_first
        stream = client.begin("/", [("content-length", "10")], "POST", ends=False)
        client.data(stream, b"abc")
        answer = client.response(stream)
        assert (answer.status, answer.json()["error"]) == (408, "request_timeout")
        assert node.record()["status"] == 408
        assert node.metric("gateway_timeouts_total", kind="body") == 1
        assert client.request().status == 200


def test_a_window_that_stays_shut_ends_its_stream_alone(origin: Origin) -> None:
    text = one_route(origin, "", listener("write_timeout: 300ms"))
    with Node(text) as node, Http2(node.address, {INITIAL_WINDOW_SIZE: 0}) as client:
        stream = client.begin("/shut")
        with pytest.raises(Reset):
            client.response(stream)
        assert node.record()["error_type"] == "client_stalled"
        assert node.metric("gateway_timeouts_total", kind="write") == 1
        assert client.request("/", method="HEAD").status == 200


def test_a_client_that_reads_nothing_is_cut_off(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("write_timeout: 300ms"))) as node:
        origin.script(plain(b"x" * (32 << 20)))
        with Http2(node.address) as client:
            client.begin("/large")
            assert node.record()["error_type"] == "client_stalled"
            client.socket.settimeout(30)
            with pytest.raises((GoneAway, Reset)):
                client.response(1)


@contextmanager
def held_upload(origin: Origin, options: str) -> Iterator[tuple[Http2, int, threading.Event]]:
    """A client and the stream of its upload, which waits for the only connection until the event is set."""
    hold = threading.Event()
    listening = listener(f"http2: {{{options}}}")
    with Node(one_route(origin, "", listening, service="pool: {max_connections: 1}")) as node:
        origin.script(hold, plain())
        with Http2(node.address) as first, Http2(node.address) as client:
            first.begin("/first")
            origin.next_request()
            yield client, client.begin("/up", [], "POST", ends=False), hold


def send_ahead(client: Http2, stream: int, length: int) -> None:
    """Four pieces of this length; when this is over, the gateway has read them."""
    for _ in range(4):
        client.data(stream, b"x" * length)
    client.send(frame(PING, 0, 0, b"12345678"))
    assert client.wait_for(PING).payload == b"12345678"


def test_windows_open_only_for_what_was_taken(origin: Origin) -> None:
    with held_upload(origin, "stream_window: 64KiB") as (client, stream, hold):
        send_ahead(client, stream, 16_383)
        assert stream not in grown(client)
        hold.set()
        while stream not in grown(client):
            client.next_frame()
        client.data(stream, b"y", ends=True)
        assert client.response(stream).status == 200
        assert len(origin.next_request().body) == 4 * 16_383 + 1


def test_all_streams_together_may_send_ahead_what_the_connection_may(origin: Origin) -> None:
    windows = "stream_window: 64KiB, connection_window: 64KiB"
    with held_upload(origin, windows) as (client, stream, hold):
        send_ahead(client, stream, 16_000)
        assert 0 not in grown(client)
        hold.set()
        while 0 not in grown(client):
            client.next_frame()
        client.data(stream, b"", ends=True)
        assert client.response(stream).status == 200


def grown(client: Http2) -> dict[int, int]:
    """How far the gateway has opened its windows, by stream."""
    sums: dict[int, int] = {}
    for one in client.frames:
        if one.kind == 8:
            sums[one.stream] = sums.get(one.stream, 0) + struct.unpack(">I", one.payload)[0]
    return sums


def test_windows_of_the_client_are_respected(origin: Origin) -> None:
    body = b"x" * 100_000
    with Node(one_route(origin)) as node, Http2(node.address, {INITIAL_WINDOW_SIZE: 1000}) as client:
        origin.script(plain(body))
        stream = client.begin("/large")
        state = client.streams[stream]
        for given in range(1000, 100_001, 11_000):
            while len(state.body) < given:
                client.next_frame()
            client.send(frame(PING, 0, 0, b"12345678"))
            client.wait_for(PING)
            assert len(state.body) == given
            client.send(window(stream, 11_000))
        assert client.response(stream).body == body


def test_malformed_messages_reset_their_stream_or_connection(origin: Origin) -> None:
    ordinary = list(pseudo("/"))
    resets = [
        [*ordinary, ("connection", "close")],
        [*ordinary, ("keep-alive", "1")],
        [*ordinary, ("proxy-connection", "a")],
        [*ordinary, ("transfer-encoding", "chunked")],
        [*ordinary, ("upgrade", "h2c")],
        [*ordinary, ("te", "gzip")],
        [*ordinary, (":path", "/again")],
        [*ordinary[:3], ("x", "y"), ordinary[3]],
        [*ordinary[1:]],
        [*ordinary[:3], (":path", "")],
        [*ordinary, (":status", "200")],
        [*ordinary, ("content-length", "x")],
        [*ordinary, ("content-length", "1"), ("content-length", "2")],
        [*ordinary, ("content-length", "1")],
    ]
    with Node(one_route(origin)) as node:
        with Http2(node.address) as client:
            for fields in resets:
                stream = client.open_stream()
                client.send(client.headers(stream, fields))
                assert client.wait_reset(stream) == PROTOCOL_ERROR, fields
            assert client.request().status == 200
            assert node.metric("gateway_http2_resets_total", cause="malformed") == len(resets)
        for name in ("X-Upper", "x y", ":unknown"):
            with Http2(node.address) as client:
                client.send(client.headers(client.open_stream(), [*ordinary, (name, "1")]))
                assert client.wait_closed() == PROTOCOL_ERROR, name
    assert len(origin.requests) == 1


def test_connections_and_requests_are_counted_by_protocol(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        with Http2(node.address) as client:
            assert [client.request().status for _ in range(2)] == [200, 200]
        assert get(node.address).status == 200
        node.records(3)
        assert node.metric("gateway_http2_connections_total", listener="public") == 1
        asked = {
            protocol: node.metric("gateway_listener_requests_total", listener="public", protocol=protocol)
            for protocol in ("HTTP/1.0", "HTTP/1.1", "HTTP/2")
        }
        assert asked == {"HTTP/1.0": 0, "HTTP/1.1": 1, "HTTP/2": 2}


def test_a_head_far_beyond_its_size_is_still_told_so(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        large = [("x", "y" * 3900)] * 7
        stream = client.open_stream()
        client.send(client.headers(stream, [*pseudo("/"), *large], ends=False))
        assert client.response(stream).status == 431
        assert client.request().status == 200


def test_a_reset_during_the_answer_stops_it(origin: Origin) -> None:
    left = threading.Event()

    def endless(connection: Connection, _: Received) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                connection.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except OSError:
            left.set()

    with Node(one_route(origin)) as node, Http2(node.address, {INITIAL_WINDOW_SIZE: WIDE}) as client:
        origin.script(endless)
        stream = client.begin("/endless")
        while len(client.streams[stream].body) < 100_000:
            client.next_frame()
        client.send(reset(stream))
        assert left.wait(30)
        record = node.record()
        assert (record["status"], record["error_type"]) == (200, "client_closed")
        assert node.metric("gateway_http2_resets_total", cause="client") == 1
