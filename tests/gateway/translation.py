"""Between HTTP/1.1 and HTTP/2 for tests of WebSocket (RFC 8441): one suite runs over both, on either side."""

import base64
import contextlib
import hashlib
import queue
import socket
import struct
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from gateway.client import Address, Header
from gateway.configuration import HasAddress, one_route
from gateway.http2 import GOAWAY, PREFACE
from gateway.origin import DEADLINE

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OF_HTTP1 = frozenset({"connection", "upgrade", "sec-websocket-key", "sec-websocket-accept", "host"})
Ended = type[StreamEnded] | type[StreamReset]


def accept(key: str) -> str:
    """What answers a key of a handshake."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()  # noqa: S324


def close_hard(side: socket.socket) -> None:
    """End a connection by a reset."""
    with contextlib.suppress(OSError):
        side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Another thread may be reading from it.
        side.shutdown(socket.SHUT_RDWR)
    side.close()


def read_head(side: socket.socket) -> tuple[str, list[Header], bytes]:
    """First line and headers of a message of HTTP/1.1, and what came behind them."""
    data = b""
    while b"\r\n\r\n" not in data:
        received = side.recv(1 << 16)
        if not received:
            raise ConnectionError("the head is incomplete")
        data += received
    head, _, rest = data.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    pairs = [one.partition(":") for one in lines]
    return line, [(name.lower(), value.strip()) for name, _, value in pairs], rest


def written(line: str, headers: list[Header]) -> bytes:
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


class Link:
    """One connection of HTTP/2, whose streams can be joined to connections of their own."""

    def __init__(self, carrier: socket.socket, *, client_side: bool, extends: bool = False) -> None:
        self.carrier = carrier
        carrier.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.protocol = H2Connection(
            H2Configuration(
                client_side=client_side,
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.changed = threading.Condition()
        self.arrived: dict[int, queue.Queue[DataReceived | Ended]] = {}
        self.heads: queue.Queue[Event | None] = queue.Queue()
        self.is_open = True
        self.pending = b""
        with self.changed:
            self.protocol.initiate_connection()
            if extends:
                self.protocol.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
            self._flush()
        threading.Thread(target=self._read, daemon=True).start()

    def send_head(self, stream: int, headers: list[Header], *, ends: bool = False) -> None:
        with self.changed:
            self.arrived.setdefault(stream, queue.Queue())
            self.protocol.send_headers(stream, headers, end_stream=ends)
            self._flush()

    def next_head(self) -> Event | None:
        """The next of settings, request or response; `None` once the connection has ended."""
        return self.heads.get(timeout=DEADLINE)

    def join(self, stream: int, side: socket.socket) -> None:
        """What comes on either goes to the other, their ends included."""
        threading.Thread(target=self._up, args=(stream, side), daemon=True).start()
        threading.Thread(target=self._down, args=(stream, side), daemon=True).start()

    def send(self, stream: int, data: bytes, *, ends: bool = False) -> None:
        """Send as the windows allow."""
        while data:
            with self.changed:
                self.changed.wait_for(lambda: not self.is_open or self._room(stream) > 0)
                room = min(self._room(stream), self.protocol.max_outbound_frame_size)
                self.protocol.send_data(stream, data[:room])
                data = data[room:]
                self._flush()
        if ends:
            with self.changed:
                self.protocol.end_stream(stream)
                self._flush()

    def _room(self, stream: int) -> int:
        return self.protocol.local_flow_control_window(stream)

    def _flush(self) -> None:
        self.carrier.sendall(self.protocol.data_to_send())

    def _up(self, stream: int, side: socket.socket) -> None:
        with contextlib.suppress(OSError, ProtocolError):
            try:
                while data := side.recv(1 << 16):
                    self.send(stream, data)
                with self.changed:
                    self.protocol.end_stream(stream)
                    self._flush()
            except ConnectionResetError:
                with self.changed:
                    self.protocol.reset_stream(stream, ErrorCodes.CANCEL)
                    self._flush()

    def _down(self, stream: int, side: socket.socket) -> None:
        while isinstance(event := self.arrived[stream].get(), DataReceived):
            with contextlib.suppress(OSError, ProtocolError):
                side.sendall(event.data)
                with self.changed:
                    self.protocol.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                    self._flush()
        with contextlib.suppress(OSError):
            if event is StreamEnded:
                side.shutdown(socket.SHUT_WR)
            else:
                close_hard(side)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ProtocolError):
            if not self.protocol.config.client_side:
                self.protocol.receive_data(self.carrier.recv(len(PREFACE), socket.MSG_WAITALL))
            while received := self.carrier.recv(1 << 16):
                with self.changed:
                    events = self.protocol.receive_data(self._without_goodbyes(received))
                    self._flush()
                    self.changed.notify_all()
                for event in events:
                    self._take(event)
        with self.changed:
            self.is_open = False
            self.changed.notify_all()
        self.heads.put(None)
        for arrived in list(self.arrived.values()):
            arrived.put(StreamReset)
        self.carrier.close()

    def _without_goodbyes(self, received: bytes) -> bytes:
        """Whole frames but for GOAWAY: the library would take it for the end of what is under way, too."""
        self.pending += received
        kept = b""
        while len(self.pending) >= 9 + (length := int.from_bytes(self.pending[:3])):
            whole, self.pending = self.pending[: 9 + length], self.pending[9 + length :]
            kept += whole if whole[3] != GOAWAY else b""
        return kept

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived | ResponseReceived | RemoteSettingsChanged):
            if isinstance(event, RequestReceived):
                self.arrived[event.stream_id] = queue.Queue()
            self.heads.put(event)
        elif isinstance(event, DataReceived):
            self.arrived[event.stream_id].put(event)
        elif isinstance(event, StreamEnded | StreamReset):
            self.arrived[event.stream_id].put(type(event))


class _Listening:
    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self.sockets:
            # Whoever reads from it learns that first.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def connect(self, address: Address) -> socket.socket:
        """A connection that ends with this."""
        self.sockets.append(socket.create_connection(address))
        return self.sockets[-1]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                self.sockets.append(accepted)
                threading.Thread(target=self._begin, args=(accepted,), daemon=True).start()

    def _begin(self, accepted: socket.socket) -> None:
        # Either side may hang up, and the test may be over.
        with contextlib.suppress(OSError, ProtocolError):
            self._serve(accepted)

    def _serve(self, accepted: socket.socket) -> None:
        raise NotImplementedError


class Door(_Listening):
    """Takes handshakes of HTTP/1.1 and makes them of a gateway as extended CONNECTs, each on a connection."""

    def __init__(self, gateway: Address) -> None:
        self.gateway = gateway
        super().__init__()

    @property
    def address(self) -> Address:
        return "127.0.0.1", self.port

    def _serve(self, accepted: socket.socket) -> None:
        line, headers, _ = read_head(accepted)
        link = Link(self.connect(self.gateway), client_side=True)
        told = link.next_head()
        assert isinstance(told, RemoteSettingsChanged), told
        assert told.changed_settings[SettingCodes.ENABLE_CONNECT_PROTOCOL].new_value == 1
        named = dict(headers)
        pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": line.split()[1]}
        fields = [(name, value) for name, value in headers if name not in OF_HTTP1]
        link.send_head(1, [*pseudo.items(), (":authority", named["host"]), *fields])
        answer = link.next_head()
        assert isinstance(answer, ResponseReceived), answer
        status, *told_back = [(str(name), str(value)) for name, value in answer.headers]
        if status[1] != "200":
            accepted.sendall(written(f"HTTP/1.1 {status[1]} No", told_back))
        else:
            assert "sec-websocket-accept" not in dict(told_back)
            ours = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
            proof = ("Sec-WebSocket-Accept", accept(named["sec-websocket-key"]))
            accepted.sendall(written("HTTP/1.1 101 Yes", [*ours, proof, *told_back]))
        link.join(1, accepted)


class Front(_Listening):
    """A service of HTTP/2 that takes WebSockets and hands each to a service of HTTP/1.1."""

    def __init__(self, service: Address, *, extends: bool = True) -> None:
        self.service = service
        self.extends = extends
        self.asked: queue.Queue[list[Header]] = queue.Queue()
        super().__init__()

    @property
    def address(self) -> str:
        """As a configuration names it."""
        return f"127.0.0.1:{self.port}"

    def _serve(self, accepted: socket.socket) -> None:
        link = Link(accepted, client_side=False, extends=self.extends)
        while (event := link.next_head()) is not None:
            if isinstance(event, RequestReceived):
                self._connect(link, event)

    def _connect(self, link: Link, event: RequestReceived) -> None:
        headers = [(str(name), str(value)) for name, value in event.headers]
        self.asked.put(headers)
        named, stream = dict(headers), event.stream_id
        fields = [(name, value) for name, value in headers if name[0] != ":"]
        ours = [("host", named[":authority"]), ("connection", "Upgrade"), ("upgrade", "websocket")]
        behind = self.connect(self.service)
        line = f"GET {named[':path']} HTTP/1.1"
        behind.sendall(written(line, [*ours, ("sec-websocket-key", KEY), *fields]))
        line, told, early = read_head(behind)
        status = line.split()[1]
        fields = [(name, value) for name, value in told if name not in OF_HTTP1]
        link.send_head(stream, [(":status", "200" if status == "101" else status), *fields])
        link.send(stream, early)
        link.join(stream, behind)


@dataclass(frozen=True)
class Ways:
    """Which versions of HTTP a WebSocket is opened over, of its client and of its service."""

    versions: tuple[int, int]
    """Of HTTP, of the client and of the service."""
    opened: contextlib.ExitStack

    def door(self, node: "HasDoor") -> Address:
        """Where handshakes of HTTP/1.1 are taken for this node."""
        return (
            node.address if self.versions[0] == 1 else self.opened.enter_context(Door(node.address)).address
        )

    def route(self, origin: "HasPort", route: str = "", *sections: str, service: str = "") -> str:
        """As `one_route`."""
        if self.versions[1] == 1:
            return one_route(origin, route, *sections, service=service)
        front = self.opened.enter_context(Front(("127.0.0.1", origin.port)))
        options = ["protocol: http2", *([service] if service else [])]
        return one_route(front, route, *sections, service=", ".join(options))


class HasDoor(Protocol):
    """A gateway."""

    @property
    def address(self) -> Address: ...


class HasPort(HasAddress, Protocol):
    """A service of HTTP/1.1 on this machine."""

    port: int
