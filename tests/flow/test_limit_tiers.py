"""Limit: several tiers on a request, every algorithm, costs, trials, subjects of several parts."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from gateway import (
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
    plain,
    routes,
    steps,
)
from gatewright._engine import decide


def tiers(*each: str) -> str:
    return "tiers: [" + ", ".join(f"{{{one}}}" for one in each) + "]"


def told(response: Response) -> tuple[int, str | None, str | None]:
    return response.status, response.get("x-ratelimit-limit"), response.get("x-ratelimit-remaining")


def test_all_tiers_have_to_admit_and_none_is_charged_for_a_refusal(origin: Origin) -> None:
    given = tiers(
        "name: wide, limit: 5, window: 1h, per: global", "name: narrow, limit: 2, window: 1h, per: user"
    )
    issuer = Issuer()
    route = "rate_limit: [wide, narrow], auth: {accept: [mobile]}"
    with Node(one_route(origin, route, given, f"identities: [{issuer.identity}]")) as node:
        ann, bob = issuer.bearer(sub="ann"), issuer.bearer(sub="bob")
        assert [told(get(node.address, "/", ann)) for _ in range(2)] == [(200, "2", "1"), (200, "2", "0")]
        node.records(2)
        response = get(node.address, "/", ann)
        inputs = {"limit": 2, "key": "user"}
        body = {"tier": "narrow", "key": "user", "limit": 2}
        refused = Refused(
            429, "rate_limit_exceeded", "limit", ("tiers", 1), inputs, retry_after=-1, body=body
        )
        record = refused.check(node, response)
        # Every tier says what it would have done.
        limits = [step for step in record["decisions"] if step["stage"] == "limit"]
        assert [(step["rule"], step["verdict"]) for step in limits] == [
            ("wide", "would_admit"),
            ("narrow", "refused"),
        ]
        # Three are left for everybody: the refusal took none.
        assert [told(get(node.address, "/", bob)) for _ in range(2)] == [(200, "2", "1"), (200, "2", "0")]
        assert told(get(node.address, "/", issuer.bearer(sub="cat"))) == (200, "5", "0")
        assert get(node.address, "/", issuer.bearer(sub="dan")).status == 429


def test_a_refusal_charges_the_others_where_the_route_says_so(origin: Origin) -> None:
    given = tiers(
        "name: wide, limit: 5, window: 1h, per: global", "name: narrow, limit: 1, window: 1h, per: client_ip"
    )
    route = "rate_limit: {tier: [wide, narrow], charge_refused: true}"
    with Node(one_route(origin, route, given)) as node:
        for _ in range(3):
            get(node.address, "/")
        used = {tier["name"]: tier["busiest"][0]["used"] for tier in node.state()["tiers"]}
        assert used == {"wide": 3, "narrow": 1}


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ("algorithm: fixed_window", 3),
        ("algorithm: sliding_log", 3),
        ("algorithm: token_bucket", 3),
        ("burst: 2", 2),
        ("algorithm: gcra", 1),
        ("algorithm: gcra, burst: 2", 2),
        ("calendar: month, zone: Asia/Kolkata", 3),
    ],
)
def test_each_algorithm_admits_its_own_at_once_and_says_when_the_next_may_come(
    origin: Origin, options: str, passed: int
) -> None:
    window = "" if "calendar" in options else ", window: 1d"
    given = tiers(f"name: few, limit: 3, per: client_ip, {options}{window}")
    with Node(one_route(origin, "rate_limit: few", given)) as node:
        responses = [get(node.address, "/") for _ in range(5)]
        assert [one.status for one in responses] == [200] * passed + [429] * (5 - passed)
        assert [one.get("x-ratelimit-remaining") for one in responses[:passed]] == [
            str(left) for left in reversed(range(passed))
        ]
        for one in responses[passed:]:
            wait = int(one.get("retry-after") or 0)
            assert 1 <= wait <= 31 * 86_400
            assert int(one.get("x-ratelimit-reset") or 0) > time.time()


def test_as_many_requests_of_a_caller_are_under_way_as_may_and_a_place_is_free_when_one_ends(
    origin: Origin,
) -> None:
    release = threading.Event()
    for _ in range(2):
        origin.script(release, plain())
    given = tiers("name: few, limit: 2, algorithm: concurrency, per: client_ip")
    with Node(one_route(origin, "rate_limit: few", given), workers=2) as node, ThreadPoolExecutor(2) as pool:
        held = [pool.submit(get, node.address, "/") for _ in range(2)]
        for _ in range(2):
            origin.next_request()
        response = get(node.address, "/")
        assert (*told(response), response.get("retry-after")) == (429, "2", "0", "1")
        release.set()
        assert [one.result(30).status for one in held] == [200, 200]
        node.wait_for(lambda state: not state["tiers"][0]["busiest"])
        assert get(node.address, "/").status == 200


def test_a_client_that_hangs_up_gives_its_place_back(origin: Origin) -> None:
    release = threading.Event()
    origin.script(release, plain())
    given = tiers("name: one, limit: 1, algorithm: concurrency, per: client_ip")
    with Node(one_route(origin, "rate_limit: one", given)) as node:
        with Client(node.address) as client:
            client.send(encode("/"))
            origin.next_request()
            assert get(node.address, "/").status == 429
        node.wait_for(lambda state: not state["tiers"][0]["busiest"])
        release.set()
        assert get(node.address, "/").status == 200


def test_a_leaky_bucket_lets_requests_leave_one_after_the_other(origin: Origin) -> None:
    given = tiers(
        "name: slow, limit: 20, window: 1s, algorithm: leaky_bucket, max_delay: 10s, per: client_ip"
    )
    with Node(one_route(origin, "rate_limit: slow", given), workers=2) as node, ThreadPoolExecutor(8) as pool:
        began = time.monotonic()
        answers = [pool.submit(get, node.address, "/") for _ in range(8)]
        assert [one.result(30).status for one in answers] == [200] * 8
        # The last of eight leaves 350 ms after the first; no sooner, however busy the machine.
        assert time.monotonic() - began >= 0.35
        assert node.metric("gateway_limit_waiting") == 0


def test_a_turn_in_a_leaky_bucket_takes_nothing_of_the_time_that_the_service_has(origin: Origin) -> None:
    """Or those who wait would open its breaker."""
    given = tiers("name: slow, limit: 2, window: 4s, algorithm: leaky_bucket, max_delay: 10s, per: client_ip")
    with Node(one_route(origin, "rate_limit: slow, timeout: 1s", given)) as node:
        assert [get(node.address, "/").status for _ in range(2)] == [200, 200]


def test_what_would_wait_too_long_or_finds_no_room_to_wait_is_refused(origin: Origin) -> None:
    given = tiers(
        "name: short, limit: 1, window: 1h, algorithm: leaky_bucket, max_delay: 1s, per: client_ip",
        "name: long, limit: 2, window: 60s, algorithm: leaky_bucket, max_delay: 60s, per: client_ip",
    )
    text = routes(
        origin,
        "name: short, match: /short, service: users, rate_limit: short",
        "name: long, match: /long, service: users, rate_limit: long",
    )
    with Node(f"{text}{given}\nnode: {{max_limit_waiting: 1}}\n") as node:
        assert [get(node.address, "/short").status for _ in range(2)] == [200, 429]
        assert get(node.address, "/long").status == 200
        with Client(node.address) as client:
            client.send(encode("/long"))
            node.wait_for_metric(1, "gateway_limit_waiting")
            assert get(node.address, "/long").status == 429
            assert node.metric("gateway_limit_waiting_full_total") == 1
        # Whoever hangs up waits no more.
        node.wait_for_metric(0, "gateway_limit_waiting")
        assert 499 in {record["status"] for record in node.records(5)}


def test_a_route_takes_what_its_requests_cost(origin: Origin) -> None:
    given = tiers("name: all, limit: 10, window: 1h, per: client_ip")
    text = routes(
        origin,
        "name: cheap, match: /cheap, service: users, rate_limit: all",
        "name: dear, match: /dear, service: users, rate_limit: {tier: all, cost: 4}",
    )
    with Node(text + given) as node:
        paths = ["/cheap", "/dear", "/dear", "/dear", "/cheap"]
        assert [told(get(node.address, path)) for path in paths] == [
            (200, "10", "9"),
            (200, "10", "5"),
            (200, "10", "1"),
            (429, "10", "0"),
            (200, "10", "0"),
        ]


def test_responses_are_charged_by_their_size_and_by_what_the_service_says(origin: Origin) -> None:
    origin.answer = plain(b"x" * 5000, "200 OK", ("X-Cost", "7"))
    given = tiers(
        "name: kib, limit: 100, window: 1h, per: client_ip, counts: response_kib",
        'name: units, limit: 100, window: 1h, per: client_ip, counts: "response_header:X-Cost"',
    )
    with Node(one_route(origin, "rate_limit: [kib, units]", given)) as node:
        # Nothing is charged before, so both say all is left.
        assert told(get(node.address, "/")) == (200, "100", "100")

        def used(state: dict[str, list[dict[str, list[dict[str, int]]]]]) -> list[int]:
            return [sum(one["used"] for one in tier["busiest"]) for tier in state["tiers"]]

        state = node.wait_for(lambda state: used(state)[1] > 0)
        # Head and body: 5,000 bytes and a few hundred.
        assert used(state) == [6, 7]


PIPELINED = 625


def ask_many(address: tuple[str, int]) -> int:
    """Send many requests at once on one connection; give how many were admitted."""
    with Client(address) as client:
        client.send(encode("/") * PIPELINED)
        return [client.response().status for _ in range(PIPELINED)].count(200)


@pytest.mark.parametrize(
    "given",
    [
        ["name: one, limit: 1234, per: client_ip, window: 1d"],
        ["name: one, limit: 1234, per: client_ip, window: 1d, algorithm: sliding_log"],
        ["name: one, burst: 1234, limit: 1, per: client_ip, window: 1d"],
        [
            "name: one, limit: 9999, per: global, window: 1d",
            "name: two, limit: 1234, per: client_ip, calendar: month",
        ],
    ],
    ids=["sliding_window", "sliding_log", "token_bucket", "two_tiers"],
)
def test_of_ten_thousand_parallel_requests_to_four_workers_exactly_the_limit_passes(given: list[str]) -> None:
    names = ", ".join(("one", "two")[: len(given)])
    text = f"routes: [{{name: all, match: /, service: self, rate_limit: [{names}]}}]\n{tiers(*given)}\n"
    with Node(f"{text}records: {{sinks: []}}\n", workers=4) as node, ThreadPoolExecutor(16) as pool:
        passed = [pool.submit(ask_many, node.address) for _ in range(16)]
        assert sum(one.result(60) for one in passed) == 1234
        assert [tier["busiest"][0]["used"] for tier in node.state()["tiers"]] == [1234] * len(given)


def test_explain_shows_every_tier_with_what_it_would_leave(origin: Origin) -> None:
    given = tiers(
        "name: wide, limit: 100, per: global, adaptive: on",
        "name: trial, limit: 5, per: client_ip, dry_run: true",
        "name: bucket, limit: 60, burst: 7, per: [client_ip, route]",
    )
    with Node(one_route(origin, "rate_limit: [wide, trial, bucket]", given)) as node:
        asked = {"method": "GET", "target": "/", "host": "gateway.test", "headers": [], "peer": "192.0.2.1"}
        for cpu_percent, limit in ((0, 100), (80, 100), (90, 60)):
            request = {**asked, "now_ms": 1_800_000_000_000, "cpu_percent": cpu_percent}
            [verdict] = json.loads(decide(node.snapshot, b"{}", json.dumps([request]).encode()))
            told = [(one["rule"], one["inputs"]) for one in verdict["decisions"] if one["stage"] == "limit"]
            assert told == [
                ("wide", {"limit": limit, "remaining": limit - 1}),
                ("trial", {"limit": 5, "remaining": 4}),
                ("bucket", {"limit": 7, "remaining": 6}),
            ]


@pytest.fixture
def trial(origin: Origin) -> Iterator[Node]:
    given = tiers("name: trial, limit: 1, window: 1h, per: client_ip, dry_run: true")
    with Node(one_route(origin, "rate_limit: trial", given)) as node:
        yield node


def test_a_tier_on_trial_refuses_nobody_and_is_recorded_and_counted(trial: Node) -> None:
    assert [told(get(trial.address, "/")) for _ in range(3)] == [(200, None, None)] * 3
    verdicts = [dict(steps(record))["limit"] for record in trial.records(3)]
    assert verdicts == ["admitted", "would_refuse", "would_refuse"]
    assert trial.metric("gateway_rate_limit_dry_run_total", tier="trial") == 2
    assert trial.metric("gateway_rate_limited_total", tier="trial") == 0


def test_a_subject_may_be_several_things_together(origin: Origin) -> None:
    given = tiers('name: both, limit: 1, window: 1h, per: [client_ip, "header:X-Device", route]')
    text = routes(
        origin,
        "name: a, match: /a, service: users, rate_limit: both",
        "name: b, match: /b, service: users, rate_limit: both",
    )
    with Node(text + given) as node:

        def status(path: str, device: str) -> int:
            return get(node.address, path, ("X-Device", device)).status

        assert [status("/a", "phone"), status("/a", "phone")] == [200, 429]
        assert [status("/a", "watch"), status("/b", "phone"), get(node.address, "/a").status] == [200] * 3
        callers = [usage["caller"] for usage in node.state()["tiers"][0]["busiest"]]
        assert len(callers) == 4
        assert not any("phone" in caller for caller in callers)
        one = next(caller for caller in callers if "header:" in caller and caller.endswith("+route:b"))
        assert node.engine.reset_limits("both", one) == 1
        assert [status("/b", "phone"), status("/a", "phone")] == [200, 429]


def test_addresses_of_one_network_are_one_caller(origin: Origin) -> None:
    given = tiers("name: homes, limit: 1, window: 1h, per: client_ip, ipv6_prefix: 48")
    text = one_route(origin, "rate_limit: homes", given, listener("trusted_proxies: 127.0.0.1"))
    with Node(text) as node:

        def status(address: str) -> int:
            return get(node.address, "/", ("X-Forwarded-For", address)).status

        assert [status("2001:db8:1:1::1"), status("2001:db8:1:2::1"), status("2001:db8:2::1")] == [
            200,
            429,
            200,
        ]


@contextmanager
def working() -> Iterator[None]:
    """Keeps processors busy. Beside other programs that do, several threads get more of them than one."""
    enough = threading.Event()

    def work() -> None:
        while not enough.is_set():
            hashlib.sha256(bytes(1 << 20))

    with ThreadPoolExecutor(4) as workers:
        for _ in range(4):
            workers.submit(work)
        try:
            yield
        finally:
            enough.set()


def test_a_limit_shrinks_to_its_floor_while_the_processors_are_busy(origin: Origin) -> None:
    whole = 1_000_000
    given = tiers(f"name: narrow, limit: {whole}, per: global, adaptive: {{threshold: 0.1, floor: 0.5}}")
    overload = "overload: {cpu: {window: 1s, p1: 100, p2: 100, p3: 100}}"
    with Node(one_route(origin, "rate_limit: narrow", given, overload)) as node:

        def limit() -> int:
            return int(get(node.address, "/").get("x-ratelimit-limit") or 0)

        with working():
            end = time.monotonic() + 60
            while (shrunk := limit()) == whole:
                assert time.monotonic() < end, node.state()["overload"]
        assert whole / 2 <= shrunk < whole


@pytest.mark.parametrize("form", ["x_ratelimit", "ietf", "both", "none"])
def test_callers_are_told_of_their_limits_in_the_form_that_is_wanted(origin: Origin, form: str) -> None:
    ours = ("X-RateLimit-Limit", "9"), ("RateLimit", '"theirs";r=1'), ("RateLimit-Policy", '"theirs";q=1')
    origin.answer = plain(b"ok", "200 OK", *ours)
    given = tiers("name: few, limit: 2, window: 1h, per: client_ip, algorithm: fixed_window")
    defaults = f"defaults: {{rate_limit: none, unauthenticated_tier: none, limit_headers: {form}}}"
    with Node(one_route(origin, "rate_limit: few", given, defaults)) as node:
        response = get(node.address, "/")
        limit, policy, fields = (
            response.get(name) for name in ("X-RateLimit-Limit", "RateLimit-Policy", "RateLimit")
        )
        assert limit == ("2" if form in ("x_ratelimit", "both") else "9")
        if form in ("ietf", "both"):
            assert policy == '"few";q=2;w=3600'
            assert fields is not None
            quota, _, reset = fields.rpartition(";t=")
            assert quota == '"few";r=1'
            assert 0 <= int(reset) <= 3600
        else:
            assert (policy, fields) == ('"theirs";q=1', '"theirs";r=1')
        assert [get(node.address, "/").status, get(node.address, "/").status] == [200, 429]
