"""Requests that a browser vouches for: those that change something must come from a page of this origin."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import Issuer, Origin, Refused, one_route, request
from gateway.browser import Browser
from gateway.oidc import LoginNode, Provider

AUTH = "auth: {accept: [web, mobile]}"
OTHER = "https://evil.example"
FRIEND = "https://friend.example"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


class Desk:
    """A node, and a browser that has logged in."""

    def __init__(self, web: LoginNode) -> None:
        self.web = web
        self.browser = Browser()
        host, port = web.node.address
        self.origin = f"http://{host}:{port}"
        assert self.browser.visits(self.origin + "/").status == 200
        web.node.records(3)

    def sends(self, *headers: tuple[str, str], method: str = "POST") -> int:
        response = self.browser.goes(self.origin + "/form", *headers, method=method, body=b"x")
        if response.status == 403:
            assert response.json()["error"] == "csrf_failed"
        return response.status


def desk_of(
    origin: Origin, provider: Provider, issuer: Issuer, directory: Path, route: str = ""
) -> LoginNode:
    identities = f"identities: [{provider.identity()}, {issuer.identity}]"
    return LoginNode(one_route(origin, AUTH + route, identities), directory)


@pytest.fixture
def desk(origin: Origin, provider: Provider, issuer: Issuer, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(origin, provider, issuer, tmp_path) as web:
        yield Desk(web)


def test_a_page_of_the_same_origin_may_change_something(desk: Desk) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert desk.sends(("sec-fetch-site", "same-origin"), method=method) == 200
        assert desk.sends(("origin", desk.origin), method=method) == 200
    assert desk.sends(("sec-fetch-site", "none")) == 200


def test_a_page_of_another_site_may_not(origin: Origin, desk: Desk) -> None:
    origin.next_request()
    for headers in (
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("sec-fetch-site", "cross-site"), ("origin", desk.origin)],
        [("sec-fetch-site", "odd")],
        [("origin", OTHER)],
        [("origin", "null")],
        [("origin", desk.origin.replace("http:", "https:"))],
        [("origin", desk.origin + ".evil.example")],
        [("origin", desk.origin + "/")],
        [],
    ):
        assert desk.sends(*headers) == 403, headers
    assert desk.browser.goes(desk.origin + "/page", ("sec-fetch-site", "cross-site")).status == 200
    assert origin.next_request().target == "/page"


def test_the_refusal_names_its_reason_in_the_record_alone(desk: Desk) -> None:
    response = desk.browser.goes(desk.origin + "/", ("origin", OTHER), method="POST", body=b"x")
    reason = "the Origin is another one"
    Refused(403, "csrf_failed", "authorize", ("routes", 0), {"reason": reason}).check(desk.web.node, response)


def test_the_opening_of_a_websocket_counts_as_a_change(desk: Desk) -> None:
    upgrade = [("upgrade", "websocket"), ("connection", "upgrade")]
    response = desk.browser.goes(desk.origin + "/", *upgrade, ("origin", OTHER))
    assert (response.status, response.json()["error"]) == (403, "csrf_failed")


def test_callers_with_a_token_in_a_header_are_asked_nothing(desk: Desk, issuer: Issuer) -> None:
    header = issuer.bearer()
    answer = request(desk.web.node.address, "/", [header, ("origin", OTHER)], "POST", b"x")
    assert answer.status == 200


def test_origins_that_are_trusted_may_change_something(
    origin: Origin, provider: Provider, issuer: Issuer, tmp_path: Path
) -> None:
    route = f", csrf: {{trusted_origins: '{FRIEND}'}}"
    with desk_of(origin, provider, issuer, tmp_path, route) as web:
        desk = Desk(web)
        assert desk.sends(("sec-fetch-site", "cross-site"), ("origin", FRIEND)) == 200
        assert desk.sends(("sec-fetch-site", "cross-site"), ("origin", OTHER)) == 403
        assert desk.sends(("origin", FRIEND + ".evil.example")) == 403


def test_a_header_may_have_to_carry_the_token_of_the_session(
    origin: Origin, provider: Provider, issuer: Issuer, tmp_path: Path
) -> None:
    with desk_of(origin, provider, issuer, tmp_path, ", csrf: {token_header: X-CSRF-Token}") as web:
        desk = Desk(web)
        same = ("sec-fetch-site", "same-origin")
        cookie = desk.browser.cookies(desk.origin)["session.csrf"]
        assert "HttpOnly" not in cookie.attributes
        assert desk.sends(same, ("x-csrf-token", cookie.value)) == 200
        assert desk.sends(same) == 403
        assert desk.sends(same, ("x-csrf-token", cookie.value[:-1] + "_")) == 403
        assert desk.sends(("sec-fetch-site", "cross-site"), ("x-csrf-token", cookie.value)) == 403
        another = Desk(web)
        assert another.sends(same, ("x-csrf-token", cookie.value)) == 403


def test_a_route_may_demand_nothing(
    origin: Origin, provider: Provider, issuer: Issuer, tmp_path: Path
) -> None:
    with desk_of(origin, provider, issuer, tmp_path, ", csrf: off") as web:
        assert Desk(web).sends(("origin", OTHER)) == 200


def test_a_token_in_a_cookie_is_no_better_than_a_session(
    origin: Origin, issuer: Issuer, tmp_path: Path
) -> None:
    identity = issuer.identity.replace("kind: jwt,", "kind: jwt, cookie: token,")
    with LoginNode(
        one_route(origin, "auth: {accept: [mobile]}", f"identities: [{identity}]"), tmp_path
    ) as web:
        token = issuer.token()
        for headers, status in (
            ([("cookie", f"token={token}"), ("origin", OTHER)], 403),
            ([("cookie", f"token={token}"), ("sec-fetch-site", "same-origin")], 200),
            ([("authorization", f"Bearer {token}"), ("origin", OTHER)], 200),
            ([("cookie", f"token={token}"), ("origin", OTHER)], 403),
        ):
            assert request(web.node.address, "/", headers, "POST", b"x").status == status
