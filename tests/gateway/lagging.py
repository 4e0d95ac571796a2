"""A way to a server that is as slow as a test says, or leads nowhere."""

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Self

CHUNK = 1 << 16


class Lagging:
    """Passes bytes on, `delay` seconds later for both directions together; while `is_cut`, none at all."""

    def __init__(self, port: int) -> None:
        self.delay = 0.0
        self.is_cut = False
        self._to = port
        opened: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(opened)), daemon=True)
        self._thread.start()
        self.port, self._loop, self._over = opened.result(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def _run(self, opened: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]]) -> None:
        over = asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = int(server.sockets[0].getsockname()[1])
        opened.set_result((port, asyncio.get_running_loop(), over))
        await over.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back: asyncio.StreamWriter | None = None
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", self._to)
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except asyncio.CancelledError:
            # The test is over.
            pass
        finally:
            for one in (writer, back):
                if one is not None:
                    one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await asyncio.sleep(self.delay / 2)
            if not self.is_cut:
                writer.write(data)
                await writer.drain()
        writer.close()
