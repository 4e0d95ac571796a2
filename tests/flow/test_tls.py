"""TLS of listeners: who is shown which certificate, which versions are spoken, what a request may ask for."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import (
    Authority,
    Client,
    Connection,
    Http2,
    Node,
    Origin,
    Pair,
    Received,
    TlsClient,
    encode,
    listener,
    one_route,
)
from gateway.http2 import PREFACE


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def secure(*pairs: Pair, options: str = "", more: str = "") -> str:
    """A listener with these certificates, as a section."""
    told = ", ".join(pair.yaml for pair in pairs)
    return listener(f"tls: {{certificates: [{told}]{f', {options}' if options else ''}}}{more}")


def context(authority: Authority) -> ssl.SSLContext:
    """What a client trusts: the authority alone."""
    return ssl.create_default_context(cafile=str(authority.file))


def unchecked() -> ssl.SSLContext:
    """A client that takes any certificate."""
    settings = ssl.create_default_context()
    settings.check_hostname, settings.verify_mode = False, ssl.CERT_NONE
    return settings


def shown(node: Node, name: str | None) -> x509.Certificate:
    """The certificate that a client is shown who asks for this host."""
    with TlsClient(node.address, unchecked(), name) as client:
        der = client.tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


@pytest.fixture
def node(authority: Authority, origin: Origin) -> Iterator[Node]:
    pairs = [authority.issue("gateway", "gateway.test", "www.gateway.test")]
    with Node(one_route(origin, "", secure(*pairs))) as node:
        yield node


def test_a_request_over_tls_reaches_the_service_as_https(
    node: Node, origin: Origin, authority: Authority
) -> None:
    with TlsClient(node.address, context(authority)) as client:
        client.send(encode("/a"))
        assert client.response().body == b"ok"
        assert client.tls.version() == "TLSv1.3"
    assert origin.next_request().get("x-forwarded-proto") == "https"
    record = node.record()
    assert (record["scheme"], record["status"]) == ("https", 200)


def test_bodies_of_every_size_pass_both_ways(node: Node, origin: Origin, authority: Authority) -> None:
    def echo(connection: Connection, received: Received) -> None:
        connection.body(received)
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(received.body))
        connection.send(received.body)

    origin.answer = echo
    with TlsClient(node.address, context(authority)) as client:
        for size in (0, 1, 16_384, 16_385, 5_000_000):
            body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
            client.send(encode("/", method="POST", body=body))
            assert client.response("POST").body == body


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("exact.test", "exact.test"),
        ("EXACT.test", "exact.test"),
        ("a.wild.test", "*.wild.test"),
        ("special.wild.test", "special.wild.test"),
        ("a.b.wild.test", "default.test"),
        ("wild.test", "default.test"),
        ("other.test", "default.test"),
        (None, "default.test"),
    ],
)
def test_the_certificate_is_chosen_by_exact_name_then_wildcard_then_the_first(
    authority: Authority, origin: Origin, asked: str | None, expected: str
) -> None:
    names = ["default.test", "*.wild.test", "exact.test", "special.wild.test"]
    pairs = [authority.issue(f"c{number}", name) for number, name in enumerate(names)]
    with Node(one_route(origin, "", secure(*pairs))) as node:
        subject = shown(node, asked).subject.rfc4514_string()
    assert subject == f"CN={expected}"


def test_the_default_is_tls_1_2_and_later_and_1_3_alone_can_be_demanded(
    authority: Authority, origin: Origin
) -> None:
    pair = authority.issue("gateway", "gateway.test")
    old = context(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with Node(one_route(origin, "", secure(pair))) as node:
        with TlsClient(node.address, old) as client:
            assert client.tls.version() == "TLSv1.2"
        node.apply(one_route(origin, "", secure(pair, options="min_version: 1.3")))
        with pytest.raises(ssl.SSLError):
            TlsClient(node.address, old)
        with TlsClient(node.address, context(authority)) as client:
            assert client.tls.version() == "TLSv1.3"
        node.wait_for_metric(1, "gateway_tls_handshakes_total", listener="public", outcome="failed")


def test_http2_is_preferred_http_1_1_agreed_on_and_an_unknown_protocol_is_refused(
    node: Node, authority: Authority
) -> None:
    offering = context(authority)
    offering.set_alpn_protocols(["spdy/1", "http/1.1"])
    with TlsClient(node.address, offering) as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"
    offering.set_alpn_protocols(["http/1.1", "h2"])
    with TlsClient(node.address, offering) as client:
        assert client.tls.selected_alpn_protocol() == "h2"
    offering.set_alpn_protocols(["spdy/1"])
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        TlsClient(node.address, offering)


@pytest.mark.parametrize(
    ("agreed", "sent", "answer"),
    [("h2", encode("/"), None), ("http/1.1", PREFACE, 400), (None, encode("/"), 200), (None, PREFACE, 0)],
)
def test_what_was_agreed_on_is_spoken_whatever_the_first_bytes_look_like(
    node: Node, authority: Authority, agreed: str | None, sent: bytes, answer: int | None
) -> None:
    offering = context(authority)
    if agreed:
        offering.set_alpn_protocols([agreed])
    with TlsClient(node.address, offering) as client:
        client.send(sent)
        if answer:
            assert client.response().status == answer
        else:
            # SETTINGS is the first frame of HTTP/2; nothing of HTTP/1.1 follows what is no preface.
            assert client.read(4)[3] == 4
            assert answer == 0 or b"HTTP/1.1" not in client.rest()


def test_http2_is_agreed_on_and_each_of_its_requests_is_held_to_the_connection(
    node: Node, origin: Origin, authority: Authority
) -> None:
    offering = context(authority)
    offering.set_alpn_protocols(["h2"])
    with Http2(node.address, tls=offering) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "h2"
        for host, status in (("gateway.test", 200), ("other.test", 421), ("www.gateway.test", 200)):
            stream = client.open_stream()
            fields = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/")]
            client.send(client.headers(stream, [*fields, ("x-client-cert-subject", "forged")]))
            assert client.response(stream).status == status
    for _ in range(2):
        received = origin.next_request()
        assert received.get("x-forwarded-proto") == "https"
        assert b"forged" not in received.head
    # A connection in plain has none of it, though its memory may have been another's.
    with Node(one_route(origin)) as plain, Http2(plain.address) as client:
        assert client.request("/", [("x-client-cert-subject", "forged")]).status == 200
    assert origin.next_request().get("x-forwarded-proto") == "http"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed_on_any_worker_and_after_a_reload(
    authority: Authority, origin: Origin, version: ssl.TLSVersion
) -> None:
    pair = authority.issue("gateway", "gateway.test")
    text = one_route(origin, "", secure(pair))
    client_side = context(authority)
    client_side.maximum_version = version
    with Node(text, workers=2) as node:
        session, _ = visit(node, client_side)
        for _ in range(6):
            assert visit(node, client_side, session)[1]
        node.apply(text)
        assert visit(node, client_side, session)[1]
        assert node.metric("gateway_tls_handshakes_total", listener="public", outcome="resumed") == 7
        assert node.metric("gateway_tls_handshakes_total", listener="public", outcome="full") == 1


def visit(
    node: Node, settings: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLSession | None, bool | None]:
    """One request on a connection of its own; gives its session, and whether it was that of an earlier one.

    Tickets of TLS 1.3 arrive before the answer.
    """
    with TlsClient(node.address, settings, session=session) as client:
        client.send(encode())
        assert client.response().status == 200
        return client.tls.session, client.tls.session_reused


@pytest.mark.parametrize(
    ("asked", "host", "status"),
    [
        ("gateway.test", "gateway.test", 200),
        ("gateway.test", "GATEWAY.test.:443", 200),
        ("gateway.test", "www.gateway.test", 200),
        ("gateway.test", "other.test", 421),
        ("gateway.test", "gateway.test.evil", 421),
        ("gateway.test", "127.0.0.1", 421),
        ("unknown.test", "unknown.test", 200),
        ("unknown.test", "gateway.test", 200),
        ("unknown.test", "other.test", 421),
        (None, "other.test", 200),
    ],
)
def test_a_host_that_the_connection_was_not_made_for_is_misdirected(
    node: Node, asked: str | None, host: str, status: int
) -> None:
    with TlsClient(node.address, unchecked(), asked) as client:
        client.send(encode(headers=[("Host", host)]))
        response = client.response()
        assert response.status == status
        if status == 421:
            assert response.json()["error"] == "misdirected_request"
            assert response.json()["request_id"] == response.get("x-request-id")
            assert node.record()["error_type"] == "misdirected_request"
            # The connection is as good as before for what it was made for.
            client.send(encode(headers=[("Host", "gateway.test")]))
            assert client.response().status == 200


def test_a_preflight_for_another_host_is_misdirected_too(authority: Authority, origin: Origin) -> None:
    pair = authority.issue("gateway", "gateway.test")
    text = one_route(origin, 'cors: {allow_origins: ["https://a.test"]}', secure(pair))
    asks = [("Origin", "https://a.test"), ("Access-Control-Request-Method", "GET")]
    with Node(text) as node, TlsClient(node.address, context(authority)) as client:
        for host, status in (("gateway.test", 204), ("other.test", 421)):
            client.send(encode(headers=[("Host", host), *asks], method="OPTIONS"))
            assert client.response("OPTIONS").status == status


def test_plain_http_on_a_secure_listener_is_closed(node: Node) -> None:
    with Client(node.address) as client:
        client.send(encode())
        # An alert, no answer.
        assert not client.rest().startswith(b"HTTP")
    node.wait_for_metric(1, "gateway_tls_handshakes_total", outcome="failed")


def test_a_client_that_says_nothing_is_closed_at_the_handshake_timeout(
    authority: Authority, origin: Origin
) -> None:
    pair = authority.issue("gateway", "gateway.test")
    with (
        Node(one_route(origin, "", secure(pair, options="handshake_timeout: 200ms"))) as node,
        Client(node.address) as client,
    ):
        client.wait_closed()
        node.wait_for_metric(1, "gateway_tls_handshakes_total", outcome="timed_out")
        node.wait_for_metric(0, "gateway_connections_open")


def test_handshakes_over_the_maximum_are_closed_and_counted(authority: Authority, origin: Origin) -> None:
    pair = authority.issue("gateway", "gateway.test")
    with Node(one_route(origin, "", secure(pair, options="max_handshakes: 2"))) as node:
        with Client(node.address), Client(node.address):
            node.wait_for_metric(2, "gateway_tls_handshakes_open")
            with pytest.raises((ssl.SSLError, ConnectionError)):
                TlsClient(node.address, context(authority))
            node.wait_for_metric(1, "gateway_tls_handshakes_total", outcome="refused")
        node.wait_for_metric(0, "gateway_tls_handshakes_open")
        with TlsClient(node.address, context(authority)) as client:
            client.send(encode())
            assert client.response().status == 200


def test_a_hello_cut_at_any_byte_is_a_failure_of_its_own_and_no_other(
    node: Node, authority: Authority
) -> None:
    hello = client_hello()
    with TlsClient(node.address, context(authority)) as neighbour:
        for end in range(len(hello)):
            with Client(node.address) as client:
                client.send(hello[:end])
                client.socket.shutdown(socket.SHUT_WR)
                assert b"HTTP" not in client.rest()
            neighbour.send(encode())
            assert neighbour.response().status == 200
    node.wait_for_metric(len(hello), "gateway_tls_handshakes_total", outcome="failed")
    node.wait_for_metric(0, "gateway_tls_handshakes_open")


def test_a_hello_that_comes_byte_by_byte_is_read(node: Node, authority: Authority) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(authority).wrap_bio(incoming, outgoing, server_hostname="gateway.test")
    with Client(node.address) as client:
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            for byte in outgoing.read():
                client.send(bytes([byte]))
            incoming.write(client.receive())
        tls.write(encode())
        for byte in outgoing.read():
            client.send(bytes([byte]))
        answer = b""
        while not answer:
            incoming.write(client.receive())
            with contextlib.suppress(ssl.SSLWantReadError):
                answer = tls.read(4096)
    assert answer.startswith(b"HTTP/1.1 200")


def client_hello() -> bytes:
    """The first flight of a client."""
    outgoing = ssl.MemoryBIO()
    tls = unchecked().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="gateway.test")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on(
    authority: Authority, origin: Origin
) -> None:
    pair = authority.issue("gateway", "gateway.test")
    text = one_route(origin, "", secure(pair))
    arrived, go_on = threading.Event(), threading.Event()
    origin.script(
        lambda connection, received: connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"),
        lambda *_: arrived.set(),
        go_on,
        b"rest",
    )
    with Node(text) as node, TlsClient(node.address, context(authority)) as kept:
        kept.send(encode("/download"))
        assert arrived.wait(30)
        renewed = authority.issue("gateway", "gateway.test")
        node.apply(text)
        assert shown(node, "gateway.test") == renewed.certificate
        go_on.set()
        assert kept.response().body == b"halfrest"
        kept.send(encode("/again"))
        assert kept.response().status == 200


def test_no_private_key_is_told_by_state_or_records_or_a_refused_snapshot(
    authority: Authority, origin: Origin
) -> None:
    pair = authority.issue("gateway", "gateway.test")
    with Node(one_route(origin, "", secure(pair))) as node:
        key = json.loads(node.snapshot)["listeners"][0]["tls"]["certificates"][0]["pair"]["key"]
        assert key not in json.dumps(node.state())
        assert key not in repr(node.loaded)
        document = json.loads(node.snapshot)
        document["version"] += 1
        other = authority.issue("other", "other.test").certificate.public_bytes(Encoding.DER)
        document["listeners"][0]["tls"]["certificates"][0]["pair"]["chain"] = [x509_base64(other)]
        with pytest.raises(Exception, match="listener `public`") as refused:
            node.engine.apply(json.dumps(document).encode())
        assert key not in str(refused.value)


def x509_base64(der: bytes) -> str:
    return ssl.DER_cert_to_PEM_cert(der).split("-----")[2].replace("\n", "")
