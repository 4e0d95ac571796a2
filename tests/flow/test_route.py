"""Route: which rule a request falls under, and what the service sees of its path."""

import pytest

from gateway import Client, Node, Origin, Refused, encode, get, request, routes, steps


def test_a_route_without_a_match_is_refused_and_no_service_asked(origin: Origin) -> None:
    with Node(routes(origin, "name: a, match: /a, service: users")) as node:
        refused = Refused(404, "no_route", "route")
        record = refused.check(node, get(node.address, "/b"))
        assert record["route_id"] is None
        assert record["backend_service"] is None
        assert steps(record) == [("route", "refused")]
        assert origin.connections == 0


def test_a_wrong_method_is_told_the_right_ones_of_every_route(origin: Origin) -> None:
    text = routes(
        origin,
        "name: a, match: {path: /a, methods: [GET, PUT]}, service: users",
        "name: b, match: {path: /a, methods: [DELETE]}, service: users",
    )
    with Node(text) as node:
        response = request(node.address, "/a", method="PATCH")
        allow = "DELETE, GET, HEAD, PUT"
        Refused(405, "method_not_allowed", "route", inputs={"allow": allow}).check(node, response)
        assert response.get("allow") == allow
        assert origin.connections == 0


def test_the_exact_path_wins_over_a_parameter_a_prefix_and_an_expression(origin: Origin) -> None:
    text = routes(
        origin,
        "name: regex, match: {path: 'regex:/(users|items)/[a-z0-9/]+'}, service: users",
        'name: prefix, match: "/users/*", service: users',
        'name: parameter, match: "/users/{id}", service: users',
        "name: exact, match: /users/me, service: users",
    )
    with Node(text) as node:
        expected = {
            "/users/me": "exact",
            "/users/you": "parameter",
            "/users/you/x": "prefix",
            "/users": "prefix",
            "/items/x": "regex",
        }
        for path, route in expected.items():
            assert get(node.address, path).status == 200
            assert node.record()["route_id"] == route, path


def test_precedence_overrides_what_is_more_exact(origin: Origin) -> None:
    text = routes(
        origin,
        "name: exact, match: /users/me, service: users",
        "name: prefix, match: '/users/*', service: users, precedence: 1",
    )
    with Node(text) as node:
        get(node.address, "/users/me")
        assert node.record()["route_id"] == "prefix"


def test_hosts_methods_headers_and_queries_choose_a_route(origin: Origin) -> None:
    text = routes(
        origin,
        "name: any, match: '/*', service: users",
        "name: host, match: {host: api.test}, service: users",
        "name: below, match: {hosts: ['*.below.test', other.test]}, service: users",
        "name: post, match: {methods: POST}, service: users",
        "name: header, match: {headers: {X-Beta: {regex: 'y(es)?'}}}, service: users",
        "name: query, service: users, "
        "match: {query: {debug: {present: true}, off: {absent: true}, v: {exact: '1'}}}",
    )
    with Node(text) as node:
        cases = [
            ("GET", "/", [], "any"),
            ("GET", "/", [("Host", "api.test:81")], "host"),
            ("GET", "/", [("Host", "a.below.test")], "below"),
            ("GET", "/", [("Host", "below.test")], "any"),
            ("GET", "/", [("Host", "OTHER.test")], "below"),
            ("POST", "/", [], "post"),
            ("GET", "/", [("X-Beta", "yes")], "header"),
            ("GET", "/", [("X-Beta", "yesterday")], "any"),
            ("GET", "/?debug&v=1", [], "query"),
            ("GET", "/?debug&v=1&off", [], "any"),
            ("GET", "/?debug=1&v=12", [], "any"),
        ]
        for method, target, headers, route in cases:
            request(node.address, target, headers, method)
            assert node.record()["route_id"] == route, (method, target, headers)


def test_a_prefix_ends_at_a_segment(origin: Origin) -> None:
    with Node(routes(origin, "name: a, match: '/a/*', service: users")) as node:
        assert get(node.address, "/a").status == 200
        assert get(node.address, "/a/b").status == 200
        assert get(node.address, "/ab").status == 404


def test_head_is_answered_where_get_is_routed_and_has_no_body(origin: Origin) -> None:
    with Node(routes(origin, "name: a, match: {path: /a, methods: GET}, service: users")) as node:
        origin.script(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        with Client(node.address) as client:
            client.send(encode("/a", method="HEAD") + encode("/a"))
            head = client.response("HEAD")
            assert head.get("content-length") == "5"
            # The next response follows at once: the first had no body.
            assert client.response().body == b"ok"
        assert [received.method for received in origin.requests] == ["HEAD", "GET"]


def test_the_service_sees_the_path_without_the_stripped_prefix(origin: Origin) -> None:
    text = routes(origin, "name: a, match: '/api/v2/*', service: users, strip_prefix: /api/v2")
    with Node(text) as node:
        for sent, seen in {"/api/v2/users/me?a=/b": "/users/me?a=/b", "/api/v2": "/"}.items():
            get(node.address, sent)
            assert origin.next_request().target == seen
            assert node.record()["path"] == sent.partition("?")[0]


def test_a_rewrite_uses_the_groups_of_its_expression_and_keeps_the_query(origin: Origin) -> None:
    rewrite = "{regex: '/u/([0-9]+)(?<rest>/.*)?', replacement: '/users/$1/profile${rest}'}"
    with Node(routes(origin, f"name: a, match: '/u/*', service: users, rewrite: {rewrite}")) as node:
        for sent, seen in {
            "/u/7?q": "/users/7/profile?q",
            "/u/7/x": "/users/7/profile/x",
            "/u/me": "/u/me",
        }.items():
            get(node.address, sent)
            assert origin.next_request().target == seen


def test_a_rewrite_that_makes_an_ambiguous_path_is_refused(origin: Origin) -> None:
    rewrite = "{regex: '/u/(.*)', replacement: '/users/../$1'}"
    with Node(routes(origin, f"name: a, match: '/u/*', service: users, rewrite: {rewrite}")) as node:
        get(node.address, "/u/me")
        assert origin.next_request().target == "/me"
    rewrite = "{regex: '/u/(.*)', replacement: '/users;$1'}"
    with Node(routes(origin, f"name: a, match: '/u/*', service: users, rewrite: {rewrite}")) as node:
        get(node.address, "/u/me")
        assert origin.next_request().target == "/users;me"
    rewrite = "{regex: '/u/(.*)', replacement: '/users%2f$1'}"
    with Node(routes(origin, f"name: a, match: '/u/*', service: users, rewrite: {rewrite}")) as node:
        Refused(400, "bad_request", "intake").check(node, get(node.address, "/u/me"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_answered_without_a_service(origin: Origin, status: int) -> None:
    text = routes(origin, f"name: old, match: /old, redirect: {{to: 'https://new.test/x', status: {status}}}")
    with Node(text + "# no route uses the service\n") as node:
        response = get(node.address, "/old")
        assert (response.status, response.get("location")) == (status, "https://new.test/x")
        assert (response.body, response.get("content-length")) == (b"", "0")
        record = node.record()
        assert (record["status"], record["route_id"], record["error_type"]) == (status, "old", None)
        assert record["backend_service"] is None


def test_a_fixed_response_is_answered_as_configured(origin: Origin) -> None:
    text = routes(
        origin,
        "name: text, match: /text, respond: {status: 203, headers: {X-A: b}, body: hello}",
        "name: json, match: /json, respond: {json: {a: [1, ü]}}",
        "name: none, match: /none, respond: {status: 204}",
    )
    with Node(text) as node:
        text_ = get(node.address, "/text")
        assert (text_.status, text_.body, text_.get("x-a")) == (203, b"hello", "b")
        assert text_.get("content-type") == "text/plain; charset=utf-8"
        json_ = get(node.address, "/json")
        assert (json_.json(), json_.get("content-type")) == ({"a": [1, "ü"]}, "application/json")
        none = get(node.address, "/none")
        assert (none.status, none.get("content-length"), none.get("content-type")) == (204, None, None)
        head = request(node.address, "/text", method="HEAD")
        assert (head.status, head.body, head.get("content-length")) == (203, b"", "5")


def test_the_service_self_says_that_the_gateway_is_well(origin: Origin) -> None:
    with Node(routes(origin, "name: health, match: /healthz, service: self")) as node:
        response = get(node.address, "/healthz")
        assert (response.status, response.json()) == (200, {"status": "ok"})
        assert response.get("cache-control") == "no-store"
        assert node.record()["route_id"] == "health"


def test_two_versions_of_an_interface_reach_their_own_services_and_the_old_one_says_so() -> None:
    with Origin() as old, Origin() as new:
        text = f"""
services: [{{name: v1, instances: ["{old.address}"]}}, {{name: v2, instances: ["{new.address}"]}}]
routes:
  - {{name: v1, match: "/api/v1/*", service: v1, deprecated: true, sunset: 2027-06-01}}
  - {{name: v2, match: "/api/v2/*", service: v2}}
"""
        with Node(text) as node:
            first, second = get(node.address, "/api/v1/x"), get(node.address, "/api/v2/x")
            assert (len(old.requests), len(new.requests)) == (1, 1)
            assert first.get("deprecation") == "true"
            assert first.get("sunset") == "Tue, 01 Jun 2027 00:00:00 GMT"
            assert (second.get("deprecation"), second.get("sunset")) == (None, None)


def test_the_record_names_the_route_and_where_it_stands(origin: Origin) -> None:
    with Node(routes(origin, "name: a, match: /a, service: users")) as node:
        get(node.address, "/a")
        decision = node.record()["decisions"][0]
        assert decision == {
            "stage": "route",
            "verdict": "matched",
            "rule": "a",
            "at": node.at("routes", 0),
            "inputs": {},
        }
        assert node.at("routes", 0).startswith(f"{node.file}:3:")
