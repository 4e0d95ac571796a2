"""What a provider is asked, and what of its answers is believed."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from gateway import Issuer
from gatewright.identity.oidc.granting import find, granted, lifetime
from gatewright.identity.oidc.logins import Logins
from gatewright.identity.oidc.provider import Clocks, Provider
from gatewright.identity.oidc.settings import (
    ClaimSettings,
    OidcSettings,
    ProviderError,
    TokenError,
    UserError,
)

pytestmark = pytest.mark.anyio

ISSUER = "https://id.test"
CLAIMS = ClaimSettings()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A provider without a socket, and what the data plane was told."""

    def __init__(self, **settings: Any) -> None:
        self.signer = Issuer("ES256", issuer=ISSUER)
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
        }
        self.asked: list[str] = []
        self.requests: list[httpx2.Request] = []
        self.answer: Callable[[httpx2.Request], httpx2.Response] = self.grants
        self.pushed: list[dict[str, Any]] = []
        self.clock = Clock()
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.handle))
        told: dict[str, Any] = {"identity": "web", "issuer": ISSUER, "client_id": "gw:1"}
        told |= {"client_secret": "a b"} | settings
        self.provider = Provider(
            OidcSettings(**told),
            client,
            lambda _, document: self.pushed.append(json.loads(document)),
            Clocks(self.clock, time.time),
        )

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        self.requests.append(request)
        if request.url.path == "/.well-known/openid-configuration":
            return httpx2.Response(200, json=self.metadata)
        if request.url.path == "/jwks":
            return httpx2.Response(200, json=self.signer.key_set)
        return self.answer(request)

    def grants(self, _: httpx2.Request) -> httpx2.Response:
        token = self.signer.token(aud="gw:1", nonce="n")
        return httpx2.Response(200, json={"access_token": "a", "id_token": token})

    async def exchange(self) -> Any:
        question = {"code": "c", "redirect_uri": "r", "verifier": "v", "nonce": "n", "issuer": None}
        return await self.provider.exchange(question)


async def test_a_provider_is_told_to_the_data_plane_once_it_is_known() -> None:
    desk = Desk()
    assert not desk.provider.is_known
    await desk.provider.refresh()
    assert desk.provider.is_known
    told = {"authorization_endpoint": f"{ISSUER}/authorize", "end_session_endpoint": None}
    assert desk.pushed == [{"provider": told}]


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://id.test/"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://id.test/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "https://id.test/\r\nset-cookie: a=b"},
        {"end_session_endpoint": "http://evil.example/"},
    ],
)
async def test_metadata_that_cannot_be_trusted_makes_no_provider(changed: dict[str, Any]) -> None:
    desk = Desk()
    desk.metadata |= changed
    await desk.provider.refresh()
    assert not desk.provider.is_known
    assert desk.provider.error
    assert desk.pushed == []
    with pytest.raises(ProviderError):
        await desk.exchange()


async def test_a_provider_that_is_down_is_asked_again_later_and_later() -> None:
    desk = Desk()
    desk.metadata = {}
    waits = []
    for _ in range(4):
        await desk.provider.refresh()
        waits.append(desk.provider.due_at - desk.clock.now)
    for wait, least in zip(waits, (1, 2, 4, 8), strict=True):
        assert least <= wait <= 1.5 * least


async def test_the_gateway_proves_itself_as_the_provider_wants() -> None:
    desk = Desk()
    await desk.provider.refresh()
    await desk.exchange()
    # RFC 6749 encodes both parts first.
    assert desk.requests[1].headers["authorization"] == "Basic Z3clM0ExOmErYg=="
    desk = Desk()
    desk.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    await desk.provider.refresh()
    await desk.exchange()
    assert b"client_id=gw%3A1" in desk.requests[1].content
    assert b"client_secret=a+b" in desk.requests[1].content
    desk = Desk(client_secret=None)
    await desk.provider.refresh()
    await desk.exchange()
    assert "authorization" not in desk.requests[1].headers
    assert b"client_id=gw%3A1" in desk.requests[1].content


async def test_a_new_key_of_the_provider_is_fetched_but_not_for_every_invented_one() -> None:
    desk = Desk()
    await desk.provider.refresh()
    await desk.exchange()
    desk.signer = Issuer("ES256", "key-2", ISSUER)
    with pytest.raises(TokenError):
        await desk.exchange()
    assert desk.asked.count("/jwks") == 1
    desk.clock.now += 31
    claims, _ = await desk.exchange()
    assert claims["sub"] == "user-1"
    assert desk.asked.count("/jwks") == 2


async def test_a_provider_that_has_just_failed_is_left_alone_for_a_moment() -> None:
    desk = Desk()
    await desk.provider.refresh()
    desk.answer = lambda _: httpx2.Response(502)
    for _ in range(3):
        with pytest.raises(ProviderError):
            await desk.exchange()
    assert desk.asked.count("/token") == 1
    desk.clock.now += 2.1
    desk.answer = desk.grants
    await desk.exchange()


@pytest.mark.parametrize(
    "response",
    [
        httpx2.Response(401, json={"error": "invalid_client"}),
        httpx2.Response(200, content=b"x" * 300_000),
        httpx2.Response(302, headers={"location": "https://evil.example/"}),
        httpx2.Response(500, json={"error": "invalid_grant"}),
        httpx2.Response(400, content=b"[" * 5000),
    ],
    ids=["client", "huge", "redirect", "fault", "nested"],
)
async def test_an_answer_that_settles_nothing_ends_no_session(response: httpx2.Response) -> None:
    desk = Desk()
    await desk.provider.refresh()
    desk.answer = lambda _: response
    with pytest.raises(ProviderError):
        await desk.exchange()


def test_a_claim_is_found_by_its_path() -> None:
    claims = {"a.b": {"c": 1}, "a": {"b": {"c": 2}, "b.d": 3}, "e": {"f": [1]}}
    found = {path: find(claims, path) for path in ("a.b.c", "a.b", "a.b.d", "e.f", "e.f.g", "", ".", "a.")}
    assert found == {
        "a.b.c": 1,
        "a.b": {"c": 1},
        "a.b.d": 3,
        "e.f": [1],
        "e.f.g": None,
        "": None,
        ".": None,
        "a.": None,
    }


def test_scopes_are_texts_or_lists_and_none_twice() -> None:
    tokens = {"scope": "openid email", "expires_in": "60"}
    assert granted({"sub": "a"}, tokens, CLAIMS)["named"]["scopes"] == ["openid", "email"]
    named = granted({"sub": "a", "scp": ["x", "y"], "scope": "y z"}, tokens, CLAIMS)["named"]
    assert named["scopes"] == ["y", "z", "x"]
    assert granted({"sub": "a", "scope": ""}, tokens, CLAIMS)["named"]["scopes"] == []
    for odd in (7, {"a": 1}, [1], ["a b"], ["ü"], [""], [f"s{number}" for number in range(201)]):
        with pytest.raises(TokenError):
            granted({"sub": "a", "scope": odd}, tokens, CLAIMS)


@pytest.mark.parametrize("name", [None, "", 7, " a", "a\n", "a\x85b", "ü" * 129])
def test_a_user_has_a_name_that_arrives_as_it_was_sent(name: object) -> None:
    with pytest.raises(UserError):
        granted({"sub": name}, {}, CLAIMS)


def test_times_of_grants_are_bounded() -> None:
    values = {value: lifetime(value) for value in (60, 1.5, "300", "x", 0, -1, "inf", "nan")}
    assert values == {
        60: 60_000,
        1.5: 1500,
        "300": 300_000,
        "x": None,
        0: None,
        -1: None,
        "inf": 315_360_000_000,
        "nan": None,
    }
    assert lifetime(None) is None
    assert lifetime([1]) is None


async def test_questions_about_an_identity_that_is_gone_are_answered_with_no() -> None:
    async def revoke(_: object) -> None:
        raise AssertionError

    logins = Logins(lambda *_: None, revoke)
    for kind, ask in logins.answers.items():
        if kind != "end_session":
            question = {"kind": kind, "identity": "gone", "session": "s", "refresh_token": "r"}
            assert await ask(question) == {"ok": False}
    await logins.close()
