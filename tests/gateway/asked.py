"""Credentials about which somebody has to be asked: who comes with one waits until Python answers."""

import json
import time
from collections.abc import Callable
from typing import Any

from gateway.configuration import one_route
from gateway.credentials import Issuer
from gateway.key_store import SECRET, with_store
from gateway.node import Node
from gateway.origin import Origin
from gateway.passwords import basic, quick_hash
from gatewright.keystore.credentials import new_credential

Header = tuple[str, str]
Asked = tuple[str, Header, bytes]
"""A configuration, the header of a caller, and what Python says of it."""

ISSUER = "url: 'http://127.0.0.1:1/introspect', timeout: 10s, client_id: a, client_secret: b"
HASH = quick_hash("open sesame")


def identified(origin: Origin, identity: str, name: str) -> str:
    return one_route(origin, f"auth: {{accept: [{name}]}}", f"identities: [{{name: {name}, {identity}}}]")


def key_store(origin: Origin) -> Asked:
    return (
        with_store(origin, "timeout: 10s"),
        ("X-API-Key", new_credential(SECRET).text),
        b'{"ok": true, "refused": "unknown"}',
    )


def password(origin: Origin) -> Asked:
    text = identified(origin, f"kind: basic, users: [{{user: ann, hash: '{HASH}'}}]", "staff")
    return text, basic("ann", "open sesame"), b'{"ok": true, "password": true}'


def introspection(origin: Origin) -> Asked:
    text = identified(origin, f"kind: introspection, {ISSUER}", "opaque")
    claims = json.dumps({"active": True, "sub": "ann", "exp": int(time.time()) + 600})
    answer = {"ok": True, "active": True, "claims": claims}
    return text, ("Authorization", "Bearer abc"), json.dumps(answer).encode()


def key_set(origin: Origin) -> Asked:
    identity = "kind: jwt, issuer: 'https://id.test', audience: api, jwks: {url: 'http://127.0.0.1:1/keys'}"
    return identified(origin, identity, "mobile"), Issuer("EdDSA", "key-2").bearer(), b'{"ok": false}'


STATUS: dict[Callable[[Origin], Asked], int] = {
    key_store: 401,
    password: 200,
    introspection: 200,
    key_set: 401,
}
"""Each of them, and what its caller gets. The name of a function is what the record says was waited for."""


def question(node: Node) -> Any:
    """The one question that Python is asked."""
    [one] = json.loads(node.engine.next_questions(30.0) or b"[]")
    return one


def with_older_keys(node: Node) -> None:
    """Keys of the issuer of `key_set`, but not the one that its callers' tokens name."""
    node.engine.set_keys("mobile", json.dumps(Issuer("EdDSA", "key-1").key_set).encode())
