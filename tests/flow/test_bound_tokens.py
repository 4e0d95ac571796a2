"""Tokens that are bound to the certificate of their connection (RFC 8705)."""

import base64
import hashlib
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import Authority, Issuer, Node, Origin, Pair, TlsClient, encode, get, listener, one_route


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def bound(pair: Pair) -> dict[str, Any]:
    """The claim that binds a token to this certificate."""
    certificate = x509.load_pem_x509_certificate(Path(pair.file).read_bytes())
    digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()
    return {"cnf": {"x5t#S256": base64.urlsafe_b64encode(digest).decode().rstrip("=")}}


def accepting(issuer: Issuer, authority: Authority, origin: Origin, more: str = "") -> str:
    pair = authority.issue("gateway", "gateway.test")
    asked = f'client_certificates: {{mode: request, ca_file: "{authority.file}"}}'
    identity = issuer.identity[:-1] + more + "}"
    section = f"identities: [{identity}]\n" + listener(f"tls: {{certificates: {pair.yaml}, {asked}}}")
    return one_route(origin, "auth: {accept: [mobile]}", section)


def outcome(
    node: Node, authority: Authority, header: tuple[str, str], pair: Pair | None = None
) -> tuple[int, str | None]:
    """Status, and what the record says was wrong."""
    context = ssl.create_default_context(cafile=str(authority.file))
    if pair is not None:
        context.load_cert_chain(pair.file, pair.key_file)
    with TlsClient(node.address, context) as connection:
        for _ in range(2):
            # The second time the token is remembered.
            connection.send(encode(headers=[header]))
            response = connection.response()
    record = node.records(2)[1]
    step = next(one for one in record["decisions"] if one["stage"] == "authenticate")
    assert b"certificate" not in response.body
    return response.status, step["inputs"].get("reason")


def test_a_bound_token_is_good_with_its_certificate_alone(
    issuer: Issuer, authority: Authority, origin: Origin
) -> None:
    mine, other = (authority.issue(name, common_name=name) for name in ("mine", "other"))
    with Node(accepting(issuer, authority, origin)) as node:
        header = issuer.bearer(**bound(mine))
        assert outcome(node, authority, header, mine) == (200, None)
        assert outcome(node, authority, header, other) == (
            401,
            "the token is bound to another certificate",
        )
        assert outcome(node, authority, header) == (
            401,
            "the token is bound to a certificate, and none was shown",
        )
        assert outcome(node, authority, header, mine) == (200, None)
        assert outcome(node, authority, issuer.bearer()) == (200, None)


def test_a_bound_token_is_refused_on_a_plain_connection(
    issuer: Issuer, authority: Authority, origin: Origin
) -> None:
    mine = authority.issue("mine", common_name="mine")
    with Node(one_route(origin, "auth: {accept: [mobile]}", f"identities: [{issuer.identity}]")) as node:
        assert get(node.address, "/", issuer.bearer(**bound(mine))).status == 401


def test_where_it_is_demanded_a_token_must_be_bound(
    issuer: Issuer, authority: Authority, origin: Origin
) -> None:
    mine = authority.issue("mine", common_name="mine")
    with Node(accepting(issuer, authority, origin, ", certificate_bound: true")) as node:
        assert outcome(node, authority, issuer.bearer(**bound(mine)), mine) == (200, None)
        assert outcome(node, authority, issuer.bearer(), mine) == (
            401,
            "the token is not bound as it must be",
        )


@pytest.mark.parametrize(
    ("confirmation", "reason"),
    [
        ({}, "the token is bound in a way that cannot be checked"),
        ({"kid": "a"}, "the token is bound in a way that cannot be checked"),
        ("a", "the credential is malformed"),
        ({"x5t#S256": "a"}, "the credential is malformed"),
        ({"x5t#S256": 7}, "the credential is malformed"),
        ({"x5t#S256": "A" * 44}, "the credential is malformed"),
        ({"jkt": "A" * 43}, "the token is bound to a key, and no proof of it was sent"),
    ],
    ids=json.dumps,
)
def test_what_cannot_be_checked_is_refused(
    issuer: Issuer, authority: Authority, origin: Origin, confirmation: Any, reason: str
) -> None:
    with Node(accepting(issuer, authority, origin)) as node:
        mine = authority.issue("mine", common_name="mine")
        assert outcome(node, authority, issuer.bearer(cnf=confirmation), mine) == (401, reason)
