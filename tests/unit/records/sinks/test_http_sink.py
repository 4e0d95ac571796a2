"""Sinks over HTTP: what each kind sends, and that no failure of a server loses, doubles or blocks for ever
more than it has to.
"""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gatewright.outgoing.posting import Destination, retry_after
from gatewright.records.sink import RejectedError, SinkError
from gatewright.records.sinks.http_sink import ANSWER_BYTES, HALVINGS, HttpSink
from gatewright.records.sinks.webhook import WebhookEncoder
from stores.http import (
    STORES,
    Received,
    Reply,
    Store,
)
from stores.sinks import ENCODERS, KINDS, OPEN, RECORD, batch_of, numbers, sink_of


@pytest.fixture(autouse=True)
def closed_sinks() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(kind: str) -> Iterator[Store]:
    with STORES[kind]() as store:
        yield store


@pytest.mark.parametrize("compress", [True, False])
def test_every_record_arrives_as_it_was(kind: str, store: Store, compress: bool) -> None:
    sink = sink_of(kind, store, compress=compress)
    sink.write(batch_of(20))
    assert numbers(store) == list(range(20))
    assert store.records[0] == RECORD | {"number": 0}
    assert (store.requests[0].headers.get("content-encoding") == "gzip") is compress


def test_a_batch_that_is_too_large_is_sent_in_several_requests(kind: str, store: Store) -> None:
    sink = sink_of(kind, store, max_request=4096)
    sink.write(batch_of(50))
    assert numbers(store) == list(range(50))
    assert len(store.requests) > 3
    assert max(len(request.body) for request in store.requests) <= 8192


def test_the_login_and_headers_are_sent(kind: str, store: Store) -> None:
    sink_of(kind, store, login=("gw", "s3cret"), headers={"X-Scope-OrgID": "a"}).write(batch_of(1))
    assert store.requests[0].headers["authorization"] == "Basic Z3c6czNjcmV0"
    assert store.requests[0].headers["x-scope-orgid"] == "a"


@pytest.mark.parametrize("status", [429, 503, 502, 401, 403, 404, 302])
def test_what_is_no_fault_of_the_records_is_tried_again(kind: str, store: Store, status: int) -> None:
    headers = {"Retry-After": "7", "Location": store.url + "/elsewhere"}
    store.faults.append(lambda _: Reply(status, b"not now", headers))
    sink, batch = sink_of(kind, store), batch_of(10)
    with pytest.raises(SinkError, match=f"{status}: not now") as caught:
        sink.write(batch)
    assert caught.value.wait == 7.0
    assert not isinstance(caught.value, RejectedError)
    sink.write(batch)
    assert numbers(store) == list(range(10))
    assert len(store.requests) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_one_bad_record_does_not_take_others_with_it(kind: str, store: Store, status: int) -> None:
    def refusing(request: Received) -> Reply:
        if b'"number": 13' in request.body or b'\\"number\\": 13' in request.body:
            return Reply(status, b"bad record")
        return store._accepted(request)

    store.faults.extend([refusing] * 50)
    with pytest.raises(RejectedError, match=f"{status}: bad record") as caught:
        sink_of(kind, store).write(batch_of(100))
    assert caught.value.records == 1
    assert sorted(numbers(store)) == [number for number in range(100) if number != 13]


def test_a_server_that_refuses_everything_is_not_asked_for_ever(kind: str, store: Store) -> None:
    store.faults.extend([lambda _: Reply(400, b"no")] * 2000)
    with pytest.raises(RejectedError) as caught:
        sink_of(kind, store).write(batch_of(300))
    assert caught.value.records == 300
    assert len(store.requests) <= 2 * HALVINGS + 2


def test_what_was_accepted_is_not_sent_again(kind: str, store: Store) -> None:
    sink, batch = sink_of(kind, store, max_request=4096), batch_of(50)
    store.faults.extend([store._accepted, lambda _: Reply(503)])
    with pytest.raises(SinkError):
        sink.write(batch)
    sink.write(batch)
    assert numbers(store) == list(range(50))


@pytest.mark.parametrize("kind", ["elasticsearch", "clickhouse"])
def test_what_was_stored_before_the_answer_was_lost_is_stored_once(kind: str, store: Store) -> None:
    sink, batch = sink_of(kind, store), batch_of(30)
    store.after.append(lambda _: Reply(200, b"x" * 100, cut=50))
    with pytest.raises(SinkError, match="no answer"):
        sink.write(batch)
    sink.write(batch)
    assert numbers(store) == list(range(30))


def test_an_answer_that_is_cut_short_is_no_answer(kind: str, store: Store) -> None:
    store.faults.append(lambda _: Reply(200, b"{}" + b" " * 100, cut=50))
    with pytest.raises(SinkError, match="no answer"):
        sink_of(kind, store).write(batch_of(1))


def test_an_answer_without_end_is_not_read_to_its_end(kind: str, store: Store) -> None:
    store.faults.append(lambda _: Reply(200, b"x" * (ANSWER_BYTES + 100_000)))
    with pytest.raises(SinkError, match="larger than"):
        sink_of(kind, store).write(batch_of(1))


def test_a_server_that_hangs_is_waited_for_no_longer_than_configured(kind: str, store: Store) -> None:
    let_go = threading.Event()

    def hanging(_: Received) -> Reply:
        let_go.wait(30)
        return Reply(200)

    store.faults.append(hanging)
    with pytest.raises(SinkError, match=r"no answer within 0\.2 s"):
        sink_of(kind, store, timeout=0.2).write(batch_of(1))
    let_go.set()


def test_a_server_that_is_not_there_is_an_error_that_holds_no_secret(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    destination = Destination(
        f"http://127.0.0.1:{port}/?token=s3cret", 2.0, ANSWER_BYTES, login=("a", "s3cret")
    )
    with pytest.raises(SinkError, match="ConnectError") as caught:
        HttpSink(kind, destination, ENCODERS[kind]()).write(batch_of(1))
    assert "s3cret" not in str(caught.value)


def test_a_sink_uses_its_connection_again(kind: str, store: Store) -> None:
    sink = sink_of(kind, store)
    for _ in range(3):
        sink.write(batch_of(1))
    assert store.connections == 1


def test_a_time_that_is_none_stops_nothing(kind: str, store: Store) -> None:
    sink_of(kind, store).write(batch_of(3, timestamp="yesterday"))
    assert numbers(store) == [0, 1, 2]


def test_a_new_batch_takes_the_place_of_one_that_was_given_up(kind: str, store: Store) -> None:
    sink = sink_of(kind, store)
    store.faults.append(lambda _: Reply(503))
    with pytest.raises(SinkError):
        sink.write(batch_of(2, status=503))
    sink.write(batch_of(3))
    assert numbers(store) == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("999999999999", 300.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 0.0),
        ("Fri, 14 Nov 2043 22:13:10 GMT", 300.0),
        ("9" * 5000, 300.0),
        ("00000000000007", 7.0),
        ("soon", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300.0),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_both_forms_of_retry_after_are_read(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, now=1_700_000_000.0) == seconds


def test_files_of_tls_that_cannot_be_used_are_an_error(tmp_path: Any) -> None:
    destination = replace(
        Destination("https://127.0.0.1:1", 5.0, ANSWER_BYTES), ca_file=tmp_path / "absent.pem"
    )
    with pytest.raises(SinkError, match="`tls`"):
        HttpSink("webhook", destination, WebhookEncoder()).write(batch_of(1))
