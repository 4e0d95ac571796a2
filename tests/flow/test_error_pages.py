"""Error pages: who gets which form of a refusal, and what of a service's failure goes on."""

import json

import pytest

from gateway import Node, Origin, Response, get, one_route, plain, request

BROWSER = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
BUILT_IN = "error_pages: {built_in: true}"


def kind(response: Response) -> str:
    """The media type of a refusal, which must say that it depends on `Accept`."""
    assert response.get("vary") == "Accept"
    assert response.get("cache-control") == "no-store"
    return (response.get("content-type") or "").partition(";")[0]


def test_browsers_get_the_built_in_page_and_programs_get_json(origin: Origin) -> None:
    with Node(one_route(origin, "", BUILT_IN, path="/a")) as node:
        page = get(node.address, "/b", BROWSER)
        assert (page.status, kind(page)) == (404, "text/html")
        assert f"<dd>{page.get('x-request-id')}</dd>".encode() in page.body
        assert b"no route matches" in page.body
        for accept in ("*/*", "application/json", "application/json, text/html", "text/html;q=0.1, */*"):
            told = get(node.address, "/b", ("Accept", accept))
            assert (kind(told), told.json()["error"]) == ("application/json", "no_route")
        assert kind(get(node.address, "/b")) == "application/json"


def test_without_error_pages_a_browser_gets_json_too(origin: Origin) -> None:
    with Node(one_route(origin, path="/a")) as node:
        told = get(node.address, "/b", BROWSER)
        assert (told.get("content-type"), told.get("vary")) == ("application/json", None)


def test_a_page_can_load_nothing_and_runs_no_script(origin: Origin) -> None:
    with Node(one_route(origin, "", BUILT_IN, path="/a")) as node:
        policy = get(node.address, "/b", BROWSER).get("content-security-policy") or ""
        assert "default-src 'none'" in policy
        assert "script" not in policy
    own = "response_headers: {set: {Content-Security-Policy: mine}}, max_body: 1B"
    with Node(one_route(origin, own, BUILT_IN)) as node:
        refused = request(node.address, "/", [BROWSER], "POST", b"too long")
        assert (refused.status, refused.get("content-security-policy")) == (413, "mine")


def test_refusals_before_a_route_have_security_headers(origin: Origin) -> None:
    none = "rate_limit: none, unauthenticated_tier: none"
    for settings, expected in {"": "nosniff", ", security_headers: false": None}.items():
        with Node(one_route(origin, "", f"defaults: {{{none}{settings}}}", path="/a")) as node:
            assert get(node.address, "/b").get("x-content-type-options") == expected


def test_what_a_page_tells_is_escaped(origin: Origin) -> None:
    page = "error_pages: {pages: {status: 404, html: '<p>{request_id}', json: {id: '{request_id}'}}}"
    trusted = "listeners: [{name: public, address: '127.0.0.1:1', trusted_proxies: [127.0.0.1]}]"
    with Node(one_route(origin, "", page, trusted, path="/a")) as node:
        evil = ("X-Request-ID", "\"<b>&'")
        shown = get(node.address, "/b", BROWSER, evil)
        known = get(node.address, "/b", evil)
        assert b"<b>" not in shown.body
        assert known.json() == {"id": known.get("x-request-id")}


def test_the_scope_in_a_message_is_escaped(origin: Origin) -> None:
    page = "error_pages: {pages: {status: 405, html: '<p>{message}|{status}|{reason}|{error}|{retry_after}'}}"
    with Node(one_route(origin, "", page).replace('path: "/*"', 'path: "/*", methods: [GET]')) as node:
        shown = request(node.address, "/", [BROWSER], "DELETE")
        assert shown.body == b"<p>this path allows GET, HEAD|405|Method Not Allowed|method_not_allowed|"


def test_pages_are_chosen_by_status_then_class_and_the_routes_own_go_first(origin: Origin) -> None:
    common = "error_pages: {pages: [{status: 5xx, html: common5}, {status: 4xx, html: common4}]}"
    own = "max_body: 1B, error_pages: {pages: [{status: 413, html: own413}]}"
    with Node(one_route(origin, own, common, path="/a")) as node:
        assert get(node.address, "/b", BROWSER).body == b"common4"
        assert request(node.address, "/a", [BROWSER], "POST", b"too long").body == b"own413"
        origin.stop()
        assert get(node.address, "/a", BROWSER).body == b"common5"


def test_head_gets_the_length_of_the_page_it_would_get(origin: Origin) -> None:
    with Node(one_route(origin, "", BUILT_IN, path="/a")) as node:
        head = request(node.address, "/b", [BROWSER], "HEAD")
        assert (head.get("content-type"), head.body) == ("text/html; charset=utf-8", b"")
        assert int(head.get("content-length") or 0) > 1000


@pytest.mark.parametrize("accept", [BROWSER, ("Accept", "*/*")])
def test_a_failure_of_the_service_is_replaced_where_the_route_says_so(
    origin: Origin, accept: tuple[str, str]
) -> None:
    secret = b"Traceback: password=hunter2"
    leaks = [("Retry-After", "7"), ("X-Debug", "hunter2"), ("Set-Cookie", "hunter2"), ("ETag", '"hunter2"')]
    for status, replaced in {"500 Oops": True, "503 Later": True, "404 Not Found": False}.items():
        with Node(one_route(origin, "error_pages: {intercept: true, built_in: true}")) as node:
            origin.script(plain(secret, status, *leaks))
            told = get(node.address, "/", accept)
            record = node.record()
            assert told.status == record["status"] == int(status[:3])
            assert ("hunter2" in f"{told.headers}{told.body}") == (not replaced)
            if replaced:
                assert (told.get("retry-after"), b"service_error" in told.body) == ("7", True)
                assert record["decisions"][-1]["verdict"] == "intercepted"
                # The connection can carry the next request.
                assert get(node.address, "/").status == 200


def test_an_intercepted_failure_counts_for_the_breaker(origin: Origin) -> None:
    breaker = "circuit_breaker: {minimum_requests: 2, failure_ratio: 0.5, open_for: 1h}"
    with Node(one_route(origin, "error_pages: {intercept: true}", service=breaker)) as node:
        origin.script(plain(b"x", "500 Oops"))
        origin.script(plain(b"x", "500 Oops"))
        errors = [json.loads(get(node.address, "/").body)["error"] for _ in range(3)]
        assert errors == ["service_error", "service_error", "service_unavailable"]


def test_failures_go_on_as_they_are_by_default(origin: Origin) -> None:
    origin.script(plain(b"mine", "500 Oops"))
    with Node(one_route(origin, "", BUILT_IN)) as node:
        assert get(node.address, "/", BROWSER).body == b"mine"
