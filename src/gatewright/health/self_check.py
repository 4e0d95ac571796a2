"""A node asks itself, through a listener as clients do: how long until a worker answers?

Without a `path` it is a PING of HTTP/2, which a worker answers like any request and of which there is no
record and no metric; with one it is a GET, routed as any other.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
PING = b"\x00\x00\x08\x06\x00\x00\x00\x00\x00gatewrit"
GOAWAY = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)
KIND_PING, ACK = 6, 1
LONGEST_ANSWER = 65_536
# Nobody was allowed longer ones.
LONGEST_FRAME = 16_384
# Slower than any bound that makes sense; it is then told as such.
LONGEST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A listener that can be asked. `address` is a path for a Unix socket."""

    listener: str
    address: tuple[str, int] | str
    tls_name: str | None = None
    path: str | None = None
    host: str = "localhost"


class NoAnswerError(Exception):
    """The listener does not answer, or not as it should."""


def ask(target: Target, seconds: float = LONGEST_SECONDS) -> float:
    """How many seconds the answer took. Blocks. Raises `NoAnswerError`."""
    began = time.monotonic()
    try:
        with contextlib.closing(connect(target, seconds)) as connection:
            if target.path is None:
                ping(connection)
            else:
                get(connection, target.path, target.host)
            return time.monotonic() - began
    except TimeoutError as error:
        raise NoAnswerError(f"no answer of listener `{target.listener}` within {seconds:g} s") from error
    except OSError as error:
        raise NoAnswerError(f"listener `{target.listener}` cannot be asked: {error}") from error


def connect(target: Target, seconds: float) -> socket.socket:
    if isinstance(target.address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        connection.connect(target.address)
    else:
        connection = socket.create_connection(target.address, seconds)
    if target.tls_name is None:
        return connection
    # Whose certificate it is does not matter: it is this very node.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"] if target.path is None else ["http/1.1"])
    return context.wrap_socket(connection, server_hostname=target.tls_name)


def ping(connection: socket.socket) -> None:
    """Say a PING and wait for its answer. Raises `OSError`."""
    connection.sendall(PREFACE + SETTINGS + PING)
    data = b""
    while len(data) < LONGEST_ANSWER:
        while len(data) >= 9:
            size = int.from_bytes(data[:3], "big")
            if size > LONGEST_FRAME:
                raise ConnectionError("its answer is not HTTP/2")
            if len(data) < 9 + size:
                break
            if (data[3], data[4] & ACK) == (KIND_PING, ACK):
                connection.sendall(GOAWAY)
                return
            data = data[9 + size :]
        more = connection.recv(4096)
        if not more:
            break
        data += more
    raise ConnectionError("it ended the connection")


def get(connection: socket.socket, path: str, host: str) -> None:
    """Send a GET and wait for the first line of its answer. Raises `OSError`."""
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: gatewright-self-check",
        "Connection: close",
    )
    head = "\r\n".join((*lines, "", ""))
    connection.sendall(head.encode("latin-1", "replace"))
    data = b""
    while b"\r\n" not in data and len(data) < LONGEST_ANSWER:
        more = connection.recv(4096)
        if not more:
            break
        data += more
    status = data[9:12]
    if not (data.startswith(b"HTTP/1.1 ") and status.isdigit()):
        raise ConnectionError("its answer is not HTTP/1.1")
    if int(status) >= 500:
        raise ConnectionError(f"its answer to `{path}` is {int(status)}")
