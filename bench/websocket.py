"""WebSocket echo: a client that sends the next message when the last one is back, and its origin.

Both only compare and replace bytes that are known beforehand, so that a core has room for both beside the
kernel; what a message costs a gateway is its CPU time, and requests per second are this client's.
"""

import base64
import hashlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from handshakes import quantiles
from load import Load, Served
from processes import PATH, BenchError, Command
from scenario import WEBSOCKET_MESSAGE, WEBSOCKET_ORIGIN_PORT

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = base64.b64encode(bytes(16))
LENGTH = len(WEBSOCKET_MESSAGE)
# Binary, whole, of less than 126 bytes; a client's is masked, here with zeros.
ASKED = bytes([0x82, 0x80 | LENGTH]) + bytes(4) + WEBSOCKET_MESSAGE
ANSWERED = bytes([0x82, LENGTH]) + WEBSOCKET_MESSAGE
SECONDS = 10
PIECE = 1 << 16


def accept_of(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + GUID, usedforsecurity=False).digest())


def connect(port: int, path: str) -> socket.socket:
    """A connection that has become a WebSocket. Raises `BenchError`."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(
        b"GET %s HTTP/1.1\r\nHost: bench.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (path.encode(), KEY)
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        received = connection.recv(PIECE)
        if not received:
            break
        head += received
    if not head.startswith(b"HTTP/1.1 101 ") or accept_of(KEY) not in head:
        connection.close()
        raise BenchError(f"no WebSocket on port {port}: {head[:300]!r}")
    return connection


def ask_websocket(port: int, path: str) -> tuple[int, int]:
    """One message there and back; its length is that of the answer to a request. Raises `BenchError`."""
    with connect(port, path) as connection:
        connection.sendall(ASKED)
        answer = b""
        while len(answer) < len(ANSWERED):
            received = connection.recv(PIECE)
            if not received:
                raise BenchError(f"port {port} ended the WebSocket after {answer!r}")
            answer += received
    if answer != ANSWERED:
        raise BenchError(f"port {port} brought another message back: {answer[:300]!r}")
    return 200, LENGTH


@dataclass(slots=True)
class Talk:
    """One connection of the client."""

    connection: socket.socket
    sent: float = 0.0
    answer: bytes = b""

    def ask(self) -> None:
        self.sent, self.answer = time.monotonic(), b""
        self.connection.send(ASKED)

    def hear(self) -> float | None:
        """Seconds that the message took, once it is back whole and the next one is sent.

        Raises `BenchError` for another message.
        """
        received = self.connection.recv(PIECE)
        self.answer += received
        if not received or not ANSWERED.startswith(self.answer):
            raise BenchError(f"not what was sent: {self.answer[:300]!r}")
        if len(self.answer) < len(ANSWERED):
            return None
        took = time.monotonic() - self.sent
        self.ask()
        return took


def talk(port: int, path: str, count: int, seconds: float) -> Served:
    """All connections at once; each has one message under way. Raises `BenchError`."""
    talks = [Talk(connect(port, path)) for _ in range(count)]
    start = time.monotonic()
    taken = [took for one in heard(talks, start + seconds) if (took := one.hear()) is not None]
    for one in talks:
        one.connection.close()
    p50, p99 = quantiles(taken)
    return Served(len(taken), time.monotonic() - start, p50, p99, failed=0)


def heard(talks: Sequence[Talk], deadline: float) -> Iterator[Talk]:
    """Each as often as something comes for it, until the time is over."""
    with selectors.EpollSelector() as ready:
        for one in talks:
            ready.register(one.connection, selectors.EVENT_READ, one)
            one.ask()
        while (now := time.monotonic()) < deadline:
            for key, _ in ready.select(deadline - now):
                yield key.data


class Origin:
    """Sends back what clients of this file send; ends connections that bring anything else."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._ready = selectors.EpollSelector()
        self._ready.register(self._listener, selectors.EVENT_READ, self._accept)

    def run(self) -> None:
        while True:
            for key, _ in self._ready.select():
                key.data()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = b""

        def serve() -> None:
            nonlocal pending
            rest = answer(connection, pending)
            if rest is None:
                self._ready.unregister(connection)
                connection.close()
            else:
                pending = rest

        self._ready.register(connection, selectors.EVENT_READ, serve)


def answer(connection: socket.socket, before: bytes) -> bytes | None:
    """Answers what has come; gives what is not whole yet, and `None` where the connection is to end."""
    try:
        received = connection.recv(PIECE)
        data = before + received
        if data.startswith(b"GET "):
            if not data.endswith(b"\r\n\r\n"):
                return data if received else None
            connection.sendall(switch(data))
            return b""
        count = len(data) // len(ASKED)
        if not received or data[: count * len(ASKED)] != ASKED * count:
            return None
        connection.sendall(ANSWERED * count)
        return data[count * len(ASKED) :]
    except ConnectionError:
        return None


def switch(head: bytes) -> bytes:
    fields = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    key = next((value for name, _, value in fields if name.lower() == b"sec-websocket-key"), b"")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept_of(key.strip())
    )


def run_websocket(load: Load, port: int, path: str) -> Served:
    """Run the client on the load generator's core. Raises `BenchError`."""
    done = subprocess.run(
        [
            *("taskset", "-c", str(load.core), sys.executable, __file__, "client"),
            *(str(port), path, str(load.connections), str(load.seconds)),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH},
        timeout=load.seconds + 60,
    )
    if done.returncode != 0:
        raise BenchError(f"WebSockets on port {port} failed:\n{done.stderr[-2000:]}")
    return Served(**json.loads(done.stdout))


def websocket_origin_command() -> Command:
    return Command([sys.executable, __file__, "origin"], WEBSOCKET_ORIGIN_PORT)


def main() -> None:
    match sys.argv[1:]:
        case ["origin"]:
            Origin(WEBSOCKET_ORIGIN_PORT).run()
        case ["client", port, path, connections, seconds]:
            served = talk(int(port), path, int(connections), float(seconds))
            print(json.dumps(asdict(served)))
        case other:
            raise SystemExit(f"origin, or client PORT PATH CONNECTIONS SECONDS; not {other}")


if __name__ == "__main__":
    main()
