"""Limit: callers that are refused again and again, and addresses that fail to authenticate."""

import itertools
import json

from gateway import Issuer, Node, Origin, Refused, get, listener, one_route
from gateway.client import Response

BANNING = (
    "name: strict, limit: 1, window: 1h, per: client_ip, ban: {after: 3, within: 60s, lasts: 5m, at_most: 1h}"
)


def forwarded(node: Node, address: str) -> Response:
    return get(node.address, "/", ("X-Forwarded-For", address))


def bans(node: Node) -> list[dict[str, object]]:
    return json.loads(node.engine.bans())


def test_who_is_refused_too_often_is_banned_until_the_ban_is_over_or_lifted(origin: Origin) -> None:
    with Node(one_route(origin, "rate_limit: strict", f"tiers: [{{{BANNING}}}]")) as node:
        assert get(node.address, "/").status == 200
        codes = [get(node.address, "/").json()["error"] for _ in range(4)]
        assert codes == ["rate_limit_exceeded", "rate_limit_exceeded", "banned", "banned"]
        node.records(5)
        response = get(node.address, "/")
        refused = Refused(
            429,
            "banned",
            "limit",
            ("tiers", 0),
            {"key": "client_ip"},
            retry_after=-1,
            body={"tier": "strict", "key": "client_ip"},
        )
        record = refused.check(node, response)
        assert record["rate_limited"] is True
        assert 290 <= int(response.get("retry-after") or 0) <= 300
        [ban] = bans(node)
        assert (ban["tier"], ban["caller"], ban["bans"]) == ("strict", "ip:127.0.0.1", 1)
        assert node.metric("gateway_limit_banned") == 1
        assert node.metric("gateway_limit_bans_total") == 1
        assert node.metric("gateway_refusals_total", code="banned") == 3
        assert node.engine.lift_bans("strict", "ip:127.0.0.2") == 0
        assert node.engine.lift_bans("strict", "ip:127.0.0.1") == 1
        assert bans(node) == []
        # The limit itself is what it was.
        assert get(node.address, "/").json()["error"] == "rate_limit_exceeded"
        assert node.engine.reset_limits(None, "ip:127.0.0.1") == 1
        assert get(node.address, "/").status == 200


def test_a_ban_outlives_a_change_of_the_configuration(origin: Origin) -> None:
    def text(limit: int) -> str:
        tier = BANNING.replace("limit: 1", f"limit: {limit}")
        return one_route(origin, "rate_limit: strict", f"tiers: [{{{tier}}}]")

    with Node(text(1)) as node:
        for _ in range(4):
            get(node.address, "/")
        node.apply(text(100))
        assert get(node.address, "/").json()["error"] == "banned"


def test_a_ban_is_not_evaded_by_forwarding_headers_of_clients_that_are_no_proxies(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: strict", f"tiers: [{{{BANNING}}}]")
    with Node(text) as node:
        for number in range(4):
            forwarded(node, f"192.0.2.{number}")
        for spelling in ("192.0.2.77", "::1", "127.0.0.1", "::ffff:192.0.2.77"):
            assert forwarded(node, spelling).json()["error"] == "banned"
    with Node(text + listener("trusted_proxies: 127.0.0.1")) as node:
        for _ in range(4):
            forwarded(node, "192.0.2.1")
        # A chain is believed from its end, and only as far as the proxies are trusted.
        for chain in ("192.0.2.1", "198.51.100.9, 192.0.2.1", "::ffff:192.0.2.1"):
            assert forwarded(node, chain).json()["error"] == "banned"
        assert forwarded(node, "192.0.2.1, 198.51.100.9").status == 200


def test_an_address_that_fails_to_authenticate_too_often_is_refused_before_anything_else(
    origin: Origin,
) -> None:
    issuer = Issuer()
    sections = [
        f"identities: [{issuer.identity}]",
        "tiers: [{name: failures, limit: 3, window: 1h, per: client_ip}]",
        "defaults: {rate_limit: none, unauthenticated_tier: none, failed_authentication_tier: failures}",
        listener("trusted_proxies: 127.0.0.1"),
    ]
    good, bad = issuer.bearer(), ("Authorization", "Bearer nonsense")

    with Node(one_route(origin, "auth: {accept: [mobile]}", *sections, path="/a")) as node:

        def ask(address: str, credential: tuple[str, str], path: str = "/a") -> int:
            return get(node.address, path, credential, ("X-Forwarded-For", address)).status

        # What succeeds, and what finds no route, is not charged.
        assert [ask("192.0.2.1", good) for _ in range(5)] == [200] * 5
        assert [ask("192.0.2.1", bad, "/none") for _ in range(5)] == [404] * 5
        assert [ask("192.0.2.1", bad) for _ in range(5)] == [401] * 3 + [429] * 2
        node.records(15)
        # Whatever it sends now, nobody looks at it: a guess that is right says nothing.
        response = get(node.address, "/none", good, ("X-Forwarded-For", "192.0.2.1"))
        refused = Refused(
            429, "rate_limit_exceeded", "limit", ("tiers", 0), {"key": "client_ip"}, retry_after=-1
        )
        record = refused.check(node, response)
        assert record["route_id"] is None
        assert ask("192.0.2.1", good) == 429
        assert ask("192.0.2.2", good) == 200


def test_the_time_told_grows_for_clients_that_do_not_wait(origin: Origin) -> None:
    tier = "name: few, limit: 1, window: 1h, per: client_ip, algorithm: fixed_window, max_retry_after: 1d"
    with Node(one_route(origin, "rate_limit: few", f"tiers: [{{{tier}}}]")) as node:
        assert get(node.address, "/").status == 200
        waits = [int(get(node.address, "/").get("retry-after") or 0) for _ in range(4)]
        assert waits[0] <= 3600
        for before, after in itertools.pairwise(waits):
            # Each time twice as long; the end of the window comes nearer meanwhile.
            assert 1.9 * before - 20 <= after <= 2 * before or after == 86_400
