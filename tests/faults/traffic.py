"""A service that says what it was asked, and clients that never stop asking and check every answer."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway import Client

STEP = 30.0


def is_refused(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        Client(("127.0.0.1", port)).socket.close()
    except ConnectionError:
        return True
    return False


@dataclass
class Echo:
    """A service of one process's loop. Answers each request with its target; counts them."""

    port: int = 0
    served: int = 0
    # While clear, requests wait for their answers.
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    links: set[asyncio.Task[None] | None] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.served += 1
                await self.may_answer.wait()
                target = head.split(b" ", 2)[1]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(target), target))
                await writer.drain()
        self.links.discard(asyncio.current_task())
        await closed(writer)


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[Echo]:
    service = Echo()
    service.may_answer.set()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, backlog=1024)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
        links = [link for link in service.links if link is not None]
        for link in links:
            link.cancel()
        await asyncio.gather(*links)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever the other side has done to it."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer with a length. Raises where the connection ends first."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(first.split(" ")[1]), headers, body


@dataclass
class Load:
    """Clients that send one request after the other. Whatever is not the right answer is a failure."""

    port: int
    answered: int = 0
    ended: int = 0
    failures: list[str] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    progress: asyncio.Event = field(default_factory=asyncio.Event)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    # Ends once new connections are refused: the gateway drains.
    until_refused: bool = False
    keep_alive: bool = True
    # Asked instead of the port, where there is one.
    path: Path | None = None
    # What the clients trust, where they use TLS.
    trusted: ssl.SSLContext | None = None

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.path is not None:
            return await asyncio.open_unix_connection(self.path)
        name = None if self.trusted is None else "load"
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusted, server_hostname=name)

    async def client(self) -> None:
        while not self.stopping.is_set():
            try:
                reader, writer = await self.connect()
            except (ConnectionError, FileNotFoundError) as error:
                if not self.until_refused:
                    self.failures.append(f"connect: {error}")
                return
            try:
                await self._use(reader, writer)
            except TimeoutError:
                self.failures.append("no answer in time")
            finally:
                await closed(writer)

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until one side has had enough."""
        answers = 0
        while not self.stopping.is_set():
            target = b"/load/%d" % next(self.numbers)
            last = b"" if self.keep_alive else b"Connection: close\r\n"
            writer.write(b"GET %s HTTP/1.1\r\nHost: load\r\n%s\r\n" % (target, last))
            try:
                async with asyncio.timeout(STEP * 2):
                    status, headers, body = await read_answer(reader)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                partial = getattr(error, "partial", b"")
                # An idle connection may be closed by either side at any time (RFC 9112 section 9.3.1).
                if answers and not partial and isinstance(error, asyncio.IncompleteReadError):
                    self.ended += 1
                    return
                self.failures.append(f"{target!r} after {answers} answers: {error!r}")
                return
            if (status, body) != (200, target):
                self.failures.append(f"{target!r}: {status} {body!r}")
            answers += 1
            self.answered += 1
            self.progress.set()
            if headers.get("connection") == "close":
                return

    async def more(self, count: int) -> None:
        """Wait until so many more requests were answered, or something failed."""
        goal = self.answered + count
        while self.answered < goal and not self.failures:
            self.progress.clear()
            await asyncio.wait_for(self.progress.wait(), STEP)


@contextlib.asynccontextmanager
async def load(port: int, clients: int = 8, **options: Any) -> AsyncIterator[Load]:
    """Constant load from `clients` connections until the block ends; all clients are waited for."""
    running = Load(port, **options)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(clients):
            tasks.create_task(running.client())
        try:
            yield running
        finally:
            running.stopping.set()
