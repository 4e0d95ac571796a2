"""gRPC through the gateway: a real client, a real server, and what the gateway says itself."""

import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from gateway import Authority, Node, Origin, get, listener
from gateway.grpc_service import SERVICE, GrpcService
from gateway.http2_origin import http2

DEADLINE = 30.0


@pytest.fixture
def service() -> Iterator[GrpcService]:
    with GrpcService() as service:
        yield service


class Caller:
    """A gRPC client of a gateway; over TLS where it is told whom to trust."""

    def __init__(self, node: Node, authority: Authority | None = None) -> None:
        host, port = node.address
        largest = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        target = f"{host}:{port}"
        if authority is None:
            self.channel = grpc.insecure_channel(target, options=largest)
        else:
            trusted = grpc.ssl_channel_credentials(authority.file.read_bytes())
            self.channel = grpc.secure_channel(target, trusted, options=largest)
        self.unary = self.channel.unary_unary(f"{SERVICE}/Unary")
        self.split = self.channel.unary_stream(f"{SERVICE}/Split")
        self.join = self.channel.stream_unary(f"{SERVICE}/Join")
        self.echo = self.channel.stream_stream(f"{SERVICE}/Echo")
        self.fail = self.channel.unary_unary(f"{SERVICE}/Fail")
        self.hang = self.channel.stream_stream(f"{SERVICE}/Hang")

    def __enter__(self) -> "Caller":
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()


def test_all_four_kinds_of_calls_pass(service: GrpcService) -> None:
    with Node(http2(service)) as node, Caller(node) as caller:
        assert caller.unary(b"one", timeout=DEADLINE) == b"one"
        assert list(caller.split(b"a b c", timeout=DEADLINE)) == [b"a", b"b", b"c"]
        assert caller.join(iter([b"a", b"b"]), timeout=DEADLINE) == b"a b"
        assert list(caller.echo(iter([b"", b"x" * 100_000]), timeout=DEADLINE)) == [b"", b"x" * 100_000]
        assert len(service.peers) == 1, "the calls did not share a connection"
        assert {record["status"] for record in node.records(4)} == {200}


def test_all_four_kinds_of_calls_pass_over_tls_on_both_sides(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("local", "127.0.0.1")
    secure = listener(f"tls: {{certificates: [{pair.yaml}]}}")
    trusting = f'tls: {{ca_file: "{authority.file}"}}'
    with (
        GrpcService(pair) as service,
        Node(f"{secure}\n{http2(service, trusting)}") as node,
        Caller(node, authority) as caller,
    ):
        assert caller.unary(b"one", timeout=DEADLINE) == b"one"
        assert list(caller.split(b"a b c", timeout=DEADLINE)) == [b"a", b"b", b"c"]
        assert caller.join(iter([b"a", b"b"]), timeout=DEADLINE) == b"a b"
        assert list(caller.echo(iter([b"", b"x" * 100_000]), timeout=DEADLINE)) == [b"", b"x" * 100_000]
        assert {(record["scheme"], record["protocol"]) for record in node.records(4)} == {("https", "HTTP/2")}


def test_a_service_that_does_not_agree_on_http2_in_its_handshake_is_not_asked(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("local", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.file, pair.key_file)
    with (
        Origin(tls=context) as origin,
        Node(http2(origin, f'tls: {{ca_file: "{authority.file}"}}')) as node,
    ):
        assert get(node.address).status == 502
        assert node.record()["error_type"] == "tls_handshake_failed"
        assert origin.requests == []


def test_each_message_of_a_conversation_arrives_before_the_next_is_sent(service: GrpcService) -> None:
    with Node(http2(service)) as node, Caller(node) as caller:
        answered = threading.Semaphore(1)

        def questions() -> Iterator[bytes]:
            for number in range(20):
                assert answered.acquire(timeout=DEADLINE)
                yield b"%d" % number

        for number, answer in enumerate(caller.echo(questions(), timeout=DEADLINE)):
            assert answer == b"%d" % number
            answered.release()


def test_metadata_and_binary_trailers_pass_both_ways(service: GrpcService) -> None:
    with Node(http2(service)) as node, Caller(node) as caller:
        metadata = (("x-initial", "begins"), ("x-trailing-bin", b"\x00\xff\x80"))
        answer, call = caller.unary.with_call(b"", metadata=metadata, timeout=DEADLINE)
        assert answer == b""
        assert ("x-initial", "begins") in list(call.initial_metadata())
        assert ("x-trailing-bin", b"\x00\xff\x80") in list(call.trailing_metadata())


def test_every_status_of_a_service_reaches_the_caller_with_its_http2(service: GrpcService) -> None:
    with Node(http2(service, "circuit_breaker: off")) as node, Caller(node) as caller:
        for code in grpc.StatusCode:
            if code is grpc.StatusCode.OK:
                continue
            with pytest.raises(grpc.RpcError) as failed:
                caller.fail(b"%d" % code.value[0], timeout=DEADLINE)
            assert (failed.value.code(), failed.value.details()) == (code, "as you wish: é")


def test_large_messages_pass_both_ways(service: GrpcService) -> None:
    with Node(http2(service, route="max_body: 64MiB")) as node, Caller(node) as caller:
        message = bytes(range(256)) * (1 << 16)
        assert caller.unary(message, timeout=30) == message


def test_many_calls_at_once_each_get_their_own_answer(service: GrpcService) -> None:
    with Node(http2(service)) as node, Caller(node) as caller:
        calls = [caller.unary.future(b"%d" % number, timeout=30) for number in range(200)]
        assert [call.result() for call in calls] == [b"%d" % number for number in range(200)]


def test_a_deadline_reaches_the_service_and_ends_the_call(service: GrpcService) -> None:
    with Node(http2(service, route="timeout: 5s")) as node, Caller(node) as caller:
        # With all connections open, what the deadline has to be enough for is the first message alone.
        assert caller.unary(b"", timeout=DEADLINE) == b""
        call = caller.hang(iter([b"first"]), timeout=2)
        assert next(call) == b"first"
        with pytest.raises(grpc.RpcError) as failed:
            next(call)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert service.cancelled.wait(DEADLINE)
        assert service.deadline is not None
        # Its own, and not the route's five seconds; the client's library rounds what it sends up.
        assert 0 < service.deadline < 3


def test_a_call_that_is_cancelled_is_cancelled_at_the_service(service: GrpcService) -> None:
    with Node(http2(service)) as node, Caller(node) as caller:
        call = caller.hang(iter([b"first"]), timeout=DEADLINE)
        assert next(call) == b"first"
        assert service.begun.wait(DEADLINE)
        call.cancel()
        assert service.cancelled.wait(DEADLINE)
        assert node.record()["error_type"] == "client_closed"


def test_statuses_that_tell_of_a_failure_open_the_breaker_and_others_do_not(service: GrpcService) -> None:
    breaker = "circuit_breaker: {failure_ratio: 0.5, minimum_requests: 5, window: 30s}"
    with Node(http2(service, breaker)) as node, Caller(node) as caller:
        for status in [b"3", b"5", b"7", b"16"] * 3:
            with pytest.raises(grpc.RpcError):
                caller.fail(status, timeout=DEADLINE)
        assert caller.unary(b"still closed", timeout=DEADLINE) == b"still closed"
        for _ in range(20):
            with pytest.raises(grpc.RpcError) as failed:
                caller.fail(b"14", timeout=DEADLINE)
        assert failed.value.details() != "as you wish: é", "the breaker is closed"
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_service_that_cannot_be_reached_is_unavailable() -> None:
    with GrpcService() as service:
        text = http2(service)
    with Node(text) as node, Caller(node) as caller, pytest.raises(grpc.RpcError) as failed:
        caller.unary(b"", timeout=DEADLINE)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
