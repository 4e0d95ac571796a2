"""Tokens that only their issuer can judge (RFC 7662)."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway import IntrospectingNode, Issuer, Origin, TokenIssuer, steps, until
from gateway.introspection import CLIENT


@pytest.fixture
def issuer() -> Iterator[TokenIssuer]:
    with TokenIssuer() as running:
        yield running


def accepting(
    issuer: TokenIssuer, origin: Origin, more: str = "", others: str = "", accept: str = "opaque"
) -> str:
    if "timeout:" not in more:
        # A busy machine may be slow; what a slow issuer does has tests of its own.
        more += ", timeout: 10s"
    client = f"client_id: '{CLIENT[0]}', client_secret: '{CLIENT[1]}'"
    opaque = f"{{name: opaque, kind: introspection, url: '{issuer.url}', {client}{more}}}"
    return "\n".join([
        f'services: [{{name: users, instances: ["{origin.address}"]}}]',
        f"identities: [{others}{opaque}]",
        f"routes: [{{name: users, match: /*, service: users, auth: {{accept: [{accept}], scopes: [read]}}}}]",
        "",
    ])


async def answers(node: IntrospectingNode, token: str, status: int) -> bool:
    return await node.status(token) == status


def reason(record: dict[str, Any]) -> str | None:
    step = next(one for one in record["decisions"] if one["stage"] == "authenticate")
    return step["inputs"].get("reason")


async def test_an_active_token_is_asked_about_once_and_its_claims_count(
    issuer: TokenIssuer, origin: Origin
) -> None:
    async with IntrospectingNode(accepting(issuer, origin)) as node:
        issuer.grant("abc")
        issuer.grant("reader", scope="write")
        for _ in range(3):
            assert await node.status("abc") == 200
        assert issuer.asked == ["abc"]
        received = origin.next_request()
        assert (received.get("x-user-id"), received.get("x-user-scopes")) == ("ann", "read")
        assert received.get("authorization") is None
        assert await node.status("reader") == 403
        assert node.outcomes("answered") == 2
        assert node.node.metric("gateway_token_introspection_cache_tokens", state="active") == 2


async def test_many_requests_with_a_new_token_ask_once(issuer: TokenIssuer, origin: Origin) -> None:
    async with IntrospectingNode(accepting(issuer, origin)) as node:
        issuer.grant("abc")
        assert set(await asyncio.gather(*(node.status("abc") for _ in range(20)))) == {200}
        assert issuer.asked == ["abc"]


async def test_a_token_that_is_not_active_is_refused_and_remembered_shortly(
    issuer: TokenIssuer, origin: Origin
) -> None:
    more = ", refused_ttl: 300ms, cache_refused: 100"
    async with IntrospectingNode(accepting(issuer, origin, more)) as node:
        began = time.monotonic()
        response = await node.get("abc")
        assert (response.status, response.json()["error"]) == (401, "invalid_token")
        assert response.get("www-authenticate") == 'Bearer error="invalid_token"'
        record = node.node.record()
        assert reason(record) == "the issuer says that the token is not active"
        assert await node.status("abc") == 401
        assert issuer.asked == ["abc"] or time.monotonic() - began > 0.3
        issuer.grant("abc")
        await until(lambda: answers(node, "abc", 200))
        asked = issuer.asked.count("abc")
        assert asked >= 2
        for number in range(150):
            assert await node.status(f"invented-{number}") in {401, 503}
        assert node.node.metric("gateway_token_introspection_cache_tokens", state="refused") <= 116
        # However many are invented, the good one stays.
        assert await node.status("abc") == 200
        assert issuer.asked.count("abc") == asked


BAD = [
    "hang",
    "garbage",
    "list",
    "nothing",
    "no active",
    "active as a text",
    "active twice",
    "not UTF-8",
    "huge",
    "deep",
    "redirect",
    "error",
    "created",
    "unauthorized",
]


@pytest.mark.parametrize("behaviour", [*BAD, "gone"])
async def test_an_issuer_that_says_nothing_clear_lets_nobody_in(
    issuer: TokenIssuer, origin: Origin, behaviour: str, caplog: pytest.LogCaptureFixture
) -> None:
    timeout = "200ms" if behaviour == "hang" else "5s"
    text = accepting(issuer, origin, f", timeout: {timeout}")
    if behaviour == "gone":
        text = text.replace(issuer.url, "http://127.0.0.1:1/introspect")
    async with IntrospectingNode(text) as node:
        issuer.grant("secret-token")
        issuer.behaviour = behaviour
        for _ in range(2):
            response = await node.get("secret-token")
            assert (response.status, response.json()["error"]) == (503, "authentication_unavailable")
        texts = {reason(record) for record in node.node.records(2)}
        known = {"the issuer of the token cannot answer", "the issuer of the token did not answer in time"}
        assert texts <= known
        # Once each: whoever is redirected to gets no token. Where the time is short, it may be over before.
        asked = 0 if behaviour == "gone" else 2
        await until(lambda: behaviour == "hang" or len(issuer.asked) >= asked)
        assert len(issuer.asked) <= asked
        assert node.outcomes("answered") == 0
        assert behaviour == "hang" or not node.issuers.health["opaque"].reachable
        assert "secret-token" not in caplog.text
        assert origin.connections == 0
        issuer.released.set()
        issuer.behaviour = "answer"
        if behaviour != "gone":
            # It mends itself.
            await until(lambda: answers(node, "secret-token", 200))


async def test_what_the_issuer_says_is_held_against_the_identity(issuer: TokenIssuer, origin: Origin) -> None:
    more = ", issuer: 'https://id.test', audience: api, require_expiry: true, leeway: 1s"
    now = int(time.time())
    good = {"iss": "https://id.test", "aud": ["api", "other"]}
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({}, None),
        ({"exp": now - 60}, "the credential has expired"),
        ({"exp": None}, "the token has no `exp`"),
        ({"nbf": now + 60}, "the token is not valid yet"),
        ({"iat": now + 60}, "the token was issued in the future"),
        ({"iss": "https://other.test"}, "the issuer is not the expected one"),
        ({"iss": None}, "the issuer is not the expected one"),
        ({"aud": "other"}, "the audience does not include this service"),
        ({"sub": 7}, "the credential is malformed"),
        ({"cnf": {"jkt": "A" * 43}}, "the token is bound to a key, and no proof of it was sent"),
        ({"cnf": {"x5t#S256": "A" * 43}}, "the token is bound to a certificate, and none was shown"),
    ]
    async with IntrospectingNode(accepting(issuer, origin, more)) as node:
        for number, (changes, expected) in enumerate(cases):
            issuer.grant(f"t{number}", **(good | changes))
            status = await node.status(f"t{number}")
            record = node.node.record()
            assert (status, reason(record)) == (200 if expected is None else 401, expected), changes


async def test_a_remembered_answer_ends_with_its_time_and_with_the_token(
    issuer: TokenIssuer, origin: Origin
) -> None:
    async with IntrospectingNode(accepting(issuer, origin, ", cache_ttl: 1s, leeway: 0s")) as node:
        issuer.grant("abc")
        assert await node.status("abc") == 200
        del issuer.tokens["abc"]
        await until(lambda: answers(node, "abc", 401))
        assert issuer.asked.count("abc") == 2
    longer = accepting(issuer, origin, ", cache_ttl: 1h, leeway: 0s")
    async with IntrospectingNode(longer) as node:
        issuer.grant("short", exp=int(time.time()) + 3)
        assert await node.status("short") == 200
        await until(lambda: answers(node, "short", 401))


async def test_it_stands_beside_tokens_that_carry_their_proof(issuer: TokenIssuer, origin: Origin) -> None:
    signed = Issuer()
    for accept in ("mobile, opaque", "opaque, mobile"):
        text = accepting(issuer, origin, ", issuer: 'https://opaque.test'", signed.identity + ", ", accept)
        async with IntrospectingNode(text) as node:
            issuer.asked.clear()
            issuer.grant("abc", iss="https://opaque.test")
            assert await node.status("abc") == 200
            token = signed.token(scope="read")
            assert await node.status(token) == await node.status(token) == 200
            assert issuer.asked == ["abc"]
            expired = signed.token(exp=1)
            assert await node.status(expired) == 401
            # A token says whose it is: the other issuer is not asked about it.
            assert issuer.asked == ["abc"]


async def test_questions_are_bounded(issuer: TokenIssuer, origin: Origin) -> None:
    more = ", timeout: 4s, max_lookups: 2, lookups_per_address: 1000"
    async with IntrospectingNode(accepting(issuer, origin, more)) as node:
        issuer.behaviour = "hang"
        hanging = [asyncio.create_task(node.status(f"t{number}")) for number in range(2)]
        await until(lambda: len(issuer.asked) == 2)
        assert await node.status("third") == 503
        assert node.outcomes("full") == 1
        # Whose connection ends has no answer either.
        issuer.released.set()
        assert set(await asyncio.gather(*hanging)) == {503}
    more = ", lookups_per_address: 1, cache_tokens: 100"
    async with IntrospectingNode(accepting(issuer, origin, more)) as node:
        issuer.behaviour = "answer"
        began = time.monotonic()
        statuses = [await node.status(f"other-{number}") for number in range(10)]
        assert statuses.count(503) == node.outcomes("per_address")
        # On a busy machine it may take longer than so many seconds.
        assert len(statuses) - statuses.count(503) <= 2 + time.monotonic() - began


async def test_what_is_no_token_is_not_asked_about(issuer: TokenIssuer, origin: Origin) -> None:
    async with IntrospectingNode(accepting(issuer, origin)) as node:
        for wrong in ("", "a b", "x" * (16 * 1024 + 1), "caf\xe9"):
            assert await node.status(wrong) in {401, 431}
        assert issuer.asked == []


async def test_the_gateway_may_show_a_token_of_its_own(issuer: TokenIssuer, origin: Origin) -> None:
    text = accepting(issuer, origin, ", allow_http: true, scope_claims: [scope], user_claim: sub")
    client = f"client_id: '{CLIENT[0]}', client_secret: '{CLIENT[1]}'"
    async with IntrospectingNode(text.replace(client, "bearer_token: it is me")) as node:
        issuer.grant("abc")
        assert await node.status("abc") == 200
        assert ("authenticate", "user") in steps(node.node.record())
