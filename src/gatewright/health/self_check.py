"""A node asks itself, through a listener as clients do: how long until its workers answer?

Without a `path` of the user it is the path that only this node knows: a worker reads it as any request, and
answers once all workers have had a turn, without a record or a count. With one it is a GET as any other.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import time
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamReset
from h2.exceptions import H2Error
from hpack import NeverIndexedHeaderTuple

from gatewright.config.addresses import Network

LONGEST_ANSWER = 65_536
# Slower than any bound that makes sense, unless a configuration allows more; it is then told as such.
LONGEST_SECONDS = 1.0
USER_AGENT = "gatewright-self-check"
# Of a connection that is the balancer's own; version 1 of the PROXY protocol.
INTRODUCTION = b"PROXY UNKNOWN\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """A listener that can be asked. `address` is a path for a Unix socket; `tls_name` a name of its
    certificate; from `introduced` it wants to be told whose a connection is.
    """

    listener: str
    address: tuple[str, int] | str
    http2: bool = False
    tls_name: str | None = None
    introduced: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. The path of a node's `own` question is a secret, and nobody is told it."""

    path: str = field(repr=False)
    host: str = "localhost"
    own: bool = True


class NoAnswerError(Exception):
    """The listener does not answer, or not as it should."""


def ask(target: Target, question: Question, seconds: float = LONGEST_SECONDS) -> float:
    """How many seconds the answer took; each step may take `seconds`. Blocks. Raises `NoAnswerError`."""
    context = client_context(target)
    began = time.monotonic()
    try:
        with contextlib.closing(connect(target, context, seconds)) as connection:
            get = get_by_http2 if target.http2 else get_by_http1
            status = get(connection, question)
    except TimeoutError as error:
        raise NoAnswerError(f"no answer of listener `{target.listener}` within {seconds:g} s") from error
    except (OSError, H2Error) as error:
        raise NoAnswerError(f"listener `{target.listener}` cannot be asked: {error}") from error
    took = time.monotonic() - began
    if question.own and status != 204:
        raise NoAnswerError(f"listener `{target.listener}` answers {status} to its own node")
    if status >= 500:
        raise NoAnswerError(f"its answer to `{question.path}` is {status}")
    return took


def client_context(target: Target) -> ssl.SSLContext | None:
    if target.tls_name is None:
        return None
    # Whose certificate it is does not matter, so none are loaded to tell: it is this very node.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2" if target.http2 else "http/1.1"])
    return context


def connect(target: Target, context: ssl.SSLContext | None, seconds: float) -> socket.socket:
    """A connection on which requests may come. Raises `OSError`."""
    if isinstance(target.address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        connection.connect(target.address)
    else:
        connection = socket.create_connection(target.address, seconds)
    if has_to_introduce(target, connection):
        connection.sendall(INTRODUCTION)
    if context is None:
        return connection
    return context.wrap_socket(connection, server_hostname=target.tls_name)


def has_to_introduce(target: Target, connection: socket.socket) -> bool:
    """Whether the listener takes the connection for that of a balancer, which first tells whose it is."""
    # To the data plane, a peer without an address is this machine.
    is_unix = connection.family == socket.AF_UNIX
    source = ipaddress.ip_address("127.0.0.1" if is_unix else connection.getsockname()[0])
    return any(source in network for network in target.introduced)


def get_by_http1(connection: socket.socket, question: Question) -> int:
    """The status of the answer. Raises `OSError`."""
    lines = (
        f"GET {question.path} HTTP/1.1",
        f"Host: {question.host}",
        f"User-Agent: {USER_AGENT}",
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
    return int(status)


def get_by_http2(connection: socket.socket, question: Question) -> int:
    """The status of the answer. Raises `OSError` and `H2Error`."""
    http = H2Connection(H2Configuration())
    http.initiate_connection()
    headers = [
        (":method", "GET"),
        (":scheme", "https" if isinstance(connection, ssl.SSLSocket) else "http"),
        (":authority", question.host),
        NeverIndexedHeaderTuple(":path", question.path),
        ("user-agent", USER_AGENT),
    ]
    http.send_headers(1, headers, end_stream=True)
    connection.sendall(http.data_to_send())
    taken = 0
    while taken < LONGEST_ANSWER and (data := connection.recv(4096)):
        if taken == 0 and data.startswith(b"HTTP/1.1 "):
            # As a listener says that it is full. The library would wait for the end of such a frame.
            raise ConnectionError("its answer is not HTTP/2")
        taken += len(data)
        for event in http.receive_data(data):
            if isinstance(event, ResponseReceived):
                http.close_connection()
                connection.sendall(http.data_to_send())
                return int(dict(event.headers)[b":status"])
            if isinstance(event, ConnectionTerminated | StreamReset):
                raise ConnectionError("it refused the request")
        connection.sendall(http.data_to_send())
    raise ConnectionError("it ended the connection")
