"""A client that sends exact bytes and takes nothing but correct HTTP/1.1 for an answer."""

import contextlib
import json
import re
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Address = tuple[str, int]
Header = tuple[str, str]

DEADLINE = 30.0
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e]*")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")


class Wrong(AssertionError):
    """The gateway sent something that is not HTTP/1.1."""


@dataclass(frozen=True)
class Response:
    """One final response and the interim ones before it."""

    status: int
    headers: list[Header]
    body: bytes = b""
    trailers: list[Header] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that must not be there twice."""
        values = self.all(name)
        if len(values) > 1:
            raise Wrong(f"{name} is repeated: {values}")
        return values[0] if values else None

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def closes(self) -> bool:
        """Whether it says that the connection ends with it."""
        return (self.get("connection") or "").lower() == "close"


class Client:
    """One connection. Every wait has a deadline, after which `TimeoutError` is raised."""

    def __init__(self, address: Address, deadline: float = DEADLINE, source: Address | None = None) -> None:
        self.deadline = deadline
        self.socket = socket.create_connection(address, timeout=deadline, source_address=source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        self.is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def response(self, method: str = "GET") -> Response:
        """The next final response. Raises `ConnectionError` when the connection ends before or in it."""
        interim = []
        while True:
            status, headers = self._head()
            if status >= 200:
                break
            if status == 101:
                return Response(status, headers, interim=interim)
            interim.append(status)
        told = Response(status, headers, interim=interim)
        if method == "HEAD" or status in {204, 304}:
            return told
        body, trailers = self._body(told)
        return Response(status, headers, body, trailers, interim)

    def read(self, count: int) -> bytes:
        """Exactly this many bytes."""
        while len(self.pending) < count:
            self._more()
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        parts = [self.pending]
        self.pending = b""
        while not self.is_closed:
            parts.append(self.receive())
        return b"".join(parts)

    def wait_closed(self) -> None:
        """Returns when the gateway has closed the connection without another byte."""
        if rest := self.rest():
            raise Wrong(f"bytes after the last response: {rest[:200]!r}")

    def _head(self) -> tuple[int, list[Header]]:
        line = self._line()
        found = STATUS_LINE.fullmatch(line)
        if found is None:
            raise Wrong(f"status line {line!r}")
        return int(found[1]), self._fields()

    def _fields(self) -> list[Header]:
        headers = []
        while line := self._line():
            found = FIELD_LINE.fullmatch(line)
            if found is None:
                raise Wrong(f"header line {line!r}")
            headers.append((found[1].decode("latin-1"), found[2].decode("latin-1")))
        return headers

    def _body(self, told: Response) -> tuple[bytes, list[Header]]:
        encoding, length = told.get("transfer-encoding"), told.get("content-length")
        if encoding is not None:
            if encoding != "chunked" or length is not None:
                raise Wrong(f"transfer encoding {encoding!r} with length {length!r}")
            return self._chunks()
        if length is not None:
            if not re.fullmatch("[0-9]+", length):
                raise Wrong(f"length {length!r}")
            return self.read(int(length)), []
        if not told.closes:
            raise Wrong("a body without an end on a connection that is kept")
        return self.rest(), []

    def _chunks(self) -> tuple[bytes, list[Header]]:
        parts = []
        while True:
            line = self._line()
            if not re.fullmatch(b"[0-9a-fA-F]{1,16}", line):
                raise Wrong(f"chunk size {line!r}")
            size = int(line, 16)
            if size == 0:
                return b"".join(parts), self._fields()
            parts.append(self.read(size))
            if self.read(2) != b"\r\n":
                raise Wrong("chunk without its line end")

    def _line(self) -> bytes:
        while (end := self.pending.find(b"\r\n")) < 0:
            self._more()
        line, self.pending = self.pending[:end], self.pending[end + 2 :]
        if b"\n" in line or b"\r" in line:
            raise Wrong(f"bare line end in {line!r}")
        return line

    def _more(self) -> None:
        received = self.receive()
        if not received:
            raise ConnectionError(f"closed after {self.pending[:200]!r}")
        self.pending += received

    def receive(self) -> bytes:
        """What comes next, nothing at the end of the connection."""
        try:
            received = self.socket.recv(1 << 18)
        except ConnectionResetError:
            received = b""
        self.is_closed = not received
        return received


class UnixClient(Client):
    """The same to a socket that is a path."""

    def __init__(self, path: Path) -> None:
        self.deadline, self.pending, self.is_closed = DEADLINE, b"", False
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(str(path))


class TlsClient(Client):
    """The same over TLS, which begins after the bytes `before`.

    Raises `ssl.SSLError` where the handshake fails.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        server_name: str | None = "gateway.test",
        session: ssl.SSLSession | None = None,
        before: bytes = b"",
    ) -> None:
        super().__init__(address)
        self.send(before)
        plain = self.socket
        try:
            self.tls = context.wrap_socket(plain, server_hostname=server_name, session=session)
        except BaseException:
            plain.close()
            raise
        self.socket = self.tls


@dataclass(frozen=True)
class Exchange:
    """What came back for some bytes."""

    responses: list[Response]
    is_closed: bool

    @property
    def only(self) -> Response:
        """The one response there is."""
        if len(self.responses) != 1:
            raise Wrong(f"{len(self.responses)} responses: {self.responses}")
        return self.responses[0]


def raw(
    address: Address, data: bytes, methods: Sequence[str] = ("GET",), deadline: float = DEADLINE
) -> Exchange:
    """Send bytes as they are and read a final response for each of `methods`, or until the connection closes.

    After a response with `Connection: close` the gateway has to close; nothing may follow the last response.
    """
    with Client(address, deadline) as client:
        client.send(data)
        responses: list[Response] = []
        for method in methods:
            response = _response_or_end(client, method)
            if response is None:
                break
            responses.append(response)
            if response.closes:
                client.wait_closed()
                break
        _nothing_follows(client)
        return Exchange(responses, client.is_closed)


def _response_or_end(client: Client, method: str) -> Response | None:
    try:
        return client.response(method)
    except ConnectionError:
        if client.pending:
            raise
        return None


def _nothing_follows(client: Client) -> None:
    client.socket.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.pending += b"" if client.is_closed else client.receive()
    if client.pending:
        raise Wrong(f"bytes after the last response: {client.pending[:200]!r}")


def request(
    address: Address,
    target: str = "/",
    headers: Iterable[Header] = (),
    method: str = "GET",
    body: bytes | None = None,
) -> Response:
    """One ordinary request on a connection of its own, with `Host: gateway.test` unless `headers` has one."""
    return raw(address, encode(target, headers, method, body), [method]).only


def get(address: Address, target: str = "/", *headers: Header) -> Response:
    """A `GET`, as `request`."""
    return request(address, target, headers)


def encode(
    target: str = "/", headers: Iterable[Header] = (), method: str = "GET", body: bytes | None = None
) -> bytes:
    """The bytes of a request."""
    told = list(headers)
    if not any(name.lower() == "host" for name, _ in told):
        told.insert(0, ("Host", "gateway.test"))
    if body is not None:
        told.append(("Content-Length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in told)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")
