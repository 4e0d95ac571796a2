"""A service that speaks HTTP/2 in threads: keeps what it got, answers or misbehaves as the test says."""

import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.settings import SettingCodes, Settings

from gateway.configuration import HasAddress
from gateway.origin import DEADLINE, Header


@dataclass
class Stream:
    """One request as it arrives."""

    connection: "Http2Connection"
    number: int
    headers: list[Header]
    body: bytes = b""
    trailers: list[Header] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    """The error code, once the gateway gave the stream up."""

    def get(self, name: str) -> str | None:
        """The value of a header, pseudo headers included, that must not be there twice."""
        values = [value for header, value in self.headers if header == name]
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None

    def answer(
        self, body: bytes = b"ok", headers: Sequence[Header] = (), trailers: Sequence[Header] = ()
    ) -> None:
        """Send a whole response, as fast as the gateway makes room."""
        self.head(headers)
        self.send(body, ends=not trailers, trailers=trailers)

    def head(self, headers: Sequence[Header] = (), status: str = "200", ends: bool = False) -> None:
        """Begin a response."""
        with self.connection.speaking:
            told = [(":status", status), *headers]
            self.connection.protocol.send_headers(self.number, told, end_stream=ends)
            self.connection.flush()

    def send(self, body: bytes, ends: bool = False, trailers: Sequence[Header] = ()) -> None:
        """Send a part of the body; with `ends`, or with trailers, the last."""
        with self.connection.speaking:
            self.connection.pending.setdefault(self.number, []).append((body, ends, trailers))
            self.connection.pump()


class Http2Connection:
    """One connection that the gateway opened. It is read in its own thread; tests may answer from theirs."""

    def __init__(self, origin: "Http2Origin", accepted: socket.socket, number: int) -> None:
        self.origin = origin
        self.socket = accepted
        self.number = number
        self.streams: dict[int, Stream] = {}
        self.pending: dict[int, list[tuple[bytes, bool, Sequence[Header]]]] = {}
        self.has_ended = threading.Event()
        # Frames of two threads must not overtake each other, nor may both change what the protocol remembers.
        self.speaking = threading.RLock()
        # It must send what a real peer could send, right or wrong.
        configuration = H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.protocol = H2Connection(configuration)
        self.protocol.local_settings = Settings(client=False, initial_values=origin.settings)
        accepted.settimeout(DEADLINE)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def flush(self) -> None:
        """Send what the protocol has prepared."""
        with self.speaking:
            self.socket.sendall(self.protocol.data_to_send())

    def close(self) -> None:
        """End the connection without a word of HTTP/2."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End it as a process that dies does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def pump(self) -> None:
        """Send of all bodies what the windows allow."""
        with self.speaking:
            for number, parts in list(self.pending.items()):
                while parts and self._send_part(number, parts):
                    pass
                if not parts:
                    self.pending.pop(number, None)
            self.flush()

    def _send_part(self, number: int, parts: list[tuple[bytes, bool, Sequence[Header]]]) -> bool:
        body, ends, trailers = parts[0]
        room = min(
            self.protocol.local_flow_control_window(number), self.protocol.max_outbound_frame_size, len(body)
        )
        if body and room <= 0:
            return False
        is_last = room == len(body)
        self.protocol.send_data(number, body[:room], end_stream=is_last and ends and not trailers)
        if not is_last:
            parts[0] = (body[room:], ends, trailers)
            return True
        if trailers:
            self.protocol.send_headers(number, list(trailers), end_stream=True)
        parts.pop(0)
        return True

    def serve(self) -> None:
        """Greet the gateway, then hand on events until it leaves."""
        try:
            self.protocol.initiate_connection()
            self.flush()
            while received := self.socket.recv(1 << 18):
                with self.speaking:
                    events = self.protocol.receive_data(received)
                for event in events:
                    self._take(event)
                self.pump()
        finally:
            self.has_ended.set()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            headers = [(str(name), str(value)) for name, value in event.headers]
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id, headers)
            self.origin.begun.put(stream)
            self.origin.on_request(stream)
            return
        stream = self.streams.get(getattr(event, "stream_id", None) or 0)
        if isinstance(event, WindowUpdated) or stream is None:
            return
        if isinstance(event, DataReceived):
            stream.body += event.data
            if self.origin.reads:
                with self.speaking:
                    self.protocol.acknowledge_received_data(event.flow_controlled_length, stream.number)
        elif isinstance(event, TrailersReceived):
            stream.trailers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, StreamEnded):
            stream.ended = True
            self.origin.arrived.put(stream)
            self.origin.on_end(stream)
        elif isinstance(event, StreamReset):
            stream.reset = event.error_code
            with self.speaking:
                self.pending.pop(stream.number, None)
            self.origin.given_up.put(stream)


def http2(origin: HasAddress, *options: str, route: str = "") -> str:
    """One route to one service that speaks HTTP/2."""
    service = ", ".join([f'name: users, instances: ["{origin.address}"], protocol: http2', *options])
    return (
        f"services: [{{{service}}}]\n"
        f'routes: [{{name: users, match: {{path: "/*"}}, service: users{route and ", " + route}}}]\n'
    )


def answer_ok(stream: Stream) -> None:
    """What a service does that nobody scripted."""
    stream.answer()


def wait(_: Stream) -> None:
    """Do nothing yet."""


class Http2Origin:
    """Answers every request with `ok` once it is whole, unless told otherwise.

    `on_request` is called with each stream as it begins, `on_end` once its request is whole; both in the
    thread of the connection. `settings` are sent at the beginning of each. Without `reads` no window is ever
    opened again.
    """

    def __init__(
        self,
        on_end: Callable[[Stream], None] = answer_ok,
        on_request: Callable[[Stream], None] = wait,
        settings: dict[SettingCodes, int] | None = None,
    ) -> None:
        self.on_end = on_end
        self.on_request = on_request
        self.settings = settings or {}
        self.reads = True
        self.greets = True
        self.begun: queue.Queue[Stream] = queue.Queue()
        self.arrived: queue.Queue[Stream] = queue.Queue()
        self.given_up: queue.Queue[Stream] = queue.Queue()
        self.connections: list[Http2Connection] = []
        self.errors: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self.connections):
            connection.close()
        self._thread.join(DEADLINE)
        if self.errors:
            raise self.errors.pop()

    @property
    def address(self) -> str:
        """As a configuration names it."""
        return f"127.0.0.1:{self.port}"

    def next_request(self) -> Stream:
        """The next request that arrived whole."""
        return self.arrived.get(timeout=DEADLINE)

    def next_begun(self) -> Stream:
        """The next request whose head arrived."""
        return self.begun.get(timeout=DEADLINE)

    def next_given_up(self) -> Stream:
        """The next request that the gateway reset."""
        return self.given_up.get(timeout=DEADLINE)

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            connection = Http2Connection(self, accepted, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Http2Connection) -> None:
        try:
            if self.greets:
                connection.serve()
            else:
                threading.Event().wait(DEADLINE)
        except OSError:
            # The gateway may hang up whenever it likes; what a test expects of that it asks for.
            pass
        except Exception as error:
            # Raised again at the end: a test does not see the exceptions of a thread.
            self.errors.append(error)
        finally:
            with contextlib.suppress(OSError):
                connection.socket.close()


def first_only(misbehave: Callable[[Stream], None]) -> Callable[[Stream], None]:
    """Misbehaves once, then answers."""
    seen = threading.Event()

    def handler(stream: Stream) -> None:
        if seen.is_set():
            stream.answer()
        else:
            seen.set()
            misbehave(stream)

    return handler
