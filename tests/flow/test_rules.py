"""Rules in CEL: what they read of a request, what they refuse, and that a failure refuses, too."""

import pytest

from gateway import ApiKey, Issuer, Node, Origin, Refused, Response, get, one_route, request

OPEN = "auth: {{optional: true, rules: [{}]}}"
FAILURES = "gateway_rule_failures_total"


def rule(expression: str, kind: str = "allow", more: str = "") -> str:
    text = expression.replace("'", "''")
    return f"{{name: only, {kind}: '{text}'{more}}}"


def ask(origin: Origin, expression: str, *headers: tuple[str, str], target: str = "/a/7") -> Response:
    with Node(one_route(origin, OPEN.format(rule(expression)), path="/a/{id}")) as node:
        return get(node.address, target, *headers)


@pytest.mark.parametrize(
    "expression",
    [
        'request.method == "GET" && request.scheme == "http" && request.protocol == "HTTP/1.1"',
        'request.path == "/a/7" && request.params.id == "7" && request.host == "gateway.test"',
        'request.query.page == "1 2" && !has(request.query.other)',
        'request.headers["X-Tenant"] == "acme" && !("x-user-id" in request.headers)',
        'in_network(request.client_ip, "127.0.0.0/8") && request.time > 1700000000',
        'caller.kind == "anonymous" && caller.user == null && route.name == "users"',
    ],
)
def test_a_rule_reads_the_request_that_is_forwarded(origin: Origin, expression: str) -> None:
    sent = [("X-Tenant", "acme"), ("X_User_Id", "root")]
    assert ask(origin, expression, *sent, target="/a/7?page=1%202").status == 200
    assert ask(origin, f"!({expression})", *sent, target="/a/7?page=1%202").status == 403


def test_a_rule_reads_who_calls(origin: Origin) -> None:
    key = ApiKey(scopes=("read", "write"))
    expressions = {
        'caller.partner == "acme" && caller.identity == "partners" && caller.kind == "partner"': 200,
        'caller.scopes.exists(s, s == "write") && has(caller.key_id)': 200,
        '"admin" in caller.scopes': 403,
    }
    for expression, status in expressions.items():
        route = f"auth: {{accept: [partners], rules: [{rule(expression)}]}}"
        with Node(one_route(origin, route, f"identities: [{key.identity}]")) as node:
            assert get(node.address, "/", key.header).status == status, expression
            assert get(node.address).status == 401


def test_a_rule_reads_what_a_token_says(origin: Origin) -> None:
    issuer = Issuer()
    expression = 'caller.claims.org.plan in ["gold", "silver"] && caller.user == "user-1"'
    route = f"auth: {{accept: [mobile], rules: [{rule(expression)}]}}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]")) as node:
        for plan, status in {"gold": 200, "lead": 403}.items():
            # The second time the token is remembered, and so is what it says.
            bearer = issuer.bearer(org={"plan": plan})
            assert [get(node.address, "/", bearer).status for _ in range(2)] == [status] * 2
        assert get(node.address, "/", issuer.bearer()).status == 403


def test_a_rule_reads_whose_request_it_is(origin: Origin) -> None:
    tenants = "tenants: {sources: 'header:X-Tenant', unknown: accept}"
    text = one_route(origin, OPEN.format(rule('request.tenant == "acme"')), tenants)
    with Node(text) as node:
        for name, status in {"acme": 200, "other": 403}.items():
            assert get(node.address, "/", ("X-Tenant", name)).status == status
        assert get(node.address).status == 403


def test_a_rule_that_refuses_is_named_with_its_line(origin: Origin) -> None:
    rules = [
        "{name: everybody, allow: 'true'}",
        "{name: no-deletes, deny: 'request.method == \"DELETE\"', message: deletes are over}",
    ]
    with Node(one_route(origin, f"auth: {{optional: true, rules: [{', '.join(rules)}]}}")) as node:
        assert get(node.address).status == 200
        step = next(step for step in node.record()["decisions"] if step["stage"] == "authorize")
        assert (step["verdict"], step["rule"]) == ("granted", "everybody")
        assert step["at"] == node.at("routes", 0, "auth", "rules", 0)
        refused = request(node.address, "/", [("Host", "gateway.test")], "DELETE")
        place = ("routes", 0, "auth", "rules", 1)
        Refused(403, "rule_denied", "authorize", place, {"reason": "a `deny` holds"}).check(node, refused)
        assert refused.json()["message"] == "deletes are over"
        assert len(origin.requests) == 1


def test_where_some_rules_allow_one_of_them_must(origin: Origin) -> None:
    rules = ", ".join(f"{{name: {one}, allow: 'request.query.{one} == \"1\"'}}" for one in ("a", "b"))
    with Node(one_route(origin, f"auth: {{optional: true, rules: [{rules}]}}")) as node:
        assert get(node.address, "/?a=1&b=0").status == 200
        assert get(node.address, "/?a=0&b=1").status == 200
        node.records(2)
        refused = get(node.address, "/?a=0&b=0")
        place = ("routes", 0, "auth", "rules", 1)
        Refused(403, "rule_denied", "authorize", place, {"reason": "no `allow` holds"}).check(node, refused)


@pytest.mark.parametrize(
    ("expression", "target", "fault"),
    [
        ('request.query.page == "1"', "/a/7", "missing_key"),
        ('request.query.page == "1"', "/a/7?page=1&page=2", "repeated"),
        ('request.query.page == "1"', "/a/7?page=%ff", "not_text"),
        ("int(request.params.id) > 1", "/a/x", "conversion"),
        ("9223372036854775807 + int(request.params.id) > 0", "/a/7", "overflow"),
        ("7 / (int(request.params.id) - 7) == 0", "/a/7", "division_by_zero"),
        ('caller.scopes[0] == "a"', "/a/7", "out_of_range"),
        ('caller.user.startsWith("a")', "/a/7", "wrong_type"),
        ("caller.claims", "/a/7", "not_boolean"),
    ],
)
@pytest.mark.parametrize("kind", ["allow", "deny"])
def test_an_expression_that_fails_refuses_and_is_counted(
    origin: Origin, expression: str, target: str, fault: str, kind: str
) -> None:
    if fault == "not_boolean":
        expression = "[caller.user, true][0]"
    with Node(one_route(origin, OPEN.format(rule(expression, kind)), path="/a/{id}")) as node:
        refused = get(node.address, target)
        inputs = {"reason": "the expression failed", "fault": fault}
        place = ("routes", 0, "auth", "rules", 0)
        Refused(403, "rule_denied", "authorize", place, inputs).check(node, refused)
        assert node.metric(FAILURES, reason=fault) == 1
        assert origin.connections == 0


def test_no_expression_takes_more_than_its_steps(origin: Origin) -> None:
    expression = "request.headers.all(a, request.headers.all(b, (a + b).size() > 0))"
    headers = [(f"X-{number}", "1") for number in range(60)]
    for steps, status in ((1_000_000, 200), (1000, 403)):
        sections = f"node: {{max_rule_steps: {steps}}}"
        with Node(one_route(origin, OPEN.format(rule(expression)), sections)) as node:
            assert get(node.address, "/", *headers).status == status
            node.record()
            assert node.metric(FAILURES, reason="too_many_steps") == (status == 403)


def test_rules_come_after_authentication_and_before_the_limit(origin: Origin) -> None:
    issuer = Issuer()
    sections = [f"identities: [{issuer.identity}]", "tiers: [{name: one, limit: 1, window: 1h}]"]
    only = rule('request.query.go == "1"')
    route = f"auth: {{accept: [mobile], rules: [{only}]}}, rate_limit: one"
    with Node(one_route(origin, route, *sections)) as node:
        assert get(node.address, "/?go=1").status == 401
        assert get(node.address, "/?go=0", issuer.bearer()).status == 403
        assert get(node.address, "/?go=1", issuer.bearer()).status == 200
        assert get(node.address, "/?go=1", issuer.bearer()).status == 429
