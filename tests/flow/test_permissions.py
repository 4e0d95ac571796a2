"""Permissions: what scopes are good for, by name, and by method and path."""

from collections.abc import Sequence

import pytest

from gateway import ApiKey, Node, Origin, Refused, get, one_route, request

PERMISSIONS = """\
permissions: {scopes: {
  clerk: ["orders:read", "GET /orders/**", "PUT|PATCH /orders/*"],
  chief: ["orders:**", "* /orders/**"],
  trainee: ["!orders:delete", "!DELETE /**"]}}
"""


def node(origin: Origin, scopes: Sequence[str], auth: str) -> tuple[Node, tuple[str, str]]:
    key = ApiKey(scopes=tuple(scopes))
    route = f"auth: {{accept: [partners], {auth}}}"
    return Node(one_route(origin, route, f"identities: [{key.identity}]", PERMISSIONS)), key.header


@pytest.mark.parametrize(
    ("scopes", "permission", "status"),
    [
        (["clerk"], "orders:read", 200),
        (["clerk"], "orders:delete", 403),
        (["chief"], "orders:delete", 200),
        (["chief", "trainee"], "orders:delete", 403),
        (["Clerk"], "orders:read", 403),
        ([], "orders:read", 403),
    ],
)
def test_a_permission_is_had_by_a_scope_and_a_forbidden_one_by_nobody(
    origin: Origin, scopes: list[str], permission: str, status: int
) -> None:
    gateway, header = node(origin, scopes, f"permission: '{permission}'")
    with gateway as running:
        answer = get(running.address, "/orders/7", header)
        if status == 200:
            assert answer.status == 200
            step = next(step for step in running.record()["decisions"] if step["stage"] == "authorize")
            assert (step["verdict"], step["rule"]) == ("granted", f"scope {scopes[0]}")
            assert step["at"] == running.at("permissions", "scopes", scopes[0])
            return
        forbidden = "trainee" in scopes
        rule = ("permissions", "scopes", "trainee") if forbidden else ("routes", 0)
        inputs = {"permission": permission, "reason": "forbidden" if forbidden else "not granted"}
        Refused(403, "permission_denied", "authorize", rule, inputs).check(running, answer)
        assert answer.json()["message"] == f"the permission {permission} is required"
        assert origin.connections == 0


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        (["clerk"], "GET", "/orders", 200),
        (["clerk"], "HEAD", "/orders/7/items", 200),
        (["clerk"], "PATCH", "/orders/7", 200),
        (["clerk"], "PATCH", "/orders/7/items", 403),
        (["clerk"], "GET", "/orders/../users", 403),
        (["clerk"], "GET", "/Orders", 403),
        (["chief"], "DELETE", "/orders/7", 200),
        (["trainee", "chief"], "DELETE", "/orders/7/", 403),
        (["trainee", "chief"], "PURGE", "/orders/%37", 200),
    ],
)
def test_method_and_path_must_be_among_what_a_caller_is_permitted(
    origin: Origin, scopes: list[str], method: str, path: str, status: int
) -> None:
    gateway, header = node(origin, scopes, "endpoint_permissions: true")
    with gateway as running:
        answer = request(running.address, path, [("Host", "gateway.test"), header], method)
        assert answer.status == status, answer
        if status == 403:
            forbidden = "trainee" in scopes
            rule = ("permissions", "scopes", "trainee") if forbidden else ("routes", 0)
            Refused(403, "permission_denied", "authorize", rule).check(running, answer)
