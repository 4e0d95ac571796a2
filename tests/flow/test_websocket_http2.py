"""WebSocket over HTTP/2 (RFC 8441): what only streams have. What both versions have is beside this."""

import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import (
    Authority,
    Connection,
    Http2,
    Node,
    Origin,
    Received,
    Refused,
    Reset,
    listener,
    one_route,
    plain,
    routes,
)
from gateway.client import Header
from gateway.http2 import DATA, END_STREAM, PROTOCOL_ERROR, SETTINGS
from gateway.translation import Front
from gateway.websocket import frame, read_frame, switch, until_closed

ON = "websocket: true"
VERSION = ("sec-websocket-version", "13")


def fields(**changed: str | None) -> Iterator[Header]:
    """The head of an extended CONNECT. A pseudo-header that is changed to `None` is left out."""
    pseudo = {"method": "CONNECT", "protocol": "websocket", "scheme": "http", "authority": "a", "path": "/"}
    for name, value in {**pseudo, **changed}.items():
        if value is not None:
            yield f":{name}", value


def ask(client: Http2, *headers: Header, ends: bool = False, **changed: Any) -> int:
    stream = client.open_stream()
    client.send(client.headers(stream, [*fields(**changed), *headers], ends=ends))
    return stream


def opened(client: Http2, *headers: Header) -> int:
    """A stream that has become a WebSocket."""
    stream = ask(client, VERSION, *headers)
    while not client.streams[stream].heads:
        client.next_frame()
    told = dict(client.streams[stream].heads[-1])
    assert told[":status"] == "200"
    assert not {"sec-websocket-accept", "upgrade", "connection", "content-length"} & told.keys()
    return stream


def received(client: Http2, stream: int, length: int) -> bytes:
    while len(client.streams[stream].body) < length:
        client.next_frame()
    return client.streams[stream].body


def told(client: Http2) -> dict[int, int]:
    payload = client.wait_for(SETTINGS).payload
    return dict(struct.iter_unpack(">HI", payload))


def echo(connection: Connection, _: Received) -> None:
    while True:
        opcode, payload = read_frame(connection)
        connection.send(frame(opcode, payload, masked=False))


def test_clients_are_told_where_a_route_has_websockets(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        assert told(client).get(8) is None
        with pytest.raises(Reset) as reset:
            client.response(ask(client, VERSION))
        assert reset.value.code == PROTOCOL_ERROR
        node.apply(one_route(origin, ON))
        with Http2(node.address) as another:
            assert told(another)[8] == 1


def test_the_service_is_asked_as_in_http1_and_the_client_answered_as_in_http2(origin: Origin) -> None:
    origin.script(switch(), echo)
    with Node(one_route(origin, ON)) as node, Http2(node.address) as client:
        extra = [("sec-websocket-key", "mine"), ("sec-websocket-protocol", "chat"), ("origin", "http://a")]
        stream = opened(client, *extra)
        asked = origin.next_request()
        assert asked.line == "GET / HTTP/1.1"
        names = ("host", "upgrade", "connection", "sec-websocket-version", "sec-websocket-protocol", "origin")
        assert [asked.get(name) for name in names] == ["a", "websocket", "Upgrade", "13", "chat", "http://a"]
        assert asked.get("sec-websocket-key") not in {None, "mine"}
        assert (asked.get("content-length"), asked.get("transfer-encoding")) == (None, None)
        client.data(stream, frame(1, b"hello"))
        assert received(client, stream, 7) == frame(1, b"hello", masked=False)
        client.data(stream, b"", ends=True)
        record = node.record()
    assert (record["method"], record["status"], record["protocol"]) == ("GET", 101, "HTTP/2")
    assert record["decisions"][-1]["inputs"] == {"closed": "client_gone", "messages_in": 1, "messages_out": 1}


def test_one_connection_carries_websockets_and_requests_and_each_ends_alone(origin: Origin) -> None:
    for _ in range(2):
        origin.script(switch(), echo)
    with Node(one_route(origin, ON)) as node, Http2(node.address) as client:
        first, second = opened(client), opened(client)
        assert client.request("/plain").status == 200
        client.data(first, b"", ends=True)
        assert client.response(first).body == b""
        client.data(second, frame(2, b"still"))
        assert received(client, second, 7)[2:] == b"still"
        node.wait_for_metric(1, "gateway_websocket_connections")
        node.wait_for_metric(0, "gateway_in_flight_requests")


def test_frames_may_be_cut_anywhere_by_data_frames(origin: Origin) -> None:
    origin.script(switch(), echo)
    message = frame(1, b"x" * 300)
    with Node(one_route(origin, "websocket: {max_message: 1KiB}")) as node, Http2(node.address) as client:
        stream = opened(client)
        for at in range(20):
            client.data(stream, message[at : at + 1])
        client.data(stream, b"")
        client.data(stream, message[20:] + message[:5])
        client.data(stream, message[5:])
        assert received(client, stream, 608) == frame(1, b"x" * 300, masked=False) * 2


def test_it_works_over_tls(origin: Origin, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2"])
    pair = authority.issue("gateway", "gateway.test")
    origin.script(switch(), echo)
    text = one_route(origin, ON, listener(f"tls: {{certificates: {pair.yaml}}}"))
    with Node(text) as node, Http2(node.address, tls=context) as client:
        stream = ask(client, VERSION, scheme="https", authority="gateway.test")
        client.data(stream, frame(1, b"over TLS"))
        assert received(client, stream, 10)[2:] == b"over TLS"


@pytest.mark.parametrize(
    "changed", [{"method": "GET"}, {"scheme": None}, {"path": None}, {"path": ""}, {"authority": "a b"}]
)
def test_a_malformed_extended_connect_is_reset(origin: Origin, changed: dict[str, Any]) -> None:
    with Node(one_route(origin, ON)) as node, Http2(node.address) as client:
        with pytest.raises(Reset) as reset:
            client.response(ask(client, VERSION, **changed))
        assert reset.value.code == PROTOCOL_ERROR
        assert client.request("/").status == 200


@pytest.mark.parametrize(
    ("headers", "ends"), [([VERSION], True), ([VERSION, ("content-length", "5")], False)]
)
def test_an_extended_connect_that_leaves_no_stream_open_is_told_why(
    origin: Origin, headers: list[Header], ends: bool
) -> None:
    with Node(one_route(origin, ON)) as node, Http2(node.address) as client:
        answer = client.response(ask(client, *headers, ends=ends))
        told = "an extended CONNECT has ended its stream, or told a length of what follows"
        assert (answer.status, answer.json()["message"]) == (400, told)
        # Counted once the answer is out: the record says so.
        assert node.record()["status"] == 400
        assert node.metric("gateway_malformed_total", reason="extended_connect") == 1


@pytest.mark.parametrize(
    ("headers", "asked", "status", "error"),
    [
        ([VERSION], {"ends": True}, 400, "bad_request"),
        ([VERSION, ("content-length", "5")], {}, 400, "bad_request"),
        ([VERSION], {"authority": None}, 400, "bad_request"),
        ([VERSION], {"scheme": "wss"}, 400, "bad_request"),
        ([VERSION], {"path": "/%2f"}, 400, "bad_request"),
        ([VERSION], {"protocol": "connect-udp"}, 501, "unknown_protocol"),
        ([VERSION], {"protocol": None, "scheme": None, "path": None}, 400, "bad_request"),
        ([], {}, 426, "websocket_version"),
        ([("sec-websocket-version", "8")], {}, 426, "websocket_version"),
        ([VERSION], {"path": "/none"}, 404, "no_route"),
        ([VERSION], {"path": "/off"}, 400, "bad_handshake"),
        ([VERSION], {"path": "/fixed"}, 400, "bad_handshake"),
        ([VERSION, ("content-type", "application/grpc")], {"path": "/off"}, 400, "bad_handshake"),
    ],
)
def test_what_cannot_be_a_websocket_is_refused_with_a_status(
    origin: Origin, headers: list[Header], asked: dict[str, Any], status: int, error: str
) -> None:
    text = routes(
        origin,
        f"name: on, match: {{path: /}}, service: users, {ON}",
        "name: off, match: {path: /off}, service: users",
        "name: fixed, match: {path: /fixed}, respond: {status: 200, body: hello}",
    )
    with Node(text) as node, Http2(node.address) as client:
        answer = client.response(ask(client, *headers, **asked))
        assert (answer.status, answer.json()["error"]) == (status, error)
        assert answer.get("upgrade") is None
        assert node.record()["error_type"] == error
        assert node.metric("gateway_refusals_total", code=error) == 1
        assert client.request("/off").status == 200
    assert [request.target for request in origin.requests] == ["/off"]


def test_a_success_without_the_upgrade_is_no_consent(origin: Origin) -> None:
    origin.script(plain(b"a page"))
    origin.script(plain(b"not here", "404 Not Found"))
    with Node(one_route(origin, ON)) as node, Http2(node.address) as client:
        answer = client.response(ask(client, VERSION))
        fault = {"fault": "invalid_response"}
        refused = Refused(502, "bad_gateway", "proxy", ("services", 0), fault, error_type="invalid_response")
        refused.check(node, answer)
        answer = client.response(ask(client, VERSION))
        assert (answer.status, answer.body) == (404, b"not here")


def test_a_service_of_http2_that_takes_no_websockets_is_not_asked(origin: Origin) -> None:
    breaker = "circuit_breaker: {consecutive_failures: 1, failure_ratio: off}"
    with Front(("127.0.0.1", origin.port), extends=False) as front:
        text = one_route(front, ON, service=f"protocol: http2, {breaker}")
        with Node(text) as node, Http2(node.address) as client:
            for _ in range(2):
                answer = client.response(ask(client, VERSION))
                assert (answer.status, answer.json()["error"]) == (502, "bad_gateway")
                assert node.record()["error_type"] == "no_extended_connect"
            counted = node.metric("gateway_upstream_failures_total", fault="no_extended_connect")
            assert counted == 2
            assert front.asked.empty()


def test_a_service_of_http2_is_asked_by_an_extended_connect(origin: Origin) -> None:
    origin.script(switch(), echo)
    with Front(("127.0.0.1", origin.port)) as front:
        text = one_route(front, ON, service="protocol: http2")
        with Node(text) as node, Http2(node.address) as client:
            opened(client, ("sec-websocket-key", "mine"))
            asked = dict(front.asked.get(timeout=30))
    assert (asked[":method"], asked[":protocol"], asked[":path"]) == ("CONNECT", "websocket", "/")
    assert (asked[":scheme"], asked[":authority"], asked["sec-websocket-version"]) == ("http", "a", "13")
    assert not {"sec-websocket-key", "upgrade", "connection", "te"} & asked.keys()


def test_the_end_of_a_websocket_is_the_end_of_its_stream(origin: Origin) -> None:
    goodbye = frame(8, b"\x03\xe8", masked=False)
    origin.script(switch(goodbye), until_closed)
    with Node(one_route(origin, ON)) as node, Http2(node.address) as client:
        stream = opened(client)
        client.data(stream, frame(8, b"\x03\xe8"), ends=True)
        assert client.response(stream).body == goodbye
        ends = [one for one in client.frames if one.kind == DATA and one.flags & END_STREAM]
        assert len(ends) == 1
        assert client.request("/").status == 200
        [tunnelled] = [record for record in node.records(2) if record["status"] == 101]
        assert tunnelled["decisions"][-1]["inputs"]["closed"] in {"client", "service"}


def test_a_connection_that_breaks_takes_its_websockets_with_it(origin: Origin) -> None:
    for _ in range(2):
        origin.script(switch(), until_closed)
    with Node(one_route(origin, ON)) as node:
        with Http2(node.address) as client:
            opened(client)
            opened(client)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert [record["status"] for record in node.records(2)] == [101, 101]
        assert node.metric("gateway_websocket_closed_total", reason="client_gone") == 2
        assert node.metric("gateway_websocket_connections") == 0
