"""gRPC services behind the gateway: what it knows of calls, their deadlines, their statuses and health."""

import contextlib
import threading

import pytest
from h2.exceptions import ProtocolError

from gateway import Client, Http2Origin, Node, encode, request
from gateway.grpc_service import SERVICE, GrpcService
from gateway.http2_origin import Stream, http2, wait

CALL = [("Content-Type", "application/grpc"), ("TE", "trailers")]
OPENS_AT_ONCE = "circuit_breaker: {failure_ratio: 0.1, minimum_requests: 1, window: 30s}"


def test_a_deadline_of_the_caller_ends_its_call_and_is_no_failure_of_the_service() -> None:
    with Http2Origin() as origin, Node(http2(origin, OPENS_AT_ONCE)) as node:
        # Its connection is there when the deadline begins, so that every call reaches it.
        assert request(node.address, "/a.B/C", CALL, "POST", b"\0\0\0\0\0").status == 200
        origin.next_request()
        node.record()
        origin.on_end = wait
        for _ in range(2):
            headers = [*CALL, ("grpc-timeout", "500m")]
            response = request(node.address, "/a.B/C", headers, "POST", b"\0\0\0\0\0")
            assert (response.status, response.get("grpc-status")) == (200, "4")
            assert origin.next_request().get("grpc-timeout") == "500m"
            record = node.record()
            assert (record["status"], record["error_type"]) == (504, "deadline_exceeded")
            assert record["decisions"][-1]["inputs"] == {"fault": "deadline_exceeded"}


def test_a_deadline_is_for_the_whole_call_though_the_service_keeps_speaking() -> None:
    def drip(stream: Stream) -> None:
        if stream.get("grpc-timeout") is None:
            stream.answer()
            return

        def speak() -> None:
            with contextlib.suppress(OSError, ProtocolError):
                while not threading.Event().wait(0.02):
                    stream.send(b"x")

        stream.head()
        threading.Thread(target=speak, daemon=True).start()

    with Http2Origin(drip) as origin, Node(http2(origin, route="timeout: 5s")) as node:
        # Its connection is there when the deadline begins, so that its head is sent in time.
        assert request(node.address, "/a.B/C", CALL, "POST", b"\0\0\0\0\0").status == 200
        node.record()
        with Client(node.address) as client:
            headers = [*CALL, ("grpc-timeout", "2S")]
            client.send(encode("/a.B/C", headers, "POST", b"\0\0\0\0\0"))
            with pytest.raises(ConnectionError):
                client.response()
        assert node.record()["error_type"] == "deadline_exceeded"


@pytest.mark.parametrize(
    ("status", "deadline", "opens"), [("14", "", True), ("4", "", True), ("4", "5S", False), ("5", "", False)]
)
def test_a_status_that_tells_of_a_failure_opens_the_breaker(status: str, deadline: str, opens: bool) -> None:
    def answer(stream: Stream) -> None:
        stream.answer(b"", trailers=[("grpc-status", status)])

    with Http2Origin(answer) as origin, Node(http2(origin, OPENS_AT_ONCE)) as node:
        headers = [*CALL, *([("grpc-timeout", deadline)] if deadline else [])]
        for _ in range(3):
            last = request(node.address, "/a.B/C", headers, "POST", b"\0\0\0\0\0")
        # A refusal has its status in the head, an answer of the service in its trailers.
        assert (last.status, last.get("grpc-status")) == (200, "14" if opens else None)


@pytest.mark.parametrize("check", ["kind: grpc, service: a.B", "path: /up, expect: 404, host: a.b"])
def test_an_instance_that_does_not_say_it_is_well_is_taken_out_until_it_does(check: str) -> None:
    asked, is_well = [], threading.Event()

    def answer(stream: Stream) -> None:
        host = None if "kind" in check else stream.get(":authority")
        asked.append((host, stream.get(":path"), stream.body))
        well = "200" if "kind" in check else "404"
        stream.head(status=well if is_well.is_set() or "kind" in check else "503")
        body = b"\0\0\0\0\2\x08" + (b"\1" if is_well.is_set() else b"\2")
        stream.send(body, trailers=[("grpc-status", "0")])

    check = f"health_check: {{{check}, interval: 100ms, timeout: 1s, unhealthy_after: 2, healthy_after: 2}}"
    with Http2Origin(answer) as origin, Node(http2(origin, check)) as node:
        node.wait_for(lambda state: not state["services"][0]["instances"][0]["healthy"])
        is_well.set()
        node.wait_for(lambda state: state["services"][0]["instances"][0]["healthy"])
    question = (None, "/grpc.health.v1.Health/Check", b"\0\0\0\0\5\x0a\x03a.B")
    assert set(asked) == {question if "kind" in check else ("a.b", "/up", b"")}


def test_a_call_over_http1_gets_its_status_as_a_trailer() -> None:
    with GrpcService() as service, Node(http2(service)) as node, Client(node.address) as client:
        client.send(
            f"POST {SERVICE}/Unary HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n"
            "Content-Type: application/grpc\r\nContent-Length: 8\r\n\r\n".encode()
            + b"\x00\x00\x00\x00\x03one"
        )
        response = client.response()
        assert response.body == b"\x00\x00\x00\x00\x03one"
        assert ("grpc-status", "0") in response.trailers
