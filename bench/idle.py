"""Connections that do nothing, after one request each: what they cost a gateway in memory."""

import resource
import select
import socket
from types import TracebackType
from typing import Self

from answer import read_answer
from processes import BenchError
from scenario import SMALL_BODY

# For the bench's own files, and those of the gateway towards the origin.
SPARE_FILES = 1000


def allow_files(connections: int) -> None:
    """Let this process and those that it starts have so many connections. Raises `BenchError`."""
    wanted = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"{wanted} open files are needed, {hard} are allowed here (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class IdleConnections:
    """Opens connections, each of which is answered one request; a context that closes them."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self.port = port
        self.request = f"GET {path} HTTP/1.1\r\nHost: bench.example\r\n\r\n".encode()
        self.count = count
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        try:
            while len(self.sockets) < self.count:
                connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                self.sockets.append(connection)
                connection.sendall(self.request)
                read_answer(connection, len(SMALL_BODY))
        except OSError as error:
            self.close()
            raise BenchError(f"connection {len(self.sockets)} of {self.count}: {error}") from error
        except BenchError:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for connection in self.sockets:
            connection.close()

    def lost(self) -> int:
        """How many the peer has closed meanwhile. Nothing else can be there to read."""
        poll = select.poll()
        for connection in self.sockets:
            poll.register(connection, select.POLLIN)
        return len(poll.poll(0))
