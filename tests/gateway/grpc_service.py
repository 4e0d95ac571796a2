"""A real gRPC server without generated code: methods take and give bytes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc

from gateway.authority import Pair
from gateway.origin import DEADLINE

SERVICE = "/test.Echo"


def _unary(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Gives the request back, and its metadata as the metadata of the answer."""
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", sent.get("x-initial", "")),))
    context.set_trailing_metadata((("x-trailing-bin", sent.get("x-trailing-bin", b"")),))
    return request


def _split(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """Gives each word of the request as a message."""
    yield from request.split()


def _join(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
    """Gives all messages as one."""
    return b" ".join(requests)


def _echo(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Gives each message back as it comes."""
    yield from requests


def _fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Ends with the status whose number is the request."""
    codes = {code.value[0]: code for code in grpc.StatusCode}
    context.abort(codes[int(request)], "as you wish: é")
    raise AssertionError


class GrpcService:
    """Serves `SERVICE/Unary`, `Split`, `Join`, `Echo`, `Fail` and `Hang`; tells when `Hang` was given up."""

    def __init__(self, pair: Pair | None = None) -> None:
        self.begun = threading.Event()
        self.cancelled = threading.Event()
        self.deadline: float | None = None
        """Seconds that the last call of `Hang` had left."""
        self.peers: set[str] = set()
        """The connections that calls came on."""
        largest = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(ThreadPoolExecutor(64), options=largest)
        self._server.add_generic_rpc_handlers((self._handlers(),))
        if pair is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            keys = [(pair.key_file.read_bytes(), pair.file.read_bytes())]
            self.port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(keys))
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancelled.set()
        self._server.stop(None).wait(DEADLINE)

    @property
    def address(self) -> str:
        """As a configuration names it."""
        return f"127.0.0.1:{self.port}"

    def _hang(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Gives the first message back and then nothing until the caller gives up."""
        self.deadline = context.time_remaining()
        context.add_callback(self.cancelled.set)
        yield next(requests)
        self.begun.set()
        self.cancelled.wait(DEADLINE)

    def _noted(self, behaviour: Any) -> Any:
        def handle(request: Any, context: grpc.ServicerContext) -> Any:
            self.peers.add(context.peer())
            return behaviour(request, context)

        return handle

    def _handlers(self) -> grpc.GenericRpcHandler:
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._noted(_unary)),
            "Split": grpc.unary_stream_rpc_method_handler(self._noted(_split)),
            "Join": grpc.stream_unary_rpc_method_handler(self._noted(_join)),
            "Echo": grpc.stream_stream_rpc_method_handler(self._noted(_echo)),
            "Fail": grpc.unary_unary_rpc_method_handler(self._noted(_fail)),
            "Hang": grpc.stream_stream_rpc_method_handler(self._noted(self._hang)),
        }
        return grpc.method_handlers_generic_handler(SERVICE.strip("/"), methods)
