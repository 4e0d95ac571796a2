"""TLS to services: who is believed, what a failure is called, how connections and sessions are used again."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import CLOSE, Authority, Client, Node, Origin, Pair, encode, get, one_route
from gatewright.config import ConfigError


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server(pair: Pair) -> ssl.SSLContext:
    """TLS of a service that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.file, pair.key_file)
    return context


@pytest.fixture
def origin(authority: Authority) -> Iterator[Origin]:
    """A service for `127.0.0.1` over TLS."""
    with Origin(tls=server(authority.issue("origin", "127.0.0.1", "origin.test"))) as origin:
        yield origin


def trusting(authority: Authority, more: str = "") -> str:
    """Options of a service that trusts the authority alone."""
    return f'tls: {{ca_file: "{authority.file}"{more}}}'


def test_a_service_with_a_trusted_certificate_is_asked_over_tls(origin: Origin, authority: Authority) -> None:
    with Node(one_route(origin, service=trusting(authority))) as node:
        assert get(node.address, "/a").body == b"ok"
    assert origin.secured[0].version == "TLSv1.3"
    assert origin.next_request().get("x-forwarded-proto") == "http"


def test_connections_are_pooled_although_tickets_arrive_while_they_idle(
    origin: Origin, authority: Authority
) -> None:
    with Node(one_route(origin, service=trusting(authority))) as node:
        for _ in range(5):
            assert get(node.address).status == 200
    assert origin.connections == 1


def test_the_next_connection_takes_up_the_session(origin: Origin, authority: Authority) -> None:
    origin.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    with Node(one_route(origin, service=trusting(authority)), workers=2) as node:
        for _ in range(4):
            assert get(node.address).status == 200
    assert [tls.is_resumed for tls in origin.secured] == [False, True, True, True]


def expired(authority: Authority) -> Pair:
    return authority.issue("bad", "127.0.0.1", lifetime=datetime.timedelta(days=-1))


def of_another_name(authority: Authority) -> Pair:
    return authority.issue("bad", "192.0.2.1")


def of_another_authority(authority: Authority) -> Pair:
    return Authority(authority.directory / "other", "Other CA").issue("bad", "127.0.0.1")


@pytest.mark.parametrize(
    ("make", "error_type"),
    [
        (expired, "tls_certificate_expired"),
        (of_another_name, "tls_certificate_wrong_name"),
        (of_another_authority, "tls_certificate_untrusted"),
    ],
)
def test_a_certificate_that_is_not_good_is_502_and_named_in_the_record(
    authority: Authority, make: Callable[[Authority], Pair], error_type: str
) -> None:
    with (
        Origin(tls=server(make(authority))) as origin,
        Node(one_route(origin, service=trusting(authority))) as node,
    ):
        answer = get(node.address)
        assert (answer.status, answer.json()["error"]) == (502, "bad_gateway")
        assert node.record()["error_type"] == error_type
        assert node.metric("gateway_upstream_failures_total", service="users", fault=error_type) == 1
        assert origin.requests == []


def test_a_service_that_speaks_no_tls_is_a_failed_handshake(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        answering = threading.Thread(target=answer_in_plain, args=(plain,))
        answering.start()
        with Node(at(plain, trusting(authority))) as node:
            assert get(node.address).status == 502
            assert node.record()["error_type"] == "tls_handshake_failed"
        answering.join()


def answer_in_plain(listening: socket.socket) -> None:
    """What a plain service says to a TLS hello."""
    accepted, _ = listening.accept()
    with accepted:
        accepted.recv(1)
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        # Until the gateway has had enough.
        while accepted.recv(1 << 16):
            pass


def at(listening: socket.socket, options: str) -> str:
    """One route to a service at this socket."""
    address = f"127.0.0.1:{listening.getsockname()[1]}"
    return (
        f'services: [{{name: users, instances: ["{address}"], {options}}}]\n'
        'routes: [{name: users, match: {path: "/*"}, service: users}]\n'
    )


def test_a_service_that_stalls_in_the_handshake_is_a_connect_timeout(authority: Authority) -> None:
    options = f"pool: {{connect_timeout: 100ms}}, {trusting(authority)}"
    with socket.create_server(("127.0.0.1", 0)) as silent, Node(at(silent, options)) as node:
        assert get(node.address).status == 502
        assert node.record()["error_type"] == "connection_timeout"


def test_nobody_is_believed_but_the_authorities_that_are_named(origin: Origin, authority: Authority) -> None:
    # Those of the system do not know the one of this test.
    with Node(one_route(origin, service="tls: on")) as node:
        assert get(node.address).status == 502
        assert node.record()["error_type"] == "tls_certificate_untrusted"
        node.apply(one_route(origin, service=trusting(authority)))
        assert get(node.address).status == 200


def test_the_server_name_replaces_the_host_of_the_instance(authority: Authority) -> None:
    context = server(authority.issue("named", "named.test"))
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with (
        Origin(tls=context) as origin,
        Node(one_route(origin, service=trusting(authority, ", server_name: named.test"))) as node,
    ):
        assert get(node.address).status == 200
    assert asked == ["named.test"]


def test_without_verification_anybody_is_believed_and_check_warns(authority: Authority) -> None:
    with (
        Origin(tls=server(expired(authority))) as origin,
        Node(one_route(origin, service="tls: {verify: false}")) as node,
    ):
        assert get(node.address).status == 200
        assert node.loaded is not None
        assert [warning.message for warning in node.loaded.warnings] == [
            "whoever answers for service `users` is believed; use `ca_file` instead"
        ]


def test_the_gateway_shows_its_own_certificate_to_a_service_that_asks(authority: Authority) -> None:
    context = server(authority.issue("origin", "127.0.0.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    mine = authority.issue("gateway", "gateway.test")
    with Origin(tls=context) as origin, Node(one_route(origin, service=trusting(authority))) as node:
        assert get(node.address).status == 502
        node.apply(one_route(origin, service=trusting(authority, f", certificate: {mine.yaml}")))
        assert get(node.address).status == 200
        assert origin.secured[-1].certificate["subject"] == ((("commonName", "gateway.test"),),)


def test_tls_1_3_alone_can_be_demanded_of_a_service(authority: Authority) -> None:
    context = server(authority.issue("origin", "127.0.0.1"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Origin(tls=context) as origin, Node(one_route(origin, service=trusting(authority))) as node:
        assert get(node.address).status == 200
        node.apply(one_route(origin, service=trusting(authority, ", min_version: 1.3")))
        assert get(node.address).status == 502
        node.records(1)
        assert node.record()["error_type"] == "tls_handshake_failed"


CHECK = "health_check: {path: /healthz, interval: 100ms, timeout: 1s, unhealthy_after: 1}"


def test_health_checks_speak_tls(origin: Origin, authority: Authority) -> None:
    with Node(one_route(origin, service=f"{trusting(authority)}, {CHECK}")):
        assert origin.next_request().target == "/healthz"
        assert origin.next_request().target == "/healthz"


def test_health_checks_check_the_certificate(authority: Authority) -> None:
    with (
        Origin(tls=server(expired(authority))) as origin,
        Node(one_route(origin, service=f"{trusting(authority)}, {CHECK}")) as node,
    ):
        node.wait_for(lambda state: state["services"][0]["instances"][0]["healthy"] is False)
        assert origin.requests == []


def test_a_download_that_ends_without_a_goodbye_is_cut_for_the_client_too(
    origin: Origin, authority: Authority
) -> None:
    # Only the end of the connection tells the length, and an attacker on the way can end it.
    origin.script(
        lambda connection, _: connection.send(b"HTTP/1.1 200 OK\r\n\r\npart"),
        lambda connection, _: connection.socket.shutdown(socket.SHUT_RDWR),
        CLOSE,
    )
    with Node(one_route(origin, service=trusting(authority))) as node, Client(node.address) as client:
        client.send(encode())
        with pytest.raises(ConnectionError):
            client.response()
        assert node.record()["error_type"] == "connection_reset"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("{ca_file: missing.pem}", "cannot be read"),
        ('{verify: false, ca_file: "a.pem"}', "`ca_file` has no effect with `verify: false`"),
        ('{server_name: "a b"}', "expected a host name or an IP address"),
    ],
)
def test_wrong_settings_are_refused(origin: Origin, options: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Node(one_route(origin, service=f"tls: {options}"))
