"""Signed requests (RFC 9421): what was signed is what the service gets, body included, once."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from gateway import Client, Node, Origin, Refused, Response, encode, get, one_route, raw, request, steps

SECRET = "a secret of two machines, at least 32 characters"
AUTH = "auth: {accept: [machines]}"
COVERED = ("@method", "@authority", "@path", "@query")
NONCES = count()


def text(origin: Origin, options: str = "", keys: str = "", route: str = "", *sections: str) -> str:
    one = f"id: billing, secret: '{SECRET}', partner: acme, scopes: [invoices], tier: premium"
    listed = keys or f"[{{{one}}}]"
    identity = f"identities: [{{name: machines, kind: signature, keys: {listed}{options}}}]"
    return one_route(origin, AUTH + route, identity, *sections)


def refused(reason: str) -> Refused:
    return Refused(401, "invalid_signature", "authenticate", ("identities", 0), {"reason": reason})


def by_secret(content: bytes) -> bytes:
    return hmac.new(SECRET.encode(), content, hashlib.sha256).digest()


class Signed:
    """A request and how it is signed; anything may be changed before it is sent."""

    def __init__(self, method: str = "GET", target: str = "/a?b=c", body: bytes = b"") -> None:
        self.method, self.target, self.body = method, target, body
        self.covered: Sequence[str] = COVERED + (("content-digest",) if body else ())
        self.parameters: dict[str, Any] = {
            "created": int(time.time()),
            "keyid": '"billing"',
            "nonce": f'"{next(NONCES)}-{time.time_ns()}"',
        }
        self.headers: dict[str, str] = {}
        if body:
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            self.headers["content-digest"] = f"sha-256=:{digest}:"

    def sign(self, address: tuple[str, int], make: Any = by_secret) -> "Signed":
        authority = f"{address[0]}:{address[1]}"
        path, _, query = self.target.partition("?")
        values = {"@method": self.method, "@authority": authority, "@path": path, "@query": "?" + query}
        values |= self.headers
        names = " ".join(f'"{name}"' for name in self.covered)
        parameters = "".join(f";{name}={value}" for name, value in self.parameters.items())
        base = "".join(f'"{name}": {values[name]}\n' for name in self.covered)
        signature = make(f'{base}"@signature-params": ({names}){parameters}'.encode())
        self.headers["signature-input"] = f"s=({names}){parameters}"
        self.headers["signature"] = f"s=:{base64.b64encode(signature).decode()}:"
        return self

    def send(self, node: Node, chunked: bool = False) -> Response:
        headers = list(self.headers.items())
        authority = f"{node.address[0]}:{node.address[1]}"
        if not chunked:
            headers.insert(0, ("host", authority))
            return request(node.address, self.target, headers, self.method, self.body or None)
        headers += [("host", authority), ("transfer-encoding", "chunked")]
        head = encode(self.target, headers, self.method)
        middle = len(self.body) // 2
        pieces = [piece for piece in (self.body[:middle], self.body[middle:]) if piece]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        return raw(node.address, head + chunks + b"0\r\n\r\n", [self.method]).only


@pytest.fixture
def node(origin: Origin) -> Iterator[Node]:
    with Node(text(origin, route=", rate_limit: standard")) as node:
        yield node


def test_a_key_may_do_what_its_scopes_say(origin: Origin) -> None:
    for scope, status in (("invoices", 200), ("orders", 403)):
        route = f"auth: {{accept: [machines], scopes: [{scope}]}}"
        with Node(text(origin).replace(AUTH, route)) as node:
            assert Signed().sign(node.address).send(node).status == status


def test_the_body_of_a_signed_request_is_waited_for_and_the_record_says_so(node: Node) -> None:
    asked = Signed("POST", body=b"0123456789").sign(node.address)
    headers = [("host", f"{node.address[0]}:{node.address[1]}"), *asked.headers.items()]
    sent = encode(asked.target, headers, "POST", asked.body)
    with Client(node.address) as client:
        client.send(sent[:-5])
        node.wait_for(lambda _: node.metric("gateway_in_flight_requests") == 1)
        # The one worker answers this when it has nothing to do for the other.
        assert get(node.address).status == 401
        client.send(sent[-5:])
        assert client.response("POST").status == 200
    told = [step for step in node.records(2)[1]["decisions"] if "waited_ms" in step]
    assert [(step["verdict"], step["rule"], step["waited_for"]) for step in told] == [
        ("partner", "machines", "body")
    ]


def test_a_signed_request_proves_its_key_and_arrives_as_it_was_signed(node: Node, origin: Origin) -> None:
    asked = Signed("POST", "/invoices/7?dry=1", b'{"amount": 7}').sign(node.address)
    response = asked.send(node)
    assert response.status == 200
    assert response.get("x-ratelimit-limit") == "500"
    received = origin.next_request()
    assert received.line == "POST /invoices/7?dry=1 HTTP/1.1"
    assert received.body == b'{"amount": 7}'
    assert received.get("x-partner-id") == "acme"
    # A proof and no secret: the service may check it as well.
    assert received.get("signature-input") == asked.headers["signature-input"]
    assert received.get("content-digest") == asked.headers["content-digest"]
    record = node.record()
    assert ("authenticate", "partner") in steps(record)
    assert {"key": "billing"} in [decision["inputs"] for decision in record["decisions"]]
    assert SECRET not in str(record)


@pytest.mark.parametrize(
    ("method", "target"),
    [("DELETE", "/a?b=c"), ("GET", "/b?b=c"), ("GET", "/a?b=d"), ("GET", "/a"), ("GET", "/a/?b=c")],
)
def test_what_was_signed_for_another_request_is_refused(
    node: Node, origin: Origin, method: str, target: str
) -> None:
    asked = Signed().sign(node.address)
    asked.method, asked.target = method, target
    response = asked.send(node)
    refused("the signature does not verify").check(node, response)
    assert response.get("www-authenticate") == "Signature"
    assert origin.connections == 0


def test_of_two_spellings_of_a_path_the_canonical_one_is_signed(node: Node, origin: Origin) -> None:
    asked = Signed(target="/a/b?c").sign(node.address)
    asked.target = "/x/../a/%62?c"
    assert asked.send(node).status == 200
    assert origin.next_request().target == "/a/b?c"
    node.records(1)
    asked = Signed(target="/x/../a?c").sign(node.address)
    refused("the signature does not verify").check(node, asked.send(node))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [1, 3_000, 200_000])
def test_a_body_is_held_against_its_digest_before_the_service_sees_any_of_it(
    node: Node, origin: Origin, size: int, chunked: bool
) -> None:
    body = bytes(number % 251 for number in range(size))
    assert Signed("POST", body=body).sign(node.address).send(node, chunked).status == 200
    assert origin.next_request().body == body
    asked = Signed("POST", body=body).sign(node.address)
    asked.body = body[:-1] + bytes([body[-1] ^ 1])
    connections, requests = origin.connections, len(origin.requests)
    node.records(1)
    refused("the body is not the one whose digest was sent").check(node, asked.send(node, chunked))
    assert (origin.connections, len(origin.requests)) == (connections, requests)


def test_a_body_that_nobody_has_signed_is_refused(node: Node, origin: Origin) -> None:
    asked = Signed("POST", body=b"7")
    asked.covered = COVERED
    refused("the signature does not cover what it must").check(node, asked.sign(node.address).send(node))
    assert origin.connections == 0


def test_a_digest_of_no_body_and_one_that_is_not_understood_are_wrong(node: Node) -> None:
    for digest in ("sha-256=:AAAA:", "md5=:AAAA:", "sha-256=:AAAA:, sha-256=:AAAA:"):
        asked = Signed("POST")
        asked.headers["content-digest"] = digest
        response = asked.sign(node.address).send(node)
        assert response.status == 401, digest
        assert response.json()["error"] == "invalid_signature"


def test_longer_bodies_than_are_checked_are_413_and_reach_nobody(origin: Origin) -> None:
    with Node(text(origin, ", max_body: 10B")) as node:
        assert Signed("POST", body=b"x" * 10).sign(node.address).send(node).status == 200
        connections = origin.connections
        for chunked in (False, True):
            response = Signed("POST", body=b"x" * 11).sign(node.address).send(node, chunked)
            assert (response.status, response.json()["error"]) == (413, "body_too_large")
        assert origin.connections == connections


def test_bodies_that_the_node_has_no_room_for_are_refused(origin: Origin) -> None:
    with Node(text(origin, "", "", "", "node: {max_retry_memory: 1KiB}")) as node:
        assert Signed("POST", body=b"x" * 1_000).sign(node.address).send(node).status == 200
        response = Signed("POST", body=b"x" * 2_000).sign(node.address).send(node)
        assert (response.status, response.get("x-load-shed")) == (503, "memory")


def test_a_client_that_does_not_send_its_body_is_given_up(origin: Origin) -> None:
    sections = "listeners: [{name: public, address: '127.0.0.1:1', body_timeout: 100ms}]"
    with Node(text(origin, "", "", "", sections)) as node, Client(node.address) as client:
        asked = Signed("POST", body=b"all of it").sign(node.address)
        headers = [("host", "{}:{}".format(*node.address)), *asked.headers.items(), ("content-length", "9")]
        client.send(encode(asked.target, headers, "POST") + b"all")
        assert client.response("POST").status == 408
        assert origin.connections == 0


def test_a_nonce_is_good_once_and_is_remembered_over_reloads(node: Node, origin: Origin) -> None:
    asked = Signed().sign(node.address)
    assert asked.send(node).status == 200
    assert node.metric("gateway_nonces") == 1
    node.apply(text(origin, ", label: s"))
    node.records(1)
    refused("the nonce was used before").check(node, asked.send(node))
    asked = Signed()
    del asked.parameters["nonce"]
    refused("the signature has no nonce").check(node, asked.sign(node.address).send(node))


def test_where_no_nonce_can_be_remembered_signed_requests_get_503(origin: Origin) -> None:
    with Node(text(origin, ", max_nonces: 100")) as node:
        for _ in range(100):
            assert Signed().sign(node.address).send(node).status == 200
        node.records(100)
        at = ("identities", 0)
        reason = {"reason": "too many nonces are remembered"}
        expected = Refused(503, "authentication_unavailable", "authenticate", at, reason, retry_after=5)
        expected.check(node, Signed().sign(node.address).send(node))
        assert node.metric("gateway_nonces_full_total") == 1


def test_times_and_coverage_are_as_the_identity_says(origin: Origin) -> None:
    options = ", max_age: 10s, leeway: 0s, nonce: optional, digest: optional, components: ['@method', date]"
    with Node(text(origin, options)) as node:

        def ask(age: int = 0, covered: Sequence[str] = ("@method", "date"), **parameters: int) -> str:
            asked = Signed("POST", body=b"x")
            asked.covered = covered
            asked.headers["date"] = "Tue, 20 Apr 2021 02:07:55 GMT"
            asked.parameters = {"created": int(time.time()) - age, "keyid": '"billing"'} | parameters
            response = asked.sign(node.address).send(node)
            reason = node.record()["decisions"][-1]["inputs"].get("reason", "")
            return "" if response.status == 200 else reason

        assert ask() == ""
        assert ask(age=30) == "the credential has expired"
        assert ask(age=-30) == "the token was issued in the future"
        assert ask(expires=int(time.time()) - 5) == "the credential has expired"
        assert ask(covered=("date",)) == "the signature does not cover what it must"


def keys_of(tmp_path: Path) -> dict[str, Any]:
    """A key of each kind, its public part in a file, and how it signs."""
    made: dict[str, Any] = {
        "ed": ed25519.Ed25519PrivateKey.generate(),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "rsa": rsa.generate_private_key(65537, 2048),
    }
    for name, key in made.items():
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (tmp_path / f"{name}.pem").write_bytes(public)

    def by_curve(content: bytes) -> bytes:
        one, other = utils.decode_dss_signature(made["ec"].sign(content, ec.ECDSA(hashes.SHA256())))
        return one.to_bytes(32, "big") + other.to_bytes(32, "big")

    padded = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
    return {
        "ed": made["ed"].sign,
        "ec": by_curve,
        "rsa": lambda content: made["rsa"].sign(content, padded, hashes.SHA512()),
    }


def test_key_pairs_of_each_kind_sign_and_end_when_they_expire(origin: Origin, tmp_path: Path) -> None:
    signers = keys_of(tmp_path)
    file = "public_key: '{}/{}.pem'"
    listed = ", ".join(f"{{id: {one}, {file.format(tmp_path, one)}, partner: {one}}}" for one in signers)
    old = f"{{id: old, secret: '{SECRET}', partner: old, expires_at: '2020-01-01T00:00:00Z'}}"
    with Node(text(origin, keys=f"[{listed}, {old}]")) as node:
        for name, sign in signers.items():
            asked = Signed()
            asked.parameters["keyid"] = f'"{name}"'
            assert asked.sign(node.address, sign).send(node).status == 200
            assert origin.next_request().get("x-partner-id") == name
        node.records(3)
        asked = Signed()
        asked.parameters["keyid"] = '"old"'
        refused("the credential has expired").check(node, asked.sign(node.address).send(node))
        asked = Signed()
        asked.parameters["keyid"] = '"ed"'
        refused("the signature does not verify").check(node, asked.sign(node.address).send(node))


def test_who_signs_nothing_is_told_what_is_missing(node: Node) -> None:
    refused("no credential was sent").check(node, get(node.address, "/"))
    asked = Signed().sign(node.address)
    del asked.headers["signature"]
    refused("no credential was sent").check(node, asked.send(node))
