"""Client certificates: who is let in, who a certificate says is calling, what services are told."""

import datetime
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import Authority, Node, Origin, Pair, Response, TlsClient, encode, listener, one_route

MTLS = "identities: [{name: machines, kind: mtls%s}]"
ACCEPT = "auth: {accept: [machines]}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    """Who signs the certificates of clients."""
    return Authority(tmp_path / "clients", "Clients CA")


def asking(authority: Authority, clients: Authority, mode: str, more: str = "") -> str:
    """A listener that asks for certificates, as a section."""
    pair = authority.issue("gateway", "gateway.test")
    asked = f'client_certificates: {{mode: {mode}, ca_file: "{clients.file}"{more}}}'
    return listener(f"tls: {{certificates: {pair.yaml}, {asked}}}")


def client(authority: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    """A client that shows this certificate."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if pair is not None:
        context.load_cert_chain(pair.file, pair.key_file)
    return context


def ask(node: Node, context: ssl.SSLContext, *headers: tuple[str, str]) -> Response:
    """One request. Raises `ssl.SSLError` or `ConnectionError` where the certificate is not taken."""
    with TlsClient(node.address, context) as connection:
        # With TLS 1.3 a client learns only now what became of its certificate.
        connection.send(encode(headers=headers))
        return connection.response()


REFUSED = (ssl.SSLError, ConnectionError)


def bad(authority: Authority, clients: Authority) -> Iterator[Pair | None]:
    """No certificate, one of another authority, and one that has expired."""
    yield None
    yield authority.issue("other", common_name="other")
    yield clients.issue("expired", common_name="expired", lifetime=datetime.timedelta(days=-1))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", ["request", "require"])
def test_only_a_good_certificate_is_taken_and_none_where_it_is_only_requested(
    authority: Authority, clients: Authority, origin: Origin, mode: str, version: ssl.TLSVersion
) -> None:
    good = clients.issue("good", common_name="good")
    with Node(one_route(origin, "", asking(authority, clients, mode))) as node:
        assert ask(node, client(authority, good)).status == 200
        for pair in bad(authority, clients):
            context = client(authority, pair)
            context.maximum_version = version
            if pair is None and mode == "request":
                assert ask(node, context).status == 200
                continue
            with pytest.raises(REFUSED):
                ask(node, context)


def test_a_session_without_a_certificate_is_not_taken_up_once_one_is_required(
    authority: Authority, clients: Authority, origin: Origin
) -> None:
    context = client(authority)
    pair = authority.issue("plain", "gateway.test")
    plain = one_route(origin, "", listener(f"tls: {{certificates: {pair.yaml}}}"))
    with Node(plain) as node:
        with TlsClient(node.address, context) as connection:
            connection.send(encode())
            assert connection.response().status == 200
            session = connection.tls.session
        node.apply(one_route(origin, "", asking(authority, clients, "require")))
        with pytest.raises(REFUSED), TlsClient(node.address, context, session=session) as connection:
            connection.send(encode())
            connection.response()


def test_a_revoked_certificate_is_refused_also_where_its_session_could_be_taken_up(
    authority: Authority, clients: Authority, origin: Origin
) -> None:
    good, lost = clients.issue("good", common_name="good"), clients.issue("lost", common_name="lost")
    lists = clients.revoke("revoked")
    text = one_route(origin, "", asking(authority, clients, "require", f', crl_file: "{lists}"'))
    with Node(text) as node:
        context = client(authority, lost)
        assert ask(node, client(authority, good)).status == 200
        with TlsClient(node.address, context) as connection:
            connection.send(encode())
            assert connection.response().status == 200
            session = connection.tls.session
        clients.revoke("revoked", lost)
        node.apply(text)
        with pytest.raises(REFUSED), TlsClient(node.address, context, session=session) as connection:
            connection.send(encode())
            connection.response()
        with pytest.raises(REFUSED):
            ask(node, context)
        assert ask(node, client(authority, good)).status == 200


def test_who_is_signed_by_an_authority_without_a_list_is_refused(
    authority: Authority, clients: Authority, origin: Origin, tmp_path: Path
) -> None:
    good = clients.issue("good", common_name="good")
    lists = Authority(tmp_path / "others", "Others").revoke("revoked")
    text = one_route(origin, "", asking(authority, clients, "require", f', crl_file: "{lists}"'))
    with Node(text) as node, pytest.raises(REFUSED):
        ask(node, client(authority, good))


def test_a_revocation_list_past_its_time_still_holds_and_locks_nobody_else_out(
    authority: Authority, clients: Authority, origin: Origin
) -> None:
    good, lost = clients.issue("good", common_name="good"), clients.issue("lost", common_name="lost")
    lists = clients.revoke("revoked", lost, days=-1)
    text = one_route(origin, "", asking(authority, clients, "require", f', crl_file: "{lists}"'))
    with Node(text) as node:
        assert ask(node, client(authority, good)).status == 200
        with pytest.raises(REFUSED):
            ask(node, client(authority, lost))


@pytest.mark.parametrize(
    ("user_from", "expected"),
    [
        ("subject_cn", "machine 7"),
        ("san_dns", "seven.test"),
        ("san_uri", "spiffe://test/seven"),
        ("san_email", "seven@test"),
    ],
)
def test_the_certificate_says_who_calls(
    authority: Authority, clients: Authority, origin: Origin, user_from: str, expected: str
) -> None:
    others = [x509.UniformResourceIdentifier("spiffe://test/seven"), x509.RFC822Name("seven@test")]
    pair = clients.issue("seven", "seven.test", common_name="machine 7", others=others)
    identity = MTLS % f", user_from: {user_from}, scopes: [read]"
    text = one_route(
        origin,
        "auth: {accept: [machines], scopes: [read]}",
        asking(authority, clients, "request"),
        identity,
    )
    with Node(text) as node:
        # Twice: a session that is taken up again says the same.
        for _ in range(2):
            assert ask(node, client(authority, pair)).status == 200
            received = origin.next_request()
            assert (received.get("x-user-id"), received.get("x-user-scopes")) == (expected, "read")
            record = node.record()
            assert record["user_id"] == expected
            assert ("authenticate", "certificate") in [
                (step["stage"], step["verdict"]) for step in record["decisions"]
            ]


def test_a_route_that_demands_a_certificate_refuses_who_has_none_or_another(
    authority: Authority, clients: Authority, origin: Origin
) -> None:
    identity = MTLS % ", user_from: san_uri, allow: ['spiffe://test/one']"
    good, other = (
        clients.issue(name, others=[x509.UniformResourceIdentifier(f"spiffe://test/{name}")])
        for name in ("one", "other")
    )
    nameless = clients.issue("nameless", common_name="spiffe://test/one")
    with Node(one_route(origin, ACCEPT, asking(authority, clients, "request"), identity)) as node:
        assert ask(node, client(authority, good)).status == 200
        for pair in (None, other, nameless):
            answer = ask(node, client(authority, pair))
            assert (answer.status, answer.json()["error"]) == (401, "invalid_client_certificate")
            assert answer.get("www-authenticate") == "ClientCertificate"
        assert len(origin.requests) == 1
        reasons = [record["decisions"][-1]["inputs"].get("reason") for record in node.records(4)]
        assert reasons[1:] == [
            "no credential was sent",
            "the key is not known",
            "the certificate does not name a caller",
        ]


def test_services_are_told_of_the_certificate_where_the_listener_says_so(
    authority: Authority, clients: Authority, origin: Origin
) -> None:
    others = [x509.UniformResourceIdentifier("spiffe://test/a,URI:spiffe://test/admin")]
    pair = clients.issue("seven", "seven.test", common_name="seven, CN=admin", others=others)
    der = pair.certificate.public_bytes(Encoding.DER)
    text = one_route(origin, "", asking(authority, clients, "request", ", headers: true"))
    with Node(text) as node:
        ask(node, client(authority, pair))
        received = origin.next_request()
        assert received.get("x-client-cert-verified") == "true"
        assert received.get("x-client-cert-subject") == "CN=seven%2C CN%3Dadmin"
        assert received.get("x-client-cert-san") == (
            "DNS:seven.test, URI:spiffe://test/a%2CURI:spiffe://test/admin"
        )
        assert received.get("x-client-cert-fingerprint") == hashlib.sha256(der).hexdigest()
        ask(node, client(authority))
        received = origin.next_request()
        assert received.get("x-client-cert-verified") == "false"
        assert received.get("x-client-cert-subject") is None


@pytest.mark.parametrize("headers", ["", ", headers: true"])
def test_what_a_client_says_of_its_certificate_never_reaches_a_service(
    authority: Authority, clients: Authority, origin: Origin, headers: str
) -> None:
    spellings = [
        "X-Client-Cert",
        "X-Client-Cert-Subject",
        "x_client_cert_subject",
        "X.Client.Cert.SAN",
        "X-Client_Cert-Fingerprint",
        "X-CLIENT-CERT-VERIFIED",
        "X-Client-Cert-Anything-Else-That-A-Service-May-Look-For",
        "x_client_cert_anything_else_that_a_service_may_look_for",
    ]
    with Node(one_route(origin, "", asking(authority, clients, "request", headers))) as node:
        ask(node, client(authority), *((name, "forged") for name in spellings))
    assert b"forged" not in origin.next_request().head


def test_a_client_authority_is_exchanged_by_a_reload(
    authority: Authority, clients: Authority, origin: Origin, tmp_path: Path
) -> None:
    newer = Authority(tmp_path / "newer", "Newer CA")
    old, new = clients.issue("old", common_name="old"), newer.issue("new", common_name="new")
    with Node(one_route(origin, "", asking(authority, clients, "require"))) as node:
        context = client(authority, old)
        with TlsClient(node.address, context) as connection:
            connection.send(encode())
            assert connection.response().status == 200
            session = connection.tls.session
        node.apply(one_route(origin, "", asking(authority, newer, "require")))
        assert ask(node, client(authority, new)).status == 200
        with pytest.raises(REFUSED), TlsClient(node.address, context, session=session) as connection:
            connection.send(encode())
            connection.response()


def test_an_identity_that_no_listener_asks_for_is_a_warning(origin: Origin) -> None:
    with Node(one_route(origin, ACCEPT, MTLS % "")) as node:
        assert node.loaded is not None
        assert [warning.message for warning in node.loaded.warnings] == [
            "no listener asks for the certificates of identity `machines`; add "
            "`tls: {client_certificates: ...}` to one"
        ]
