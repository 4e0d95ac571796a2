"""Tokens: where they may be, what they must say, and what of them a service is told."""

from collections.abc import Iterator

import pytest

from gateway import Issuer, Node, Origin, get, one_route

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
