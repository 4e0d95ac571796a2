"""The moment at which a data plane stops accepting."""

import contextlib
import socket

import pytest

from gateway import Http2, Node
from gateway.client import DEADLINE, encode
from gateway.http2 import NO_ERROR

TEXT = """
version: 1
routes: [{name: fixed, match: /*, respond: {body: fixed}}]
"""
ROUNDS = 3
CROWD = 60


def test_connection_that_waits_to_be_accepted_is_answered_before_the_drain_is_over() -> None:
    """Each round ends right after the kernel has accepted a connection, often before a worker knows of it."""
    for _ in range(ROUNDS):
        with Node(TEXT) as node, socket.socket() as client:
            client.settimeout(DEADLINE)
            address = node.address
            client.connect(address)
            client.send(encode())
            assert node.engine.drain(DEADLINE)
            node.engine.stop()
            answer = b"".join(iter(lambda: client.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert answer.endswith(b"fixed")
            assert node.record()["status"] == 200


@pytest.mark.parametrize("turn", range(2))
def test_every_connection_is_told_to_go_also_one_on_its_way_to_another_worker(turn: int) -> None:
    """Workers even out what they accept at the last moment, when some have told all of theirs already."""
    with Node(TEXT, workers=4) as node:
        clients = [Http2(node.address) for _ in range(CROWD)]
        node.engine.drain(DEADLINE)
        for client in clients:
            # Words for a connection that has ended meanwhile do not reach it.
            with contextlib.suppress(OSError):
                client.wait_closed()
            client.socket.close()
    assert [client.went_away for client in clients] == [NO_ERROR] * CROWD
