"""A gateway replaced by another process while clients of every protocol ask it: not one of them fails."""

import asyncio
import signal
import ssl
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from faults.conftest import Setting
from faults.process import DEADLINE, wait_until
from faults.test_takeover import Http2Load, beside, start
from faults.traffic import echo, load
from gateway import Authority, Pair
from gateway.websocket import Sockets, dial

GOING_AWAY = 1001


class WebSocketLoad:
    """One client whose messages come back one after the other; it connects anew when it is told to go."""

    def __init__(self, port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.answered = 0
        self.connections = 0
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            with dial(self.address, "/socket") as client:
                self.connections += 1
                self.talk(client)

    def talk(self, client: ClientConnection) -> None:
        while not self.stopping:
            message = f"message {self.answered}"
            try:
                client.send(message)
                assert client.recv(timeout=DEADLINE) == message
            except ConnectionClosed as error:
                assert error.rcvd is not None, "the connection was cut"
                assert error.rcvd.code == GOING_AWAY
                return
            self.answered += 1


def text(setting: Setting, sockets: Sockets, secure: tuple[int, Pair]) -> str:
    """A configuration with a listener for TLS and a route for WebSockets."""
    port, pair = secure
    listener = f'{{name: secure, address: "127.0.0.1:{port}", tls: {{certificates: [{pair.yaml}]}}}}'
    service = f'{{name: sockets, instances: ["{sockets.address}"]}}'
    route = "  - {name: sockets, match: /socket, service: sockets, websocket: true}\n"
    usual = setting.text().replace("drain_timeout: 20s", "drain_timeout: 6s")
    usual = usual.replace("listeners: [", f"listeners: [{listener}, ")
    return usual.replace("services: [", f"services: [{service}, ") + route


async def test_clients_of_every_protocol_are_served_while_the_process_is_replaced(
    setting: Setting, free_port: Callable[[], int]
) -> None:
    authority, secure = Authority(setting.directory / "certificates"), free_port()
    trusted = ssl.create_default_context(cafile=str(authority.file))
    async with echo() as service:
        setting.service = service.port
        with Sockets() as sockets:
            setting.write(text(setting, sockets, (secure, authority.issue("load", "load"))))
            old = await asyncio.to_thread(setting.run)
            http2, websocket = Http2Load(setting.port), WebSocketLoad(setting.port)
            async with (
                beside(http2, websocket),
                load(setting.port, clients=2) as kept,
                load(secure, clients=2, trusted=trusted) as tls,
                load(secure, clients=2, trusted=trusted, keep_alive=False) as handshakes,
            ):
                await asyncio.gather(*(one.more(20) for one in (kept, tls, handshakes)))
                before = websocket.connections
                new = await asyncio.to_thread(start, setting)
                await asyncio.to_thread(new.wait_until_live)
                await asyncio.to_thread(old.wait_for_line, "taken over; draining")
                messages = websocket.answered
                await asyncio.to_thread(wait_until, "messages", lambda: websocket.answered > messages + 5)
                assert websocket.connections == before, "it lives although its node drains"
                assert await asyncio.to_thread(old.wait) == 0
                await asyncio.to_thread(wait_until, "a new WebSocket", lambda: websocket.connections > before)
                messages = websocket.answered
                await asyncio.to_thread(wait_until, "messages", lambda: websocket.answered > messages)
                await asyncio.gather(*(one.more(20) for one in (kept, tls, handshakes)))
            assert [one.failures for one in (kept, tls, handshakes)] == [[], [], []]
            assert [one.ended for one in (kept, tls)] == [0, 0], "they are told `Connection: close` first"
            assert http2.connections > 1
            assert http2.answered > 0
            assert sockets.seen.qsize() >= before
        new.signal(signal.SIGTERM)
        assert await asyncio.to_thread(new.wait) == 0
