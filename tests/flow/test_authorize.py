"""Authorize: what a caller may use, and who the service is told that it is."""

import pytest

from gateway import ApiKey, Issuer, Node, Origin, Refused, get, one_route, raw, steps

SPELLINGS = [
    "X-User-ID",
    "x-user-id",
    "X_USER_ID",
    "X.User.Id",
    "x-user_id",
    "X-User-Scopes",
    "x_user_scopes",
    "X-Partner-ID",
    "X_Partner.ID",
]


def test_a_caller_without_the_scope_is_refused_and_the_service_not_asked(origin: Origin) -> None:
    issuer = Issuer()
    route = "auth: {accept: [mobile], scopes: [read, admin]}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]")) as node:
        refused = Refused(403, "insufficient_scope", "authorize", ("routes", 0), {"missing_scope": "admin"})
        for scope in ("read", "read administer", "read ADMIN"):
            record = refused.check(node, get(node.address, "/admin/x", issuer.bearer(scope=scope)))
            assert record["user_id"] == "user-1"
        assert origin.connections == 0
        assert get(node.address, "/admin/x", issuer.bearer(scope="admin read")).status == 200
        assert ("authorize", "granted") in steps(node.record())


def test_one_scope_of_any_is_enough_and_one_of_none_is_too_much(origin: Origin) -> None:
    issuer = Issuer()
    route = "auth: {accept: [mobile], scopes: {all: [read], any: [orders, admin], none: [suspended]}}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]")) as node:
        for scope in ("read orders", "admin read"):
            assert get(node.address, "/", issuer.bearer(scope=scope)).status == 200
        node.records(2)
        for scope, code, inputs in (
            ("orders admin", "insufficient_scope", {"missing_scope": "read"}),
            ("read", "insufficient_scope", {"missing_any_scope": "orders admin"}),
            ("read orders suspended", "caller_excluded", {"excluded_scope": "suspended"}),
        ):
            answer = get(node.address, "/", issuer.bearer(scope=scope))
            Refused(403, code, "authorize", ("routes", 0), inputs).check(node, answer)
            challenge = 'Bearer error="insufficient_scope", scope="read orders admin"'
            expected = challenge if code == "insufficient_scope" else None
            assert answer.get("www-authenticate") == expected


def test_a_caller_without_a_role_that_is_demanded_is_refused(origin: Origin) -> None:
    key = ApiKey(scopes=("clerk",))
    for roles, inputs in (
        ("clerk", {"missing_role": "clerk"}),
        ("{any: [a, b]}", {"missing_any_role": "a b"}),
    ):
        route = f"auth: {{accept: [partners], roles: {roles}}}"
        with Node(one_route(origin, route, f"identities: [{key.identity}]")) as node:
            answer = get(node.address, "/", key.header)
            Refused(403, "insufficient_role", "authorize", ("routes", 0), inputs).check(node, answer)


def test_roles_of_a_token_count_apart_from_its_scopes(origin: Origin) -> None:
    issuer = Issuer()
    identity = f"{issuer.identity[:-1]}, role_claims: realm.roles}}"
    permissions = "permissions: {roles: {clerk: ['orders:read', 'GET /**'], trainee: ['!GET /secret/**']}}"
    rule = "{name: only, deny: '\"auditor\" in caller.roles'}"
    demands = "roles: {any: [clerk, chief], none: [suspended]}, permission: orders:read"
    route = f"auth: {{accept: [mobile], {demands}, endpoint_permissions: true, rules: [{rule}]}}"
    with Node(one_route(origin, route, f"identities: [{identity}]", permissions)) as node:
        for path, roles, status, error in (
            ("/", ["clerk"], 200, None),
            ("/secret/1", ["clerk"], 200, None),
            ("/secret/1", ["clerk", "trainee"], 403, "permission_denied"),
            ("/", ["chief"], 403, "permission_denied"),
            ("/", ["clerk", "suspended"], 403, "caller_excluded"),
            ("/", ["clerk", "auditor"], 403, "rule_denied"),
            ("/", [], 403, "insufficient_role"),
        ):
            answer = get(node.address, path, issuer.bearer(realm={"roles": roles}))
            assert answer.status == status, roles
            assert error is None or answer.json()["error"] == error
        # A scope of that name is no role.
        refused = get(node.address, "/", issuer.bearer(scope="clerk"))
        assert refused.json()["error"] == "insufficient_role"


def test_only_a_token_is_challenged_for_more_scopes(origin: Origin) -> None:
    key = ApiKey(scopes=("read",))
    route = "auth: {accept: [partners], scopes: [write]}"
    with Node(one_route(origin, route, f"identities: [{key.identity}]")) as node:
        refused = get(node.address, "/", key.header)
        assert (refused.status, refused.get("www-authenticate")) == (403, None)


@pytest.mark.parametrize("claim", [{"scope": "read"}, {"scp": ["read"]}, {"scopes": ["x", "read"]}])
def test_scopes_are_read_from_each_usual_claim(origin: Origin, claim: dict[str, object]) -> None:
    issuer = Issuer()
    route = "auth: {accept: [mobile], scopes: [read]}"
    with Node(one_route(origin, route, f"identities: [{issuer.identity}]")) as node:
        assert get(node.address, "/", issuer.bearer(**claim)).status == 200


def test_scopes_of_an_api_key_count(origin: Origin) -> None:
    key = ApiKey(scopes=("read",))
    for scope, status in {"read": 200, "write": 403}.items():
        route = f"auth: {{accept: [partners], scopes: [{scope}]}}"
        with Node(one_route(origin, route, f"identities: [{key.identity}]")) as node:
            assert get(node.address, "/", key.header).status == status


def test_identity_headers_of_a_client_never_reach_a_service(origin: Origin) -> None:
    issuer = Issuer()
    sent = [(name, "admin_user") for name in SPELLINGS]
    for route, headers in (("", []), ("auth: {accept: [mobile]}", [issuer.bearer(scope="read")])):
        with Node(one_route(origin, route, f"identities: [{issuer.identity}]")) as node:
            assert get(node.address, "/", *sent, *headers).status == 200
            received = origin.next_request()
            assert b"admin_user" not in received.head
            expected = ["user-1"] if headers else []
            assert received.all("x-user-id") == expected
            assert received.all("x-user-scopes") == (["read"] if headers else [])


def test_a_client_cannot_take_the_gateways_headers_away_with_connection(origin: Origin) -> None:
    issuer = Issuer()
    with Node(one_route(origin, "auth: {accept: [mobile]}", f"identities: [{issuer.identity}]")) as node:
        named = "X-User-ID, x-forwarded-for, X-Request-ID, Authorization, X-Mine, Host"
        response = get(node.address, "/", issuer.bearer(), ("Connection", named), ("X-Mine", "1"))
        assert response.status == 200
        received = origin.next_request()
        assert received.get("x-user-id") == "user-1"
        assert received.get("x-forwarded-for") == "127.0.0.1"
        assert received.get("x-request-id") == response.get("x-request-id")
        assert received.get("host") == "gateway.test"
        assert received.get("x-mine") is None


def test_identity_headers_in_trailers_never_reach_a_service(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        body = b"2\r\nab\r\n0\r\nX-User-ID: admin_user\r\nx_partner_id: admin_user\r\nX-Sum: 1\r\n\r\n"
        head = b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert raw(node.address, head + body, ["POST"]).only.status == 200
        received = origin.next_request()
        assert received.trailers == [("x-sum", "1")]
        assert b"admin_user" not in received.coded


def test_a_credential_is_forwarded_only_where_the_route_asks(origin: Origin) -> None:
    issuer, key = Issuer(), ApiKey()
    identities = f"identities: [{issuer.identity}, {key.identity}]"
    accept = "auth: {accept: [mobile, partners]}"
    bearer = issuer.bearer()
    cases = [
        (accept, None, None),
        (f"{accept}, forward_authorization: true", bearer[1], None),
        (f"{accept}, forward_api_key: true", None, key.secret),
        (f"{accept}, forward_api_key: true, forward_authorization: true", bearer[1], key.secret),
        # Of a route without authentication, too: the client means the gateway.
        ("", None, None),
    ]
    for route, authorization, secret in cases:
        with Node(one_route(origin, route, identities)) as node:
            assert get(node.address, "/", bearer, key.header).status == 200
            received = origin.next_request()
            assert received.get("authorization") == authorization, route
            assert received.get("x-api-key") == secret, route


def test_a_token_in_a_header_of_its_own_is_forwarded_as_a_token(origin: Origin) -> None:
    issuer, key = Issuer(), ApiKey()
    identities = f"identities: [{issuer.identity[:-1]}, header: X-Token}}, {key.identity}]"
    token = issuer.token()
    for option, seen in {"forward_authorization": [token], "forward_api_key": []}.items():
        with Node(one_route(origin, f"auth: {{accept: [mobile]}}, {option}: true", identities)) as node:
            assert get(node.address, "/", ("X-Token", token)).status == 200
            assert origin.next_request().all("x-token") == seen, option


def test_a_key_in_the_authorization_header_is_forwarded_as_a_key(origin: Origin) -> None:
    key = ApiKey()
    identities = f"identities: [{key.identity.replace('X-API-Key', 'Authorization')}]"
    for option, seen in {"forward_authorization": [], "forward_api_key": [key.secret]}.items():
        with Node(one_route(origin, f"auth: {{accept: [partners]}}, {option}: true", identities)) as node:
            assert get(node.address, "/", ("Authorization", key.secret)).status == 200
            assert origin.next_request().all("authorization") == seen, option


def test_a_scope_check_comes_before_the_limit_is_charged(origin: Origin) -> None:
    issuer = Issuer()
    sections = [f"identities: [{issuer.identity}]", "tiers: [{name: one, limit: 1, window: 1h}]"]
    route = "auth: {accept: [mobile], scopes: [read]}, rate_limit: one"
    with Node(one_route(origin, route, *sections)) as node:
        assert get(node.address, "/", issuer.bearer()).status == 403
        assert get(node.address, "/", issuer.bearer(scope="read")).status == 200
        assert get(node.address, "/", issuer.bearer(scope="read")).status == 429
