"""Logins with a browser: to the provider, back, on, and out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import Http2, Origin, get, one_route, steps
from gateway.browser import Browser
from gateway.oidc import LoginNode, Provider, query_of

AUTH = "auth: {accept: [web]}"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


@pytest.fixture
def web(origin: Origin, provider: Provider, tmp_path: Path) -> Iterator[LoginNode]:
    """One route for those who have logged in."""
    with LoginNode(text(origin, provider), tmp_path) as node:
        yield node


def text(origin: Origin, provider: Provider, options: str = "", session: str = "", route: str = AUTH) -> str:
    return one_route(origin, route, f"identities: [{provider.identity(options, session)}]")


def at(web: LoginNode, path: str) -> str:
    host, port = web.node.address
    return f"http://{host}:{port}{path}"


def come_back(web: LoginNode) -> Browser:
    """A browser that has just logged in, and has not been to its page yet."""
    browser = Browser()
    url = at(web, "/")
    for _ in range(3):
        url = browser.goes(url).get("location") or ""
    return browser


def copy_of(browser: Browser) -> Browser:
    return Browser({url: dict(cookies) for url, cookies in browser.jar.items()})


def test_a_browser_logs_in_comes_back_to_its_page_and_out_again(
    origin: Origin, provider: Provider, web: LoginNode
) -> None:
    browser = Browser()
    response = browser.visits(at(web, "/pages/one?a=b&c=%20"))
    assert response.status == 200
    assert browser.seen[0] == browser.seen[-1] == at(web, "/pages/one?a=b&c=%20")
    received = origin.next_request()
    assert (received.target, received.get("x-user-id")) == ("/pages/one?a=b&c=%20", "ann")
    assert received.get("x-user-scopes") == "openid profile"
    assert received.get("cookie") is None
    asked = query_of(browser.seen[1])
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "openid"
    assert asked["redirect_uri"] == at(web, "/oauth2/callback")
    assert len(asked["state"]) == len(asked["nonce"]) == 22
    assert set(browser.cookies(at(web, "/"))) == {"session", "session.csrf", "session.t0"}

    out = browser.goes(at(web, "/oauth2/logout"))
    assert out.status == 303
    farewell = query_of(out.get("location") or "")
    assert farewell["post_logout_redirect_uri"] == at(web, "/")
    assert farewell["id_token_hint"].count(".") == 2
    assert browser.cookies(at(web, "/")) == {}


def test_one_login_is_enough_until_it_ends(origin: Origin, provider: Provider, web: LoginNode) -> None:
    browser = Browser()
    assert browser.visits(at(web, "/one")).status == 200
    for page in ("/two", "/three"):
        assert browser.goes(at(web, page)).status == 200
    assert [form["grant_type"] for form in provider.forms] == ["authorization_code"]
    assert [origin.next_request().target for _ in range(3)] == ["/one", "/two", "/three"]


def test_the_record_says_who_was_sent_who_came_and_who_left(web: LoginNode) -> None:
    browser = Browser()
    browser.visits(at(web, "/one"))
    sent, back, page = web.node.records(3)
    assert (sent["status"], sent["error_type"]) == (303, "login_required")
    assert ("authenticate", "refused") in steps(sent)
    assert (back["status"], back["route_id"]) == (303, "login:web")
    assert ("authenticate", "logged_in") in steps(back)
    assert "code=***" in back["query_string"]
    assert page["user_id"] == "ann"
    browser.goes(at(web, "/oauth2/logout"))
    assert ("authenticate", "logged_out") in steps(web.node.record())
    for event in ("started", "completed", "logged_out"):
        assert web.node.metric("gateway_logins_total", event=event) == 1


def test_programs_and_scripts_get_a_401_and_no_redirect(web: LoginNode) -> None:
    accepts = ("accept", "text/html")
    for headers in (
        [],
        [("accept", "application/json")],
        [accepts, ("sec-fetch-mode", "cors")],
        [accepts, ("x-requested-with", "XMLHttpRequest")],
    ):
        response = get(web.node.address, "/", *headers)
        assert (response.status, response.json()["error"]) == (401, "invalid_session"), headers
        assert response.get("www-authenticate") == "Cookie"
        assert response.all("set-cookie") == []
    posted = Browser().goes(at(web, "/"), method="POST", body=b"x")
    assert (posted.status, posted.json()["error"]) == (401, "invalid_session")


def test_paths_of_an_api_lead_no_browser_away(origin: Origin, provider: Provider, tmp_path: Path) -> None:
    with LoginNode(text(origin, provider, "api_paths: [/api]"), tmp_path) as web:
        assert Browser().goes(at(web, "/api/users")).status == 401
        assert Browser().goes(at(web, "/apis")).status == 303


def test_a_link_to_log_in_leads_to_a_page_of_this_host_alone(web: LoginNode) -> None:
    assert Browser().visits(at(web, "/oauth2/login?return_to=/a%3Fb=c")).status == 200
    for path, ends in (
        ("/a%3Fb=c", "/a?b=c"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/%5Cevil.example/", "/"),
        ("/%09/evil.example/", "/"),
        ("/a%0d%0aset-cookie:x=y", "/"),
        ("javascript:alert(1)", "/"),
        ("/a&return_to=/b", "/"),
    ):
        browser = Browser()
        assert browser.visits(at(web, f"/oauth2/login?return_to={path}")).status == 200
        assert browser.seen[-1] == at(web, ends), path


def test_several_tabs_log_in_beside_each_other(web: LoginNode) -> None:
    browser = Browser()
    tabs = [browser.goes(at(web, f"/{number}")).get("location") or "" for number in range(3)]
    callbacks = [browser.goes(tab).get("location") or "" for tab in reversed(tabs)]
    for number, callback in zip((2, 1, 0), callbacks, strict=True):
        assert browser.goes(callback).get("location") == f"/{number}"
    assert not [name for name in browser.cookies(at(web, "/")) if ".l-" in name]


def test_a_session_is_refreshed_before_its_grant_ends(
    origin: Origin, provider: Provider, web: LoginNode
) -> None:
    provider.manners.tokens = {"expires_in": 30}
    browser = come_back(web)
    before = browser.cookies(at(web, "/"))["session"].value
    provider.manners.claims = {"scope": "admin"}
    provider.manners.tokens = {}
    response = browser.goes(at(web, "/two"))
    assert response.status == 200
    assert "private" in response.all("cache-control")
    assert browser.cookies(at(web, "/"))["session"].value != before
    assert browser.goes(at(web, "/three")).status == 200
    assert [form["grant_type"] for form in provider.forms] == ["authorization_code", "refresh_token"]
    assert [origin.next_request().get("x-user-scopes") for _ in range(2)] == ["admin", "admin"]
    assert web.node.metric("gateway_logins_total", event="refreshed") == 1


def test_a_session_whose_grant_has_ended_waits_for_the_next_one(provider: Provider, web: LoginNode) -> None:
    provider.manners.tokens = {"expires_in": 0.001}
    browser = come_back(web)
    provider.manners.tokens = {}
    assert browser.goes(at(web, "/two")).status == 200
    assert provider.forms[-1]["grant_type"] == "refresh_token"


def test_requests_with_an_old_refresh_token_share_what_the_first_one_got(
    provider: Provider, web: LoginNode
) -> None:
    provider.manners.tokens = {"expires_in": 0.001}
    browser = come_back(web)
    provider.manners.tokens = {}
    others = [copy_of(browser) for _ in range(4)]
    for other in [*others, browser]:
        assert other.goes(at(web, "/two")).status == 200
    assert [form["grant_type"] for form in provider.forms] == ["authorization_code", "refresh_token"]


def test_a_session_that_the_provider_has_ended_ends_here(provider: Provider, web: LoginNode) -> None:
    provider.manners.tokens = {"expires_in": 30}
    browser = come_back(web)
    provider.refresh.clear()
    response = browser.goes(at(web, "/two"))
    assert response.status == 303
    assert (response.get("location") or "").startswith(f"{provider.url}/authorize?")
    assert [name for name in browser.cookies(at(web, "/")) if ".l-" not in name] == []


def test_sessions_outlive_a_provider_that_is_down_and_logins_wait_for_it(
    provider: Provider, web: LoginNode
) -> None:
    provider.manners.tokens = {"expires_in": 30}
    browser = come_back(web)
    provider.manners.fails = 503
    assert browser.goes(at(web, "/two")).status == 200
    assert web.node.metric("gateway_logins_total", event="refresh_failed") == 1
    stranger = Browser()
    response = stranger.visits(at(web, "/one"))
    assert (response.status, response.json()["error"]) == (503, "authentication_unavailable")
    assert response.get("retry-after") == "5"


def test_a_session_whose_grant_has_ended_is_kept_while_its_provider_is_down(
    provider: Provider, web: LoginNode
) -> None:
    provider.manners.tokens = {"expires_in": 0.001}
    browser = come_back(web)
    provider.manners.fails = 500
    response = browser.goes(at(web, "/two"))
    assert (response.status, response.json()["error"]) == (503, "authentication_unavailable")
    assert "session" in browser.cookies(at(web, "/"))


def test_without_a_provider_a_browser_is_told_to_come_back(
    origin: Origin, provider: Provider, tmp_path: Path
) -> None:
    provider.stop()
    with LoginNode(text(origin, provider), tmp_path) as web:
        response = Browser().goes(at(web, "/one"))
        assert (response.status, response.json()["error"]) == (503, "authentication_unavailable")
        assert get(web.node.address, "/one").status == 401


def test_a_session_that_was_left_is_none_any_more_whoever_has_its_cookie(
    provider: Provider, web: LoginNode
) -> None:
    browser = Browser()
    browser.visits(at(web, "/one"))
    thief = copy_of(browser)
    assert thief.goes(at(web, "/two")).status == 200
    browser.goes(at(web, "/oauth2/logout"), method="POST", body=b"x")
    assert thief.goes(at(web, "/three")).status == 303
    assert provider.given_back.acquire(timeout=30)
    assert provider.revoked == ["refresh-4"]


def test_a_login_over_http2_is_no_other_one(origin: Origin, provider: Provider, web: LoginNode) -> None:
    page = [("accept", "text/html")]
    with Http2(web.node.address) as client:
        sent = client.request("/one?a=b", page)
        assert (sent.status, sent.body) == (303, b"")
        begun = sent.get("set-cookie") or ""
        callback = provider.authorize(query_of(sent.get("location") or ""))
        target = callback.split("gateway.test")[1]
        back = client.request(target, [*page, ("cookie", begun.split(";")[0])])
        assert (back.status, back.get("location")) == (303, "/one?a=b")
        cookies = [line.split(";")[0] for line in back.all("set-cookie") if "Max-Age=0" not in line]
        # Cookies come one by one (RFC 9113 section 8.2.3).
        page += [("cookie", cookie) for cookie in [*cookies, "theme=dark"]]
        assert client.request("/one?a=b", page).status == 200
    received = origin.next_request()
    assert (received.get("x-user-id"), received.get("cookie")) == ("ann", "theme=dark")
