"""WebSocket: what goes through unchanged, what is refused, and that every stage still applies."""

import random
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from gateway import (
    CLOSE,
    ApiKey,
    Authority,
    Client,
    Connection,
    Node,
    Origin,
    Received,
    Refused,
    get,
    listener,
    one_route,
    plain,
    raw,
)
from gateway.translation import Ways
from gateway.websocket import (
    SWITCH,
    Sockets,
    close_code,
    dial,
    frame,
    handshake,
    open_raw,
    read_frame,
    until_closed,
)

ON = "websocket: true"
Transcript = tuple[list[Any], list[str | bytes], tuple[int | None, str | None] | None]


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with Sockets() as sockets:
        yield sockets


def to(sockets: Sockets, options: str = ON, *sections: str) -> str:
    """A route of WebSockets to this service."""
    return "\n".join([
        f'services: [{{name: users, instances: ["{sockets.address}"]}}]',
        f'routes: [{{name: users, match: "/*", service: users, {options}}}]',
        *sections,
    ])


def messages(chance: random.Random) -> Iterator[list[str] | list[bytes]]:
    """Messages as lists of their fragments, of every length of the header."""
    for _ in range(30):
        count = chance.choice([1, 1, 1, 2, 3, 7])
        lengths = [chance.choice([0, 1, 125, 126, 127, 4_000, 65_535, 65_536, 100_000]) for _ in range(count)]
        if chance.random() < 0.5:
            yield [chance.choice("aß€") * (length // 3) for length in lengths]
        else:
            yield [chance.randbytes(length) for length in lengths]


def converse(client: ClientConnection, sockets: Sockets, seed: int) -> Transcript:
    """Everything that both sides see of a conversation that the seed determines."""
    chance = random.Random(seed)  # noqa: S311
    back: list[Any] = []
    for fragments in messages(chance):
        client.send(fragments[0] if len(fragments) == 1 else iter(fragments))
        back.append(list(client.recv_streaming()))
        if chance.random() < 0.3:
            assert client.ping(chance.randbytes(chance.choice([1, 125]))).wait(30)
            back.append("pong")
    client.close(chance.choice([1000, 1001, 3000, 4999]), "über")
    back.append((client.close_code, client.close_reason))
    seen = sockets.seen.get(timeout=30)
    return back, seen.fragments, seen.ended


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_conversation_is_that_of_a_direct_connection(
    ways: Ways, sockets: Sockets, compression: str | None, seed: int
) -> None:
    with Node(ways.route(sockets, ON)) as node:
        with dial(("127.0.0.1", sockets.port), compression=compression) as client:
            direct = converse(client, sockets, seed)
        with dial(ways.door(node), compression=compression) as client:
            assert bool(client.protocol.extensions) == bool(compression)
            assert converse(client, sockets, seed) == direct


def test_subprotocols_and_headers_of_the_handshake_go_through(ways: Ways) -> None:
    with Sockets(subprotocols=["chat", "other"]) as sockets, Node(ways.route(sockets, ON)) as node:
        offered: Any = ["new", "other"]
        with dial(ways.door(node), "/a?b=c", subprotocols=offered, additional_headers={"X-A": "b"}) as client:
            assert client.subprotocol == "other"
            assert client.response is not None
            assert client.response.headers["x-request-id"]
        seen = sockets.seen.get(timeout=30)
        headers = {name.lower(): value for name, value in seen.headers}
        assert (headers["upgrade"], headers["connection"], headers["x-a"]) == ("websocket", "Upgrade", "b")
        assert headers["x-forwarded-for"] == "127.0.0.1"


def test_a_message_much_larger_than_any_buffer_arrives_whole(ways: Ways, sockets: Sockets) -> None:
    with (
        Node(ways.route(sockets, "websocket: {max_message: 32MiB}")) as node,
        dial(ways.door(node)) as client,
    ):
        message = bytes(range(251)) * 80_000
        client.send(message)
        assert client.recv(timeout=30) == message


def test_it_works_over_tls(sockets: Sockets, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("gateway", "localhost")
    context = ssl.create_default_context(cafile=str(authority.file))
    text = to(sockets, ON, listener(f"tls: {{certificates: {pair.yaml}}}"))
    with Node(text) as node, dial(("localhost", node.address[1]), ssl=context) as client:
        for message in ("text", b"bytes" * 50_000):
            client.send(message)
            assert client.recv(timeout=30) == message


def test_one_record_at_the_end_and_metrics_on_the_way(ways: Ways, sockets: Sockets) -> None:
    with Node(ways.route(sockets, ON)) as node:
        with dial(ways.door(node), "/chat", compression=None) as client:
            for _ in range(3):
                client.send("x" * 1_000)
                client.recv(timeout=30)
            assert node.metric("gateway_websocket_connections", route="users") == 1
            assert node.metric("gateway_websocket_messages_total", direction="in") == 3
            assert node.metric("gateway_in_flight_requests") == 0
        record = node.record()
        assert (record["status"], record["path"], record["error_type"]) == (101, "/chat", None)
        # Three messages with their headers, and the close frames; beside that the heads.
        assert record["request_bytes"] > 3 * 1_008
        assert record["response_bytes"] > 3 * 1_004
        step = record["decisions"][-1]
        assert (step["stage"], step["verdict"]) == ("proxy", "tunnelled")
        assert step["inputs"] == {"closed": "client", "messages_in": 3, "messages_out": 3}
        assert node.metric("gateway_websocket_connections") == 0
        assert node.metric("gateway_websocket_closed_total", reason="client", route="users") == 1
        assert node.metric("gateway_websocket_messages_total", direction="out") == 3


def test_without_the_option_the_upgrade_is_dropped(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        assert raw(node.address, handshake()).only.status == 200
        received = origin.next_request()
        assert (received.get("upgrade"), received.get("connection")) == (None, None)


def test_with_the_option_plain_requests_and_other_upgrades_go_on_as_before(origin: Origin) -> None:
    with Node(one_route(origin, ON)) as node:
        assert get(node.address, "/").status == 200
        assert raw(node.address, handshake(Upgrade="h2c")).only.status == 200
        assert origin.next_request().get("upgrade") is None


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (handshake("POST / HTTP/1.1"), "a WebSocket is opened with `GET` and HTTP/1.1"),
        (handshake("GET / HTTP/1.0"), "a WebSocket is opened with `GET` and HTTP/1.1"),
        (handshake(Content_Length="1") + b"a", "the handshake of a WebSocket has no body"),
        (handshake(Connection="keep-alive"), "the Connection header does not name `upgrade`"),
        (handshake(Connection=None), "the Connection header does not name `upgrade`"),
        (handshake(Sec_WebSocket_Key=None), "the Sec-WebSocket-Key is not 16 bytes in Base64, once"),
        (handshake(Sec_WebSocket_Key="c2hvcnQ="), "the Sec-WebSocket-Key is not 16 bytes in Base64, once"),
        (
            handshake(Connection="Upgrade, Sec-WebSocket-Key"),
            "the Sec-WebSocket-Key is not 16 bytes in Base64, once",
        ),
        (
            handshake(X="y\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
            "the Sec-WebSocket-Key is not 16 bytes in Base64, once",
        ),
    ],
)
def test_a_handshake_that_is_none_is_refused(origin: Origin, sent: bytes, reason: str) -> None:
    with Node(one_route(origin, ON)) as node, Client(node.address) as client:
        client.send(sent)
        response = client.response()
        refused = Refused(
            400, "bad_handshake", "proxy", ("routes", 0), {"reason": reason}, closes=response.closes
        )
        refused.check(node, response)
        assert origin.requests == []


@pytest.mark.parametrize("version", ["8", "013", None])
def test_another_version_is_told_which_would_work(origin: Origin, version: str | None) -> None:
    with Node(one_route(origin, ON)) as node, Client(node.address) as client:
        client.send(handshake(Sec_WebSocket_Version=version))
        response = client.response()
        assert (response.status, response.json()["error"]) == (426, "websocket_version")
        assert (response.get("upgrade"), response.get("sec-websocket-version")) == ("websocket", "13")


def test_what_either_side_sends_early_waits_and_arrives(origin: Origin) -> None:
    early = frame(1, b"early")

    def answer(connection: Connection, received: Received) -> None:
        assert connection.pending == b""
        connection.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)
        connection.socket.settimeout(30)
        connection.send(SWITCH + frame(1, b"at once", masked=False))
        assert read_frame(connection) == (1, b"early")
        connection.send(frame(1, b"got it", masked=False))

    origin.script(answer, CLOSE)
    with Node(one_route(origin, ON)) as node, Client(node.address) as client:
        client.send(handshake() + early)
        assert client.response().status == 101
        assert read_frame(client) == (1, b"at once")
        assert read_frame(client) == (1, b"got it")
        assert client.rest() == b""


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH.replace(b"s3pP", b"S3pP"),
        SWITCH.replace(b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n"),
        SWITCH.replace(b"Connection: Upgrade\r\n", b""),
        SWITCH.replace(b"Sec-WebSocket-Accept", b"X-Accept"),
        SWITCH.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Accept: x\r\n\r\n"),
    ],
)
def test_a_101_that_agrees_to_something_else_is_a_502(origin: Origin, answer: bytes) -> None:
    origin.script(answer, until_closed)
    with Node(one_route(origin, ON)) as node:
        sent = handshake() + b"GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        first, second = raw(node.address, sent, ("GET", "GET")).responses
        assert (first.status, first.json()["error"], second.status) == (502, "bad_gateway", 200)
        # The service's connection is not used again, and what came early was a request of its own.
        assert [received.connection for received in origin.requests] == [0, 1]
        assert [record["path"] for record in node.records(2)] == ["/", "/smuggled"]


def test_any_other_answer_is_a_response_and_what_follows_is_a_request(origin: Origin) -> None:
    origin.script(plain(b"no", "200 OK", ("Upgrade", "websocket")))
    with Node(one_route(origin, "websocket: true, auth: none")) as node:
        sent = handshake() + b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        first, second = raw(node.address, sent, ("GET", "GET")).responses
        assert (first.status, first.body, first.get("upgrade")) == (200, b"no", None)
        assert (second.status, [received.target for received in origin.requests]) == (200, ["/", "/next"])


def test_a_101_that_nobody_asked_for_is_a_502(origin: Origin) -> None:
    origin.script(SWITCH, until_closed)
    with Node(one_route(origin, ON)) as node:
        assert get(node.address, "/").status == 502


def test_the_connection_of_the_service_is_never_used_again(origin: Origin) -> None:
    origin.script(
        SWITCH, lambda connection, _: connection.send(frame(8, b"\x03\xe8", masked=False)), until_closed
    )
    with Node(one_route(origin, ON)) as node:
        with open_raw(node.address) as client:
            assert close_code(client) == 1000
            client.send(frame(8, b"\x03\xe8"))
        assert node.record()["status"] == 101
        assert get(node.address, "/").status == 200
        assert origin.connections == 2


def test_who_may_not_is_refused_as_in_any_request(ways: Ways, sockets: Sockets) -> None:
    key = ApiKey()
    text = ways.route(sockets, f"{ON}, auth: {{accept: [partners]}}", f"identities: [{key.identity}]")
    with Node(text) as node:
        with Client(ways.door(node)) as client:
            client.send(handshake())
            assert client.response().status == 401
        with dial(ways.door(node), additional_headers=[key.header]) as client_:
            client_.send("a")
            assert client_.recv(timeout=30) == "a"
        headers = {name.lower(): value for name, value in sockets.seen.get(timeout=30).headers}
        assert headers["x-partner-id"]
        assert key.header[0].lower() not in headers


def test_handshakes_count_in_the_limit_and_messages_do_not(ways: Ways, sockets: Sockets) -> None:
    tier = "tiers: [{name: few, limit: 1, window: 1d, per: client_ip}]"
    with Node(ways.route(sockets, f"{ON}, rate_limit: few", tier)) as node:
        with dial(ways.door(node)) as client:
            for _ in range(5):
                client.send("a")
                assert client.recv(timeout=30) == "a"
        with Client(ways.door(node)) as refused:
            refused.send(handshake())
            assert refused.response().status == 429


def test_refused_handshakes_of_a_service_open_its_breaker(origin: Origin) -> None:
    origin.answer = plain(b"", "500 Internal Server Error")
    breaker = "circuit_breaker: {consecutive_failures: 2, failure_ratio: off}"
    with Node(one_route(origin, ON, service=breaker)) as node:
        statuses = [raw(node.address, handshake()).only.status for _ in range(3)]
        assert statuses == [500, 500, 503]
