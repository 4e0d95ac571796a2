"""Tokens that come with a proof of the key that they are bound to (RFC 9449)."""

import base64
import hashlib
import json
import time
import uuid
import warnings
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from gateway import Issuer, Node, Origin, Response, get, one_route, request

Header = tuple[str, str]
Key = ECKey | OKPKey | RSAKey


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Holder:
    """A client with a key of its own, and a token that is bound to it."""

    def __init__(self, issuer: Issuer, key: Key | None = None, algorithm: str = "ES256") -> None:
        self.key = key or ECKey.generate_key("P-256")
        self.algorithm = algorithm
        self.token = issuer.token(cnf={"jkt": self.key.thumbprint()})
        self.address = "gateway.test"

    def proof(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A proof for `GET /`; a change to `None` leaves one out."""
        claims = {
            "htm": "GET",
            "htu": f"http://{self.address}/",
            "iat": int(time.time()),
            "jti": str(uuid.uuid4()),
            "ath": encoded(hashlib.sha256(self.token.encode()).digest()),
        } | changed
        told = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.key.as_dict(private=False)}
        told = {name: value for name, value in (told | (header or {})).items() if value is not None}
        claims = {name: value for name, value in claims.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            return jws.serialize_compact(told, json.dumps(claims), self.key, algorithms=[str(told["alg"])])

    def headers(self, proof: str | None = None, scheme: str = "DPoP") -> list[Header]:
        return [("Authorization", f"{scheme} {self.token}"), ("DPoP", proof or self.proof())]


def accepting(issuer: Issuer, origin: Origin, dpop: str = "on") -> str:
    identity = issuer.identity[:-1] + f", dpop: {dpop}}}"
    return one_route(origin, "auth: {accept: [mobile]}", f"identities: [{identity}]")


def ask(node: Node, holder: Holder, *headers: Header) -> Response:
    return get(node.address, "/", *headers)


def reason(node: Node) -> str | None:
    record = node.record()
    step = next(one for one in record["decisions"] if one["stage"] == "authenticate")
    return step["inputs"].get("reason")


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def holder(issuer: Issuer) -> Holder:
    return Holder(issuer)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256", "PS256"])
def test_a_token_is_good_with_a_fresh_proof_of_its_key(
    issuer: Issuer, origin: Origin, algorithm: str
) -> None:
    keys = {"ES256": lambda: ECKey.generate_key("P-256"), "EdDSA": lambda: OKPKey.generate_key("Ed25519")}
    key = keys.get(algorithm, lambda: RSAKey.generate_key(2048))()
    holder = Holder(issuer, key, algorithm)
    with Node(accepting(issuer, origin)) as node:
        for _ in range(3):
            # The token is remembered, and each request needs a proof all the same.
            assert ask(node, holder, *holder.headers()).status == 200
        query = holder.headers()
        assert get(node.address, "/?a=b", *query).status == 200
        assert node.metric("gateway_token_proofs") == 4


def other_token(holder: Holder) -> str:
    return holder.proof(ath=encoded(hashlib.sha256(b"other").digest()))


def signed_by_another(holder: Holder) -> str:
    proof, another = holder.proof(), ECKey.generate_key("P-256")
    header, claims, _ = proof.split(".")
    signature = jws.serialize_compact({"alg": "ES256"}, claims, another).split(".")[2]
    return f"{header}.{claims}.{signature}"


def of_another_key(holder: Holder) -> str:
    mine, holder.key = holder.key, ECKey.generate_key("P-256")
    proof = holder.proof()
    holder.key = mine
    return proof


BOTH = 'DPoP error="invalid_token", algs="ES256 EdDSA PS256 RS256", Bearer error="invalid_token"'
MALFORMED = "the proof is malformed, or its signature does not verify"
REQUEST = "the proof is for another method or address"
TOKEN = "the proof is for another token"
OLD = "the proof is too old, or from the future"
KEY = "the proof is signed with another key than the token is bound to"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda one: "nonsense", MALFORMED),
        (lambda one: one.token, MALFORMED),
        (lambda one: one.proof({"typ": "JWT"}), MALFORMED),
        (lambda one: one.proof({"typ": None}), MALFORMED),
        (lambda one: one.proof({"jwk": None}), MALFORMED),
        (lambda one: one.proof({"jwk": one.key.as_dict(private=True)}), MALFORMED),
        (lambda one: one.proof({"jwk": {"kty": "oct", "k": "A" * 43}}), MALFORMED),
        (lambda one: one.proof({"jwk": {"kty": "EC", "crv": "P-521", "x": "AA", "y": "AA"}}), MALFORMED),
        (signed_by_another, MALFORMED),
        (of_another_key, KEY),
        (lambda one: one.proof(htm="POST"), REQUEST),
        (lambda one: one.proof(htm=None), MALFORMED),
        (lambda one: one.proof(htu=f"https://{one.address}/"), REQUEST),
        (lambda one: one.proof(htu=f"http://{one.address}/other"), REQUEST),
        (lambda one: one.proof(htu="http://elsewhere.test/"), REQUEST),
        (lambda one: one.proof(htu="/"), REQUEST),
        (other_token, TOKEN),
        (lambda one: one.proof(ath=None), MALFORMED),
        (lambda one: one.proof(iat=int(time.time()) - 120), OLD),
        (lambda one: one.proof(iat=int(time.time()) + 120), OLD),
        (lambda one: one.proof(iat=None), MALFORMED),
        (lambda one: one.proof(jti=None), MALFORMED),
        (lambda one: one.proof(jti=""), MALFORMED),
        (lambda one: one.proof(jti="x" * 1025), MALFORMED),
    ],
)
def test_a_proof_in_which_one_thing_is_wrong_is_refused(
    issuer: Issuer, origin: Origin, holder: Holder, make: Any, expected: str
) -> None:
    with Node(accepting(issuer, origin)) as node:
        response = ask(node, holder, *holder.headers(make(holder)))
        assert (response.status, response.json()["error"]) == (401, "invalid_token")
        challenge = 'DPoP error="invalid_token", algs="ES256 EdDSA PS256 RS256"'
        assert response.get("www-authenticate") == challenge
        # The client learns none of it.
        assert "proof is" not in response.body.decode()
        assert reason(node) == expected
        assert ask(node, holder, *holder.headers()).status == 200


def test_a_proof_is_used_once(issuer: Issuer, origin: Origin, holder: Holder) -> None:
    with Node(accepting(issuer, origin)) as node:
        headers = holder.headers()
        assert ask(node, holder, *headers).status == 200
        assert ask(node, holder, *headers).status == 401
        node.record()
        assert reason(node) == "the proof was used before"
        # A reload forgets none.
        node.apply(accepting(issuer, origin, "{max_age: 2m}"))
        assert ask(node, holder, *headers).status == 401


def test_a_bound_token_is_refused_without_its_scheme_and_proof(
    issuer: Issuer, origin: Origin, holder: Holder
) -> None:
    with Node(accepting(issuer, origin, "{optional: true}")) as node:
        assert ask(node, holder, issuer.bearer()).status == 200
        assert ask(node, holder, *holder.headers()).status == 200
        refused = [
            holder.headers(scheme="Bearer"),
            holder.headers()[:1],
            [*holder.headers(), ("DPoP", holder.proof())],
            [("Authorization", f"DPoP {issuer.token()}"), ("DPoP", holder.proof())],
        ]
        for headers in refused:
            response = ask(node, holder, *headers)
            assert response.status == 401
            assert response.get("www-authenticate") == BOTH
    with Node(accepting(issuer, origin)) as node:
        assert ask(node, holder, issuer.bearer()).status == 401
    plain = one_route(origin, "auth: {accept: [mobile]}", f"identities: [{issuer.identity}]")
    with Node(plain) as node:
        assert ask(node, holder, *holder.headers()).status == 401
        assert ask(node, holder, *holder.headers(scheme="Bearer")).status == 401


def test_without_room_for_another_proof_nobody_is_let_in(
    issuer: Issuer, origin: Origin, holder: Holder
) -> None:
    with Node(accepting(issuer, origin, "{max_proofs: 100}")) as node:
        for _ in range(100):
            assert ask(node, holder, *holder.headers()).status == 200
        response = ask(node, holder, *holder.headers())
        assert (response.status, response.json()["error"]) == (503, "authentication_unavailable")
        assert node.metric("gateway_token_proofs_full_total") == 1
        node.records(100)
        assert reason(node) == "too many proofs are remembered"


def test_the_method_counts(issuer: Issuer, origin: Origin, holder: Holder) -> None:
    with Node(accepting(issuer, origin)) as node:
        for method, status in (("POST", 200), ("GET", 401)):
            headers = holder.headers(holder.proof(htm="POST"))
            assert request(node.address, "/", headers, method).status == status
