"""Limits that are set by hand while a node runs, and counters of one caller that are reset."""

import time

import pytest

from gateway import Issuer, Node, Origin, get, one_route
from gatewright.errors import EngineError

TIERS = (
    "tiers: [{name: window, limit: 50, window: 1h, per: client_ip}, "
    "{name: bucket, limit: 100, burst: 20, window: 1h, per: client_ip}, "
    "{name: day, limit: 50, calendar: day, per: client_ip}, "
    "{name: log, limit: 50, window: 1h, algorithm: sliding_log, per: client_ip}]"
)


@pytest.mark.parametrize(("tier", "told"), [("window", "3"), ("bucket", "1"), ("day", "3"), ("log", "3")])
def test_a_limit_holds_at_once_for_its_time_and_over_reloads(origin: Origin, tier: str, told: str) -> None:
    text = one_route(origin, f"rate_limit: {tier}", TIERS)
    with Node(text) as node:
        assert get(node.address, "/").status == 200
        # Of 100 with a burst of 20, 5 are left with a burst of 1.
        node.engine.set_limit(tier, 5 if tier == "bucket" else 3, 3_600_000)
        node.apply(text)
        responses = [get(node.address, "/") for _ in range(5)]
        assert 429 in [one.status for one in responses]
        assert {one.get("x-ratelimit-limit") for one in responses} == {told}
        shown = next(one for one in node.state()["tiers"] if one["name"] == tier)["emergency"]
        assert shown["limit"] == (5 if tier == "bucket" else 3)
        assert 0 < shown["remaining_ms"] <= 3_600_000
        assert shown["until_ms"] > time.time() * 1000
        assert node.metric("gateway_limit_emergencies") == 1
        node.engine.set_limit(tier, None, 0)
        assert get(node.address, "/").status == 200
        assert node.metric("gateway_limit_emergencies") == 0
        # What was used before and meanwhile stays used.
        assert next(one for one in node.state()["tiers"] if one["name"] == tier)["busiest"][0]["used"] >= 2


def test_it_ends_by_itself(origin: Origin) -> None:
    with Node(one_route(origin, "rate_limit: window", TIERS)) as node:

        def is_refused(_: object) -> bool:
            node.engine.set_limit("window", 0, 500)
            return get(node.address, "/").status == 429

        # On a busy machine it may be over before there is a request.
        node.wait_for(is_refused)
        node.wait_for(lambda state: state["tiers"][0]["emergency"] is None)
        # The clock of a worker may be a little behind.
        node.wait_for(lambda _: get(node.address, "/").status == 200)


def test_what_a_tier_cannot_count_is_no_limit_of_it(origin: Origin) -> None:
    with Node(one_route(origin, "rate_limit: [window, log]", TIERS)) as node:
        with pytest.raises(EngineError, match="at most 10000"):
            node.engine.set_limit("log", 10_001, 1_000)
        with pytest.raises(EngineError, match="no tier `gone`"):
            node.engine.set_limit("gone", 1, 1_000)


def test_all_that_is_counted_of_one_user_is_reset_at_once(origin: Origin) -> None:
    issuer = Issuer()
    given = (
        "tiers: [{name: own, limit: 1, window: 1h, per: user}, "
        "{name: each, limit: 1, window: 1h, per: [user, route]}]"
    )
    route = "rate_limit: [own, each], auth: {accept: [mobile]}"
    with Node(one_route(origin, route, given, f"identities: [{issuer.identity}]")) as node:
        ann, bob = issuer.bearer(sub="ann"), issuer.bearer(sub="bob")
        assert [get(node.address, "/", who).status for who in (ann, bob, ann)] == [200, 200, 429]
        assert node.engine.reset_limits(None, "user:ann") == 2
        assert [get(node.address, "/", who).status for who in (ann, bob)] == [200, 429]
