"""The strict service behind every gateway: remembers each complete request by the client that sent it."""

import asyncio
import contextlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field

from conformance.reference import FIELD, BadError, IncompleteError, chunked, framing, section

REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([^\x00-\x20\x7f]+) HTTP/1\.[01]")
OWN = frozenset({
    # Every gateway adds its own.
    b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-request-id", b"traceparent",
    b"x-envoy-expected-rq-timeout-ms", b"x-envoy-original-path", b"x-envoy-external-address",
    b"x-envoy-internal",
    # Compared by what they say: `Seen.host` and `Seen.body`.
    b"host", b"content-length", b"transfer-encoding",
    # Of one connection.
    b"connection", b"keep-alive", b"expect", b"te", b"trailer", b"upgrade",
})  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """One request as a service read it; of a stream that is none, the bytes as `method` alone."""

    method: str
    target: str = ""
    host: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""

    def __str__(self) -> str:
        more = "".join(f" {name.decode('latin-1')}={value!r}" for name, value in self.headers)
        return f"{self.method} {self.target} host={self.host}{more} body={self.body!r}"


@dataclass
class Service:
    """Answers every request; `seen` has what came, by the client's address that the gateway named."""

    port: int = 0
    seen: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    arrived: int = 0
    tasks: set[asyncio.Task[None] | None] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
        open_ = [task for task in self.tasks if task is not None]
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        pending = b""
        # Cancelled when the service stops.
        with contextlib.suppress(ConnectionError, BadError, asyncio.CancelledError):
            while received := await reader.read(1 << 16):
                self.arrived += 1
                pending, answers = self.take(pending + received)
                writer.write(answers)
        self.tasks.discard(asyncio.current_task())
        writer.close()

    def take(self, pending: bytes) -> tuple[bytes, bytes]:
        """All complete requests: what is left of the bytes, and the answers. Raises where they are none."""
        answers = b""
        while pending:
            try:
                seen, address, rest = request(pending)
            except IncompleteError:
                break
            except BadError:
                found = re.findall(rb"(?i)x-forwarded-for: ?([0-9.]+)", pending)
                self.seen[found[0].decode() if found else ""].append(Seen(f"no request: {pending!r}"))
                raise
            pending = rest
            self.seen[address].append(seen)
            answers += answer(seen)
        return pending, answers


def request(pending: bytes) -> tuple[Seen, str, bytes]:
    """The next request, the client's address in it, and what stands behind it."""
    lines, rest = section(pending)
    found = REQUEST_LINE.fullmatch(lines[0])
    fields = [FIELD.fullmatch(line) for line in lines[1:]]
    headers = [(one[1].lower(), one[2]) for one in fields if one is not None]
    if found is None or len(headers) < len(fields):
        raise BadError(lines)
    told = framing(headers, is_old=False)
    if told is None:
        body, rest = chunked(rest)
    elif len(rest) < told:
        raise IncompleteError
    else:
        body, rest = rest[:told], rest[told:]
    addresses = [value for name, value in headers if name == b"x-forwarded-for"]
    address = addresses[-1].split(b",")[-1].strip().decode("latin-1") if addresses else ""
    host = next(value for name, value in headers if name == b"host")
    kept = tuple(sorted(header for header in headers if header[0] not in OWN))
    seen = Seen(found[1].decode(), found[2].decode("latin-1"), host.decode("latin-1"), kept, body)
    return seen, address, rest


def answer(seen: Seen) -> bytes:
    body = json.dumps([seen.method, seen.target, len(seen.body)]).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    return head if seen.method == "HEAD" else head + body
