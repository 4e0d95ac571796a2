"""Compression of answers: what is compressed, for whom, what it says of itself, and that nothing waits."""

import threading
import zlib
from collections.abc import Callable

import pytest

from gateway import Client, Node, Origin, Response, encode, get, one_route, plain, request

TEXT = b'{"name": "gatewright", "kind": "gateway"}\n' * 200
JSON = ("Content-Type", "application/json")
Header = tuple[str, str]
ALL = ("Accept-Encoding", "gzip, br, zstd")
GZIP = ("Accept-Encoding", "gzip")
ON = "compression: on"


def gunzip(body: bytes) -> bytes:
    """The plain body of a whole gzip stream."""
    decoder = zlib.decompressobj(31)
    out = decoder.decompress(body)
    assert decoder.eof
    assert not decoder.unused_data
    return out


def asked(node: Node, origin: Origin, accept: Header, *headers: Header, body: bytes = TEXT) -> Response:
    """What a client gets of an answer of the service."""
    origin.script(plain(body, "200 OK", *(headers or (JSON,))))
    return get(node.address, "/", accept)


def test_an_answer_is_compressed_for_clients_that_take_it(origin: Origin) -> None:
    with Node(one_route(origin, ON)) as node:
        response = asked(node, origin, GZIP)
        assert (response.get("content-encoding"), response.get("vary")) == ("gzip", "Accept-Encoding")
        assert response.get("content-length") is None
        assert gunzip(response.body) == TEXT
        assert len(response.body) < len(TEXT) / 10
        for accept in ("br", "zstd"):
            coded = asked(node, origin, ("Accept-Encoding", accept))
            assert coded.get("content-encoding") == accept
            assert len(coded.body) < len(TEXT) / 10
        plain_ = asked(node, origin, ("Accept-Encoding", "identity"))
        assert (plain_.get("content-encoding"), plain_.get("vary")) == (None, "Accept-Encoding")
        assert (plain_.get("content-length"), plain_.body) == (str(len(TEXT)), TEXT)


@pytest.mark.parametrize(
    ("coding", "low", "high"),
    [("br", "br_level: 0", "br_level: 6"), ("zstd", "zstd_level: 1", "zstd_level: 9")],
)
def test_a_higher_level_compresses_more(origin: Origin, coding: str, low: str, high: str) -> None:
    words = b" ".join(b"%d-%d" % (number * number % 977, number % 89) for number in range(20_000))
    sizes = []
    for level in (low, high):
        with Node(one_route(origin, f"compression: {{{level}}}")) as node:
            sizes.append(len(asked(node, origin, ("Accept-Encoding", coding), body=words).body))
    assert sizes[1] < sizes[0]


def test_without_compression_nothing_is_compressed(origin: Origin) -> None:
    for option in ("", "compression: off"):
        with Node(one_route(origin, option)) as node:
            response = asked(node, origin, ALL)
            assert (response.get("content-encoding"), response.get("vary"), response.body) == (
                None,
                None,
                TEXT,
            )


def test_the_first_of_the_configuration_goes_before_its_equals(origin: Origin) -> None:
    for order, expected in {"[gzip, zstd]": "gzip", "[br, gzip]": "br", "[zstd]": "zstd"}.items():
        with Node(one_route(origin, f"compression: {{algorithms: {order}}}")) as node:
            assert asked(node, origin, ALL).get("content-encoding") == expected
    with Node(one_route(origin, ON)) as node:
        liked = asked(node, origin, ("Accept-Encoding", "zstd;q=0.5, br;q=0.9, gzip"))
        assert liked.get("content-encoding") == "gzip"


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "image/png")],
        [],
        [JSON, ("Content-Encoding", "br")],
        [JSON, ("Cache-Control", "no-transform")],
        [JSON, ("Content-Digest", "sha-256=:x:")],
    ],
)
def test_what_must_stay_as_it_is_stays_as_it_is(origin: Origin, headers: list[Header]) -> None:
    with Node(one_route(origin, ON)) as node:
        response = asked(node, origin, ALL, *(headers or [("X-A", "b")]))
        assert (response.body, response.get("content-length")) == (TEXT, str(len(TEXT)))
        assert response.get("vary") is None


def test_short_bodies_and_parts_stay_as_they_are(origin: Origin) -> None:
    with Node(one_route(origin, ON)) as node:
        assert asked(node, origin, ALL, body=TEXT[:1023]).body == TEXT[:1023]
        assert asked(node, origin, ALL, body=TEXT[:1024]).get("content-encoding") == "zstd"
        origin.script(plain(TEXT, "206 Partial Content", JSON, ("Content-Range", "bytes 0-8399/9999")))
        assert get(node.address, "/", ALL).body == TEXT
        origin.script(b"HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n\r\n")
        assert get(node.address, "/", ALL).get("content-encoding") is None
    with Node(one_route(origin, "compression: {minimum: 2KiB, types: [text/x]}")) as node:
        assert asked(node, origin, ALL).get("content-encoding") is None
        assert asked(node, origin, ALL, ("Content-Type", "text/x")).get("content-encoding") == "zstd"
        assert asked(node, origin, ALL, ("Content-Type", "text/x"), body=TEXT[:2000]).body == TEXT[:2000]


def test_head_says_what_get_would_say(origin: Origin) -> None:
    origin.script(b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\nETag: "a"\r\n\r\n')
    with Node(one_route(origin, ON)) as node:
        head = request(node.address, "/", [GZIP], "HEAD")
        assert (head.get("content-encoding"), head.get("content-length")) == ("gzip", None)
        assert (head.get("etag"), head.body) == ('W/"a"', b"")


def test_tags_become_weak_and_what_speaks_of_bytes_is_dropped(origin: Origin) -> None:
    with Node(one_route(origin, ON)) as node:
        told = asked(
            node, origin, GZIP, JSON, ("ETag", '"a"'), ("Accept-Ranges", "bytes"), ("Vary", "Cookie")
        )
        assert (told.get("etag"), told.get("accept-ranges")) == ('W/"a"', None)
        assert told.all("vary") == ["Cookie", "Accept-Encoding"]
        weak = asked(node, origin, GZIP, JSON, ("ETag", 'W/"a"'), ("Vary", "Cookie, accept-encoding"))
        assert (weak.get("etag"), weak.get("vary")) == ('W/"a"', "Cookie, accept-encoding")


def until(client: Client, end: bytes) -> bytes:
    """What comes before an end, which is taken, too."""
    while end not in client.pending:
        client.pending += client.receive()
    taken, _, client.pending = client.pending.partition(end)
    return taken


def events(origin: Origin, option: str, accept: list[Header], read: Callable[[bytes], bytes]) -> None:
    """Let a service send three events, each only after the client has read the one before."""
    heard = [threading.Event() for _ in range(3)]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    steps = [head]
    for number, event in enumerate(heard):
        steps += [b"9\r\ndata: %d\n\n\r\n" % number, event]
    origin.script(*steps, b"0\r\n\r\n")
    with Node(one_route(origin, option)) as node, Client(node.address) as client:
        client.send(encode("/", accept))
        seen = b""
        until(client, b"\r\n\r\n")
        for number, event in enumerate(heard):
            while b"data: %d\n\n" % number not in seen:
                seen += read(client.read(int(until(client, b"\r\n"), 16)))
                assert client.read(2) == b"\r\n"
            event.set()
        node.record()


def test_each_event_arrives_before_the_next_is_sent(origin: Origin) -> None:
    events(origin, "", [], lambda data: data)


def test_each_event_arrives_before_the_next_is_sent_when_compressed(origin: Origin) -> None:
    decoder = zlib.decompressobj(31)
    events(origin, ON, [GZIP], decoder.decompress)


def test_a_long_answer_is_compressed_as_it_comes(origin: Origin) -> None:
    body = b"".join(b"line %d of many, much like the others\n" % number for number in range(200_000))
    with Node(one_route(origin, ON)) as node:
        for accept in ("gzip", "br", "zstd"):
            coded = asked(node, origin, ("Accept-Encoding", accept), JSON, body=body)
            assert coded.get("content-encoding") == accept
            assert len(coded.body) < len(body) / 2
            if accept == "gzip":
                assert gunzip(coded.body) == body
            told = {"algorithm": accept}
            node.record()
            assert node.metric("gateway_compressed_responses_total", **told) == 1
            assert node.metric("gateway_compression_bytes_total", **told, direction="in") == len(body)
            assert node.metric("gateway_compression_bytes_total", **told, direction="out") == len(coded.body)


def test_trailers_follow_a_compressed_body(origin: Origin) -> None:
    chunk = b"%x\r\n%s\r\n" % (len(TEXT), TEXT)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    origin.script(head + chunk + b"0\r\nX-Sum: 7\r\n\r\n")
    with Node(one_route(origin, ON)) as node:
        response = get(node.address, "/", GZIP, ("TE", "trailers"))
        assert (gunzip(response.body), response.trailers) == (TEXT, [("x-sum", "7")])


def test_a_service_that_breaks_off_leaves_no_complete_body(origin: Origin) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99999\r\n\r\n"
    origin.script(head + TEXT, "close")
    with Node(one_route(origin, ON)) as node, Client(node.address) as client:
        client.send(encode("/", [GZIP]))
        with pytest.raises(ConnectionError):
            client.response()


def test_over_the_bound_answers_go_on_as_they_are(origin: Origin) -> None:
    held = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    origin.script(head, held, b"0\r\n\r\n")
    with Node(one_route(origin, ON, "node: {max_compressions: 1}")) as node, Client(node.address) as slow:
        slow.send(encode("/", [GZIP]))
        assert slow.receive()
        beside = asked(node, origin, GZIP)
        assert (beside.get("content-encoding"), beside.body) == (None, TEXT)
        assert node.metric("gateway_compressions_skipped_total") == 1
        held.set()
        node.records(2)
        assert asked(node, origin, GZIP).get("content-encoding") == "gzip"


def test_an_http_1_0_client_gets_it_until_the_end(origin: Origin) -> None:
    origin.script(plain(TEXT, "200 OK", JSON))
    with Node(one_route(origin, ON)) as node, Client(node.address) as client:
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
        head, _, body = client.rest().partition(b"\r\n\r\n")
        assert b"content-encoding: gzip" in head
        assert gunzip(body) == TEXT
