"""WebSockets for tests: a service that sends back what comes, and handshakes and frames as bytes."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from gateway.client import Client
from gateway.node import Address
from gateway.origin import Connection, Received
from gateway.translation import KEY, accept

DEADLINE = 30.0
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()
HEADERS = {
    "Host": "gateway.test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def switch(*then: bytes) -> Callable[[Connection, Received], None]:
    """A step of a script: agrees to the handshake that came, and sends more at once."""

    def step(connection: Connection, received: Received) -> None:
        proof = accept(received.get("sec-websocket-key") or "")
        connection.send(SWITCH.replace(ACCEPT.encode(), proof.encode()) + b"".join(then))

    return step


def handshake(line: str = "GET / HTTP/1.1", **changed: str | None) -> bytes:
    """The bytes of a handshake. A header that is changed to `None` is left out; `_` stands for `-`."""
    headers: dict[str, str | None] = {**HEADERS}
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([line, *lines, "", ""]).encode()


def frame(opcode: int, payload: bytes = b"", *, masked: bool = True, fin: bool = True) -> bytes:
    """One frame; the mask is 0, so that the payload can be read."""
    first = bytes([(0x80 if fin else 0) | opcode])
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        length = bytes([mask | len(payload)])
    elif len(payload) < 1 << 16:
        length = bytes([mask | 126]) + len(payload).to_bytes(2, "big")
    else:
        length = bytes([mask | 127]) + len(payload).to_bytes(8, "big")
    return first + length + (bytes(4) if masked else b"") + payload


def read_frame(side: Client | Connection) -> tuple[int, bytes]:
    """Opcode and unmasked payload of the next frame."""
    first, second = side.read(2)
    length = second & 0x7F
    if length > 125:
        length = int.from_bytes(side.read(2 if length == 126 else 8), "big")
    mask = side.read(4) if second & 0x80 else bytes(4)
    payload = side.read(length)
    return first & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def close_code(side: Client | Connection) -> int:
    """The code of the close frame that comes next."""
    opcode, payload = read_frame(side)
    assert opcode == 8, (opcode, payload[:100])
    return int.from_bytes(payload[:2], "big")


def open_raw(address: Address, line: str = "GET / HTTP/1.1", *, source: Address | None = None) -> Client:
    """A connection that has become a WebSocket."""
    client = Client(address, source=source)
    client.send(handshake(line))
    response = client.response()
    assert response.status == 101, response
    return client


@dataclass
class Seen:
    """What a service saw of one connection."""

    headers: list[tuple[str, str]]
    fragments: list[str | bytes] = field(default_factory=list)
    ended: tuple[int | None, str | None] | None = None


class Sockets:
    """A WebSocket service that sends every message back in the fragments in which it came."""

    def __init__(self, **options: Any) -> None:
        self.seen: queue.Queue[Seen] = queue.Queue()
        """Connections that have ended."""
        self._server = serve(self._echo, "127.0.0.1", 0, ping_interval=None, max_size=None, **options)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(DEADLINE)

    @property
    def address(self) -> str:
        """As a configuration names it."""
        return f"127.0.0.1:{self.port}"

    def _echo(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        seen = Seen(list(connection.request.headers.raw_items()))
        try:
            while True:
                fragments = []
                for fragment in connection.recv_streaming():
                    fragments.append(fragment)
                    seen.fragments.append(fragment)
                connection.send(fragments[0] if len(fragments) == 1 else iter(fragments))
        except ConnectionClosed:
            seen.ended = (connection.close_code, connection.close_reason)
            self.seen.put(seen)


def dial(address: Address, target: str = "/", **options: Any) -> ClientConnection:
    """A client of the `websockets` package; it sends no pings by itself."""
    host, port = address
    uri = f"{'wss' if 'ssl' in options else 'ws'}://{host}:{port}{target}"
    return connect(uri, ping_interval=None, max_size=None, proxy=None, **options)


def until_closed(connection: Connection, received: Received) -> None:
    """A step of a script: reads and ignores whatever comes."""
    while connection.socket.recv(1 << 16):
        pass
