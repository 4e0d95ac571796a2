"""Requests counted by the data plane: held against the records of the same requests."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pytest

from gateway import CLOSE, Client, Http2, Node, Origin, Record, encode, get, one_route, plain, raw, routes
from gateway.websocket import Sockets, dial
from gatewright.insight.histogram import Histogram

MOST = 1000
BROWSER = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
CURL = ("user-agent", "curl/8.5")
TENANTS = 'tenants: {sources: ["header:X-Tenant"], unknown: accept}'
LATENCIES = ("total_latency_ms", "gateway_overhead_ms", "upstream_latency_ms")

Counts = dict[tuple[Any, ...], tuple[Any, ...]]


def taken(node: Node) -> Counts:
    """What was counted, by minute, route, service, instance, status and tenant."""
    rows = node.engine.take_counts()
    counts = {row[:6]: row[6:] for row in rows}
    assert len(counts) == len(rows), "two rows of one key"
    return counts


def summed(counts: Counts) -> dict[tuple[Any, ...], int]:
    """Requests of each key but for its minute."""
    found: dict[tuple[Any, ...], int] = {}
    for key, values in counts.items():
        found[key[1:]] = found.get(key[1:], 0) + values[0]
    return found


def key_of(record: Record) -> tuple[Any, ...]:
    began = int(datetime.fromisoformat(record["timestamp"]).timestamp())
    names = [record[name] or "" for name in ("route_id", "backend_service", "backend_instance")]
    return (began - began % 60, *names, record["status"] or 0, record["tenant_id"] or "")


def of_records(records: Iterable[Record], programs: Mapping[str, bool]) -> Counts:
    """What records say, with the buckets of `insight/histogram.py`; `programs` by path."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(key_of(record), []).append(record)
    return {
        key: (
            len(group),
            sum(programs.get(record["path"] or "", True) for record in group),
            sum(record["request_bytes"] for record in group),
            sum(record["response_bytes"] for record in group),
            *(distribution([record[name] for record in group]) for name in LATENCIES),
        )
        for key, group in groups.items()
    }


def distribution(values: Iterable[float | None]) -> tuple[int, int, tuple[tuple[int, int], ...]]:
    histogram = Histogram()
    for value in values:
        if value is not None:
            histogram.add(value)
    return histogram.zeros, histogram.micros, tuple(sorted(histogram.buckets.items()))


def test_counts_are_what_the_records_of_the_same_requests_say(origin: Origin) -> None:
    text = routes(
        origin,
        "name: users, match: '/users/*', service: users",
        "name: fixed, match: /fixed, respond: {status: 204}",
        "name: own, match: /own, service: users, rate_limit: once",
    )
    tiers = "tiers: [{name: once, limit: 1, window: 1h, per: client_ip}]"
    with Node(f"{text}{TENANTS}\n{tiers}\n") as node:
        node.engine.count_requests(MOST)
        for number in range(40):
            origin.script(plain(b"x" * number * 100))
            tenant = ("x-tenant", f"tenant-{number % 3}")
            get(node.address, f"/users/{number}", BROWSER, *([tenant] if number % 4 else []))
        get(node.address, "/fixed", CURL)
        get(node.address, "/own", BROWSER)
        assert get(node.address, "/own", BROWSER).status == 429
        get(node.address, "/nowhere")
        origin.script(b"HTTP/1.1 nonsense\r\n\r\n", CLOSE)
        assert get(node.address, "/users/broken", CURL).status == 502
        raw(node.address, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        raw(node.address, b"nonsense\r\n\r\n")
        with Http2(node.address) as client:
            for body in (b"", b"y" * 5_000):
                assert client.request("/users/http2", [BROWSER], "POST", body).status == 200
        records = node.records(49)
        programs = {f"/users/{number}": False for number in range(40)} | {
            "/own": False,
            "/users/http2": False,
        }
        counted, expected = taken(node), of_records(records, programs)
        assert counted == expected
        assert {key[1] for key in counted} == {"users", "fixed", "own", ""}
        assert {key[4] for key in counted} == {200, 204, 400, 404, 429, 502}
        assert {key[5] for key in counted} == {"", "tenant-0", "tenant-1", "tenant-2"}
        assert taken(node) == {}


def test_a_service_that_takes_its_time_is_told_apart_from_the_gateway(origin: Origin) -> None:
    def late(connection: Any, received: Any) -> None:
        threading.Event().wait(0.03)
        connection.send(plain())

    with Node(one_route(origin)) as node:
        node.engine.count_requests(MOST)
        origin.script(late)
        get(node.address, "/late")
        get(node.address, "/")
        records = node.records(2)
        assert records[0]["upstream_latency_ms"] >= 30
        assert taken(node) == of_records(records, {})


def test_a_redirect_a_late_head_and_a_client_that_leaves_are_counted(origin: Origin) -> None:
    plain_listener = "{name: plain, address: '127.0.0.1:2', redirect_to_https: 443}"
    late_listener = "{name: late, address: '127.0.0.1:3', header_timeout: 1s}"
    public = "{name: public, address: '127.0.0.1:1'}"
    with Node(one_route(origin, "", f"listeners: [{public}, {plain_listener}, {late_listener}]")) as node:
        node.engine.count_requests(MOST)
        assert get(node.address_of("plain"), "/").status == 308
        assert raw(node.address_of("late"), b"GET / HTTP/1.1\r\n").only.status == 408
        origin.script(threading.Event())
        with Client(node.address) as client:
            client.send(encode("/left", [BROWSER]))
            origin.next_request()
        records = node.records(3)
        counted = taken(node)
        assert counted == of_records(records, {"/left": False})
        assert {key[4] for key in counted} == {308, 408, 499}


def test_a_websocket_is_counted_when_it_has_ended() -> None:
    with Sockets() as sockets, Node(one_route(sockets, "websocket: true")) as node:
        node.engine.count_requests(MOST)
        with dial(node.address) as client:
            client.send("hello")
            assert client.recv() == "hello"
            assert taken(node) == {}
        record = node.record()
        counted = taken(node)
        # The client of these tests names itself `Python`.
        assert counted == of_records([record], {"/": True})
        assert [key[4] for key in counted] == [101]


def test_requests_that_sampling_leaves_out_of_the_records_are_counted(origin: Origin) -> None:
    sample = "records: {sample: {full_rate: 0, ratio: 0.0001}}"
    with Node(one_route(origin, "", sample, path="/known")) as node:
        node.engine.count_requests(MOST)
        for _ in range(30):
            get(node.address, "/known")
        get(node.address, "/last")
        while node.record()["path"] != "/last":
            pass
        counted = summed(taken(node))
        assert node.metric("gateway_records_sampled_out_total") > 0
    assert counted == {("users", "users", origin.address, 200, ""): 30, ("", "", "", 404, ""): 1}


def test_where_nobody_wants_records_none_is_made_and_all_requests_are_counted(origin: Origin) -> None:
    with Node(one_route(origin, "", "records: {sinks: []}")) as node:
        node.engine.count_requests(MOST)
        for _ in range(20):
            get(node.address, "/")
        counted: Counter[tuple[Any, ...]] = Counter()
        # The last is counted when its answer has been sent.
        while counted.total() < 20:
            counted.update(summed(taken(node)))
        assert counted == {("users", "users", origin.address, 200, ""): 20}
        assert node.metric("gateway_record_bytes_total") == node.metric("gateway_records_total") == 0
        assert node.engine.next_records(1 << 20, 0.1) is None


def test_nothing_is_counted_before_it_is_wanted_nor_after(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        get(node.address, "/before")
        node.record()
        assert taken(node) == {}
        node.engine.count_requests(MOST)
        get(node.address, "/counted")
        node.record()
        node.engine.count_requests(0)
        get(node.address, "/after")
        node.record()
        assert list(summed(taken(node)).values()) == [1]
        with pytest.raises(OverflowError):
            node.engine.count_requests(-1)


def test_a_stopped_engine_gives_what_it_has_counted(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        node.engine.count_requests(MOST)
        get(node.address, "/")
        node.engine.stop()
        assert list(summed(taken(node)).values()) == [1]


def test_workers_and_versions_of_a_configuration_count_together(origin: Origin) -> None:
    with Node(one_route(origin), workers=2) as node:
        node.engine.count_requests(MOST)
        for _ in range(2):
            for _ in range(20):
                get(node.address, "/", BROWSER)
            node.apply(one_route(origin))
        records = node.records(40)
        assert {record["config_version"] for record in records} == {1, 2}
        assert taken(node) == of_records(records, {"/": False})


def test_beyond_the_bound_requests_are_told_less_apart_and_that_is_counted(origin: Origin) -> None:
    with Node(one_route(origin, "", TENANTS)) as node:
        node.engine.count_requests(4)
        for number in range(20):
            get(node.address, "/", ("x-tenant", f"tenant-{number}"))
        records = node.records(20)
        counted = summed(taken(node))
        assert sum(counted.values()) == 20
        # One minute may have ended meanwhile.
        assert len(counted) <= 4 + 4 // 2 + 2
        assert any("other" in key for key in counted)
        coarse = sum(requests for key, requests in counted.items() if "other" in key)
        assert node.metric("gateway_requests_coarsened_total") == coarse
        assert len(records) == 20


def test_requests_are_taken_once_each_while_they_come(origin: Origin) -> None:
    with Node(one_route(origin), workers=2) as node:
        node.engine.count_requests(MOST)
        seen: list[Counts] = []
        is_over = threading.Event()

        def take() -> None:
            while not is_over.is_set():
                seen.append(taken(node))

        taker = threading.Thread(target=take)
        taker.start()
        for _ in range(4):
            ask_a_hundred_times(node)
        node.records(400)
        is_over.set()
        taker.join()
        seen.append(taken(node))
        assert sum(sum(summed(counts).values()) for counts in seen) == 400
        latencies = [values[4:] for counts in seen for values in counts.values()]
        for kind in zip(*latencies, strict=True):
            assert sum(zeros + sum(count for _, count in buckets) for zeros, _, buckets in kind) == 400


def ask_a_hundred_times(node: Node) -> None:
    with Client(node.address) as client:
        client.send(encode("/") * 100)
        for _ in range(100):
            assert client.response().status == 200
