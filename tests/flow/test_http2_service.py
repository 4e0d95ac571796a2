"""Proxy: services that speak HTTP/2, and what becomes of a request when they speak it badly."""

import socket
import threading
from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from gateway import Client, Http2Origin, Node, Refused, encode, get, raw, request
from gateway.http2_origin import Stream, first_only, http2, wait

MIB = 1 << 20
POST_CHUNKED = b"POST /up HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n"


def bad_gateway(fault: str) -> Refused:
    return Refused(
        502,
        "bad_gateway",
        "proxy",
        ("services", 0),
        {"fault": fault},
        error_type=fault,
        body={"backend": "users"},
    )


def reset(code: ErrorCodes) -> Callable[[Stream], None]:
    def handler(stream: Stream) -> None:
        stream.connection.protocol.reset_stream(stream.number, code)
        stream.connection.flush()

    return handler


def go_away(last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> Callable[[Stream], None]:
    def handler(stream: Stream) -> None:
        # What the library would send by itself would end its own side of the connection.
        frame = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + last.to_bytes(4) + int(code).to_bytes(4)
        stream.connection.socket.sendall(frame)

    return handler


def test_a_request_reaches_a_service_that_speaks_http2_and_its_answer_the_client() -> None:
    with (
        Http2Origin(lambda stream: stream.answer(b"done", [("x-end", "1")])) as origin,
        Node(http2(origin)) as node,
    ):
        headers = [("Accept", "a/b"), ("Connection", "x-hop"), ("X-Hop", "1"), ("TE", "trailers")]
        response = request(node.address, "/users/1?x=y<z>", headers, "PUT", b"body")
        assert (response.status, response.body, response.get("x-end")) == (200, b"done", "1")
        stream = origin.next_request()
        pseudo = [(name, value) for name, value in stream.headers if name.startswith(":")]
        assert dict(pseudo) == {
            ":method": "PUT",
            ":scheme": "http",
            ":authority": stream.get("x-forwarded-host"),
            ":path": "/users/1?x=y%3Cz%3E",
        }
        assert stream.body == b"body"
        assert (stream.get("content-length"), stream.get("accept"), stream.get("te")) == (
            "4",
            "a/b",
            "trailers",
        )
        assert not {"host", "connection", "x-hop", "transfer-encoding"} & dict(stream.headers).keys()
        record = node.record()
        assert record["request_id"] == stream.get("x-request-id")
        assert record["backend_instance"] == origin.address


def test_bodies_without_a_length_and_trailers_go_through_both_ways() -> None:
    def answer(stream: Stream) -> None:
        stream.answer(b"done", trailers=[("x-sum", "2"), ("content-length", "9")])

    with Http2Origin(answer) as origin, Node(http2(origin)) as node, Client(node.address) as client:
        client.send(POST_CHUNKED + b"4\r\nbody\r\n0\r\nx-sum: 1\r\nhost: evil\r\n\r\n")
        response = client.response()
        assert (response.status, response.body, response.trailers) == (200, b"done", [("x-sum", "2")])
        stream = origin.next_request()
        assert (stream.body, stream.trailers) == (b"body", [("x-sum", "1")])
        assert stream.get("content-length") is None


def test_answers_without_a_body_and_interim_answers_are_as_http1_has_them() -> None:
    def answer(stream: Stream) -> None:
        if stream.get(":method") == "HEAD":
            stream.head([("content-length", "5")], ends=True)
        elif stream.get(":path") == "/204":
            stream.head(status="204", ends=True)
        else:
            stream.head([("link", "</a>")], status="103")
            stream.head([], ends=True)

    with Http2Origin(answer) as origin, Node(http2(origin)) as node:
        head = raw(node.address, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", ["HEAD"]).only
        assert (head.status, head.get("content-length")) == (200, "5")
        empty = get(node.address, "/204")
        assert (empty.status, empty.get("content-length")) == (204, None)
        hinted = get(node.address, "/")
        assert (hinted.interim, hinted.status, hinted.get("content-length")) == ([103], 200, "0")


def test_a_stream_that_is_reset_is_a_502_and_the_connection_lives() -> None:
    with Http2Origin(first_only(reset(ErrorCodes.INTERNAL_ERROR))) as origin, Node(http2(origin)) as node:
        bad_gateway("stream_reset").check(node, get(node.address, "/"))
        assert get(node.address, "/").status == 200
        assert len(origin.connections) == 1
        assert node.metric("gateway_upstream_failures_total", service="users", fault="stream_reset") == 1


def test_a_stream_reset_within_its_body_cuts_the_client() -> None:
    def half(stream: Stream) -> None:
        stream.head([("content-length", "10")])
        stream.send(b"half")
        reset(ErrorCodes.CANCEL)(stream)

    with Http2Origin(half) as origin, Node(http2(origin)) as node, Client(node.address) as client:
        client.send(encode("/"))
        with pytest.raises(ConnectionError):
            client.response()
        assert node.record()["error_type"] == "stream_reset"


def test_a_refused_stream_is_sent_again_once_whatever_its_method() -> None:
    refuse = reset(ErrorCodes.REFUSED_STREAM)
    with Http2Origin(first_only(refuse)) as origin, Node(http2(origin)) as node:
        assert request(node.address, "/pay", method="POST", body=b"once").status == 200
        assert [origin.next_request().body for _ in range(2)] == [b"once", b"once"]
        assert node.record()["attempts"] == 2
        origin.on_end = refuse
        bad_gateway("stream_reset").check(node, request(node.address, "/pay", method="POST", body=b"once"))
        assert [origin.next_request().body for _ in range(2)] == [b"once", b"once"]
        assert origin.arrived.empty()


def test_after_a_goaway_streams_below_it_end_and_new_ones_go_elsewhere() -> None:
    released = threading.Event()

    def leave(stream: Stream) -> None:
        if stream.get(":path") == "/first":
            stream.head()
            go_away(stream.number)(stream)
            released.set()
        else:
            stream.answer()

    with Http2Origin(leave) as origin, Node(http2(origin)) as node, Client(node.address) as client:
        client.send(encode("/first"))
        stream = origin.next_request()
        assert released.wait(30)
        node.wait_for(lambda _: get(node.address, "/second").status == 200 and len(origin.connections) == 2)
        stream.send(b"whole", ends=True)
        assert client.response().body == b"whole"


def test_a_stream_above_the_number_of_a_goaway_is_sent_again() -> None:
    with Http2Origin(first_only(go_away(0))) as origin, Node(http2(origin)) as node:
        assert request(node.address, "/pay", method="POST", body=b"once").status == 200
        assert [origin.next_request().connection.number for _ in range(2)] == [0, 1]
        assert node.record()["attempts"] == 2
        assert node.metric("gateway_stale_resends_total", service="users") == 1


def test_a_connection_that_dies_fails_every_stream_on_it() -> None:
    with (
        Http2Origin(wait) as origin,
        Node(http2(origin)) as node,
        Client(node.address) as first,
        Client(node.address) as second,
    ):
        for client in (first, second):
            client.send(encode("/", method="POST", body=b"x"))
        streams = [origin.next_request() for _ in range(2)]
        assert streams[0].connection is streams[1].connection
        streams[0].connection.close()
        assert first.response().status == second.response().status == 502
        assert {record["error_type"] for record in node.records(2)} == {"connection_reset"}


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", b"\x00" * 64])
def test_a_service_that_speaks_something_else_is_a_502(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            accepted, _ = server.accept()
            with accepted:
                accepted.sendall(answer)
                while accepted.recv(1 << 16):
                    pass

        thread = threading.Thread(target=speak)
        thread.start()
        origin = f"127.0.0.1:{server.getsockname()[1]}"
        text = (
            f'services: [{{name: users, instances: ["{origin}"], protocol: http2}}]\n'
            'routes: [{name: users, match: {path: "/*"}, service: users}]\n'
        )
        with Node(text) as node:
            bad_gateway("invalid_response").check(node, get(node.address, "/"))
        thread.join(30)


def test_a_service_that_never_greets_is_a_connection_that_timed_out() -> None:
    with Http2Origin() as origin:
        origin.greets = False
        with Node(http2(origin, "pool: {connect_timeout: 100ms}")) as node:
            bad_gateway("connection_timeout").check(node, get(node.address, "/"))


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([("x-long", "x" * 17_000)], "upstream_headers_too_large"),
        ([("connection", "close")], "invalid_response"),
        ([("content-length", "1"), ("content-length", "2")], "invalid_response"),
        ([("content-length", "two")], "invalid_response"),
        ([("X-Upper", "1")], "invalid_response"),
    ],
)
def test_a_head_that_may_not_be_is_a_502(headers: list[tuple[str, str]], fault: str) -> None:
    with Http2Origin(lambda stream: stream.answer(b"ok", headers)) as origin, Node(http2(origin)) as node:
        bad_gateway(fault).check(node, get(node.address, "/"))


def test_the_head_of_an_answer_may_be_as_long_as_its_service_says() -> None:
    lengths = iter((30_000, 33_000))
    with (
        Http2Origin(lambda stream: stream.answer(b"ok", [("x-long", "x" * next(lengths))])) as origin,
        Node(http2(origin, "max_header_bytes: 32KiB")) as node,
    ):
        assert get(node.address, "/").body == b"ok"
        node.record()
        bad_gateway("upstream_headers_too_large").check(node, get(node.address, "/"))


def test_a_body_that_is_not_as_long_as_told_is_never_taken_for_complete() -> None:
    with (
        Http2Origin(lambda stream: stream.answer(b"four", [("content-length", "9")])) as origin,
        Node(http2(origin)) as node,
        Client(node.address) as client,
    ):
        client.send(encode("/"))
        with pytest.raises(ConnectionError):
            client.response()
        assert node.record()["error_type"] == "invalid_response"


def test_a_client_that_leaves_resets_its_stream_alone() -> None:
    with Http2Origin(wait) as origin, Node(http2(origin)) as node, Client(node.address) as staying:
        with Client(node.address) as leaving:
            leaving.send(encode("/leaving"))
            gone = origin.next_request()
            staying.send(encode("/staying"))
            stays = origin.next_request()
        assert origin.next_given_up() is gone
        assert gone.reset == ErrorCodes.CANCEL
        stays.answer()
        assert staying.response().status == 200
        assert stays.connection is gone.connection


def test_a_timeout_resets_the_stream_and_is_a_504() -> None:
    with Http2Origin(wait) as origin, Node(http2(origin, route="timeout: 500ms")) as node:
        assert get(node.address, "/").status == 504
        assert origin.next_given_up().reset == ErrorCodes.CANCEL


def test_an_early_answer_reaches_the_client_and_resets_the_upload() -> None:
    with Http2Origin(wait, lambda stream: stream.answer(b"no")) as origin, Node(http2(origin)) as node:
        with Client(node.address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome")
            response = client.response()
            assert (response.status, response.body, response.closes) == (200, b"no", True)
        assert origin.next_given_up().reset == ErrorCodes.CANCEL
        assert get(node.address, "/").body == b"no"
        assert len(origin.connections) == 1


def test_large_bodies_go_both_ways_through_small_windows() -> None:
    data = bytes(range(256)) * (4 * MIB // 256)
    settings = {SettingCodes.INITIAL_WINDOW_SIZE: 20_000}
    with (
        Http2Origin(lambda stream: stream.answer(stream.body), settings=settings) as origin,
        Node(http2(origin, "http2: {window: 16KiB}")) as node,
    ):
        response = request(node.address, "/", method="POST", body=data)
        assert response.status == 200
        assert response.body == data


def test_a_client_that_does_not_read_stops_the_service_and_no_other_client() -> None:
    body = b"x" * (6 * MIB)

    def answer(stream: Stream) -> None:
        stream.answer(body if stream.get(":path") == "/large" else b"ok")

    with (
        Http2Origin(answer) as origin,
        Node(http2(origin, "http2: {window: 64KiB}")) as node,
        Client(node.address) as slow,
    ):
        slow.send(encode("/large"))
        stream = origin.next_request()
        for _ in range(20):
            assert get(node.address, "/small").body == b"ok"
        assert len(origin.connections) == 1
        assert sum(len(part) for part, *_ in stream.connection.pending[stream.number]) > MIB
        assert slow.response().body == body


def test_a_service_that_reads_nothing_stops_the_client() -> None:
    with Http2Origin(wait) as origin, Node(http2(origin, route="timeout: 300ms, max_body: 1GiB")) as node:
        origin.reads = False
        with Client(node.address) as client:
            client.socket.settimeout(30)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 300_000)
            assert client.response().status == 504
