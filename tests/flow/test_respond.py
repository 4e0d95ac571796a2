"""Respond: the head that the client gets."""

import re

import pytest

from gateway import Node, Origin, Refused, Response, get, one_route, plain, raw, request

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-xss-protection": "1; mode=block",
    "content-security-policy": "default-src 'self'",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "geolocation=(), microphone=(), camera=()",
}
CORS = (
    "cors: {allow_origins: ['https://app.test'], allow_methods: [GET, PUT], allow_headers: [X-A, X-B], "
    "expose_headers: [X-C], allow_credentials: true, max_age: 5m}"
)
APP = ("Origin", "https://app.test")


def cors_headers(response: Response) -> dict[str, str]:
    """Every CORS header of a response, and `Vary`."""
    named = [(name, value) for name, value in response.headers if name.startswith("access-control-")]
    assert len(dict(named)) == len(named), named
    return dict(named) | {"vary": response.get("vary") or ""}


def test_every_response_has_an_id_a_time_and_a_date(origin: Origin) -> None:
    origin.script(plain(b"", "200 OK", ("X-Request-ID", "theirs"), ("X-Response-Time-Ms", "9")))
    with Node(one_route(origin)) as node:
        response = get(node.address, "/")
        assert response.get("x-request-id") == node.record()["request_id"]
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", response.get("x-response-time-ms") or "")
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", response.get("date") or "")


def test_the_services_date_and_server_are_kept(origin: Origin) -> None:
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    origin.script(
        plain(b"", "200 OK", ("Date", date), ("Server", "mine"), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
    )
    with Node(one_route(origin)) as node:
        response = get(node.address, "/")
        assert (response.get("date"), response.get("server")) == (date, "mine")
        assert response.all("set-cookie") == ["a", "b"]


def test_security_headers_are_added_where_the_service_has_none(origin: Origin) -> None:
    own = ("X-Frame-Options", "SAMEORIGIN")
    with Node(one_route(origin)) as node:
        response = get(node.address, "/")
        assert {name: response.get(name) for name in SECURITY} == SECURITY
        origin.script(plain(b"", "200 OK", own))
        response = get(node.address, "/")
        assert {name: response.get(name) for name in SECURITY} == SECURITY | {"x-frame-options": "SAMEORIGIN"}


def test_security_headers_are_left_out_where_the_configuration_says_so(origin: Origin) -> None:
    none = "rate_limit: none, unauthenticated_tier: none"
    cases = [
        ("security_headers: false", f"defaults: {{{none}}}", 0),
        ("", f"defaults: {{{none}, security_headers: false}}", 0),
        ("security_headers: true", f"defaults: {{{none}, security_headers: false}}", 6),
    ]
    for route, defaults, count in cases:
        with Node(one_route(origin, route, defaults)) as node:
            response = get(node.address, "/")
            assert len([name for name in SECURITY if response.get(name)]) == count


def test_headers_are_removed_set_and_added_for_the_client(origin: Origin) -> None:
    changes = "response_headers: {remove: [Server, X-Frame-Options], set: {X-Set: new}, add: {X-Add: more}}"
    sent = [("Server", "x"), ("X-Set", "old"), ("X-Set", "older"), ("X-Add", "first")]
    origin.script(plain(b"", "200 OK", *sent))
    with Node(one_route(origin, changes)) as node:
        response = get(node.address, "/")
        assert response.all("server") == []
        assert response.all("x-frame-options") == []
        assert response.all("x-set") == ["new"]
        assert response.all("x-add") == ["first", "more"]


def test_limit_headers_of_the_service_do_not_mix_with_ours(origin: Origin) -> None:
    theirs = ("X-RateLimit-Limit", "7")
    tier = "tiers: [{name: some, limit: 5}]"
    for route, limit in {"rate_limit: some": "5", "rate_limit: none": "7"}.items():
        origin.script(plain(b"", "200 OK", theirs))
        with Node(one_route(origin, route, tier)) as node:
            assert get(node.address, "/").get("x-ratelimit-limit") == limit


def test_a_preflight_is_answered_by_the_gateway(origin: Origin) -> None:
    with Node(one_route(origin, CORS)) as node:
        asks = ("Access-Control-Request-Method", "PUT")
        response = request(node.address, "/", [APP, asks], "OPTIONS")
        assert response.status == 204
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", response.get("x-response-time-ms") or "")
        assert cors_headers(response) == {
            "access-control-allow-origin": "https://app.test",
            "access-control-allow-credentials": "true",
            "access-control-allow-methods": "GET, PUT",
            "access-control-allow-headers": "x-a, x-b",
            "access-control-max-age": "300",
            "vary": "Origin",
        }
        record = node.record()
        assert (record["status"], record["route_id"]) == (204, "users")
        other = request(node.address, "/", [("Origin", "https://evil.test"), asks], "OPTIONS")
        assert cors_headers(other) == {"vary": "Origin"}
        assert origin.connections == 0


def test_an_actual_request_gets_the_answer_for_its_origin_and_ours_alone(origin: Origin) -> None:
    with Node(one_route(origin, CORS)) as node:
        origin.script(plain(b"ok", "200 OK", ("Access-Control-Allow-Origin", "*")))
        assert cors_headers(get(node.address, "/", APP)) == {
            "access-control-allow-origin": "https://app.test",
            "access-control-allow-credentials": "true",
            "access-control-expose-headers": "x-c",
            "vary": "Origin",
        }
        origin.script(plain(b"ok", "200 OK", ("Access-Control-Allow-Origin", "*")))
        evil = get(node.address, "/", ("Origin", "https://evil.test"))
        assert (evil.status, cors_headers(evil)) == (200, {"vary": "Origin"})
        assert cors_headers(get(node.address, "/")) == {"vary": "Origin"}


def test_any_origin_may_be_allowed(origin: Origin) -> None:
    with Node(one_route(origin, "cors: {allow_origins: ['*']}")) as node:
        assert cors_headers(get(node.address, "/", APP)) == {
            "access-control-allow-origin": "*",
            "vary": "",
        }


def test_a_refusal_carries_cors_so_that_pages_can_read_it(origin: Origin) -> None:
    tier = "tiers: [{name: one, limit: 1, window: 1h, per: client_ip}]"
    with Node(one_route(origin, f"{CORS}, rate_limit: one", tier)) as node:
        get(node.address, "/", APP)
        refused = get(node.address, "/", APP)
        assert refused.status == 429
        assert refused.get("access-control-allow-origin") == "https://app.test"


def test_options_without_cors_goes_to_the_service(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        asks = ("Access-Control-Request-Method", "PUT")
        assert request(node.address, "/", [APP, asks], "OPTIONS").status == 200
        assert origin.next_request().method == "OPTIONS"
    with Node(one_route(origin, CORS)) as node:
        assert request(node.address, "/", [APP], "OPTIONS").status == 200
        assert origin.next_request().method == "OPTIONS"


def test_a_refusal_of_a_head_request_has_no_body_but_its_length(origin: Origin) -> None:
    with Node(one_route(origin, path="/a")) as node:
        exchange = raw(node.address, b"HEAD /b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", ["HEAD"])
        assert exchange.only.status == 404
        assert int(exchange.only.get("content-length") or 0) > 50


def test_a_redirect_takes_path_and_query_along(origin: Origin) -> None:
    text = one_route(origin).replace("service: users}", 'redirect: {to: "https://new.test/a{path}{query}"}}')
    with Node(text) as node:
        for target, location in {"/x//y/../z?b=c": "/a/x/z?b=c", "//evil.test/": "/a/evil.test/"}.items():
            assert get(node.address, target).get("location") == f"https://new.test{location}"


@pytest.mark.parametrize(
    ("path", "to", "target", "location"),
    [
        ("/u/{user}/o/*", "/v2/{user}/orders/{*}{query}", "/u/7/o/a//b?c=d", "/v2/7/orders/a/b?c=d"),
        ("/u/*", "/{*}", "/u//evil.test", "/evil.test"),
        ("/u/{user}", "/find?user={user}", "/u/a&admin=1", "/find?user=a%26admin%3D1"),
        ("/u/{user}", "/v/{user}", "/u/a%0d%0aX-A:b", None),
        ("regex:/(?<year>[0-9]+)/(?<rest>.*)", "/{rest}?y={year}", "/2024/a/b", "/a/b?y=2024"),
        ("regex:/go(?<to>.*)", "/{to}", "/go/evil.test", "/evil.test"),
        ("/*", "https://{host}:8443{path}{query}", "/a?b", "https://gateway.test:8443/a?b"),
    ],
)
def test_a_redirect_takes_parts_of_the_request_along_and_leads_nowhere_else(
    path: str, to: str, target: str, location: str | None
) -> None:
    with Node(f"routes: [{{name: a, match: '{path}', redirect: {{to: '{to}'}}}}]\n") as node:
        assert get(node.address, target).get("location") == location


def test_a_redirect_to_the_requests_host_needs_one(origin: Origin) -> None:
    with Node("routes: [{name: a, match: '/*', redirect: {to: 'https://{host}{path}'}}]\n") as node:
        exchange = raw(node.address, b"GET /a HTTP/1.0\r\n\r\n")
        Refused(400, "bad_request", "intake", closes=True).check(node, exchange.only)


def test_a_deprecated_route_links_to_what_replaces_it_beside_the_links_of_its_service(origin: Origin) -> None:
    link = "deprecation_link: 'https://docs.test/v2?a=b'"
    deprecation, sunset = (f'<https://docs.test/v2?a=b>; rel="{name}"' for name in ("deprecation", "sunset"))
    for route, links in {
        "deprecated: true": [deprecation],
        "sunset: 2999-01-01": [sunset],
        "deprecated: true, sunset: 2999-01-01": [deprecation, sunset],
    }.items():
        origin.script(plain(b"", "200 OK", ("Link", "</a>; rel=next")))
        with Node(one_route(origin, f"{route}, {link}")) as node:
            assert get(node.address, "/").all("link") == ["</a>; rel=next", *links]


def test_a_route_is_gone_from_its_sunset_on_where_it_says_so(origin: Origin) -> None:
    over, to_come = "deprecated: true, sunset: 2020-01-01", "deprecated: true, sunset: 2999-01-01"
    gone = ", gone_after_sunset: true"
    for route, status in {over: 200, over + gone: 410, to_come + gone: 200}.items():
        with Node(one_route(origin, route)) as node:
            response = get(node.address, "/")
            assert (response.status, response.get("deprecation")) == (status, "true")
            if status == 410:
                Refused(410, "gone", "route", ("routes", 0)).check(node, response)
