"""Attacks on logins: none of them makes a session, and none leads elsewhere."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from gateway import Issuer, Origin, Refused, Response, get, one_route, request
from gateway.browser import Browser, Cookie
from gateway.oidc import CLIENT, CLIENT_SECRET, COOKIE_SECRET, LoginNode, Provider, query_of

AUTH = "auth: {accept: [web]}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def web(origin: Origin, provider: Provider, tmp_path: Path) -> Iterator[LoginNode]:
    with LoginNode(one_route(origin, AUTH, f"identities: [{provider.identity()}]"), tmp_path) as node:
        yield node


def at(web: LoginNode, path: str) -> str:
    host, port = web.node.address
    return f"http://{host}:{port}{path}"


def failed(web: LoginNode, response: Response, reason: str, status: int = 400) -> None:
    refused = Refused(status, "login_failed", "authenticate", ("identities", 0), {"reason": reason})
    refused.check(web.node, response)
    assert "session" not in response.headers


def back(web: LoginNode, browser: Browser, page: str = "/") -> str:
    """The address of the callback, not called yet."""
    sent = browser.goes(at(web, page)).get("location") or ""
    callback = browser.goes(sent).get("location") or ""
    web.node.record()
    return callback


def is_logged_in(web: LoginNode, browser: Browser) -> bool:
    response = browser.goes(at(web, "/"))
    web.node.record()
    return response.status == 200


UNKNOWN = "this browser has begun no such login, or too long ago"
UNBELIEVED = "what the provider says is not to be believed"


def test_a_callback_in_another_browser_logs_nobody_in(web: LoginNode) -> None:
    """Login CSRF: a victim's browser is led to the end of the attacker's login."""
    attacker, victim = Browser(), Browser()
    callback = back(web, attacker)
    failed(web, victim.goes(callback), UNKNOWN)
    assert not is_logged_in(web, victim)
    victim = Browser()
    back(web, victim)
    failed(web, victim.goes(callback), UNKNOWN)


def test_a_callback_works_once(web: LoginNode) -> None:
    browser = Browser()
    callback = back(web, browser)
    assert browser.goes(callback).status == 303
    web.node.record()
    failed(web, browser.goes(callback), UNKNOWN)


def test_a_replayed_state_brings_nothing_even_with_its_cookie(provider: Provider, web: LoginNode) -> None:
    browser = Browser()
    callback = back(web, browser)
    kept = dict(browser.cookies(at(web, "/")))
    assert browser.goes(callback).status == 303
    web.node.record()
    thief = Browser({browser_key(web): kept})
    failed(web, thief.goes(callback), "the provider does not take its code")
    assert len(provider.forms) == 2


def browser_key(web: LoginNode) -> str:
    host, port = web.node.address
    return f"{host}:{port}"


def test_a_code_of_another_login_is_not_taken(provider: Provider, web: LoginNode) -> None:
    """Code injection: PKCE binds the code to the browser that began."""
    attacker, victim = Browser(), Browser()
    stolen = query_of(back(web, attacker))["code"]
    own = query_of(back(web, victim))
    swapped = at(web, "/oauth2/callback?") + urlencode(own | {"code": stolen})
    failed(web, victim.goes(swapped), "the provider does not take its code")
    assert not is_logged_in(web, victim)


@pytest.mark.parametrize("changed", ["state", "code", "both"])
def test_a_callback_without_its_parts_logs_nobody_in(web: LoginNode, changed: str) -> None:
    browser = Browser()
    query = query_of(back(web, browser))
    less = {name: value for name, value in query.items() if changed not in (name, "both")}
    reason = "the provider sent no code" if changed == "code" else UNKNOWN
    failed(web, browser.goes(at(web, "/oauth2/callback?") + urlencode(less)), reason)


def test_a_parameter_that_comes_twice_is_none(web: LoginNode) -> None:
    browser = Browser()
    callback = back(web, browser)
    failed(web, browser.goes(callback + "&state=" + query_of(callback)["state"]), UNKNOWN)


def test_what_the_provider_says_of_a_refusal_is_not_repeated(provider: Provider, web: LoginNode) -> None:
    provider.manners.denies = True
    browser = Browser()
    response = browser.goes(back(web, browser))
    failed(web, response, "the provider did not let the user in", 403)
    assert b"script" not in response.body


def test_an_answer_of_another_issuer_is_none(web: LoginNode) -> None:
    """Mix-up: RFC 9207."""
    for changed in ({"iss": "https://evil.example"}, {"iss": None}):
        browser = Browser()
        query = {name: value for name, value in (query_of(back(web, browser)) | changed).items() if value}
        failed(web, browser.goes(at(web, "/oauth2/callback?") + urlencode(query)), UNBELIEVED)


def unsigned(claims: dict[str, Any]) -> str:
    parts = ({"alg": "none"}, claims | {"iat": int(time.time())})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, ""])


def by_secret(secret: str) -> Callable[[dict[str, Any]], str]:
    key = OctKey.import_key(secret.ljust(32, "x"))
    return lambda claims: jwt.encode({"alg": "HS256"}, claims | {"iat": int(time.time())}, key)


def by_stranger(claims: dict[str, Any]) -> str:
    return Issuer("ES256").token(**claims)


NOW = int(time.time())


@pytest.mark.parametrize(
    "manners",
    [
        {"claims": {"nonce": "another"}},
        {"claims": {"nonce": None}},
        {"claims": {"iss": "https://evil.example"}},
        {"claims": {"aud": "another"}},
        {"claims": {"aud": [CLIENT, "another"]}},
        {"claims": {"aud": None}},
        {"claims": {"azp": "another"}},
        {"claims": {"exp": NOW - 3600}},
        {"claims": {"exp": None}},
        {"claims": {"exp": "never"}},
        {"claims": {"iat": NOW + 3600}},
        {"claims": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}},
        {"claims": {"sub": None}},
        {"header": {"kid": "another"}},
        {"header": {"alg": "none"}},
        {"tokens": {"id_token": None}},
        {"tokens": {"id_token": "x.y.z"}},
        {"tokens": {"id_token": 7}},
        {"sign": unsigned},
        {"sign": by_secret(CLIENT_SECRET)},
        {"sign": by_stranger},
    ],
    ids=lambda manners: str(next(iter(manners.values())))[:40],
)
def test_an_id_token_that_is_wrong_in_one_thing_logs_nobody_in(
    provider: Provider, web: LoginNode, manners: dict[str, Any]
) -> None:
    sign = manners.get("sign")
    if manners == {"header": {"alg": "none"}}:
        manners, sign = {}, lambda claims: altered(provider.signer.token(**claims))
    for name, value in manners.items():
        setattr(provider.manners, name, value)
    provider.manners.sign = sign
    browser = Browser()
    failed(web, browser.goes(back(web, browser)), UNBELIEVED)
    assert not is_logged_in(web, browser)


def altered(token: str) -> str:
    """The same token under a header that says it is not signed."""
    header = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return ".".join([header, *token.split(".")[1:]])


def test_a_user_without_a_name_that_can_be_passed_on_is_not_logged_in(
    provider: Provider, web: LoginNode
) -> None:
    for subject in (" ann", "ann\r\nx-partner-id: acme", "a" * 257):
        provider.manners.claims = {"sub": subject}
        browser = Browser()
        failed(web, browser.goes(back(web, browser)), "the user has no name that can be passed on")


@pytest.mark.parametrize("at_byte", [0, 5, 20, 40, 60, -1])
def test_a_cookie_that_was_tampered_with_is_no_session(web: LoginNode, at_byte: int) -> None:
    browser = Browser()
    browser.visits(at(web, "/"))
    cookie = browser.cookies(at(web, "/"))["session"]
    sealed = bytearray(base64.urlsafe_b64decode(cookie.value + "=" * (-len(cookie.value) % 4)))
    sealed[at_byte] ^= 1
    cookie.value = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
    assert browser.goes(at(web, "/")).status == 303
    assert get(web.node.address, "/", ("cookie", f"session={cookie.value}")).status == 401


def test_odd_cookies_are_no_session_and_no_fault(web: LoginNode) -> None:
    long = "session=" + "A" * 6000
    for odd in (
        "session=",
        "session",
        "session=;session=",
        "session=a; session=b",
        "=; ;;",
        "session=%00",
        long,
    ):
        assert get(web.node.address, "/", ("cookie", odd)).status == 401, odd


def test_more_cookies_than_a_head_may_have_are_refused(web: LoginNode) -> None:
    cookies = "; ".join(f"session.t{number}={'A' * 3000}" for number in range(4))
    assert get(web.node.address, "/", ("cookie", cookies)).status == 431


def test_a_session_of_another_identity_or_client_opens_nothing(
    origin: Origin, provider: Provider, tmp_path: Path
) -> None:
    other = provider.identity("path: /other", "cookie: other", name="other")
    routes = (
        f'services: [{{name: users, instances: ["{origin.address}"]}}]\n'
        f"identities: [{provider.identity()}, {other}]\n"
        "routes:\n"
        "  - {name: a, match: /a, service: users, auth: {accept: [web]}}\n"
        "  - {name: b, match: /b, service: users, auth: {accept: [other]}}\n"
    )
    with LoginNode(routes, tmp_path) as web:
        browser = Browser()
        assert browser.visits(at(web, "/a")).status == 200
        cookies = browser.cookies(at(web, "/"))
        cookies["other"] = Cookie(cookies["session"].value, {})
        assert browser.goes(at(web, "/b")).status == 303
        assert browser.goes(at(web, "/a")).status == 200


def test_a_session_outlives_the_rotation_of_its_secret_and_not_its_end(
    origin: Origin, provider: Provider, tmp_path: Path
) -> None:
    def rotated(secrets: str) -> str:
        return one_route(origin, AUTH, f"identities: [{provider.identity()}]").replace(
            f"secrets: '{COOKIE_SECRET}'", f"secrets: {secrets}"
        )

    fresh = "another secret that seals cookies, more than 32 characters"
    with LoginNode(rotated(f"'{COOKIE_SECRET}'"), tmp_path) as web:
        browser = Browser()
        browser.visits(at(web, "/"))
        web.node.apply(rotated(f"['{fresh}', '{COOKIE_SECRET}']"))
        web.use()
        assert browser.goes(at(web, "/")).status == 200
        web.node.apply(rotated(f"'{fresh}'"))
        web.use()
        assert browser.goes(at(web, "/")).status == 303


def test_identity_headers_of_a_browser_never_reach_a_service(origin: Origin, web: LoginNode) -> None:
    browser = Browser()
    browser.visits(at(web, "/"))
    origin.next_request()
    browser.goes(at(web, "/"), ("x-user-id", "root"), ("X_User_Scopes", "admin"))
    received = origin.next_request()
    assert [value for name, value in received.headers if "user-id" in name.lower()] == ["ann"]
    assert [value for name, value in received.headers if "scopes" in name.lower()] == ["openid profile"]


def test_cookies_of_the_application_go_on_and_those_of_the_session_do_not(
    origin: Origin, web: LoginNode
) -> None:
    browser = Browser()
    browser.visits(at(web, "/"))
    origin.next_request()
    own = browser.cookies(at(web, "/"))
    own["theme"], own["sessions"] = Cookie("dark", {}), Cookie("3", {})
    browser.goes(at(web, "/"))
    assert origin.next_request().get("cookie") == "theme=dark; sessions=3"


def test_another_site_cannot_log_a_browser_out(web: LoginNode) -> None:
    browser = Browser()
    browser.visits(at(web, "/"))
    for headers in ([("sec-fetch-site", "cross-site")], [("origin", "https://evil.example")]):
        response = browser.goes(at(web, "/oauth2/logout"), *headers, method="POST", body=b"x")
        assert (response.status, response.json()["error"]) == (403, "csrf_failed")
    assert browser.goes(at(web, "/")).status == 200


def test_paths_of_a_login_are_the_gateways_and_have_their_methods(web: LoginNode) -> None:
    assert get(web.node.address, "/oauth2/other").status == 404
    assert get(web.node.address, "/oauth2").status == 404
    for path, allow in (("login", "GET"), ("callback", "GET")):
        response = request(web.node.address, f"/oauth2/{path}", method="POST", body=b"")
        assert (response.status, response.get("allow")) == (405, allow)
    assert get(web.node.address, "/oauth2/backchannel").status == 405
