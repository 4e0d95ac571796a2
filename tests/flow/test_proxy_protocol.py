"""The PROXY protocol: whose connection it is, told before all else by a balancer that is known."""

import shutil
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from gateway import Authority, Client, Http2, Node, Origin, TlsClient, encode, listener, one_route, raw
from gateway.ports import unused_ports

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ONE = b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80\r\n"
ERRORS = "gateway_proxy_protocol_errors_total"
REQUIRED = "proxy_protocol: [127.0.0.1]"
OPTIONAL = "proxy_protocol: {from: 127.0.0.1, required: false}"
FOUR = socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 4660, 80)


def two(rest: bytes = FOUR, command: int = 0x21, family: int = 0x11) -> bytes:
    """A header of version 2."""
    return SIGNATURE + struct.pack(">BBH", command, family, len(rest)) + rest


def six(address: str) -> bytes:
    return two(socket.inet_pton(socket.AF_INET6, address) + bytes(20), family=0x21)


def begun(node: Node, header: bytes) -> socket.socket:
    """A connection that has sent a header."""
    connection = socket.create_connection(node.address, timeout=30)
    connection.sendall(header)
    return connection


def serving(origin: Origin, options: str = REQUIRED) -> Node:
    return Node(one_route(origin, "", listener(options)))


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (ONE, "203.0.113.9"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"),
        (b"PROXY TCP6 ::ffff:203.0.113.9 ::1 1 2\r\n", "203.0.113.9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (two(), "203.0.113.9"),
        (two(FOUR + b"\x04\x00\x03abc"), "203.0.113.9"),
        (two(FOUR + bytes(508)), "203.0.113.9"),
        (six("2001:db8::7"), "2001:db8::7"),
        (six("::ffff:203.0.113.9"), "203.0.113.9"),
        (two(command=0x20), "127.0.0.1"),
        (two(b"", family=0), "127.0.0.1"),
    ],
)
def test_the_address_that_is_told_is_the_clients(origin: Origin, header: bytes, told: str) -> None:
    with serving(origin) as node, Client(node.address) as client:
        for _ in range(2):
            client.send(header + encode("/"))
            header = b""
            assert client.response().status == 200
            assert node.record()["client_ip"] == told
            assert origin.next_request().get("x-forwarded-for") == told
        assert node.metric(ERRORS) == 0


@pytest.mark.parametrize("header", [ONE, two(FOUR + b"\x04\x00\x03abc")])
def test_a_header_may_come_byte_by_byte(origin: Origin, header: bytes) -> None:
    with serving(origin) as node, ExitStack() as clients:
        held = [clients.enter_context(Client(node.address)) for _ in range(1, len(header))]
        for at, client in enumerate(held, 1):
            client.send(header[:at])
        node.wait_for(lambda state: state["connections"] == len(held))
        for at, client in enumerate(held, 1):
            client.send(header[at:] + encode("/"))
        assert {client.response().status for client in held} == {200}
        assert {record["client_ip"] for record in node.records(len(held))} == {"203.0.113.9"}


@pytest.mark.parametrize(
    "sent",
    [
        encode("/"),
        b"PROXY TCP4 203.0.113.9 10.0.0.1 4660\r\n",
        b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 93,
        two(FOUR[:-1]),
        two(FOUR + bytes(509)),
        two(command=0x22),
        two(family=0x12),
        two().replace(b"QUIT", b"QUIX"),
    ],
)
def test_what_is_no_header_closes_the_connection_and_is_counted(origin: Origin, sent: bytes) -> None:
    with serving(origin) as node:
        with Client(node.address) as client:
            client.send(sent)
            client.wait_closed()
        node.wait_for_metric(1, ERRORS, listener="public")
        assert origin.requests == []


def test_a_header_that_does_not_come_to_its_end_is_late(origin: Origin) -> None:
    with serving(origin, f"{REQUIRED}, header_timeout: 500ms") as node:
        with Client(node.address) as client:
            client.send(ONE[:20])
            client.wait_closed()
        node.wait_for_metric(1, ERRORS)
        node.wait_for_metric(1, "gateway_timeouts_total", kind="head")


def test_a_connection_that_ends_before_its_header_is_no_error(origin: Origin) -> None:
    with serving(origin) as node:
        with Client(node.address) as client:
            client.socket.shutdown(socket.SHUT_WR)
            client.wait_closed()
        node.wait_for(lambda state: state["connections"] == 0)
        assert node.metric(ERRORS) == 0


def test_from_others_a_header_is_a_bad_request(origin: Origin) -> None:
    for options in ("proxy_protocol: [127.0.0.2]", "max_connections: 100"):
        with serving(origin, options) as node:
            assert raw(node.address, ONE + encode("/")).only.status == 400
            assert raw(node.address, two() + encode("/")).only.status == 400
            assert raw(node.address, encode("/")).only.status == 200
            assert {record["client_ip"] for record in node.records(3)} == {"127.0.0.1"}
            assert node.metric(ERRORS) == 0


def test_where_it_is_not_required_a_request_may_come_first(origin: Origin) -> None:
    with serving(origin, OPTIONAL) as node:
        for sent, told in ((ONE, "203.0.113.9"), (two(), "203.0.113.9"), (b"", "127.0.0.1")):
            assert raw(node.address, sent + encode("/")).only.status == 200
            assert node.record()["client_ip"] == told
        # It begins as a header would.
        with Client(node.address) as client:
            client.send(b"P")
            node.wait_for(lambda state: state["connections"] == 1)
            client.send(encode("/", method="PUT", body=b"x")[1:])
            assert client.response().status == 200
        with Http2(node.address) as client:
            assert client.request("/").status == 200
        assert raw(node.address, b"PROXY TCP4 what\r\n" + encode("/")).is_closed
        node.wait_for_metric(1, ERRORS)


def test_it_comes_before_tls_and_http2(origin: Origin, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("public", "gateway.test")
    with serving(origin, f"{REQUIRED}, tls: {{certificates: [{pair.yaml}]}}") as node:
        for header in (ONE, two()):
            context = ssl.create_default_context(cafile=str(authority.file))
            with TlsClient(node.address, context, before=header) as client:
                client.send(encode("/"))
                assert client.response().status == 200
            context.set_alpn_protocols(["h2"])
            with Http2(begun(node, header), tls=context) as client:
                assert client.request("/").status == 200
        told = [(record["client_ip"], record["protocol"]) for record in node.records(4)]
        assert told == [("203.0.113.9", "HTTP/1.1"), ("203.0.113.9", "HTTP/2")] * 2
    with serving(origin) as node, Http2(begun(node, two())) as client:
        assert client.request("/").status == 200
        assert node.record()["client_ip"] == "203.0.113.9"


def test_connections_are_those_of_the_client_that_is_told(origin: Origin) -> None:
    with serving(origin, f"{REQUIRED}, max_connections_per_client: 1") as node, ExitStack() as clients:
        for last in (1, 2):
            client = clients.enter_context(Client(node.address))
            client.send(b"PROXY TCP4 203.0.113.%d 10.0.0.1 1 2\r\n" % last + encode("/"))
            assert client.response().status == 200
        with Client(node.address) as client:
            client.send(b"PROXY TCP4 203.0.113.1 10.0.0.1 1 2\r\n")
            assert client.response().status == 503
            client.wait_closed()
        node.wait_for_metric(1, "gateway_connections_per_client_refused_total")


def test_behind_it_forwarded_for_is_believed_of_the_told_address_alone(origin: Origin) -> None:
    with serving(origin, f"{REQUIRED}, trusted_proxies: [203.0.113.9]") as node:
        request = encode("/", [("X-Forwarded-For", "198.51.100.7")])
        assert raw(node.address, ONE + request).only.status == 200
        assert raw(node.address, ONE.replace(b".9 ", b".8 ") + request).only.status == 200
        assert raw(node.address, b"PROXY UNKNOWN\r\n" + request).only.status == 200
        told = [record["client_ip"] for record in node.records(3)]
        assert told == ["198.51.100.7", "203.0.113.8", "127.0.0.1"]


@contextmanager
def haproxy(directory: Path, service: int, option: str) -> Iterator[int]:
    """A balancer that passes connections on, and its port."""
    port, file = next(unused_ports()), directory / "haproxy.cfg"
    file.write_text(f"""
defaults
    mode tcp
    timeout client 10s
    timeout server 10s
    timeout connect 2s
listen public
    bind 127.0.0.1:{port}
    server gateway 127.0.0.1:{service} {option}
""")
    program = shutil.which("haproxy", path="/usr/sbin:/usr/bin") or "haproxy"
    process = subprocess.Popen([program, "-db", "-q", "-f", str(file)])
    try:
        yield port
    finally:
        process.kill()
        process.wait()


def _connect(port: int) -> Client:
    end = time.monotonic() + 60
    while True:
        try:
            return Client(("127.0.0.1", port), source=("127.0.0.3", 0))
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


@pytest.mark.needs("haproxy")
@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c"])
def test_what_haproxy_sends_is_understood(origin: Origin, tmp_path: Path, option: str) -> None:
    with serving(origin) as node, haproxy(tmp_path, node.address[1], option) as port:
        with _connect(port) as client:
            client.send(encode("/"))
            assert client.response().status == 200
        assert node.record()["client_ip"] == "127.0.0.3"
        assert node.metric(ERRORS) == 0
