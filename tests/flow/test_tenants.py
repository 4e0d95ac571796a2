"""Tenants: whose a request is, and what each has for itself: tiers, quotas, breakers, metrics."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import (
    ApiKey,
    Client,
    Issuer,
    Node,
    Origin,
    Refused,
    encode,
    get,
    one_route,
    plain,
    routes,
    steps,
)
from gatewright._engine import decide

SOURCES = '["claim:org.id", partner, "header:X-Tenant", "host:{tenant}.example.com", "path:/t/{tenant}"]'
KNOWN = "known: [{name: acme}, {name: globex}, {name: gone, disabled: true}]"
OPTIONAL = "auth: {accept: [mobile, partners], optional: true}, rate_limit: none"
SPELLINGS = ["X-Tenant-ID", "x-tenant-id", "X_Tenant_ID", "x.tenant.id", "X-TENANT_id", "x_tenant-Id"]


def tenants(options: str = KNOWN) -> str:
    return f"tenants: {{sources: {SOURCES}, {options}}}"


def identities(issuer: Issuer, key: ApiKey) -> str:
    return f"identities: [{issuer.identity}, {key.identity}]"


def member(issuer: Issuer, tenant: object, **claims: object) -> tuple[str, str]:
    return issuer.bearer(org={"id": tenant}, **claims)


def test_each_source_says_whose_a_request_is_and_the_service_is_told(origin: Origin) -> None:
    issuer, key = Issuer(), ApiKey(partner="acme")
    with Node(one_route(origin, OPTIONAL, identities(issuer, key), tenants())) as node:
        for source, target, headers in [
            ("claim", "/", [member(issuer, "acme")]),
            ("partner", "/", [("X-API-Key", key.secret)]),
            ("header", "/", [("X-Tenant", "acme")]),
            ("host", "/", [("Host", "acme.example.com:8080")]),
            ("path", "/t/acme/orders", []),
        ]:
            # What a client says of itself in our own header reaches nobody, in no spelling.
            spoofed = [(name, "globex") for name in SPELLINGS]
            assert get(node.address, target, *headers, *spoofed).status == 200
            received = origin.next_request()
            assert received.all("x-tenant-id") == ["acme"]
            assert b"globex" not in received.head
            record = node.record()
            assert record["tenant_id"] == "acme"
            belongs = [step for step in record["decisions"] if step["verdict"] == "belongs"]
            assert [one["inputs"] for one in belongs] == [{"tenant": "acme", "from": source}]
        assert get(node.address, "/", *[(name, "globex") for name in SPELLINGS]).status == 200
        assert origin.next_request().all("x-tenant-id") == []
        assert node.record()["tenant_id"] is None
        assert node.metric("gateway_tenant_requests_total", tenant="acme", status="2xx") == 5


@pytest.mark.parametrize(
    ("code", "headers", "said"),
    [
        ("tenant_mismatch", [("X-Tenant", "globex"), ("X-API-Key", "")], "acme"),
        ("tenant_unknown", [("X-Tenant", "initech")], "initech"),
        ("tenant_unknown", [("X-Tenant", "a/../b")], "a/../b"),
        ("tenant_disabled", [("X-Tenant", "gone")], "gone"),
        ("tenant_not_allowed", [("X-Tenant", "globex")], "globex"),
        ("tenant_required", [], None),
    ],
)
def test_who_is_no_tenant_of_the_route_is_refused(
    origin: Origin, code: str, headers: list[tuple[str, str]], said: str | None
) -> None:
    issuer, key = Issuer(), ApiKey(partner="acme")
    given = [(name, value or key.secret) for name, value in headers]
    text = one_route(origin, f"{OPTIONAL}, tenants: [acme]", identities(issuer, key), tenants())
    with Node(text) as node:
        inputs = {} if said is None else {"tenant": said}
        Refused(403, code, "authorize", ("routes", 0), inputs).check(node, get(node.address, "/", *given))
        assert node.metric("gateway_refusals_total", code=code) == 1
        assert origin.requests == []


def test_a_header_does_not_move_a_caller_to_another_tenant(origin: Origin) -> None:
    issuer, key = Issuer(), ApiKey(partner="acme")
    with Node(one_route(origin, OPTIONAL, identities(issuer, key), tenants())) as node:
        for headers in ([member(issuer, "acme")], [("X-API-Key", key.secret)]):
            for other in (("X-Tenant", "globex"), ("Host", "globex.example.com")):
                response = get(node.address, "/", *headers, other)
                assert (response.status, response.json()["error"]) == (403, "tenant_mismatch")
            assert get(node.address, "/t/globex", *headers).status == 403
            # Who says the same twice is no liar.
            assert get(node.address, "/", *headers, ("X-Tenant", "acme")).status == 200


def test_a_request_of_no_tenant_is_refused_where_one_is_required(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: none", tenants(f"required: true, {KNOWN}"))
    with Node(text) as node:
        assert get(node.address, "/", ("X-Tenant", "acme")).status == 200
        assert get(node.address, "/").json()["error"] == "tenant_required"


TIERED = """
tiers:
  - {name: route, limit: 50, window: 1h, per: user}
  - {name: silver, limit: 40, window: 1h, per: user}
  - {name: token, limit: 30, window: 1h, per: user}
  - {name: key, limit: 20, window: 1h, per: api_key}
"""


def test_the_tier_comes_from_the_key_the_token_the_tenant_or_the_route(origin: Origin) -> None:
    issuer, key = Issuer(), ApiKey(partner="acme", tier="key")
    mobile = issuer.identity.removesuffix("}") + ", tier_claim: plan.tier}"
    text = one_route(
        origin,
        "auth: {accept: [mobile, partners], optional: true}, rate_limit: route",
        f"identities: [{mobile}, {key.identity}]",
        tenants("known: [{name: acme, tier: silver}, {name: globex}]"),
        TIERED,
    )
    with Node(text) as node:

        def limit(*headers: tuple[str, str]) -> str | None:
            return get(node.address, "/", *headers).get("x-ratelimit-limit")

        plan = {"tier": "token"}
        assert limit(("X-API-Key", key.secret)) == "20"
        assert limit(member(issuer, "acme", plan=plan)) == "30"
        assert limit(member(issuer, "acme")) == "40"
        # A name of no tier changes nothing, and neither does what is no name.
        assert limit(member(issuer, "acme", plan={"tier": "platinum"})) == "40"
        assert limit(member(issuer, "acme", plan={"tier": ["token"]})) == "40"
        assert limit(member(issuer, "globex")) == "50"
        assert limit() == "50"


def test_a_tier_may_count_by_tenant_or_claim_and_requests_without_either_are_counted_too(
    origin: Origin,
) -> None:
    issuer = Issuer()
    given = (
        "tiers: [{name: shared, limit: 2, window: 1h, per: tenant}, "
        '{name: teams, limit: 2, window: 1h, per: "claim:org.team"}]'
    )
    text = routes(
        origin,
        "name: t, match: /tenant, service: users, auth: {accept: [mobile]}, rate_limit: shared",
        "name: c, match: /claim, service: users, auth: {accept: [mobile]}, rate_limit: teams",
    )
    with Node(f"{text}{given}\nidentities: [{issuer.identity}]\n{tenants()}\n") as node:

        def ask(path: str, name: str, **org: object) -> int:
            return get(node.address, path, issuer.bearer(sub=name, org=org)).status

        assert [ask("/tenant", name, id="acme") for name in ("ann", "bob", "cat")] == [200, 200, 429]
        assert ask("/tenant", "dan", id="globex") == 200
        assert [ask("/tenant", name) for name in ("eve", "eve", "eve", "fay")] == [200, 200, 429, 200]
        assert [ask("/claim", name, team=7) for name in ("ann", "bob", "cat")] == [200, 200, 429]
        assert [ask("/claim", name, team="7") for name in ("ann", "bob")] == [429, 429]
        assert ask("/claim", "ann", team="eight") == 200
        # A list names nobody: such callers are counted by user, and not at all together.
        assert [ask("/claim", name, team=["x"]) for name in ("eve", "eve", "eve", "fay")] == [
            200,
            200,
            429,
            200,
        ]
        shown = {one["name"]: [usage["caller"] for usage in one["busiest"]] for one in node.state()["tiers"]}
        assert "tenant:acme" in shown["shared"]
        assert (
            sorted(one.rsplit(":", 1)[0] for one in shown["teams"] if one.startswith("claim:"))
            == ["claim:org.team"] * 2
        )
        assert not any("eight" in one for one in shown["teams"])
        refused = get(node.address, "/tenant", issuer.bearer(sub="ann", org={"id": "acme"}))
        assert refused.json()["key"] == "tenant"


def test_quotas_of_a_tenant_hold_on_every_route_and_are_its_own(origin: Origin) -> None:
    given = (
        "tiers: [{name: month, limit: 3, calendar: month, per: tenant}, "
        "{name: bigger, limit: 5, calendar: month, per: tenant}]"
    )
    text = routes(
        origin,
        "name: a, match: /a, service: users, rate_limit: none",
        "name: b, match: /b, service: users, rate_limit: premium",
    )
    options = "quotas: month, known: [{name: acme}, {name: globex, quotas: bigger}, {name: free, quotas: []}]"
    with Node(f"{text}{given}\n{tenants(options)}\n") as node:

        def ask(tenant: str, paths: str) -> list[int]:
            return [get(node.address, f"/{path}", ("X-Tenant", tenant)).status for path in paths]

        assert ask("acme", "abab") == [200, 200, 200, 429]
        assert ask("globex", "abaaba") == [200] * 5 + [429]
        assert ask("free", "aaaaaa") == [200] * 6
        assert [get(node.address, "/a").status for _ in range(4)] == [200] * 4
        assert node.metric("gateway_tenant_limited_total", tenant="acme") == 1
        used = {one["name"]: one["busiest"] for one in node.state()["tiers"]}
        assert used["month"] == [{"caller": "tenant:acme", "used": 3}]
        assert used["bigger"] == [{"caller": "tenant:globex", "used": 5}]


def test_one_tenant_cannot_take_all_requests_in_flight(origin: Origin) -> None:
    release = threading.Event()
    for _ in range(2):
        origin.script(release, plain())
    given = "tiers: [{name: busy, limit: 2, algorithm: concurrency, per: tenant}]"
    text = one_route(origin, "rate_limit: none", given, tenants(f"quotas: busy, {KNOWN}"))
    with Node(text, workers=2) as node, ThreadPoolExecutor(2) as pool:
        held = [pool.submit(get, node.address, "/", ("X-Tenant", "acme")) for _ in range(2)]
        for _ in range(2):
            origin.next_request()
        assert get(node.address, "/", ("X-Tenant", "acme")).status == 429
        assert get(node.address, "/", ("X-Tenant", "globex")).status == 200
        release.set()
        assert [one.result(30).status for one in held] == [200, 200]


BREAKER = "circuit_breaker: {minimum_requests: 3, failure_ratio: 0.5, open_for: 1h}"


def test_what_fails_for_one_tenant_opens_its_own_breaker_alone(origin: Origin) -> None:
    text = one_route(
        origin, "rate_limit: none, circuit_breaker: tenant", tenants("unknown: accept"), service=BREAKER
    )
    with Node(text) as node:

        def ask(tenant: str | None) -> int:
            return get(node.address, "/", *([("X-Tenant", tenant)] if tenant else [])).status

        origin.answer = plain(b"", "500 Internal Server Error")
        assert [ask("noisy") for _ in range(4)] == [500, 500, 500, 503]
        origin.answer = plain()
        assert [ask(tenant) for tenant in ("acme", None, "noisy")] == [200, 200, 503]
        breakers = {one["name"]: one["state"] for one in node.state()["services"][0]["breakers"]}
        assert breakers == {"users": "closed", "users:acme": "closed", "users:noisy": "open"}
        assert node.metric("gateway_breaker_state", service="users", tenant="noisy") == 2
        assert node.engine.set_breaker("users:noisy", b'{"action": "close", "by": "ann", "why": null}') == 1
        assert ask("noisy") == 200
        # Breakers are kept over a reload.
        node.apply(text)
        assert len(node.state()["services"][0]["breakers"]) == 3


def test_tenants_that_are_accepted_unseen_have_labels_as_far_as_there_is_room(origin: Origin) -> None:
    given = "tiers: [{name: each, limit: 1, window: 1h, per: tenant}]"
    options = "unknown: accept, max: 2, quotas: each, known: [{name: acme}]"
    with Node(one_route(origin, "rate_limit: none", given, tenants(options))) as node:
        names = ["acme", "one", "two", "three", "one", "two"]
        statuses = [get(node.address, "/", ("X-Tenant", name)).status for name in names]
        # Limits are each tenant's own, with a label or without.
        assert statuses == [200, 200, 200, 200, 429, 429]
        node.records(6)
        requests = {
            name: node.metric("gateway_tenant_requests_total", tenant=name)
            for name in ("acme", "one", "two", "three", "other")
        }
        assert requests == {"acme": 1, "one": 2, "two": 0, "three": 0, "other": 3}
        assert node.metric("gateway_tenants") == 2


PIPELINED = 625


def test_of_ten_thousand_parallel_requests_no_user_and_no_tenant_has_more_than_its_own() -> None:
    """RL-12: tenant, user, route; exact over four workers."""
    issuer = Issuer()
    given = (
        "tiers: [{name: on-route, limit: 260, window: 1d, per: [tenant, user, route], within: of-user}, "
        "{name: of-user, limit: 300, window: 1d, per: [tenant, user], within: of-tenant}, "
        "{name: of-tenant, limit: 1000, window: 1d, per: tenant}]"
    )
    listed = ", ".join(
        f"{{name: {name}, match: /{name}, service: self, rate_limit: on-route, auth: {{accept: [mobile]}}}}"
        for name in ("a", "b")
    )
    text = (
        f"routes: [{listed}]\n{given}\nidentities: [{issuer.identity}]\n"
        f"tenants: {{sources: 'claim:org.id', unknown: accept}}\nrecords: {{sinks: []}}\n"
    )
    # Eight users of each tenant, and each of them on both routes, so that every bound is reached by somebody.
    callers = [(tenant, user, path) for tenant in ("acme", "globex") for user in range(4) for path in "ab"]
    with Node(text, workers=4) as node, ThreadPoolExecutor(16) as pool:

        def ask(caller: tuple[str, int, str]) -> int:
            tenant, user, path = caller
            # Users of different tenants have the same names, and are others all the same.
            token = issuer.bearer(sub=f"user-{user}", org={"id": tenant})
            with Client(node.address) as client:
                client.send(encode(f"/{path}", headers=[token]) * PIPELINED)
                return [client.response().status for _ in range(PIPELINED)].count(200)

        passed = dict(zip(callers, pool.map(ask, callers, timeout=60), strict=True))
    for tenant in ("acme", "globex"):
        users = [sum(passed[tenant, user, path] for path in "ab") for user in range(4)]
        assert sum(users) == 1000
        assert max(users) <= 300
    assert max(passed.values()) <= 260
    assert sum(passed.values()) == 2000


def test_explain_says_whose_a_request_is(origin: Origin) -> None:
    with Node(one_route(origin, "rate_limit: none", tenants())) as node:
        get(node.address, "/t/acme")
        record = node.record()
        assert ("authorize", "belongs") in steps(record)
        asked = {"method": "GET", "target": "/t/acme", "host": "gateway.test", "headers": []}
        request = {**asked, "peer": "192.0.2.1", "now_ms": 1_800_000_000_000}
        [verdict] = json.loads(decide(node.snapshot, b"{}", json.dumps([request]).encode()))
        assert verdict["tenant_id"] == "acme"
