"""An HTTP/2 client of plain frames: sends whatever a test wants, and reads answers frame by frame."""

import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import hpack

from gateway.client import DEADLINE, Address, Header, Response, Wrong

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = range(5)
PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(5, 10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 0, 1, 7, 8, 11
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 1, 3, 4

WIDE: Final = 1 << 24
"""A window that no test fills."""


class Reset(ConnectionError):
    """The gateway reset a stream, for the reason `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"stream reset with {code}")
        self.code = code


class GoneAway(ConnectionError):
    """The connection ended; `code` is that of the last GOAWAY, if there was one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"connection ended with {code}")
        self.code = code


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error of a RST_STREAM or GOAWAY."""
        return struct.unpack(">I", self.payload[4:8] if self.kind == GOAWAY else self.payload)[0]

    @property
    def last_stream(self) -> int:
        """The last stream that a GOAWAY promises to serve."""
        return struct.unpack(">I", self.payload[:4])[0]


@dataclass
class Stream:
    """What has come back on a stream so far."""

    heads: list[list[Header]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[Header] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None

    @property
    def response(self) -> Response:
        """The answer, which must be complete."""
        statuses = [int(head[0][1]) for head in self.heads]
        *interim, status = statuses
        if status < 200 or any(head[0][0] != ":status" for head in self.heads):
            raise Wrong(f"heads {self.heads}")
        return Response(status, self.heads[-1][1:], self.body, self.trailers, interim)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """The bytes of a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values: dict[int, int]) -> bytes:
    """The bytes of a SETTINGS frame."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *pair) for pair in values.items()))


def window(stream: int, increment: int) -> bytes:
    """The bytes of a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def reset(stream: int, code: int = CANCEL) -> bytes:
    """The bytes of a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


class Http2:
    """One connection, with prior knowledge, over TLS where `tls` is given; it may be open already.

    Every wait has a deadline, after which `TimeoutError` is raised.

    Windows are wide and the gateway's settings and pings are answered, unless `answers` is false.
    """

    def __init__(
        self,
        address: Address | socket.socket,
        told: dict[int, int] | None = None,
        *,
        begins: bool = True,
        answers: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        is_open = isinstance(address, socket.socket)
        self.socket = address if is_open else socket.create_connection(address, timeout=DEADLINE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="gateway.test")
        self.answers = answers
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_allowed_table_size = 4096
        self.streams: dict[int, Stream] = {}
        self.frames: list[Frame] = []
        self.next_stream = 1
        self.went_away: int | None = None
        self._pending = b""
        self._block = b""
        if begins:
            told = {INITIAL_WINDOW_SIZE: WIDE} if told is None else told
            self.send(PREFACE + settings(told) + window(0, WIDE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def headers(self, stream: int, fields: Iterable[Header], *, ends: bool = True) -> bytes:
        """The bytes of a HEADERS frame. Must be sent in the order they were made: HPACK remembers."""
        flags = END_HEADERS | (END_STREAM if ends else 0)
        return frame(HEADERS, flags, stream, self.encoder.encode(list(fields)))

    def begin(
        self, target: str = "/", headers: Iterable[Header] = (), method: str = "GET", *, ends: bool = True
    ) -> int:
        """Send an ordinary head and give its stream."""
        stream = self.open_stream()
        self.send(self.headers(stream, [*pseudo(target, method), *headers], ends=ends))
        return stream

    def open_stream(self) -> int:
        """The next stream's number."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        self.streams[stream] = Stream()
        return stream

    def data(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send one DATA frame. The test minds the windows."""
        self.send(frame(DATA, END_STREAM if ends else 0, stream, data))

    def request(
        self,
        target: str = "/",
        headers: Iterable[Header] = (),
        method: str = "GET",
        body: bytes | None = None,
    ) -> Response:
        """One ordinary request to its end."""
        stream = self.begin(target, headers, method, ends=body is None)
        if body is not None:
            self.data(stream, body, ends=True)
        return self.response(stream)

    def response(self, stream: int) -> Response:
        """The complete answer on a stream. Raises `Reset` or `GoneAway` where there is none."""
        state = self.streams[stream]
        while not state.ended:
            if state.reset is not None:
                raise Reset(state.reset)
            self.next_frame()
        return state.response

    def wait_reset(self, stream: int) -> int:
        """The reason for which the gateway resets a stream."""
        while self.streams[stream].reset is None:
            self.next_frame()
        return self.streams[stream].reset or 0

    def wait_for(self, kind: int) -> Frame:
        """The next frame of a kind that was not looked at yet."""
        while True:
            for at, one in enumerate(self.frames):
                if one.kind == kind:
                    return self.frames.pop(at)
            self.next_frame()

    def wait_closed(self) -> int | None:
        """Waits until the gateway has closed, and gives the code of its last GOAWAY."""
        try:
            while True:
                self.next_frame()
        except GoneAway as end:
            return end.code

    def next_frame(self) -> Frame:
        """Reads one frame and notes what it says."""
        length, kind, flags, stream = struct.unpack(">IBBI", b"\0" + self._read(9))
        one = Frame(kind, flags, stream, self._read(length))
        self.frames.append(one)
        self._note(one)
        return one

    def _note(self, one: Frame) -> None:
        if one.kind == GOAWAY:
            self.went_away = one.code
        elif one.kind == RST_STREAM:
            self.streams[one.stream].reset = one.code
        elif one.kind in {HEADERS, CONTINUATION}:
            self._note_head(one)
        elif one.kind == DATA:
            self.streams[one.stream].body += one.payload
        elif self.answers and one.kind in {SETTINGS, PING} and not one.flags & ACK:
            self.send(frame(one.kind, ACK, 0, one.payload if one.kind == PING else b""))
        if one.kind in {DATA, HEADERS} and one.flags & END_STREAM:
            self.streams[one.stream].ended = True

    def _note_head(self, one: Frame) -> None:
        self._block += one.payload
        if not one.flags & END_HEADERS:
            return
        fields = [(_text(name), _text(value)) for name, value in self.decoder.decode(self._block, raw=True)]
        self._block = b""
        stream = self.streams[one.stream]
        if fields[0][0] == ":status":
            stream.heads.append(fields)
        else:
            stream.trailers = fields

    def _read(self, count: int) -> bytes:
        while len(self._pending) < count:
            try:
                received = self.socket.recv(1 << 18)
            except ConnectionResetError:
                received = b""
            if not received:
                raise GoneAway(self.went_away)
            self._pending += received
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken


def pseudo(target: str = "/", method: str = "GET", authority: str = "gateway.test") -> Iterator[Header]:
    """The pseudo-headers of an ordinary request."""
    yield ":method", method
    yield ":scheme", "http"
    yield ":authority", authority
    yield ":path", target


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
