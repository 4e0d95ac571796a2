"""Bodies of any size: streamed in both directions in flat memory, as fast as the slower side takes them.

`GATEWRIGHT_BODY_MIB` sets the size; 256 by default.
"""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import Client, Connection, Node, Origin, Received, encode, one_route

MIB = int(os.environ.get("GATEWRIGHT_BODY_MIB", "256"))
SIZE = MIB << 20
PIECE = bytes(1 << 16)
GROWTH = 20 << 20
"""How much memory one long body may take, with both ends of it in this process."""
IN_FLIGHT = 48 << 20
"""What may be under way while a reader stands still: the buffers of two connections, and the gateway's."""
STILL = 0.5
"""A socket that takes nothing for this long takes nothing."""


Script = Callable[[Connection, Received], None]


def resident() -> int:
    """Bytes of memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Memory:
    """The most memory that was seen over what there was at first."""

    def __init__(self) -> None:
        self.first = resident()
        self.growth = 0

    def look(self) -> None:
        self.growth = max(self.growth, resident() - self.first)


def pieces(size: int) -> Iterator[bytes]:
    """So many bytes, piece by piece."""
    for _ in range(size // len(PIECE)):
        yield PIECE


def send_all(connection: Connection, _: Received) -> None:
    """A service that answers with a long body of known length."""
    connection.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {SIZE}\r\n\r\n".encode())
    for piece in pieces(SIZE):
        connection.send(piece)


def send_chunked(connection: Connection, _: Received) -> None:
    """A service that answers with a long body of unknown length."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
    for piece in pieces(SIZE):
        connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    connection.send(b"0\r\n\r\n")


def drain(client: Client, memory: Memory, end: bytes) -> int:
    """Read to the end of an answer, keep nothing, and give how much it was."""
    total, looked, tail = 0, 0, b""
    while total < SIZE if not end else tail != end:
        received = client.receive()
        assert received, "the connection ended early"
        total += len(received)
        tail = (tail + received)[-len(end) :] if end else b""
        if total - looked > 8 << 20:
            memory.look()
            looked = total
    memory.look()
    return total


@pytest.mark.parametrize(("script", "end"), [(send_all, b""), (send_chunked, b"0\r\n\r\n")])
def test_a_long_answer_takes_no_memory(origin: Origin, script: Script, end: bytes) -> None:
    origin.script(script)
    with Node(one_route(origin)) as node, Client(node.address) as client:
        memory = Memory()
        client.send(encode("/"))
        assert drain(client, memory, end) >= SIZE
        assert memory.growth < GROWTH
        record = node.record()
        assert (record["status"], record["response_bytes"] >= SIZE) == (200, True)


def test_a_long_answer_takes_no_memory_when_compressed(origin: Origin) -> None:
    origin.script(send_chunked)
    options = "compression: {algorithms: gzip, gzip_level: 1}"
    with Node(one_route(origin, options)) as node, Client(node.address) as client:
        memory = Memory()
        client.send(encode("/", [("Accept-Encoding", "gzip")]))
        assert 0 < drain(client, memory, b"0\r\n\r\n") < SIZE // 50
        assert memory.growth < GROWTH


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_long_request_takes_no_memory(origin: Origin, framing: str) -> None:
    memory = Memory()
    arrived = threading.Event()
    sizes: list[int] = []

    def swallow(connection: Connection, _: Received) -> None:
        total = len(connection.pending)
        tail = connection.pending[-5:]
        connection.pending = b""
        while total < SIZE or (framing == "chunked" and tail != b"0\r\n\r\n"):
            received = connection.socket.recv(1 << 18)
            total += len(received)
            tail = (tail + received)[-5:]
        sizes.append(total)
        arrived.set()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    origin.script(swallow)
    with Node(one_route(origin, "max_body: 2GiB")) as node, Client(node.address) as client:
        told = f"Content-Length: {SIZE}" if framing == "length" else "Transfer-Encoding: chunked"
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\n{told}\r\n\r\n".encode())
        for number, piece in enumerate(pieces(SIZE)):
            client.send(piece if framing == "length" else b"%x\r\n%s\r\n" % (len(piece), piece))
            if number % 128 == 0:
                memory.look()
        client.send(b"" if framing == "length" else b"0\r\n\r\n")
        assert client.response().body == b"ok"
        assert arrived.is_set()
        assert sizes[0] >= SIZE
        assert memory.growth < GROWTH


def fill(to: socket.socket, piece: bytes, enough: int) -> int:
    """Send until nothing has been taken for a while, or `enough` was; give how much was."""
    total = 0
    to.setblocking(False)
    while total < enough and select.select([], [to], [], STILL)[1]:
        total += to.send(piece)
    return total


def test_a_client_that_reads_nothing_stops_its_service(origin: Origin) -> None:
    sent: list[int] = []
    stopped = threading.Event()

    def flood(connection: Connection, _: Received) -> None:
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
        sent.append(fill(connection.socket, PIECE, 4 * IN_FLIGHT))
        stopped.set()

    origin.script(flood, "close")
    with Node(one_route(origin)) as node, Client(node.address) as client:
        memory = Memory()
        client.send(encode("/"))
        assert stopped.wait(30)
        memory.look()
        assert sent[0] < IN_FLIGHT
        assert memory.growth < GROWTH


def test_a_service_that_reads_nothing_stops_its_client(origin: Origin) -> None:
    done = threading.Event()

    def deaf(_: Connection, __: Received) -> None:
        done.wait(30)

    origin.script(deaf, "close")
    with Node(one_route(origin, "max_body: 64GiB")) as node, Client(node.address) as client:
        memory = Memory()
        client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {32 << 30}\r\n\r\n".encode())
        sent = fill(client.socket, PIECE, 4 * IN_FLIGHT)
        memory.look()
        done.set()
        assert sent < IN_FLIGHT
        assert memory.growth < GROWTH
