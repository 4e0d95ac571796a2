"""An instance as a process of its own that does wrong on request: the end of a target names the fault.

`python -m faults.misbehaving [PORT]` prints its port and serves until it is killed. A target that names no
fault is answered with 200 and itself.
"""

import asyncio
import contextlib
import re
import socket
import struct
import sys
from collections.abc import Awaitable, Callable

BODY = b"0123456789"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n"
# Longer than any timeout of a test, so that whatever ends the wait is the gateway.
LONG = 600.0
DRIP_SECONDS = 0.25
FLOOD = 100_000


class Hangup(Exception):
    """Close the connection now."""


class Exchange:
    """One request, whose body may not have been read, and the way to its answer."""

    def __init__(self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.method, self.target = head.split(" ", 2)[:2]
        self.reader, self.writer = reader, writer
        told = re.search(r"(?im)^content-length: *([0-9]+)", head)
        self.length = int(told[1]) if told else 0

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def read_body(self) -> None:
        left = self.length
        while left > 0:
            piece = await self.reader.read(min(left, 1 << 16))
            if not piece:
                raise Hangup
            left -= len(piece)

    def reset(self) -> None:
        """As the kernel does for a process that dies."""
        own: socket.socket = self.writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Hangup


async def reset(exchange: Exchange) -> None:
    exchange.reset()


async def close(exchange: Exchange) -> None:
    raise Hangup


async def hang(exchange: Exchange) -> None:
    await asyncio.sleep(LONG)


async def hang_in_head(exchange: Exchange) -> None:
    await exchange.send(OK[:20])
    await asyncio.sleep(LONG)


async def hang_in_body(exchange: Exchange) -> None:
    await exchange.send(OK[:-3])
    await asyncio.sleep(LONG)


async def reset_in_body(exchange: Exchange) -> None:
    await exchange.send(OK[:-3])
    exchange.reset()


async def drip(exchange: Exchange, data: bytes) -> None:
    for byte in data:
        await exchange.send(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)


async def drip_head(exchange: Exchange) -> None:
    await drip(exchange, OK)


async def drip_body(exchange: Exchange) -> None:
    await exchange.send(OK[: -len(BODY)])
    await drip(exchange, BODY)


async def garbage(exchange: Exchange) -> None:
    await exchange.send(b"\x16\x03\x01\x00\xa5 is no HTTP\r\n\r\n")


async def garbage_in_body(exchange: Exchange) -> None:
    await exchange.send(CHUNKED + b"no size\r\n")


async def says_more(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + BODY)
    raise Hangup


async def says_less(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + BODY)


async def twice(exchange: Exchange) -> None:
    await exchange.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")


async def flood_100(exchange: Exchange) -> None:
    for _ in range(FLOOD):
        await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


async def flood_103(exchange: Exchange) -> None:
    for _ in range(FLOOD):
        await exchange.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)


async def switch(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")


async def close_after(exchange: Exchange) -> None:
    """A pooled connection that ends without a word, at about the moment of its next use."""
    await exchange.send(OK)
    raise Hangup


def early(status: str) -> dict[str, Callable[[Exchange], Awaitable[None]]]:
    """Answers that come before the body of the request does, by what the service does about that body."""
    answer = b"HTTP/1.1 %s\r\nContent-Length: 5\r\n\r\nearly" % status.encode()

    async def and_reads(exchange: Exchange) -> None:
        await exchange.send(answer)
        await exchange.read_body()

    async def and_closes(exchange: Exchange) -> None:
        await exchange.send(answer)
        raise Hangup

    async def and_stops_reading(exchange: Exchange) -> None:
        await exchange.send(answer)
        await asyncio.sleep(LONG)

    code = status.split(" ", maxsplit=1)[0]
    return {
        f"early-{code}-and-reads": and_reads,
        f"early-{code}-and-closes": and_closes,
        f"early-{code}-and-stops-reading": and_stops_reading,
    }


FAULTS: dict[str, Callable[[Exchange], Awaitable[None]]] = {
    "reset": reset,
    "close": close,
    "hang": hang,
    "hang-in-head": hang_in_head,
    "hang-in-body": hang_in_body,
    "reset-in-body": reset_in_body,
    "drip-head": drip_head,
    "drip-body": drip_body,
    "garbage": garbage,
    "garbage-in-body": garbage_in_body,
    "says-more": says_more,
    "says-less": says_less,
    "twice": twice,
    "flood-100": flood_100,
    "flood-103": flood_103,
    "switch": switch,
    "close-after": close_after,
    **early("200 OK"),
    **early("401 Unauthorized"),
    **early("413 Content Too Large"),
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(Hangup, ConnectionError, asyncio.IncompleteReadError):
        while True:
            exchange = Exchange((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"), reader, writer)
            name = exchange.target.rpartition("/")[2]
            if not name.startswith("early-"):
                await exchange.read_body()
            if name in FAULTS:
                await FAULTS[name](exchange)
                continue
            body = exchange.target.encode()
            await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    writer.close()


async def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
