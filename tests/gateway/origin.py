"""A service in a thread, of plain sockets: remembers every byte it got, answers what the test scripts."""

import contextlib
import queue
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

DEADLINE = 30.0
CLOSE: Final = "close"
"""A step of a script: close the connection now."""
RESET: Final = "reset"
"""A step of a script: close it with a reset, as a process that dies does."""

Header = tuple[str, str]


def plain(body: bytes = b"ok", status: str = "200 OK", *headers: Header) -> bytes:
    """The bytes of a response with a length."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode("latin-1") + body


OK: Final = plain()


@dataclass
class Received:
    """One request, byte by byte."""

    connection: int
    """Number of the connection that it came on, from 0."""
    head: bytes
    """Up to and with the empty line."""
    body: bytes = b""
    """Decoded, when it was sent in chunks."""
    coded: bytes = b""
    """The body as it was sent."""
    trailers: list[Header] = field(default_factory=list)

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def headers(self) -> list[Header]:
        return fields(self.head.split(b"\r\n")[1:-2])

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that must not be there twice."""
        values = self.all(name)
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None


def fields(lines: Sequence[bytes]) -> list[Header]:
    """Header lines as names and values."""
    split = (line.decode("latin-1").partition(":") for line in lines)
    return [(name, value.strip()) for name, _, value in split]


class Connection:
    """One connection that the gateway opened."""

    def __init__(self, accepted: socket.socket, number: int) -> None:
        self.socket = accepted
        self.number = number
        self.pending = b""
        accepted.settimeout(DEADLINE)
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def head(self) -> Received | None:
        """The next request without its body; `None` when the gateway closed the connection instead."""
        while b"\r\n\r\n" not in self.pending:
            if not self._more():
                return None
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        return Received(self.number, head + b"\r\n\r\n")

    def body(self, received: Received) -> None:
        """Read the body that belongs to a head. Raises `ConnectionError` when it does not come to its end."""
        if received.get("transfer-encoding") == "chunked":
            self._chunks(received)
        elif (length := received.get("content-length")) is not None:
            received.body = received.coded = self.read(int(length))

    def read(self, count: int) -> bytes:
        """Exactly this many bytes."""
        parts, left = [self.pending[:count]], count - len(self.pending)
        self.pending = self.pending[count:]
        while left > 0:
            if not self._more():
                raise ConnectionError("the gateway closed in a body")
            parts.append(self.pending[:left])
            taken, self.pending = len(parts[-1]), self.pending[left:]
            left -= taken
        return b"".join(parts)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reset(self) -> None:
        """Close without a goodbye."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _chunks(self, received: Received) -> None:
        parts, coded = [], []
        while True:
            line = self._line()
            coded.append(line)
            size = int(line, 16)
            if size == 0:
                break
            chunk = self.read(size + 2)
            parts.append(chunk[:-2])
            coded.append(chunk)
        lines = []
        while (line := self._line()) != b"\r\n":
            lines.append(line[:-2])
        received.trailers = fields(lines)
        received.body, received.coded = b"".join(parts), b"".join([*coded, *lines])

    def _line(self) -> bytes:
        while b"\r\n" not in self.pending:
            if not self._more():
                raise ConnectionError("the gateway closed in a body")
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line + b"\r\n"

    def _more(self) -> bool:
        received = self.socket.recv(1 << 18)
        self.pending += received
        return bool(received)


Handler = Callable[[Connection, Received], None]
Step = bytes | str | threading.Event | Callable[[Connection, Received], None]


@dataclass(frozen=True)
class Secured:
    """What a TLS handshake of the gateway came to."""

    version: str | None
    is_resumed: bool
    certificate: Any
    """That of the gateway, where it was asked for."""


class Origin:
    """Answers every request with `answer` unless `script` says otherwise for the next ones.

    A script is a list of steps for one request: bytes are sent, an event is waited for, `CLOSE` and `RESET`
    end the connection, and a function gets the connection and the request. Unless the first step is a
    function, the request's body is read before. `host` may be `[::1]` or `unix:/PATH`, too.
    """

    def __init__(
        self, answer: bytes | Handler = OK, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.host = host
        self.answer = answer
        self.tls = tls
        self.secured: list[Secured] = []
        """Connections whose handshake came to its end, in order."""
        self.arrived: queue.Queue[Received] = queue.Queue()
        self.requests: list[Received] = []
        self.errors: list[Exception] = []
        self.connections = 0
        self._scripts: queue.Queue[tuple[Sequence[Step], threading.Event]] = queue.Queue()
        self._open: list[Connection] = []
        self._lock = threading.Lock()
        self._is_stopped = False
        if host.startswith("unix:"):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(host.removeprefix("unix:"))
            self._listener.listen(128)
            self.port = 0
        else:
            family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
            self._listener = socket.create_server((host.strip("[]"), 0), family=family, backlog=128)
            self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """As a configuration names it."""
        return self.host if self.port == 0 else f"{self.host}:{self.port}"

    def script(self, *steps: Step) -> threading.Event:
        """What happens to the next request that has no script yet; the event is set when that has come.

        One that the gateway has given up may come after the next one, and take what is meant for that.
        """
        taken = threading.Event()
        self._scripts.put((steps, taken))
        return taken

    def next_request(self) -> Received:
        """The next request that arrived, complete unless its script began with a function."""
        return self.arrived.get(timeout=DEADLINE)

    def stop(self) -> None:
        """Stop listening and cut every connection. Raises what went wrong in a script. May be repeated."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._is_stopped = True
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        if self.errors:
            raise self.errors.pop()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_stopped:
                    # It came between the last look at those that are open and the end of the listener.
                    accepted.close()
                    return
                connection = Connection(accepted, self.connections)
                self.connections += 1
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            self._secure(connection)
            while self._serve_one(connection):
                pass
        except OSError:
            # The gateway may hang up whenever it likes; what a test expects of that it asks for.
            pass
        except Exception as error:
            # Raised again by `stop`: a test does not see the exceptions of a thread.
            self.errors.append(error)
        finally:
            connection.socket.close()
            with self._lock:
                self._open.remove(connection)

    def _secure(self, connection: Connection) -> None:
        if self.tls is not None:
            secured = self.tls.wrap_socket(connection.socket, server_side=True)
            self.secured.append(
                Secured(secured.version(), bool(secured.session_reused), secured.getpeercert())
            )
            connection.socket = secured

    def _serve_one(self, connection: Connection) -> bool:
        received = connection.head()
        if received is None:
            return False
        script = self._script()
        if not callable(script[0]):
            connection.body(received)
        self.requests.append(received)
        self.arrived.put(received)
        return all(self._step(connection, received, step) for step in script)

    def _script(self) -> Sequence[Step]:
        try:
            script, taken = self._scripts.get_nowait()
        except queue.Empty:
            return [self.answer]
        taken.set()
        return script

    def _step(self, connection: Connection, received: Received, step: Step) -> bool:
        if isinstance(step, bytes):
            connection.send(step)
        elif isinstance(step, threading.Event):
            if not step.wait(DEADLINE):
                raise TimeoutError("an event of a script did not happen")
        elif step == RESET:
            connection.reset()
            return False
        elif step == CLOSE:
            return False
        elif callable(step):
            step(connection, received)
        return True
