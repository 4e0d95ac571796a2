"""Retries where the service speaks HTTP/2, and of gRPC calls."""

from collections.abc import Callable

import pytest
from h2.errors import ErrorCodes

from gateway import Http2Origin, Node, request
from gateway.attempts import ask, attempts, retry
from gateway.http2_origin import Stream, first_only, http2, wait


def reset_stream(stream: Stream) -> None:
    stream.connection.protocol.reset_stream(stream.number, ErrorCodes.INTERNAL_ERROR)
    stream.connection.flush()


def busy(stream: Stream) -> None:
    stream.head(status="503", ends=True)


@pytest.mark.parametrize("fail", [reset_stream, busy, wait])
def test_services_that_speak_http2_are_asked_again_alike(fail: Callable[[Stream], None]) -> None:
    arrived: list[bytes] = []

    def on_end(stream: Stream) -> None:
        arrived.append(stream.body)
        answer(stream)

    answer = first_only(fail)
    # Whoever is silent is left; on a busy machine the next one may be late as well.
    route = retry("attempts: 10", "per_try_timeout: 600ms") if fail is wait else retry()
    with Http2Origin(on_end) as origin, Node(http2(origin, route=route)) as node:
        assert ask(node, "PUT", b"body") == 200
        made = node.record()["attempts"]
    assert made == 2 or (fail is wait and made > 2)
    assert arrived == [b"body"] * made


CALL = [("Content-Type", "application/grpc"), ("TE", "trailers")]


@pytest.mark.parametrize(
    ("told", "attempts_made"), [("trailers-only", 2), ("not listed", 1), ("behind a message", 1)]
)
def test_calls_are_made_again_for_a_status_that_the_service_says_at_once(
    told: str, attempts_made: int
) -> None:
    def fail(stream: Stream) -> None:
        if told == "behind a message":
            stream.answer(b"\0\0\0\0\0", trailers=[("grpc-status", "14")])
        else:
            stream.head([("grpc-status", "5" if told == "not listed" else "14")], ends=True)

    route = retry("methods: [POST]", "on: [grpc_unavailable]")
    with Http2Origin(first_only(fail)) as origin, Node(http2(origin, route=route)) as node:
        request(node.address, "/a.B/C", CALL, "POST", b"\0\0\0\0\0")
        record = node.record()
        assert record["attempts"] == attempts_made
        told_of = [
            {"instance": origin.address, "grpc_status": 14},
            {"instance": origin.address, "status": 200},
        ]
        assert attempts(record) == (told_of if attempts_made == 2 else [])
