"""From `http` to `https`: the redirect of a plain listener, routes that are not served in plain, and HSTS
over TLS alone.
"""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import (
    ApiKey,
    Authority,
    Node,
    Origin,
    Refused,
    TlsClient,
    encode,
    get,
    one_route,
    request,
)
from gatewright.config import ConfigError

HSTS = "strict-transport-security"
TRUSTING = "listeners: [{name: public, address: '127.0.0.1:1', trusted_proxies: [127.0.0.1]}]"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def port() -> Iterator[int]:
    """A free port, kept for listeners that share it as those of workers do."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def both(authority: Authority, port: int) -> str:
    """A plain listener that redirects, and the secure one that it redirects to."""
    pair = authority.issue("gateway", "gateway.test", "*.wild.test")
    return (
        "listeners:\n"
        f"  - {{name: public, address: '127.0.0.1:1', redirect_to_https: {port}}}\n"
        f"  - {{name: secure, address: '127.0.0.1:{port}', tls: {{certificates: {pair.yaml}}}}}\n"
    )


def plain(redirect: str) -> str:
    return f"listeners: [{{name: public, address: '127.0.0.1:1', redirect_to_https: {redirect}}}]"


@pytest.mark.parametrize(
    ("redirect", "host", "target", "location"),
    [
        ("true", "gateway.test", "/a/b?c=d&e", "https://gateway.test/a/b?c=d&e"),
        ("8443", "gateway.test:80", "/", "https://gateway.test:8443/"),
        ("true", "GATEWAY.test.", "/a/../b", "https://gateway.test/b"),
        ("true", "[::1]:80", "/", "https://[::1]/"),
    ],
)
def test_every_request_is_sent_on_to_the_same_place_over_https(
    origin: Origin, redirect: str, host: str, target: str, location: str
) -> None:
    with Node(one_route(origin, "", plain(redirect))) as node:
        for method in ("GET", "POST"):
            answer = request(node.address, target, [("Host", host)], method)
            assert (answer.status, answer.get("location")) == (308, location)
            record = node.record()
            assert record["decisions"][-1]["verdict"] == "redirected"
        assert origin.requests == []


@pytest.mark.parametrize("host", ["evil.test", "gateway.test.evil.test", "a.b.wild.test"])
def test_a_host_without_a_certificate_here_is_not_sent_anywhere(
    authority: Authority, origin: Origin, port: int, host: str
) -> None:
    with Node(one_route(origin, "", both(authority, port))) as node:
        refused = get(node.address, "/", ("Host", host))
        assert (refused.status, refused.get("location")) == (421, None)
        for known in ("gateway.test", "a.wild.test"):
            assert get(node.address, "/", ("Host", known)).get("location") == f"https://{known}:{port}/"


def test_a_trusted_proxy_that_ended_tls_is_served(origin: Origin) -> None:
    section = plain("true").replace("}]", ", trusted_proxies: [127.0.0.1]}]")
    with Node(one_route(origin, "", section)) as node:
        assert get(node.address, "/", ("X-Forwarded-Proto", "https")).status == 200
        assert get(node.address, "/", ("X-Forwarded-Proto", "http")).status == 308


def test_a_secure_listener_cannot_redirect_to_itself(authority: Authority, origin: Origin) -> None:
    pair = authority.issue("gateway", "gateway.test")
    section = plain(f"true, tls: {{certificates: {pair.yaml}}}")
    with pytest.raises(ConfigError, match="speaks `https` already"):
        Node(one_route(origin, "", section))


@pytest.mark.parametrize("place", ["route", "defaults"])
def test_a_route_that_is_https_only_refuses_what_came_in_plain(origin: Origin, place: str) -> None:
    route = "https_only: refuse" if place == "route" else ""
    sections = [] if place == "route" else ["defaults: {https_only: refuse}"]
    with Node(one_route(origin, route, *sections, TRUSTING)) as node:
        refused = get(node.address, "/", ("X-Forwarded-Proto", "http"))
        inputs = {"reason": "not over TLS"}
        Refused(403, "https_required", "authorize", ("routes", 0), inputs).check(node, refused)
        assert origin.connections == 0
        assert get(node.address, "/", ("X-Forwarded-Proto", "https")).status == 200
    if place == "defaults":
        with Node(one_route(origin, "https_only: 'off'", *sections, TRUSTING)) as node:
            assert get(node.address).status == 200


def test_reads_of_a_route_that_is_https_only_can_be_redirected(origin: Origin) -> None:
    route, sections = "https_only: redirect", "defaults: {https_port: 8443}"
    with Node(one_route(origin, route, sections, TRUSTING)) as node:
        for method in ("GET", "HEAD"):
            answer = request(node.address, "/a?b=c", [("Host", "gateway.test:80")], method)
            assert (answer.status, answer.get("location")) == (308, "https://gateway.test:8443/a?b=c")
            assert node.record()["error_type"] == "https_required"
        answer = request(node.address, "/a", [("Host", "gateway.test")], "POST")
        assert (answer.status, answer.get("location")) == (403, None)
        assert origin.connections == 0


def test_a_route_that_is_https_only_asks_for_no_credential_in_plain(origin: Origin) -> None:
    key = ApiKey()
    route = "https_only: refuse, auth: {accept: [partners]}"
    with Node(one_route(origin, route, TRUSTING, f"identities: [{key.identity}]")) as node:
        assert get(node.address).status == 403
        assert get(node.address, "/", ("X-Forwarded-Proto", "https")).status == 401


@pytest.fixture
def over_tls(authority: Authority) -> tuple[str, ssl.SSLContext]:
    pair = authority.issue("gateway", "gateway.test")
    section = f"listeners: [{{name: public, address: '127.0.0.1:1', tls: {{certificates: {pair.yaml}}}}}]"
    return section, ssl.create_default_context(cafile=str(authority.file))


def test_hsts_is_sent_over_tls_and_not_over_plain_http(
    origin: Origin, over_tls: tuple[str, ssl.SSLContext]
) -> None:
    section, context = over_tls
    with Node(one_route(origin)) as node:
        assert get(node.address).get(HSTS) is None
        node.apply(one_route(origin, "", section))
        with TlsClient(node.address, context) as client:
            client.send(encode())
            assert client.response().get(HSTS) == "max-age=31536000"


@pytest.mark.parametrize(
    ("route", "answered", "expected"),
    [
        ("", b"strict-transport-security: max-age=5\r\n", "max-age=5"),
        ("", b"x-frame-options: SAMEORIGIN\r\n", "max-age=31536000"),
        ("security_headers: false", b"", None),
        ("response_headers: {set: {Strict-Transport-Security: max-age=7}}", b"", "max-age=7"),
        ("response_headers: {remove: [Strict-Transport-Security]}", b"", None),
    ],
)
def test_hsts_is_the_services_or_the_routes_own_where_they_say_so(
    origin: Origin,
    over_tls: tuple[str, ssl.SSLContext],
    route: str,
    answered: bytes,
    expected: str | None,
) -> None:
    section, context = over_tls
    origin.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + answered + b"\r\n"
    with Node(one_route(origin, route, section)) as node, TlsClient(node.address, context) as client:
        client.send(encode())
        assert client.response().get(HSTS) == expected
