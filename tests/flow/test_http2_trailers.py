"""Trailers over HTTP/2 behind bodies whose length was told, which no framing of HTTP/1.1 can carry."""

import threading

import pytest

from gateway import Http2, Http2Origin, Node, Origin, get, listener, one_route, plain
from gateway.http2 import DATA, END_STREAM, HEADERS
from gateway.http2_origin import Stream, http2, wait

TRAILERS = [("grpc-status", "7"), ("x-sum", "9")]
TE = ("te", "trailers")


@pytest.mark.parametrize("body", [b"", b"answer", b"x" * 100_000])
def test_trailers_of_a_response_follow_a_body_of_known_length(body: bytes) -> None:
    def answer(stream: Stream) -> None:
        stream.answer(body, [("content-length", str(len(body)))], TRAILERS)

    with Http2Origin(answer) as origin, Node(http2(origin)) as node, Http2(node.address) as client:
        response = client.request("/", [TE])
        assert (response.get("content-length"), response.body) == (str(len(body)), body)
        assert response.trailers == TRAILERS
        assert client.request("/").trailers == []


@pytest.mark.parametrize("body", [b"", b"asked", b"x" * 50_000])
def test_trailers_of_a_request_follow_a_body_of_known_length(body: bytes) -> None:
    with Http2Origin() as origin, Node(http2(origin)) as node, Http2(node.address) as client:
        stream = client.begin("/", [("content-length", str(len(body)))], "POST", ends=False)
        for start in range(0, len(body), 10_000):
            client.data(stream, body[start : start + 10_000])
        client.send(client.headers(stream, [*TRAILERS, ("host", "evil")]))
        assert client.response(stream).status == 200
        received = origin.next_request()
        assert (received.get("content-length"), received.body) == (str(len(body)), body)
        assert received.trailers == TRAILERS


@pytest.mark.parametrize("is_empty", [True, False])
def test_what_may_be_the_last_of_a_body_does_not_wait_for_trailers(is_empty: bool) -> None:
    go = threading.Event()

    def answer(stream: Stream) -> None:
        stream.head([("content-length", "0" if is_empty else "4")])
        stream.send(b"" if is_empty else b"body")

        def finish() -> None:
            go.wait(30)
            stream.send(b"", trailers=TRAILERS)

        threading.Thread(target=finish, daemon=True).start()

    with Http2Origin(answer) as origin, Node(http2(origin)) as node, Http2(node.address) as client:
        stream = client.begin("/", [TE])
        while not (client.streams[stream].heads if is_empty else client.streams[stream].body):
            client.next_frame()
        assert not client.streams[stream].ended
        go.set()
        assert client.response(stream).trailers == TRAILERS


def test_a_response_without_trailers_ends_with_its_last_byte(origin: Origin) -> None:
    origin.script(plain(b"body"))
    origin.script(plain(b""))
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        client.request("/")
        client.request("/")
        ends = [one for one in client.frames if one.kind in {DATA, HEADERS} and one.flags & END_STREAM]
        assert [(one.kind, one.payload) for one in ends if one.stream == 1] == [(DATA, b"body")]
        assert [one.kind for one in ends if one.stream == 3] == [HEADERS]
        assert all(one.payload for one in client.frames if one.kind == DATA)


def test_a_body_that_ends_late_holds_nothing_back_that_http1_can_say(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        stream = client.begin("/", [("content-length", "3"), TE], "POST", ends=False)
        client.data(stream, b"abc")
        received = origin.next_request()
        assert (received.get("content-length"), received.body) == ("3", b"abc")
        assert client.response(stream).status == 200
        # HTTP/1.1 has no place for these where the length was told.
        stream = client.begin("/", [("content-length", "3"), TE], "POST", ends=False)
        client.data(stream, b"abc")
        client.send(client.headers(stream, TRAILERS))
        assert client.response(stream).status == 200
        assert origin.next_request().trailers == []


def test_http1_cannot_carry_trailers_behind_a_known_length_and_stays_in_order() -> None:
    def answer(stream: Stream) -> None:
        stream.answer(b"body", [("content-length", "4")], TRAILERS)

    with Http2Origin(answer) as origin, Node(http2(origin)) as node:
        response = get(node.address, "/", ("TE", "trailers"), ("Connection", "TE"))
        assert (response.body, response.trailers) == (b"body", [])


def test_a_request_that_never_ends_its_stream_is_given_up_as_any_body_that_stalls() -> None:
    text = listener("body_timeout: 1s")
    with Http2Origin() as origin, Node(http2(origin) + text) as node:
        with Http2(node.address) as client:
            # Its connection is there, so that it gets what is given up.
            assert client.request("/").status == 200
            origin.on_end = wait
            stream = client.begin("/", [("content-length", "3")], "POST", ends=False)
            client.data(stream, b"abc")
            assert client.response(stream).status == 408
        assert origin.next_given_up()
