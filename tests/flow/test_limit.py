"""Limit: who may go on now, and what callers are told of it."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway import (
    ApiKey,
    Client,
    Issuer,
    Node,
    Origin,
    Refused,
    Response,
    encode,
    get,
    listener,
    one_route,
    routes,
    steps,
)


def limits(response: Response) -> tuple[str | None, str | None]:
    return response.get("x-ratelimit-limit"), response.get("x-ratelimit-remaining")


@pytest.mark.one_minute
def test_the_request_over_the_limit_is_refused_with_when_to_come_back(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: few", "tiers: [{name: few, limit: 3, window: 60s, per: client_ip}]")
    with Node(text) as node:
        for remaining in ("2", "1", "0"):
            response = get(node.address, "/")
            assert limits(response) == ("3", remaining)
            assert time.time() < int(response.get("x-ratelimit-reset") or 0) <= time.time() + 121
            record = node.record()
            assert record["rate_limit_remaining"] == int(remaining)
            decision = next(step for step in record["decisions"] if step["stage"] == "limit")
            assert decision["verdict"] == "admitted"
            assert decision["at"] == node.at("tiers", 0)
        response = get(node.address, "/")
        inputs, body = {"limit": 3}, {"limit": 3, "tier": "few"}
        refused = Refused(
            429, "rate_limit_exceeded", "limit", ("tiers", 0), inputs, retry_after=-1, body=body
        )
        record = refused.check(node, response)
        assert (record["rate_limited"], record["rate_limit_remaining"]) == (True, 0)
        assert limits(response) == ("3", "0")
        assert 1 <= int(response.get("retry-after") or 0) <= 120
        assert len(origin.requests) == 3
        assert node.metric("gateway_rate_limited_total", tier="few") == 1


def test_an_admission_is_possible_when_the_time_told_has_passed(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: few", "tiers: [{name: few, limit: 1, window: 1s, per: client_ip}]")
    with Node(text) as node:
        # On a busy machine the window may be over before there is a second request.
        while (refused := get(node.address, "/")).status == 200:
            pass
        assert refused.status == 429
        time.sleep(int(refused.get("retry-after") or 0))
        assert get(node.address, "/").status == 200


def test_refused_requests_do_not_extend_the_wait(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: few", "tiers: [{name: few, limit: 2, window: 1h, per: client_ip}]")
    with Node(text) as node:
        told = []
        for _ in range(10):
            response = get(node.address, "/")
            if response.status == 429:
                told.append(int(response.get("retry-after") or 0))
        assert len(told) == 8
        assert told == sorted(told, reverse=True)


@pytest.mark.one_minute
def test_public_routes_are_limited_to_thirty_a_minute_by_address_unless_told_otherwise(
    origin: Origin,
) -> None:
    with Node(one_route(origin, "", "defaults: {}")) as node:
        statuses = [get(node.address, "/").status for _ in range(31)]
        assert statuses == [200] * 30 + [429]
        assert node.records(1)[0]["decisions"][1]["rule"] == "unauthenticated"


@pytest.mark.one_minute
def test_routes_with_authentication_are_limited_to_a_hundred_a_minute_by_user(origin: Origin) -> None:
    issuer = Issuer()
    text = one_route(origin, "auth: {accept: [mobile]}", f"identities: [{issuer.identity}]", "defaults: {}")
    with Node(text) as node:
        one, other = issuer.bearer(sub="one"), issuer.bearer(sub="other")
        assert [get(node.address, "/", one).status for _ in range(101)] == [200] * 100 + [429]
        assert get(node.address, "/", other).status == 200


def test_a_default_limit_applies_and_none_is_none(origin: Origin) -> None:
    text = routes(
        origin,
        "name: default, match: /default, service: users",
        "name: none, match: /none, service: users, rate_limit: none",
        "name: own, match: /own, service: users, rate_limit: {tier: own, on_failure: closed}",
    )
    text += "tiers: [{name: own, limit: 5}, {name: all, limit: 7}]\ndefaults: {rate_limit: all}\n"
    with Node(text) as node:
        assert limits(get(node.address, "/default")) == ("7", "6")
        assert limits(get(node.address, "/own")) == ("5", "4")
        unlimited = get(node.address, "/none")
        assert limits(unlimited) == (None, None)
        assert unlimited.get("x-ratelimit-reset") is None
        records = node.records(3)
        assert records[0]["decisions"][1]["rule"] == "all"
        assert records[2]["rate_limit_remaining"] is None
        assert "limit" not in dict(steps(records[2]))


def test_each_kind_of_caller_is_counted_for_itself(origin: Origin) -> None:
    issuer, key, other = Issuer(), ApiKey(), ApiKey("other")
    keys = f"{{name: partners, kind: api_key, keys: {{keys: [{flow(key)}, {flow(other)}]}}}}"
    tiers = [
        "{name: user, limit: 1, window: 1h, per: user}",
        "{name: key, limit: 1, window: 1h, per: api_key}",
        "{name: ip, limit: 1, window: 1h, per: client_ip}",
        "{name: all, limit: 1, window: 1h, per: global}",
    ]
    accept = "auth: {accept: [mobile, partners]}, service: users"
    text = routes(
        origin, *(f"name: {n}, match: /{n}, rate_limit: {n}, {accept}" for n in ("user", "key", "ip", "all"))
    )
    text += f"identities: [{issuer.identity}, {keys}]\ntiers: [{', '.join(tiers)}]\n"
    one, two = issuer.bearer(sub="one"), issuer.bearer(sub="two")
    with Node(text) as node:

        def statuses(path: str, *headers: tuple[str, str]) -> list[int]:
            return [get(node.address, path, header).status for header in headers]

        assert statuses("/user", one, two, one, key.header, key.header) == [200, 200, 429, 200, 429]
        assert statuses("/key", key.header, other.header, key.header, one, one) == [200, 200, 429, 200, 429]
        assert statuses("/ip", one, two) == [200, 429]
        assert statuses("/all", one, key.header) == [200, 429]


def flow(key: ApiKey) -> str:
    entry = key.entry
    return f"{{id: {entry['id']}, hash: '{entry['hash']}', partner: {key.partner}}}"


def test_a_keys_own_tier_replaces_that_of_the_route(origin: Origin) -> None:
    key = ApiKey(tier="premium")
    text = one_route(
        origin, "auth: {accept: [partners]}, rate_limit: standard", f"identities: [{key.identity}]"
    )
    with Node(text) as node:
        assert limits(get(node.address, "/", key.header)) == ("500", "499")


def test_exactly_one_of_many_at_once_gets_the_last_place(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: one", "tiers: [{name: one, limit: 1, window: 1h, per: global}]")
    with Node(text, workers=2) as node, ThreadPoolExecutor(16) as clients:
        barrier = threading.Barrier(16)

        def ask() -> int:
            barrier.wait(30)
            return get(node.address, "/").status

        statuses = [answer.result(30) for answer in [clients.submit(ask) for _ in range(16)]]
        assert sorted(statuses) == [200] + [429] * 15


def test_counts_survive_a_change_of_the_configuration(origin: Origin) -> None:
    def text(limit: int, path: str = "/*") -> str:
        tier = f"tiers: [{{name: some, limit: {limit}, window: 1h, per: client_ip}}]"
        return one_route(origin, "rate_limit: some", tier, path=path)

    with Node(text(5)) as node:
        for _ in range(4):
            get(node.address, "/")
        node.apply(text(6))
        assert limits(get(node.address, "/")) == ("6", "1")
        node.apply(text(4))
        assert get(node.address, "/").status == 429


@pytest.mark.one_minute
def test_the_eleventh_login_of_a_minute_from_one_address_is_refused(origin: Origin) -> None:
    tier = "tiers: [{name: login, limit: 10, window: 60s, per: client_ip}]"
    text = one_route(origin, "rate_limit: login", tier, path="/auth/login")
    with Node(text) as node:
        assert [get(node.address, "/auth/login").status for _ in range(11)] == [200] * 10 + [429]


def test_requests_without_a_route_are_charged_to_the_clients_address(origin: Origin) -> None:
    sections = [
        "tiers: [{name: lost, limit: 2, window: 1h, per: client_ip}]",
        "defaults: {rate_limit: none, unauthenticated_tier: lost}",
    ]
    with Node(one_route(origin, "", *sections, path="/a")) as node:
        assert [get(node.address, "/b").status for _ in range(3)] == [404, 404, 429]
        node.records(2)
        record = node.record()
        assert (record["rate_limited"], record["route_id"]) == (True, None)
        assert get(node.address, "/a").status == 200


def test_a_reset_forgets_the_counts_of_a_caller(origin: Origin) -> None:
    text = one_route(origin, "rate_limit: one", "tiers: [{name: one, limit: 1, window: 1h, per: client_ip}]")
    with Node(text) as node:
        assert [get(node.address, "/").status for _ in range(2)] == [200, 429]
        assert node.state()["tiers"][0]["busiest"] == [{"caller": "ip:127.0.0.1", "used": 1}]
        assert node.engine.reset_limits("one", "ip:127.0.0.2") == 0
        assert node.engine.reset_limits("one", "ip:127.0.0.1") == 1
        assert get(node.address, "/").status == 200


def test_full_counters_do_what_the_route_says(origin: Origin) -> None:
    """The smallest bound there is, filled by as many addresses."""
    modes = ("closed", "open", "local")
    rule = "service: self, rate_limit: {{tier: many, on_failure: {}}}"
    text = routes(origin, *(f"name: {mode}, match: /{mode}, {rule.format(mode)}" for mode in modes))
    text += "tiers: [{name: many, limit: 9, window: 1h, per: client_ip}]\nnode: {max_limit_keys: 1000}\n"
    text += listener("trusted_proxies: 127.0.0.1")
    with Node(text) as node, Client(node.address) as client:

        def ask(path: str, number: int) -> Response:
            address = f"10.0.{number // 250}.{number % 250}"
            client.send(encode(path, [("X-Forwarded-For", address)]))
            return client.response()

        number = 0
        while (full := ask("/closed", number)).status == 200 and number < 2000:
            number += 1
        node.records(number)
        refused = Refused(503, "limiter_unavailable", "limit", ("routes", 0), retry_after=5)
        refused.check(node, full)
        admitted = ask("/open", number)
        assert (admitted.status, limits(admitted)) == (200, (None, None))
        assert limits(ask("/local", number)) == ("9", "8")
        assert node.metric("gateway_limit_full_total") >= 1
