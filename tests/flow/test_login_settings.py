"""Every setting of a login, by what it changes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import Origin, Response, one_route, request
from gateway.browser import Browser
from gateway.oidc import CLIENT, LoginNode, Provider, query_of

AUTH = "auth: {accept: [web]}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


class Desk:
    """Makes nodes whose identity `web` has these settings."""

    def __init__(self, origin: Origin, provider: Provider, directory: Path) -> None:
        self.origin = origin
        self.provider = provider
        self.directory = directory

    def node(self, options: str = "", session: str = "") -> LoginNode:
        identity = self.provider.identity(options, session)
        return LoginNode(one_route(self.origin, AUTH, f"identities: [{identity}]"), self.directory)


@pytest.fixture
def desk(origin: Origin, provider: Provider, tmp_path: Path) -> Desk:
    return Desk(origin, provider, tmp_path)


def at(web: LoginNode, path: str) -> str:
    host, port = web.node.address
    return f"http://{host}:{port}{path}"


def sent(web: LoginNode) -> tuple[Browser, dict[str, str]]:
    """A browser on its way to the provider, and what it is to say there."""
    browser = Browser()
    return browser, query_of(browser.goes(at(web, "/")).get("location") or "")


def logged_in(web: LoginNode) -> tuple[Browser, Response]:
    browser = Browser()
    url = at(web, "/")
    for _ in range(2):
        url = browser.goes(url).get("location") or ""
    return browser, browser.goes(url)


def attributes(browser: Browser, web: LoginNode, name: str) -> dict[str, str]:
    return browser.cookies(at(web, "/"))[name].attributes


def test_a_provider_that_says_nothing_of_itself_can_be_named(desk: Desk, provider: Provider) -> None:
    url = provider.url
    told = (
        f"endpoints: {{authorization: '{url}/authorize?a=b', token: '{url}/token', jwks: '{url}/jwks', "
        f"end_session: '{url}/end', revocation: '{url}/revoke'}}"
    )
    # Where the issuer is only a name, nobody looks for it.
    name = "https://id.example.com"
    provider.manners.claims = {"iss": name}
    text = one_route(desk.origin, AUTH, f"identities: [{provider.identity(told)}]")
    with LoginNode(text.replace(f"issuer: '{url}'", f"issuer: '{name}'"), desk.directory) as web:
        browser, query = sent(web)
        callback = f"/oauth2/callback?state={query['state']}&code=none"
        assert browser.goes(at(web, callback)).status == 400
        browser, query = sent(web)
        location = provider.authorize(query)
        assert browser.goes(location.split("&iss=")[0] + "&code=" + query_of(location)["code"]).status == 303
        assert (browser.goes(at(web, "/oauth2/logout")).get("location") or "").startswith(f"{url}/end?")


def test_parameters_and_scopes_are_the_providers_to_read(desk: Desk) -> None:
    with desk.node(
        "scopes: [openid, email], parameters: {prompt: select_account, login_hint: 'a b&c'}"
    ) as web:
        _, query = sent(web)
        assert (query["scope"], query["prompt"], query["login_hint"]) == (
            "openid email",
            "select_account",
            "a b&c",
        )
        assert query["client_id"] == CLIENT


def test_the_address_that_browsers_use_can_be_another_one(desk: Desk) -> None:
    with desk.node("external_url: 'https://app.example.com', path: /auth/web") as web:
        _, query = sent(web)
        assert query["redirect_uri"] == "https://app.example.com/auth/web/callback"


def test_a_login_has_its_time(desk: Desk) -> None:
    with desk.node("login_timeout: 20s") as web:
        browser, query = sent(web)
        cookie = browser.cookies(at(web, "/"))[f"session.l-{query['state'][:8]}"]
        assert cookie.attributes["Max-Age"] == "20"


def test_a_browser_goes_where_it_is_told_after_its_logout(desk: Desk) -> None:
    with desk.node("after_logout: '/bye?a=b'") as web:
        browser, _ = logged_in(web)
        farewell = query_of(browser.goes(at(web, "/oauth2/logout")).get("location") or "")
        assert farewell["post_logout_redirect_uri"] == at(web, "/bye?a=b")


def test_claims_become_user_and_scopes_as_the_settings_say(desk: Desk, provider: Provider) -> None:
    provider.manners.claims = {
        "profile": {"name": "Ann"},
        "https://id.test/access": {"may": ["read", "write"]},
        "perms": "read admin",
    }
    provider.manners.claims["realm"] = {"roles": ["staff", "boss"]}
    claims = (
        "user_claim: profile.name, scope_claims: ['https://id.test/access.may', perms], "
        "role_claims: [realm.roles, absent]"
    )
    with desk.node(claims) as web:
        assert Browser().visits(at(web, "/")).status == 200
        received = desk.origin.next_request()
        assert (received.get("x-user-id"), received.get("x-user-scopes")) == ("Ann", "read write admin")
        assert received.get("x-user-roles") == "staff,boss"


def test_claims_that_are_kept_say_whose_tenant_it_is(desk: Desk, provider: Provider) -> None:
    provider.manners.claims = {"org": "acme", "more": "x" * 500}
    identity = provider.identity("claims: [org, absent]")
    tenants = "tenants: {sources: ['claim:org'], required: true, known: [{name: acme}]}"
    text = one_route(desk.origin, AUTH, f"identities: [{identity}]", tenants)
    with LoginNode(text, desk.directory) as web:
        assert Browser().visits(at(web, "/")).status == 200
        assert desk.origin.next_request().get("x-tenant-id") == "acme"


def test_clocks_may_differ_by_the_leeway_alone(desk: Desk, provider: Provider) -> None:
    provider.manners.claims = {"iat": int(time.time()) + 25}
    with desk.node() as web:
        assert logged_in(web)[1].status == 303
    with desk.node("leeway: 0s") as web:
        assert logged_in(web)[1].status == 400


def test_logins_under_way_are_bounded(desk: Desk, provider: Provider) -> None:
    with desk.node("max_pending: 1") as web:
        browsers = [Browser(), Browser()]
        callbacks = [
            browser.goes(browser.goes(at(web, "/")).get("location") or "").get("location") or ""
            for browser in browsers
        ]
        provider.held.clear()
        first: list[Response] = []
        thread = threading.Thread(target=lambda: first.append(browsers[0].goes(callbacks[0])))
        thread.start()
        assert provider.asked.acquire(timeout=30)
        full = browsers[1].goes(callbacks[1])
        assert (full.status, full.json()["error"]) == (503, "authentication_unavailable")
        provider.held.set()
        thread.join(30)
        assert first[0].status == 303
        # The code of the other one is still good.
        assert browsers[1].goes(callbacks[1]).status == 303


def test_a_provider_that_hangs_delays_nobody_else(desk: Desk, provider: Provider) -> None:
    with desk.node("timeout: 3s") as web:
        browser, _ = logged_in(web)
        assert provider.asked.acquire(timeout=30)
        provider.held.clear()
        waiting: list[Response] = []
        thread = threading.Thread(target=lambda: waiting.append(logged_in(web)[1]))
        thread.start()
        assert provider.asked.acquire(timeout=30)
        assert browser.goes(at(web, "/")).status == 200
        thread.join(30)
        assert (waiting[0].status, waiting[0].get("retry-after")) == (503, "5")


def test_the_cookie_is_called_and_marked_as_the_session_says(desk: Desk) -> None:
    for session, name, marks in (
        ("secure: true", "__Host-session", {"Secure": "", "SameSite": "Lax", "HttpOnly": "", "Path": "/"}),
        ("cookie: app", "app", {"SameSite": "Lax", "HttpOnly": "", "Path": "/"}),
        (
            "secure: true, domain: example.com",
            "__Secure-session",
            {"Domain": "example.com", "Secure": "", "SameSite": "Lax", "HttpOnly": "", "Path": "/"},
        ),
        (
            "secure: true, same_site: none",
            "__Host-session",
            {"Secure": "", "SameSite": "None", "HttpOnly": "", "Path": "/"},
        ),
    ):
        with desk.node(session=session) as web:
            browser, _ = logged_in(web)
            assert attributes(browser, web, name) == marks | {"Max-Age": "43200"}
            assert browser.goes(at(web, "/")).status == 200


def test_a_strict_cookie_is_carried_on_by_a_page(desk: Desk) -> None:
    with desk.node(session="same_site: strict") as web:
        browser = Browser()
        url = at(web, "/a?b=c&d=%22")
        for _ in range(2):
            url = browser.goes(url).get("location") or ""
        page = browser.goes(url)
        assert (page.status, page.get("location")) == (200, None)
        assert b'content="0; url=/a?b=c&amp;d=%22"' in page.body
        assert attributes(browser, web, "session")["SameSite"] == "Strict"
        assert not [name for name in browser.cookies(at(web, "/")) if ".l-" in name]


def test_a_session_lasts_as_long_as_it_may(desk: Desk) -> None:
    with desk.node(session="lifetime: 10m, idle_timeout: 5m") as web:
        browser, _ = logged_in(web)
        assert attributes(browser, web, "session")["Max-Age"] == "600"


def test_a_session_is_refreshed_no_earlier_than_it_has_to_be(desk: Desk, provider: Provider) -> None:
    provider.manners.tokens = {"expires_in": 30}
    with desk.node(session="refresh_ahead: 0s") as web:
        assert Browser().visits(at(web, "/")).status == 200
    assert [form["grant_type"] for form in provider.forms] == ["authorization_code"]


def test_tokens_that_are_too_long_for_cookies_are_left_out(desk: Desk, provider: Provider) -> None:
    provider.manners.claims = {"long": "x" * 2000}
    with desk.node(session="max_tokens: 1KiB") as web:
        browser, _ = logged_in(web)
        farewell = query_of(browser.goes(at(web, "/oauth2/logout")).get("location") or "")
        assert "id_token_hint" not in farewell
        assert provider.given_back.acquire(timeout=30)


def test_a_logout_of_the_provider_ends_the_session_here(desk: Desk, provider: Provider) -> None:
    with desk.node() as web:
        browsers = [logged_in(web)[0] for _ in range(2)]
        form = [("content-type", "application/x-www-form-urlencoded")]

        def post(token: str) -> Response:
            body = f"logout_token={token}".encode()
            return request(web.node.address, "/oauth2/backchannel", form, "POST", body)

        told = post(provider.logout_token(sid="session-2"))
        assert (told.status, told.get("cache-control")) == (200, "no-store")
        statuses = sorted(browser.goes(at(web, "/")).status for browser in browsers)
        assert statuses == [200, 303]
        for wrong in (
            provider.logout_token(sid="session-4", nonce="x"),
            provider.logout_token(sid="session-4", events={}),
            provider.logout_token(sid="session-4", aud="another"),
            provider.logout_token(sid="session-4", iss="https://evil.example"),
            provider.logout_token(),
            "x.y.z",
            "",
        ):
            assert post(wrong).status == 400
        assert sorted(browser.goes(at(web, "/")).status for browser in browsers) == [200, 303]
        assert post(provider.logout_token(sub="ann")).status == 200
        assert [browser.goes(at(web, "/")).status for browser in browsers] == [303, 303]
        assert request(web.node.address, "/oauth2/backchannel", form, "POST", b"a=b").status == 400
