"""Tokens: where they may be, what they must say, and what of them a service is told."""

import time
from collections.abc import Iterator

import pytest

from gateway import Client, Issuer, Node, Origin, get, one_route

PATH = "/users/me"
AUTH = "auth: {accept: [mobile]}"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def with_options(origin: Origin, issuer: Issuer, options: str, route: str = AUTH) -> str:
    return one_route(origin, route, f"identities: [{issuer.identity[:-1]}, {options}}}]")


PLACES = "cookie: session, query: pass"


@pytest.fixture
def node(origin: Origin, issuer: Issuer) -> Iterator[Node]:
    """A route that takes a token from its header, a cookie or the query."""
    with Node(with_options(origin, issuer, PLACES)) as node:
        yield node


def test_a_token_in_a_cookie_proves_its_user_and_goes_no_further(
    node: Node, origin: Origin, issuer: Issuer
) -> None:
    token = issuer.token()
    for sent, left in (
        (f"session={token}", None),
        (f"theme=dark; session={token}; lang=en", "theme=dark; lang=en"),
        (f"session={token};lang=en", "lang=en"),
    ):
        assert get(node.address, PATH, ("Cookie", sent)).status == 200
        received = origin.next_request()
        assert (received.get("x-user-id"), received.get("cookie")) == ("user-1", left)
    assert get(node.address, PATH, ("Cookie", f"session={token}; session={token}")).status == 401
    # Cookies of others are none of the gateway's business.
    assert get(node.address, PATH, issuer.bearer(), ("Cookie", "a=1;b=2")).status == 200
    assert origin.next_request().get("cookie") == "a=1;b=2"


def test_a_token_in_the_query_is_neither_sent_on_nor_recorded(
    node: Node, origin: Origin, issuer: Issuer
) -> None:
    token = issuer.token()
    for sent, left, recorded in (
        (f"?pass={token}", "", "pass=***"),
        (f"?a=1&pass={token}&b=2", "?a=1&b=2", "a=1&pass=***&b=2"),
        (f"?p%61ss={token}&b", "?b", "p%61ss=***&b"),
    ):
        assert get(node.address, PATH + sent).status == 200
        assert origin.next_request().target == PATH + left
        assert node.record()["query_string"] == recorded
    assert get(node.address, f"{PATH}?pass={token}x").status == 401
    assert node.record()["query_string"] == "pass=***"


def test_the_header_counts_before_the_cookie_and_the_cookie_before_the_query(
    node: Node, origin: Origin, issuer: Issuer
) -> None:
    cookie = ("Cookie", f"session={issuer.token(sub='cookie')}")
    target = f"{PATH}?pass={issuer.token(sub='query')}"
    for headers, user in (
        ((cookie, issuer.bearer(sub="header")), "header"),
        ((cookie,), "cookie"),
        ((), "query"),
    ):
        assert get(node.address, target, *headers).status == 200
        received = origin.next_request()
        assert (received.get("x-user-id"), received.target) == (user, PATH)
        assert (received.get("cookie"), received.get("authorization")) == (None, None)
    # A wrong one is not saved by a right one elsewhere.
    assert get(node.address, target, cookie, issuer.bearer(exp=1)).status == 401


def test_the_cookie_goes_on_where_the_route_says_so_and_the_query_never(
    origin: Origin, issuer: Issuer
) -> None:
    text = with_options(origin, issuer, PLACES, f"{AUTH}, forward_authorization: true")
    with Node(text) as node:
        cookie = f"session={issuer.token()}"
        assert get(node.address, f"{PATH}?pass=x&a", ("Cookie", cookie)).status == 200
        received = origin.next_request()
        assert (received.get("cookie"), received.target) == (cookie, f"{PATH}?a")


def test_a_public_route_sends_no_tokens_on_either(origin: Origin, issuer: Issuer) -> None:
    with Node(with_options(origin, issuer, PLACES, "auth: none")) as node:
        assert get(node.address, f"{PATH}?pass=x", ("Cookie", "session=y; z=1")).status == 200
        received = origin.next_request()
        assert (received.get("cookie"), received.target) == ("z=1", PATH)


def test_a_redirect_takes_no_token_of_the_query_along(origin: Origin, issuer: Issuer) -> None:
    route = "redirect: {to: 'https://elsewhere.test{path}{query}'}"
    text = with_options(origin, issuer, PLACES, "x").replace("service: users, x", route)
    with Node(text) as node:
        answer = get(node.address, f"{PATH}?a=1&pass={issuer.token()}")
        assert (answer.status, answer.get("location")) == (302, f"https://elsewhere.test{PATH}?a=1")


def test_the_type_of_a_token_must_be_the_one_that_is_demanded(origin: Origin, issuer: Issuer) -> None:
    with Node(with_options(origin, issuer, "types: [at+jwt]")) as node:
        for typ, status in (("at+jwt", 200), ("application/AT+JWT", 200), ("JWT", 401), (None, 401)):
            token = issuer.token({"typ": typ})
            assert get(node.address, PATH, ("Authorization", f"Bearer {token}")).status == status, typ
            if status == 401:
                assert reason(node) == "the token is of another type (`typ`)"
            else:
                node.record()


def reason(node: Node) -> object:
    return node.record()["decisions"][-1]["inputs"]["reason"]


def test_several_issuers_may_be_taken(origin: Origin, issuer: Issuer) -> None:
    text = with_options(origin, issuer, "x").replace(f"issuer: '{issuer.issuer}'", "issuer: [b, a]")
    with Node(text.replace(", x}", "}")) as node:
        for name, status in (("a", 200), ("b", 200), (issuer.issuer, 401)):
            assert get(node.address, PATH, issuer.bearer(iss=name)).status == status


def test_a_token_may_be_too_old_whatever_it_says(origin: Origin, issuer: Issuer) -> None:
    now = int(time.time())
    with Node(with_options(origin, issuer, "max_age: 1h, leeway: 0s")) as node:
        assert get(node.address, PATH, issuer.bearer(iat=now - 1800)).status == 200
        node.record()
        for changes, fault in (
            ({"iat": now - 3700}, "the credential has expired"),
            ({"iat": None}, "the token has no `iat`"),
        ):
            assert get(node.address, PATH, issuer.bearer(**changes)).status == 401
            assert reason(node) == fault


def test_claims_may_be_required_and_forbidden(origin: Origin, issuer: Issuer) -> None:
    options = (
        "required_claims: [email, {claim: org.id, equals: [a, 7]}], "
        "forbidden_claims: {claim: status, equals: blocked}"
    )
    good = {"email": "ann@example.com", "org": {"id": "a"}, "status": "active"}
    missing, forbidden = (
        "a claim that is required is missing, or another",
        "the token has a claim that is forbidden",
    )
    with Node(with_options(origin, issuer, options)) as node:
        for changes, fault in (
            ({}, None),
            ({"org": {"id": 7}}, None),
            ({"status": None}, None),
            ({"email": None}, missing),
            ({"org": {"id": "b"}}, missing),
            ({"org": "a"}, missing),
            ({"status": ["blocked"]}, forbidden),
        ):
            answer = get(node.address, PATH, issuer.bearer(**(good | changes)))
            assert answer.status == (200 if fault is None else 401), changes
            if fault is None:
                node.record()
            else:
                assert reason(node) == fault


def test_a_service_is_told_claims_scopes_and_roles(origin: Origin, issuer: Issuer) -> None:
    options = (
        "user_claim: user.id, scope_claims: permissions.api, role_claims: realm_access.roles, "
        "claim_headers: {X-Org: org.id, X-Groups: 'https://x.test/groups', X-Level: level}"
    )
    claims = {
        "user": {"id": "u-1"},
        "permissions": {"api": ["read", "write"]},
        "realm_access": {"roles": ["clerk", "Domain Users"]},
        "org": {"id": "acme"},
        "https://x.test/groups": ["a", "b"],
    }
    with Node(with_options(origin, issuer, options)) as node:
        for _ in range(2):
            assert get(node.address, PATH, issuer.bearer(**claims)).status == 200
            received = origin.next_request()
            told = [received.get(name) for name in ("x-user-id", "x-user-scopes", "x-user-roles")]
            assert told == ["u-1", "read write", "clerk,Domain Users"]
            assert [received.get(name) for name in ("x-org", "x-groups", "x-level")] == ["acme", "a,b", None]
        assert get(node.address, PATH, issuer.bearer(**claims | {"org": {"id": "a\nb"}})).status == 401


SPELLINGS = ("X-Org", "x-org", "X_Org", "X.Org", "x_oRG", "X-User-Roles", "x_user.roles")


@pytest.mark.parametrize("route", [AUTH, "auth: none"])
def test_claims_of_a_client_reach_no_service_in_any_spelling(
    origin: Origin, issuer: Issuer, route: str
) -> None:
    with Node(with_options(origin, issuer, "claim_headers: {X-Org: org}", route)) as node:
        for name in SPELLINGS:
            assert get(node.address, PATH, issuer.bearer(), (name, "evil")).status == 200, name
            assert "evil" not in str(origin.next_request().headers), name
        # One that it is told takes the place of one that it was sent.
        assert get(node.address, PATH, issuer.bearer(org="acme"), ("X_Org", "evil")).status == 200
        expected = "acme" if route == AUTH else None
        assert origin.next_request().get("x-org") == expected


def test_claims_of_a_client_reach_no_service_in_trailers(origin: Origin, issuer: Issuer) -> None:
    with Node(with_options(origin, issuer, "claim_headers: {X-Org: org}", "auth: none")) as node:
        body = b"1\r\na\r\n0\r\nX-Org: evil\r\nX_Org: evil\r\nX-Sum: 1\r\n\r\n"
        head = [b"POST / HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", b"TE: trailers", b"", b""]
        with Client(node.address) as client:
            client.send(b"\r\n".join(head) + body)
            assert client.response().status == 200
        received = origin.next_request()
        assert [name for name, _ in received.trailers] == ["x-sum"]


def test_a_grace_period_lets_who_has_no_token_pass_and_tells_of_it(origin: Origin, issuer: Issuer) -> None:
    route = "auth: {accept: [mobile], grace_period: true}"
    text = one_route(origin, route, f"identities: [{issuer.identity}]")
    with Node(text) as node:
        assert get(node.address, PATH).status == 200
        received = origin.next_request()
        assert received.get("x-user-id") is None
        decision = node.record()["decisions"][1]
        assert decision["verdict"] == "anonymous"
        assert decision["inputs"] == {"grace_period": "no credential was sent"}
        assert get(node.address, PATH, issuer.bearer()).status == 200
        assert node.record()["decisions"][1]["inputs"] == {}
        # A wrong one is refused all the same (O25).
        assert get(node.address, PATH, issuer.bearer(exp=1)).status == 401
        node.record()
        assert node.metric("gateway_authentication_grace_total", route="users") == 1
        node.apply(text.replace("grace_period: true", "grace_period: false"))
        assert get(node.address, PATH).status == 401
