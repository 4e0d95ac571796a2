"""Runs the admin application inside the node's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from gatewright.control.configuration import AdminSettings
from gatewright.errors import ListenError

BACKLOG = 64
SHUTDOWN_SECONDS = 2
# How long a connection that was accepted before the end may take until it asks for something.
STEP_SECONDS, NEWCOMER_STEPS = 0.01, 200
CONCURRENCY = 64


class QuietServer(uvicorn.Server):
    """Leaves the signals to whoever owns the process (uvicorn#526)."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(settings: AdminSettings) -> socket.socket:
    """A listening socket. Raises `ListenError` with what would work."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        where = f"{settings.host}:{settings.port}"
        message = f"admin listener {where}: {error.strerror}; choose another `admin.address`"
        raise ListenError(message) from error
    return listener


class AdminServer:
    """The admin listener of one node, at one address."""

    def __init__(self, app: ASGIApp, settings: AdminSettings, inherited: socket.socket | None = None) -> None:
        """`inherited` is a socket at that address which listens already."""
        self.socket = inherited or bind(settings)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONCURRENCY,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
            timeout_keep_alive=5,
        )
        self._server = QuietServer(config)
        self._ended = asyncio.Event()

    @property
    def port(self) -> int:
        """The port in fact, also where the settings say 0."""
        return int(self.socket.getsockname()[1])

    async def run(self) -> None:
        """Serve until `stop`."""
        try:
            await self._server.serve(sockets=[self.socket])
        finally:
            self.socket.close()
            self._ended.set()

    async def close(self) -> None:
        """Accept nothing more, answer what was accepted, stop; wait until nothing more is answered."""
        # It has none before it serves. Closed at once, they would drop what was accepted a moment ago.
        for server in getattr(self._server, "servers", ()):
            for one in server.sockets:
                asyncio.get_running_loop().remove_reader(one.fileno())
        for _ in range(NEWCOMER_STEPS):
            # First, so that this becomes known.
            await asyncio.sleep(STEP_SECONDS)
            if not self._has_newcomers():
                break
        self.stop()
        await self._ended.wait()

    def _has_newcomers(self) -> bool:
        """Whether a connection has not asked for anything yet: told to stop, the server would close it."""
        return any(getattr(one, "cycle", None) is None for one in self._server.server_state.connections)

    def stop(self) -> None:
        """Accept nothing more; `run` ends within two seconds."""
        self._server.should_exit = True
