"""Authenticate: who calls, proved by a token or a key, and never anybody by mistake."""

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway import ApiKey, Issuer, Node, Origin, Refused, Response, get, one_route, steps

PATH = "/users/me"
AUTH = "auth: {accept: [mobile]}"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def node(origin: Origin, issuer: Issuer) -> Iterator[Node]:
    """One route that demands a token."""
    with Node(one_route(origin, AUTH, f"identities: [{issuer.identity}]")) as node:
        yield node


def unauthenticated(reason: str) -> Refused:
    return Refused(401, "invalid_token", "authenticate", ("identities", 0), {"reason": reason})


def check(node: Node, response: Response, reason: str) -> None:
    unauthenticated(reason).check(node, response)
    assert response.get("www-authenticate") == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_valid_token_of_each_algorithm_proves_its_user(origin: Origin, algorithm: str) -> None:
    issuer = Issuer(algorithm)
    route = "auth: {accept: [mobile]}, strip_prefix: /api/v2"
    text = one_route(origin, route, f"identities: [{issuer.identity}]", path="/api/v2/users/*")
    with Node(text) as node:
        header = issuer.bearer(sub="user_789", scope="read:profile write:profile")
        response = get(node.address, "/api/v2/users/me", header)
        assert response.status == 200
        assert response.get("x-request-id")
        assert response.get("x-response-time-ms")
        received = origin.next_request()
        assert received.target == PATH
        assert received.get("x-user-id") == "user_789"
        assert received.get("x-user-scopes") == "read:profile write:profile"
        assert received.get("authorization") is None
        record = node.record()
        assert record["user_id"] == "user_789"
        assert ("authenticate", "user") in steps(record)
        assert record["decisions"][1]["at"] == node.at("identities", 0)


def test_a_shared_secret_verifies_hs256(origin: Origin) -> None:
    secret = "a secret of more than thirty-two characters"
    identity = f"{{name: mobile, kind: jwt, secret: '{secret}'}}"
    with Node(one_route(origin, AUTH, f"identities: [{identity}]")) as node:
        from joserfc import jwt
        from joserfc.jwk import OctKey

        claims = {"sub": "user-1", "exp": int(time.time()) + 60}
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))
        assert get(node.address, PATH, ("Authorization", f"Bearer {token}")).status == 200
        assert origin.next_request().get("x-user-id") == "user-1"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_public_key_in_a_file_verifies_its_tokens(origin: Origin, tmp_path: Path, algorithm: str) -> None:
    issuer = Issuer(algorithm)
    file = tmp_path / "key.pem"
    file.write_bytes(issuer.key.as_pem(private=False))
    public = f"public_key: {{file: '{file}', algorithm: {algorithm}, key_id: key-1}}"
    identity = f"identities: [{{name: mobile, kind: jwt, {public}}}]"
    with Node(one_route(origin, AUTH, identity)) as node:
        assert get(node.address, PATH, issuer.bearer()).status == 200
        other = issuer.token({"kid": "key-2"})
        assert get(node.address, PATH, ("Authorization", f"Bearer {other}")).status == 401


def test_no_token_is_refused_and_the_service_not_asked(node: Node, origin: Origin) -> None:
    check(node, get(node.address, PATH), "no credential was sent")
    assert origin.connections == 0


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": int(time.time()) - 60}, "the credential has expired"),
        ({"exp": None}, "the token has no `exp`"),
        ({"nbf": int(time.time()) + 3600}, "the token is not valid yet"),
        ({"iat": int(time.time()) + 3600}, "the token was issued in the future"),
        ({"iss": "https://other.test"}, "the issuer is not the expected one"),
        ({"iss": None}, "the issuer is not the expected one"),
        ({"aud": "other"}, "the audience does not include this service"),
        ({"aud": None}, "the audience does not include this service"),
    ],
)
def test_a_wrong_claim_is_refused_and_the_service_not_asked(
    node: Node, origin: Origin, issuer: Issuer, claims: dict[str, object], reason: str
) -> None:
    check(node, get(node.address, PATH, issuer.bearer(**claims)), reason)
    assert origin.connections == 0


def critical(issuer: Issuer) -> str:
    """A token that is good but for the extension that it demands, which the library would not sign."""
    parts = [{"alg": "EdDSA", "kid": "key-1", "crit": ["x"], "x": 1}, issuer.claims()]
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    private: Any = issuer.key.private_key
    signature = private.sign(".".join(coded).encode())
    return ".".join([*coded, base64.urlsafe_b64encode(signature).decode().rstrip("=")])


def test_a_tampered_foreign_or_malformed_token_is_refused(node: Node, origin: Origin, issuer: Issuer) -> None:
    head, claims, signature = issuer.token().split(".")
    forged = base64.urlsafe_b64encode(json.dumps(issuer.claims(sub="admin")).encode()).decode().rstrip("=")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"key-1"}').decode().rstrip("=")
    other = Issuer("EdDSA", "key-1")
    cases = {
        f"{head}.{forged}.{signature}": "the signature does not verify",
        other.token(): "the signature does not verify",
        f"{none}.{claims}.": "the algorithm is not the key's",
        critical(issuer): "the token demands an extension (`crit`)",
        issuer.token({"kid": "key-2"}): "the key is not known",
        f"{head}.{claims}": "the credential is malformed",
        f"{head}.{claims}.{signature}.x": "the credential is malformed",
        "x" * 7000: "the credential is malformed",
    }
    for token, reason in cases.items():
        response = get(node.address, PATH, ("Authorization", f"Bearer {token}"))
        assert response.status == 401, reason
        record = node.record()
        assert record["decisions"][-1]["inputs"]["reason"] == reason, token
        assert record["user_id"] is None
    for value in ("Bearer", "Bearer ", "Bearer  x"):
        check(node, get(node.address, PATH, ("Authorization", value)), "the credential is malformed")
    # Under another scheme it is for somebody else.
    for value in ("Basic dXNlcjpwYXNz", issuer.token()):
        check(node, get(node.address, PATH, ("Authorization", value)), "no credential was sent")
    assert origin.connections == 0


def test_a_token_sent_twice_is_refused(node: Node, issuer: Issuer) -> None:
    header = issuer.bearer()
    check(node, get(node.address, PATH, header, header), "the credential was sent more than once")


def test_a_token_that_expired_within_the_leeway_is_accepted(origin: Origin, issuer: Issuer) -> None:
    identity = issuer.identity
    with Node(one_route(origin, AUTH, f"identities: [{identity}]")) as node:
        late = issuer.bearer(exp=int(time.time()) - 5)
        assert get(node.address, PATH, late).status == 200
        node.apply(one_route(origin, AUTH, f"identities: [{identity[:-1]}, leeway: 0s}}]"))
        assert get(node.address, PATH, late).status == 401


def test_options_of_an_identity_change_what_is_accepted(origin: Origin, issuer: Issuer) -> None:
    options = "header: X-Token, require_expiry: false, user_claim: uid, scope_claims: [rights]"
    text = one_route(origin, AUTH, f"identities: [{issuer.identity[:-1]}, {options}}}]")
    with Node(text) as node:
        token = issuer.token(exp=None, uid="u-7", rights=["a", "b"], scope="c")
        assert get(node.address, PATH, ("Authorization", f"Bearer {token}")).status == 401
        assert get(node.address, PATH, ("X-Token", token)).status == 200
        received = origin.next_request()
        assert (received.get("x-user-id"), received.get("x-user-scopes")) == ("u-7", "a b")
        assert received.get("x-token") is None


def test_a_verified_token_is_remembered_and_forgotten_with_its_key(
    node: Node, origin: Origin, issuer: Issuer
) -> None:
    header = issuer.bearer()
    for _ in range(3):
        assert get(node.address, PATH, header).status == 200
    inputs = [record["decisions"][1]["inputs"] for record in node.records(3)]
    assert inputs == [{}, {"signature": "verified_before"}, {"signature": "verified_before"}]
    assert node.metric("gateway_token_cache_hits_total") == 2
    assert node.metric("gateway_token_cache_misses_total") == 1
    node.apply(one_route(origin, AUTH, f"identities: [{Issuer().identity}]"))
    assert get(node.address, PATH, header).status == 401


def test_an_empty_token_cache_checks_every_signature(origin: Origin, issuer: Issuer) -> None:
    text = one_route(origin, AUTH, f"identities: [{issuer.identity}]", "node: {token_cache: 0}")
    with Node(text) as node:
        for _ in range(3):
            assert get(node.address, PATH, issuer.bearer()).status == 200
        assert node.metric("gateway_token_cache_hits_total") == 0


def test_optional_authentication_lets_nobody_pass_but_no_wrong_token(origin: Origin, issuer: Issuer) -> None:
    route = "auth: {accept: [mobile], optional: true}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]")) as node:
        assert get(node.address, PATH).status == 200
        assert ("authenticate", "anonymous") in steps(node.record())
        assert get(node.address, PATH, issuer.bearer()).status == 200
        assert ("authenticate", "user") in steps(node.record())
        check(node, get(node.address, PATH, issuer.bearer(exp=1)), "the credential has expired")


def test_an_api_key_proves_its_partner_and_goes_no_further(origin: Origin) -> None:
    for key in (ApiKey(scopes=("read",)), ApiKey(scopes=("read",), pepper="sixteen characters")):
        text = one_route(origin, "auth: {accept: [partners]}", f"identities: [{key.identity}]")
        with Node(text) as node:
            assert get(node.address, PATH, key.header).status == 200
            received = origin.next_request()
            assert received.get("x-partner-id") == "acme"
            assert received.get("x-api-key") is None
            record = node.record()
            assert record["partner_id"] == "acme"
            decision = record["decisions"][1]
            assert (decision["verdict"], decision["inputs"]) == ("partner", {"key": key.entry["id"]})
            assert key.secret not in json.dumps(record)


def test_a_wrong_missing_or_expired_api_key_is_refused(origin: Origin) -> None:
    key = ApiKey()
    expired = json.dumps([key.entry | {"expires_at": "2020-01-01T00:00:00Z"}])
    identities = [
        (f"identities: [{key.identity}]", ("X-API-Key", ApiKey().secret), "the key is not known"),
        (f"identities: [{key.identity}]", ("X-Other", "x"), "no credential was sent"),
        (f"identities: [{key.identity}]", ("X-API-Key", ""), "the credential is malformed"),
        (f"identities: [{key.identity}]", ("X-API-Key", "x" * 600), "the credential is too long"),
        (
            f"identities: [{{name: partners, kind: api_key, keys: {{keys: {expired}}}}}]",
            key.header,
            "the credential has expired",
        ),
    ]
    for identity, header, reason in identities:
        with Node(one_route(origin, "auth: {accept: [partners]}", identity)) as node:
            response = get(node.address, PATH, header)
            refused = Refused(401, "invalid_api_key", "authenticate", ("identities", 0), {"reason": reason})
            refused.check(node, response)
            assert response.get("www-authenticate") == "ApiKey"
    assert origin.connections == 0


def test_the_first_identity_whose_credential_is_there_decides(origin: Origin, issuer: Issuer) -> None:
    key = ApiKey()
    identities = f"identities: [{issuer.identity}, {key.identity}]"
    with Node(one_route(origin, "auth: {accept: [mobile, partners]}", identities)) as node:
        assert get(node.address, PATH, key.header).status == 200
        assert get(node.address, PATH, key.header, issuer.bearer()).status == 200
        assert [record["user_id"] for record in node.records(2)] == [None, "user-1"]
        check(node, get(node.address, PATH, issuer.bearer(exp=1), key.header), "the credential has expired")


URL_IDENTITY = (
    "{name: mobile, kind: jwt, issuer: 'https://id.test', audience: api, jwks: {url: 'https://id.test/keys'}}"
)


def test_without_keys_nothing_is_accepted_and_nothing_called_wrong(origin: Origin, issuer: Issuer) -> None:
    with Node(one_route(origin, AUTH, f"identities: [{URL_IDENTITY}]")) as node:
        refused = Refused(503, "authentication_unavailable", "authenticate", ("identities", 0), retry_after=5)
        refused.check(node, get(node.address, PATH, issuer.bearer()))
        refused.check(node, get(node.address, PATH, ("Authorization", "Bearer x.y.z")))
        node.engine.set_keys("mobile", json.dumps(issuer.key_set).encode())
        assert get(node.address, PATH, issuer.bearer()).status == 200
        node.engine.set_keys("mobile", b'{"keys": []}')
        assert get(node.address, PATH, issuer.bearer()).status == 503
        assert len(origin.requests) == 1


def test_an_unknown_key_is_asked_for_once_and_its_tokens_then_accepted(
    origin: Origin, issuer: Issuer
) -> None:
    rotated = Issuer("EdDSA", "key-2")
    with Node(one_route(origin, AUTH, f"identities: [{URL_IDENTITY}]")) as node:
        node.engine.set_keys("mobile", json.dumps(issuer.key_set).encode())
        with ThreadPoolExecutor(3) as clients:
            answers = [clients.submit(get, node.address, PATH, rotated.bearer()) for _ in range(3)]
            node.wait_for(lambda state: state["connections"] == 3)
            questions = json.loads(node.engine.next_questions(5.0) or b"[]")
            assert [(q["kind"], q["identity"]) for q in questions] == [("refresh_keys", "mobile")]
            keys = {"keys": issuer.key_set["keys"] + rotated.key_set["keys"]}
            node.engine.set_keys("mobile", json.dumps(keys).encode())
            node.engine.answer(questions[0]["id"], b'{"ok": true}')
            assert [answer.result(30).status for answer in answers] == [200, 200, 200]
        assert all(record["user_id"] == "user-1" for record in node.records(3))


def test_an_unknown_key_that_nobody_finds_is_refused(origin: Origin, issuer: Issuer) -> None:
    text = one_route(origin, AUTH, f"identities: [{URL_IDENTITY}]")
    with Node(text, identity_timeout_ms=100) as node:
        node.engine.set_keys("mobile", json.dumps(issuer.key_set).encode())
        header = Issuer("EdDSA", "key-2").bearer()
        check(node, get(node.address, PATH, header), "the key is not known")
        assert origin.connections == 0


def test_failed_authentication_is_charged_to_the_clients_address(origin: Origin, issuer: Issuer) -> None:
    sections = [
        f"identities: [{issuer.identity}]",
        "tiers: [{name: guesses, limit: 3, window: 1h, per: client_ip}]",
        "defaults: {rate_limit: none, unauthenticated_tier: guesses}",
    ]
    with Node(one_route(origin, AUTH, *sections)) as node:
        for _ in range(3):
            check(node, get(node.address, PATH, issuer.bearer(exp=1)), "the credential has expired")
        inputs, body = {"limit": 3}, {"tier": "guesses", "limit": 3}
        limited = Refused(
            429, "rate_limit_exceeded", "limit", ("tiers", 0), inputs, retry_after=-1, body=body
        )
        limited.check(node, get(node.address, PATH, issuer.bearer(exp=1)))
        # What is right is not charged, and goes on.
        assert get(node.address, PATH, issuer.bearer()).status == 200
        assert node.metric("gateway_authentication_failures_total", identity="mobile") == 3


def test_a_request_for_a_rotated_key_is_not_charged_when_the_key_is_found(
    origin: Origin, issuer: Issuer
) -> None:
    sections = [
        f"identities: [{URL_IDENTITY}]",
        "tiers: [{name: guesses, limit: 1, window: 1h, per: client_ip}]",
        "defaults: {rate_limit: none, unauthenticated_tier: guesses}",
    ]
    rotated = Issuer("EdDSA", "rotated")
    with Node(one_route(origin, AUTH, *sections)) as node:
        assert answered_after_refresh(node, issuer, rotated) == 200
        # The one guess that is allowed is still there. Its key is known: nobody would answer for another.
        statuses = [get(node.address, PATH, rotated.bearer(exp=1)).status for _ in range(2)]
        assert statuses == [401, 429]


def answered_after_refresh(node: Node, before: Issuer, after: Issuer) -> int:
    """The status of a request with a key that the node does not know before it asks."""
    node.engine.set_keys("mobile", json.dumps(before.key_set).encode())
    header = after.bearer()
    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(get, node.address, PATH, header)
        questions = json.loads(node.engine.next_questions(5.0) or b"[]")
        node.engine.set_keys("mobile", json.dumps(after.key_set).encode())
        for question in questions:
            node.engine.answer(question["id"], b'{"ok": true}')
        return answer.result(30).status
