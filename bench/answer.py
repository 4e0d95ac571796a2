"""Reading one HTTP/1.1 answer of the origin, for the clients of our own."""

import re
import socket

from processes import BenchError


def read_answer(connection: socket.socket, size: int) -> None:
    """Read one whole answer. Raises `BenchError` when it is not what the origin gives."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if not head.startswith(b"HTTP/1.1 200") or length is None or int(length[1]) != size:
        raise BenchError(f"not the origin's answer:\n{head.decode(errors='replace')}")
    missing = size - len(body)
    while missing > 0:
        missing -= len(receive(connection))


def receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise BenchError("the connection ended before the answer")
    return data
