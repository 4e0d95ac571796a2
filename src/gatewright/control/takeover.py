"""One process takes over from another: sockets change hands, the new one serves, the old one drains.

The old node answers at `takeover.sock` in its state directory, to processes of its own user. Messages are
JSON, one a packet. The new process says `{"format", "want": "takeover"}` and gets `{"pid", "host", "port"}`
with the admin listener's descriptor, or `{"refused": why}`. It then fetches the listeners' sockets on a
second connection (which the engine opens), applies its configuration, and says `{"ready": true}`: only then
the old one answers `{"draining": true}` and drains. Where that word does not come, the old node goes on as
if nothing had been; to a word that comes too late it says `{"refused": why}`, and the new process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gatewright.control.configuration import AdminSettings
from gatewright.errors import TakeoverError

log = logging.getLogger("gatewright.control")

FORMAT = 1
NAME = "takeover.sock"
LONGEST_MESSAGE = 4096
STEP_SECONDS = 5.0
# What starting may take: keys, names, listeners.
READY_SECONDS = 60.0
# The engine takes as many in one message.
DESCRIPTORS = 64
CONNECTIONS = 4

Message = dict[str, Any]


class Listening(Protocol):
    """What is asked of the engine."""

    def listening(self) -> bytes: ...
    def adopt(self, path: str) -> int: ...


@contextlib.contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """The directory under a name of this process: an address of a socket has 107 bytes at most."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def packets() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def encode(message: Message) -> bytes:
    return json.dumps(message).encode()


def decode(data: bytes) -> Message:
    """A message; an empty one at the end of the connection. Raises `TakeoverError`."""
    try:
        message = json.loads(data) if data else {}
    except ValueError as error:
        raise TakeoverError("takeover: the other process sent no JSON") from error
    if not isinstance(message, dict):
        raise TakeoverError("takeover: the other process sent no object")
    return message


class OldNode:
    """The node that this process takes over from, as the new process sees it. Blocks."""

    def __init__(self, directory: Path, connection: socket.socket) -> None:
        self._directory = directory
        self._connection = connection
        connection.sendall(encode({"format": FORMAT, "want": "takeover"}))
        data, descriptors, _, _ = socket.recv_fds(connection, LONGEST_MESSAGE, 1, socket.MSG_CMSG_CLOEXEC)
        sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        answer = decode(data)
        if "refused" in answer or not sockets:
            raise TakeoverError(f"the running node refuses a takeover: {answer.get('refused', 'it ended')}")
        self.pid = int(answer["pid"])
        self._admin = (answer["host"], answer["port"])
        self._admin_socket = sockets[0]

    def admin_socket(self, settings: AdminSettings) -> socket.socket | None:
        """The admin listener's socket, if it is at the address that is wanted."""
        if (settings.host, settings.port) == self._admin:
            return self._admin_socket
        # Kept, it would hold the old address with nobody to answer there.
        self._admin_socket.close()
        return None

    def hand_over(self, engine: Listening) -> None:
        """Give `engine` the sockets of the listeners. Raises `EngineError`."""
        with short_path(self._directory) as directory:
            sockets = engine.adopt(f"{directory}/{NAME}")
        log.info("sockets taken over", extra={"sockets": sockets, "pid": self.pid})

    def drain(self) -> None:
        """Tell it that this process serves now. Raises `TakeoverError` where it goes on instead."""
        answer: Message = {}
        with self._connection:
            # If it has died meanwhile, nothing is left to drain.
            with contextlib.suppress(OSError):
                self._connection.sendall(encode({"ready": True}))
            # Also what it said before it closed the connection.
            with contextlib.suppress(OSError):
                answer = decode(self._connection.recv(LONGEST_MESSAGE))
        if "refused" in answer:
            raise TakeoverError(f"the running node goes on: {answer['refused']}")

    def close(self) -> None:
        """Let go of it; unless it was told to drain, it goes on."""
        self._connection.close()
        self._admin_socket.close()


def old_node(directory: Path) -> OldNode | None:
    """The node that runs with this state directory, if one does. Raises `TakeoverError`."""
    connection = packets()
    connection.settimeout(STEP_SECONDS)
    try:
        with short_path(directory) as short:
            connection.connect(f"{short}/{NAME}")
        return OldNode(directory, connection)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except (OSError, KeyError, ValueError) as error:
        connection.close()
        raise TakeoverError(f"takeover from the running node failed: {error}") from error
    except TakeoverError:
        connection.close()
        raise


@dataclass(frozen=True, slots=True)
class Handing:
    """What a node gives away, and how it is told that it was taken."""

    engine: Listening
    admin: AdminSettings
    admin_socket: socket.socket
    # Held from the first word to the last, so that no reload changes what is being handed over.
    applying: asyncio.Lock
    refuses: Callable[[], str | None]
    taken: Callable[[], None]


class TakeoverListener:
    """`takeover.sock` of a node that runs."""

    def __init__(self, directory: Path, handing: Handing) -> None:
        self._handing = handing
        self._listener = listen(directory)
        self._under_way = False

    async def run(self) -> None:
        """Answer until cancelled."""
        loop = asyncio.get_running_loop()
        free = asyncio.Semaphore(CONNECTIONS)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await free.acquire()
                connection, _ = await loop.sock_accept(self._listener)
                task = tasks.create_task(self._serve(connection))
                task.add_done_callback(lambda _: free.release())

    def close(self) -> None:
        """Answer nobody any more. The file stays: by now it may be that of the next process."""
        self._listener.close()

    async def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                await self._answer(connection)
        except (OSError, TakeoverError) as error:
            went_on(str(error))

    async def _answer(self, connection: socket.socket) -> None:
        message = await receive(connection, STEP_SECONDS)
        if not is_own_user(connection) or message.get("format") != FORMAT:
            connection.send(encode({"refused": f"it speaks format {FORMAT}, to its own user"}))
        elif message.get("want") == "sockets" and self._under_way:
            # Sending ends before anything else of this node can close one of these descriptors.
            connection.settimeout(STEP_SECONDS)
            send_sockets(connection, json.loads(self._handing.engine.listening()))
        elif message.get("want") == "takeover":
            await self._hand_over(connection)

    async def _hand_over(self, connection: socket.socket) -> None:
        refused = "another takeover is under way" if self._under_way else self._handing.refuses()
        if refused is not None:
            connection.send(encode({"refused": refused}))
            return
        self._under_way = True
        try:
            async with asyncio.timeout(READY_SECONDS), self._handing.applying:
                admin = self._handing.admin
                answer = encode({"pid": os.getpid(), "host": admin.host, "port": admin.port})
                socket.send_fds(connection, [answer], [self._handing.admin_socket.fileno()])
                is_ready = (await receive(connection, READY_SECONDS)).get("ready") is True
        except (TakeoverError, TimeoutError):
            late = f"the new process was not ready within {READY_SECONDS:g} s"
            connection.send(encode({"refused": late}))
            went_on(late)
            return
        finally:
            self._under_way = False
        if not is_ready:
            went_on("the new process ended")
            return
        connection.send(encode({"draining": True}))
        log.info("taken over; draining")
        self._handing.taken()


def went_on(why: str) -> None:
    log.warning("takeover failed; this node goes on", extra={"error": why})


async def receive(connection: socket.socket, seconds: float) -> Message:
    """One message. Raises `TakeoverError` where it does not come in time."""
    connection.setblocking(False)
    try:
        async with asyncio.timeout(seconds):
            return decode(await asyncio.get_running_loop().sock_recv(connection, LONGEST_MESSAGE))
    except TimeoutError as error:
        raise TakeoverError(f"takeover: no word within {seconds:g} s") from error


def listen(directory: Path) -> socket.socket:
    """A socket of this process in the place of the one before it. Raises `OSError`."""
    listener = packets()
    own = f"{NAME}.{os.getpid()}"
    try:
        with short_path(directory) as short:
            (directory / own).unlink(missing_ok=True)
            listener.bind(f"{short}/{own}")
        # Nobody can connect before `listen`.
        (directory / own).chmod(0o600)
        listener.listen(CONNECTIONS)
        listener.setblocking(False)
        (directory / own).replace(directory / NAME)
    except OSError:
        listener.close()
        raise
    return listener


def is_own_user(connection: socket.socket) -> bool:
    """Whether the other side runs as the user of this process, or as root."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return user in (0, os.geteuid())


def send_sockets(connection: socket.socket, listeners: Sequence[Message]) -> None:
    """What is told of each listener, with its descriptors. The end of the connection is their end."""
    for listener in listeners:
        descriptors = listener.pop("descriptors")
        text = encode(listener)
        for start in range(0, len(descriptors), DESCRIPTORS):
            socket.send_fds(connection, [text], descriptors[start : start + DESCRIPTORS])
