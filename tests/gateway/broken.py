"""What the gateway depends on, failing in each way that there is: over HTTP, and in any other protocol."""

import contextlib
import gzip
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

WAIT = 20.0
HUGE = 2 << 20
Good = Callable[[str], bytes]
"""By the path of a request: the document that would let its caller in."""


class Wire:
    """One connection that the gateway opened, and what a good server would say on it."""

    def __init__(self, accepted: socket.socket, path: str, good: bytes, ended: threading.Event) -> None:
        self.socket, self.path, self.good, self.ended = accepted, path, good, ended

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def answer(self, status: str, body: bytes, *lines: str, length: int | None = None) -> None:
        told = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *lines]
        self.send("\r\n".join([*told, "Connection: close", "", ""]).encode(), body)


Act = Callable[[Wire], None]


def hang(wire: Wire) -> None:
    wire.ended.wait(WAIT)


def hang_in_body(wire: Wire) -> None:
    wire.answer("200 OK", wire.good[:-1], length=len(wire.good))
    hang(wire)


def says(status: str, body: bytes | None = None, *lines: str) -> Act:
    """An answer with this status and body, by default with the body that a good server gives."""
    return lambda wire: wire.answer(status, wire.good if body is None else body, *lines)


def redirects(status: str) -> Act:
    """To the same server, which is good there."""
    return lambda wire: wire.answer(status, b"", f"Location: /good{wire.path}")


def sends(data: bytes) -> Act:
    return lambda wire: wire.send(data)


def endless(head: bytes, piece: bytes) -> Act:
    """Sends for as long as somebody reads."""

    def act(wire: Wire) -> None:
        wire.send(head)
        while not wire.ended.is_set():
            wire.send(piece)

    return act


def drip(head: bytes, piece: bytes) -> Act:
    """Sends a piece now and then for as long as somebody reads: no silence is long enough to end a wait."""

    def act(wire: Wire) -> None:
        wire.send(head)
        while not wire.ended.wait(0.005):
            wire.send(piece)

    return act


def each(reply: bytes) -> Act:
    """The same reply to whatever is said, for as long as somebody speaks."""

    def act(wire: Wire) -> None:
        wire.send(reply)
        while wire.socket.recv(1 << 16):
            wire.send(reply)

    return act


def cut(wire: Wire) -> None:
    """All of the good document, and an end before the end that was told."""
    wire.answer("200 OK", wire.good, length=len(wire.good) + 1)


def cut_in_document(wire: Wire) -> None:
    wire.answer("200 OK", wire.good[:-1], length=len(wire.good))


def cut_in_chunks(wire: Wire) -> None:
    size = f"{len(wire.good):x}\r\n".encode()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", size, wire.good, b"\r\n")


def padded(wire: Wire) -> None:
    """The good document behind more blanks than anybody may send."""
    wire.answer("200 OK", b" " * HUGE + wire.good)


def compressed(wire: Wire) -> None:
    """The good document, small, in a form that nobody has asked for."""
    wire.answer("200 OK", gzip.compress(wire.good), "Content-Encoding: gzip")


def bomb(wire: Wire) -> None:
    wire.answer("200 OK", gzip.compress(b" " * (HUGE * 8) + wire.good), "Content-Encoding: gzip")


PAGE = b"<html><form>Log in to this network</form></html>"
HTTP_FAULTS: dict[str, Act | None] = {
    "absent": None,
    "reset": Wire.reset,
    "closed": lambda _: None,
    "hung": hang,
    "hung-in-body": hang_in_body,
    "garbage": sends(b"\x16\x03\x01\x00\xa5\x00\x00 is no HTTP\r\n\r\n"),
    "endless-head": endless(b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 4000 + b"\r\n"),
    "endless-body": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n"
    ),
    "interim-for-ever": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "huge": padded,
    "bomb": bomb,
    "compressed": compressed,
    "cut": cut,
    "cut-in-document": cut_in_document,
    "cut-in-chunks": cut_in_chunks,
    "page": says("200 OK", PAGE, "Content-Type: text/html"),
    "empty": says("200 OK", b""),
    "null": says("200 OK", b"null"),
    "true": says("200 OK", b"true"),
    "list": says("200 OK", b"[]"),
    "object": says("200 OK", b"{}"),
    "not-utf-8": says("200 OK", b'{"active": true, "keys": ["\xff"], "sub": "\xff"}'),
    "deep": says("200 OK", b"[" * 20_000),
    "wrong-kinds": says("200 OK", b'{"active": "true", "keys": "all", "id_token": true, "sub": "ann"}'),
    **{
        f"status-{status[:3]}": says(status)
        for status in (
            "201 Created",
            "202 Accepted",
            "206 Partial Content",
            "400 Bad",
            "401 No",
            "404 No",
            "500 No",
            "503 No",
        )
    },
    **{
        f"redirect-{status[:3]}": redirects(status)
        for status in ("301 R", "302 R", "303 R", "307 R", "308 R")
    },
}
"""By name what a server of HTTP does; `None` stands for one that is not there."""

PLAIN_FAULTS: dict[str, Act | None] = {
    "absent": None,
    "reset": Wire.reset,
    "closed": lambda _: None,
    "hung": hang,
    "garbage": sends(b"\x16\x03\x01\x00\xa5\x00\x00 is no protocol\r\n\r\n"),
    "endless": endless(b"", b"x" * 4096),
    "http": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
}
"""What a server of any other protocol does."""

REDIS_FAULTS: dict[str, Act | None] = PLAIN_FAULTS | {
    "always-ok": each(b"+OK\r\n"),
    "always-one": each(b":1\r\n"),
    "always-nothing": each(b"$-1\r\n"),
    "always-empty": each(b"*0\r\n"),
    "loading": each(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "redirected": each(b"-MOVED 1 127.0.0.1:1\r\n"),
    "read-only": each(b"-READONLY You can't write against a read only replica.\r\n"),
    "huge": endless(b"$2000000000\r\n", b"x" * 4096),
    "deep": each(b"*1\r\n" * 1000),
    "cut": sends(b"$5\r\nab"),
}


class Broken:
    """A server at a port of 127.0.0.1 that does one thing about every request. A context manager.

    Requests below `/good` get what a good server says, so that whoever follows a redirect is let in.
    """

    def __init__(self, act: Act | None, good: Good = lambda _: b"", *, speaks_http: bool = True) -> None:
        self.act, self.good, self.speaks_http = act, good, speaks_http
        self.asked: list[str] = []
        self._ended = threading.Event()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        if act is not None:
            self._socket.listen(64)
            threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Also where nobody listens: then it is nobody else's."""
        return self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(accepted,), daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        # Whoever asks may hang up whenever he likes.
        with accepted, contextlib.suppress(OSError):
            accepted.settimeout(WAIT)
            path = self._request(accepted) if self.speaks_http else self._anything(accepted)
            self.asked.append(path)
            is_good = path.startswith("/good")
            wire = Wire(accepted, path, self.good(path.removeprefix("/good")), self._ended)
            act = says("200 OK") if is_good else self.act
            if act is not None:
                act(wire)

    def _anything(self, accepted: socket.socket) -> str:
        accepted.recv(1 << 16)
        return ""

    def _request(self, accepted: socket.socket) -> str:
        """The path of a request that was read to its end."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(accepted)
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        while lengths and len(body) < int(lengths[0].split(b":")[1]):
            body += self._more(accepted)
        return head.split(b" ")[1].decode("latin-1")

    def _more(self, accepted: socket.socket) -> bytes:
        received = accepted.recv(1 << 16)
        if not received:
            raise ConnectionError
        return received
