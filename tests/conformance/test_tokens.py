"""Tokens that differ from a good one in one thing: refused alike, whatever it is, over both protocols."""

import base64
import hashlib
import hmac
import itertools
import json
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.errors import SecurityWarning

from gateway import Client, Http2, Issuer, Node, Origin, Response, plain
from gateway.client import encode
from gateway.origin import Connection, Received

SETTINGS = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
ALGORITHMS = ("RS256", "ES256", "EdDSA")
TEXT = """
services: [{{name: users, instances: ["{origin}"]}}]
identities:
{identities}
routes: [{{name: users, match: /*, service: users, auth: {{accept: [{names}]}}, rate_limit: none}}]
defaults: {{unauthenticated_tier: none, failed_authentication_tier: none}}
"""


def coded(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def opened(part: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Trap:
    """Where `jku`, `x5u` and `iss` of a token may point to: a port at which nobody should ever knock."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/keys"

    def close(self) -> None:
        self.socket.close()

    def is_untouched(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.accept()
        except BlockingIOError:
            return True
        return False


class Naming:
    """A service that answers with the user whom the gateway names."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, connection: Connection, received: Received) -> None:
        self.asked += 1
        connection.send(plain(json.dumps(received.all("x-user-id")).encode()))


@dataclass
class Guarded:
    """A gateway with an issuer for each algorithm."""

    node: Node
    service: Naming
    trap: Trap
    issuers: dict[str, Issuer]
    attacker: Issuer

    def answers(self, token: str) -> list[Response]:
        """What the bearer of a token gets by each protocol."""
        header = ("Authorization", f"Bearer {token}")
        with Client(self.node.address) as client:
            client.send(encode("/", [header]))
            old = client.response()
        with Http2(self.node.address) as http2:
            new = http2.request("/", [("authorization", f"Bearer {token}")])
        return [old, new]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    # Signing with EdDSA warns of its name (RFC 9864).
    warnings.simplefilter("ignore", SecurityWarning)
    issuers = {name: Issuer(name, f"key-{name}", f"https://{name.lower()}.test") for name in ALGORITHMS}
    identities = "\n".join(
        f"  - {issuer.identity.replace('name: mobile', f'name: {name}')}" for name, issuer in issuers.items()
    )
    service = Naming()
    with Origin(service.answer) as origin:
        text = TEXT.format(origin=origin.address, identities=identities, names=", ".join(ALGORITHMS))
        with Node(text) as node:
            trap = Trap()
            yield Guarded(node, service, trap, issuers, Issuer("RS256", "attacker"))
            trap.close()
            assert node.metric("gateway_worker_panics_total") == 0


Change = Callable[[Guarded, Issuer, list[str]], str]
"""Makes a bad token of the three parts of a good one."""


def header(**members: Any) -> Change:
    """Another header under the old signature."""

    def change(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
        told = opened(parts[0]) | {name: value for name, value in members.items() if value is not None}
        return ".".join([coded(told), *parts[1:]])

    return change


def signed(header: dict[str, Any], claims: str, key: bytes) -> str:
    """A token with an HMAC, as one makes who takes a public key for a secret."""
    covered = f"{coded(header)}.{claims}"
    return f"{covered}.{coded(hmac.digest(key, covered.encode(), hashlib.sha256))}"


def confused(form: str) -> Change:
    """HS256 with the public key for the secret, in each form in which it is published."""

    def change(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
        public = issuer.key.as_dict(private=False)
        forms = {
            "pem": issuer.key.as_pem(private=False),
            "der": issuer.key.as_der(private=False),
            "jwk": json.dumps(public).encode(),
            "number": str(public.get("n") or public.get("x")).encode(),
            "empty": b"",
        }
        return signed(opened(parts[0]) | {"alg": "HS256"}, parts[1], forms[form])

    return change


def brought(**members: Any) -> Change:
    """A token of the attacker that brings its own key along, or says where it is."""

    def change(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
        public = guarded.attacker.key.as_dict(private=False)
        values = {"jwk": public, "url": guarded.trap.url, "chain": [base64.b64encode(b"x" * 64).decode()]}
        told = {name: values[value] for name, value in members.items()}
        claims = opened(parts[1])
        return guarded.attacker.token({"kid": issuer.key.kid, **told}, **claims)

    return change


def claims(**changed: Any) -> Change:
    """Other claims under the old signature."""

    def change(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
        return ".".join([parts[0], coded(opened(parts[1]) | changed), parts[2]])

    return change


def shaped(form: str) -> Change:
    """The same three parts in another form; `{0}` to `{2}` stand for them."""

    def change(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
        return form.format(*parts)

    return change


def swapped(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
    """The signature of another token of the same issuer."""
    return ".".join([*parts[:2], issuer.token(sub="other").split(".")[2]])


def foreign(guarded: Guarded, issuer: Issuer, parts: list[str]) -> str:
    """Good of another issuer, but for the name of the issuer."""
    other = guarded.issuers["EdDSA" if issuer.algorithm != "EdDSA" else "RS256"]
    return other.token(iss=issuer.issuer)


NONES = [header(alg=name) for name in ("none", "None", "NONE", "nOnE", "")]
UNSIGNED = [
    lambda guarded, issuer, parts, name=name: f"{coded({'alg': name, 'kid': issuer.key.kid})}.{parts[1]}."
    for name in ("none", "None", "NONE", "RS256", "HS256")
]
KINDS = [
    header(alg=name)
    for name in ("HS256", "HS384", "RS384", "PS512", "ES512", "ES256K", "RS1", "A128KW", "dir", "x" * 300)
]
WRONG_KINDS = [header(alg=value) for value in (["RS256"], {"a": 1}, 256, True)]
KEY_IDS = [
    header(kid=value)
    for value in (
        "../../../../dev/null",
        "/dev/null",
        "file:///etc/passwd",
        "' OR '1'='1",
        "key-1\0",
        "x" * 3000,
        "",
        ["key-RS256"],
        {"kid": "key-RS256"},
        1,
    )
]
EMBEDDED = [
    brought(jwk="jwk"),
    brought(jku="url"),
    brought(x5u="url"),
    brought(x5c="chain"),
    brought(jwk="jwk", jku="url", x5u="url"),
]
EXTENSIONS = [header(crit=["exp"]), header(crit=[]), header(b64=False, crit=["b64"]), header(typ="JWE")]
CLAIMS = [
    claims(sub="admin"),
    claims(exp=2**40),
    claims(scope="admin"),
    claims(iss="https://rs256.test\0"),
    claims(aud=["api", "other"]),
]
SHAPES = [
    shaped(form)
    for form in (
        "{0}.{1}",
        "{0}.{1}.",
        "{0}..{2}",
        ".{1}.{2}",
        "{0}.{1}.{2}.",
        "{0}.{1}.{2}.{2}",
        "{0}.{1}.{2}=",
        "{0}=.{1}.{2}",
        "{0}.{1}.{2}A",
        "{0}.{1}.A{2}",
        "{0}.{1} .{2}",
        "{0}.{1}.{2}, {0}.{1}.{2}",
        "{0}.{1}.{2} {0}.{1}.{2}",
        "{1}.{0}.{2}",
        "..",
    )
]
CONFUSED = [confused(form) for form in ("pem", "der", "jwk", "number", "empty")]
CHANGES: list[Change] = [
    *(NONES + UNSIGNED + KINDS + WRONG_KINDS + KEY_IDS + EMBEDDED),
    *(EXTENSIONS + CLAIMS + SHAPES + CONFUSED + [swapped, foreign]),
]


def check_refused_alike(guarded: Guarded, token: str, asked: int) -> None:
    """The refusal is the one of every other bad token, and nobody behind the gateway heard of it."""
    for answer in guarded.answers(token):
        assert answer.status == 401, token
        body = answer.json()
        assert body.pop("request_id") == answer.get("x-request-id")
        assert body == {"error": "invalid_token", "message": MESSAGE}, token
        assert answer.get("www-authenticate") == 'Bearer error="invalid_token"'
    assert guarded.service.asked == asked
    assert guarded.trap.is_untouched()


MESSAGE = "a valid token is required"


def test_a_good_token_of_each_issuer_passes(guarded: Guarded) -> None:
    for name, issuer in guarded.issuers.items():
        for answer in guarded.answers(issuer.token(sub=f"user of {name}")):
            assert (answer.status, answer.json()) == (200, [f"user of {name}"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("change", CHANGES)
def test_one_change_of_a_good_token_is_refused(guarded: Guarded, algorithm: str, change: Change) -> None:
    issuer = guarded.issuers[algorithm]
    parts = issuer.token().split(".")
    check_refused_alike(guarded, change(guarded, issuer, parts), guarded.service.asked)


@SETTINGS
@given(
    algorithm=st.sampled_from(ALGORITHMS),
    part=st.integers(0, 2),
    place=st.floats(0, 1, exclude_max=True),
    letter=st.sampled_from("ABCxyz019-_"),
)
def test_another_letter_anywhere_is_refused(
    guarded: Guarded, algorithm: str, part: int, place: float, letter: str
) -> None:
    parts = guarded.issuers[algorithm].token().split(".")
    at = int(place * len(parts[part]))
    if parts[part][at] == letter:
        return
    parts[part] = parts[part][:at] + letter + parts[part][at + 1 :]
    check_refused_alike(guarded, ".".join(parts), guarded.service.asked)


def test_what_is_remembered_of_one_caller_is_never_given_to_another(guarded: Guarded) -> None:
    """Callers take turns on shared connections, with tokens that have been verified before."""
    tokens = {
        f"{name} {number}": issuer.token(sub=f"{name} {number}", iat=int(time.time()))
        for (name, issuer), number in itertools.product(guarded.issuers.items(), range(20))
    }
    with Client(guarded.node.address) as client, Http2(guarded.node.address) as http2:
        for _ in range(3):
            streams = {}
            for user, token in tokens.items():
                client.send(encode("/", [("Authorization", f"Bearer {token}")]))
                assert client.response().json() == [user]
                streams[user] = http2.begin("/", [("authorization", f"Bearer {token}")])
            for user, stream in streams.items():
                assert http2.response(stream).json() == [user]


def test_a_remembered_token_helps_no_near_copy_of_it(guarded: Guarded) -> None:
    issuer = guarded.issuers["RS256"]
    token = issuer.token(sub="known")
    for answer in guarded.answers(token):
        assert answer.status == 200
    head, body, signature = token.split(".")
    for near in (
        f"{head}.{coded(opened(body) | {'sub': 'admin'})}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        token + "=",
        token[:-1],
    ):
        check_refused_alike(guarded, near, guarded.service.asked)
