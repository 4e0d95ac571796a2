"""Heads of requests that clients send slowly: told in the record, and neither the gateway's time nor the
service's.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import Authority, Client, Http2, Node, Origin, TlsClient, encode, get, listener, one_route, steps
from gateway.http2 import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, frame, pseudo

Record = dict[str, Any]


def head_of(record: Record) -> dict[str, Any]:
    """The step that says how long the head was waited for, which is all that the request waited for."""
    [step] = [step for step in record["decisions"] if "waited_ms" in step]
    assert (step["stage"], step["waited_for"], step["waited_at_ms"]) == ("intake", "head", 0)
    # To the microsecond, whatever the machine was busy with.
    own, upstream = record["gateway_overhead_ms"], record["upstream_latency_ms"] or 0
    assert round(own + upstream + step["waited_ms"], 3) == record["total_latency_ms"]
    return step


def nobody_waited(record: Record) -> bool:
    return not any("waited_ms" in step for step in record["decisions"])


class Slow:
    """A client whose head is not complete yet; other clients are served meanwhile."""

    def __init__(self, node: Node) -> None:
        self.node = node
        # Whoever serves this has seen what was sent before.
        assert get(node.address).status == 200
        began = time.monotonic()
        assert get(node.address).status == 200
        self.at_least = (time.monotonic() - began) * 1_000

    def check(self, record: Record) -> None:
        assert head_of(record)["waited_ms"] >= self.at_least
        assert steps(record) == [("intake", "waited"), ("route", "matched"), ("balance", "picked")]


@contextmanager
def over_tcp(_: Path) -> Iterator[tuple[str, Callable[[Node], Client]]]:
    yield "", lambda node: Client(node.address)


@contextmanager
def over_tls(directory: Path) -> Iterator[tuple[str, Callable[[Node], Client]]]:
    authority = Authority(directory)
    pair = authority.issue("gateway", "gateway.test", "127.0.0.1")
    context = ssl.create_default_context(cafile=str(authority.file))
    more = f"\n  - {{name: secure, address: '127.0.0.1:2', tls: {{certificates: [{pair.yaml}]}}}}"
    plain = "listeners:\n  - {name: public, address: '127.0.0.1:1'}"
    yield plain + more, lambda node: TlsClient(node.address_of("secure"), context)


@pytest.mark.parametrize("way", [over_tcp, over_tls])
def test_a_head_that_comes_slowly_is_waited_for_by_nobody_but_its_client(
    origin: Origin, tmp_path: Path, way: Callable[[Path], Any]
) -> None:
    with way(tmp_path) as (section, connect), Node(one_route(origin, "", section)) as node:
        with connect(node) as client:
            client.send(encode())
            assert client.response().status == 200
            assert nobody_waited(node.record())
            client.send(encode("/slow")[:20])
            slow = Slow(node)
            client.send(encode("/slow")[20:])
            assert client.response().status == 200
            *_, record = node.records(3)
            slow.check(record)
            # The next one of the same connection waited for nothing.
            client.send(encode("/next"))
            assert client.response().status == 200
            assert nobody_waited(node.record())
        assert node.metric("gateway_wait_duration_seconds_count", cause="head") == 1


def test_a_head_whose_first_bytes_may_be_the_preface_of_http2_is_told_from_the_first(origin: Origin) -> None:
    whole = encode("/slow", method="POST", body=b"")
    with Node(one_route(origin)) as node, Client(node.address) as client:
        client.send(whole[:1])
        slow = Slow(node)
        client.send(whole[1:])
        assert client.response().status == 200
        slow.check(node.records(3)[2])


@pytest.mark.parametrize("cut", [3, 9 + 4, None])
def test_a_head_in_frames_that_come_slowly_is_told_by_its_own_stream(origin: Origin, cut: int | None) -> None:
    with Node(one_route(origin)) as node, Http2(node.address) as client:
        assert client.request().status == 200
        assert nobody_waited(node.record())
        stream = client.open_stream()
        block = client.encoder.encode(list(pseudo("/slow")))
        # Cut within the head of a frame, within its payload, or between HEADERS and CONTINUATION.
        if cut is None:
            first = frame(HEADERS, END_STREAM, stream, block[:5])
            rest = frame(CONTINUATION, END_HEADERS, stream, block[5:])
        else:
            whole = frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
            first, rest = whole[:cut], whole[cut:]
        client.send(first)
        slow = Slow(node)
        # Another stream begins in the same packet, and has waited for nothing.
        other = client.open_stream()
        client.send(rest + client.headers(other, pseudo("/other")))
        assert client.response(stream).status == client.response(other).status == 200
        told = {record["path"]: record for record in node.records(4)}
        slow.check(told["/slow"])
        assert nobody_waited(told["/other"])


def test_a_head_that_never_comes_is_no_overhead_of_its_refusal(origin: Origin) -> None:
    with Node(one_route(origin, "", listener("header_timeout: 1s"))) as node:
        with Client(node.address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a")
            assert client.response().status == 408
        record = node.record()
        assert head_of(record)["verdict"] == "refused"
        assert steps(record) == [("intake", "refused")]
        assert head_of(record)["waited_ms"] >= 40


def test_the_service_has_all_of_its_time_however_slowly_the_head_came(origin: Origin) -> None:
    """Or clients could open its breaker with nothing but patience."""
    release = threading.Event()
    with Node(one_route(origin, "timeout: 2s")) as node, Client(node.address) as client:
        client.send(encode("/slow")[:20])
        assert get(node.address).status == 200
        taken = origin.script(release)
        # As long as the route's timeout.
        assert get(node.address, "/hangs").status == 504
        assert taken.wait(30)
        release.set()
        client.send(encode("/slow")[20:])
        assert client.response().status == 200
        assert head_of(node.records(3)[2])["waited_ms"] >= 1_900
