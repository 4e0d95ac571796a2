"""The moment at which a data plane stops accepting."""

import socket

from gateway import Node
from gateway.client import DEADLINE, encode

TEXT = """
version: 1
routes: [{name: fixed, match: /*, respond: {body: fixed}}]
"""
ROUNDS = 3


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
