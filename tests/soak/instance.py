"""An instance as a process of its own: takes uploads, gives downloads, and says what it saw of each.

`python -m soak.instance` prints its port and serves until it is killed. A body is answered with its SHA-256,
`GET /checked/down/COUNT` with COUNT bytes of `pattern`, everything else with its own target.
"""

import asyncio
import contextlib
import hashlib
import re

PIECE = 1 << 16
PATTERN = bytes(range(251))


def pattern(count: int) -> bytes:
    """Bytes in which no piece could take the place of another unseen."""
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            answer = await body_of_answer(head, reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer))
            for start in range(0, len(answer), PIECE):
                writer.write(answer[start : start + PIECE])
                await writer.drain()
    writer.close()


async def body_of_answer(head: str, reader: asyncio.StreamReader) -> bytes:
    target = head.split(" ", 2)[1]
    told = re.search(r"(?im)^content-length: *([0-9]+)", head)
    seen, left = hashlib.sha256(), int(told[1]) if told else 0
    while left > 0:
        piece = await reader.readexactly(min(left, PIECE))
        seen.update(piece)
        left -= len(piece)
    if found := re.fullmatch("/checked/down/([0-9]+)", target):
        return pattern(int(found[1]))
    return seen.hexdigest().encode() if told else target.encode()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
