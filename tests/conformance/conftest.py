"""A gateway before a service that records every byte it gets, to ask whether both saw the same."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from conformance.reference import Reading, read
from gateway import Client, Connection, Node, Origin, Received, Record, Response, plain
from gateway.client import DEADLINE, encode

TEXT = """
version: 1
listeners: [{{name: public, address: "127.0.0.1:1", trusted_proxies: ["127.0.0.2"]}}]
services: [{{name: strict, instances: ["{strict}"], circuit_breaker: off}}]
routes:
  - {{name: all, match: /*, service: strict, max_body: 1KiB}}
  - {{name: strip, match: /strip/*, service: strict, strip_prefix: /strip}}
  - {{name: early, match: /early/*, respond: {{status: 401, body: early}}}}
  - {{name: secret, match: /admin/*, respond: {{status: 403, body: secret}}}}
  - name: token
    match: {{path: /match/*, headers: {{X-Allow: "yes"}}}}
    service: strict
    precedence: 5
  - {{name: no-token, match: /match/*, respond: {{status: 403, body: denied}}}}
"""


class Strict:
    """A service that remembers each request that was complete, and answers with what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Received] = []

    def answer(self, connection: Connection, received: Received) -> None:
        # Raises where the body does not come to its end: such a request does not count.
        connection.body(received)
        self.requests.append(received)
        connection.send(plain(json.dumps([received.method, received.target, len(received.body)]).encode()))


@dataclass
class Matrix:
    """The gateway, the service, and the question that each case asks."""

    node: Node
    strict: Strict
    marker: int = 0

    def check_one_in_one_out(self, stream: bytes, *cuts: int) -> Reading:
        """The service gets exactly the requests that `stream` certainly holds, each client its own answers.

        `stream` is sent in pieces, cut at `cuts`.
        """
        expected = read(stream)
        before = len(self.strict.requests)
        with Client(self.node.address) as client:
            for start, end in zip((0, *cuts), (*cuts, len(stream)), strict=True):
                client.send(stream[start:end])
            self.check_answers(client, expected, stream)
        self.check_marker()
        asked = [one for one in self.strict.requests[before:] if not one.target.startswith("/marker/")]
        seen = [(one.method, one.target, one.body) for one in asked]
        wanted = [
            (one.method, one.target, one.body)
            for one in expected.requests
            if not one.target.startswith("/early/")
        ]
        assert seen == wanted, stream
        return expected

    def check_answers(self, client: Client, expected: Reading, stream: bytes) -> None:
        answers = [client.response(one.method) for one in expected.requests]
        for one, answer in zip(expected.requests, answers, strict=True):
            if one.target.startswith("/early/"):
                assert answer.status == 401
            elif one.method != "HEAD":
                assert answer.json() == [one.method, one.target, len(one.body)], stream
        if expected.is_bad:
            refusal = client.response()
            check_refusal(refusal)
            assert refusal.closes
            client.wait_closed()
        elif expected.requests and not expected.requests[-1].keeps_alive:
            assert answers[-1].closes
            client.wait_closed()

    def check_marker(self) -> None:
        """Another client gets its own answer, over the same connection of the pool."""
        self.marker += 1
        with Client(self.node.address) as client:
            client.send(encode(f"/marker/{self.marker}"))
            assert client.response().json() == ["GET", f"/marker/{self.marker}", 0]

    def ask(
        self, stream: bytes, source: str = "127.0.0.1"
    ) -> tuple[Response, Received | None, Callable[[], Record]]:
        """One request: its answer, what the service got of it, and what waits for its record."""
        before = len(self.strict.requests)
        with Client(self.node.address, DEADLINE, (source, 0)) as client:
            client.send(stream)
            answer = client.response()
        asked = self.strict.requests[before:]
        assert len(asked) <= 1
        return answer, asked[0] if asked else None, partial(self.record_of, answer)

    def record_of(self, answer: Response) -> Record:
        """It comes up to 50 ms later, so only those wait who want it."""
        while (record := self.node.record())["request_id"] != answer.get("x-request-id"):
            pass
        return record


def check_refusal(refusal: Response) -> None:
    assert (refusal.status, refusal.json()["error"]) == (400, "bad_request")
    assert refusal.json()["request_id"] == refusal.get("x-request-id") != ""


@pytest.fixture(scope="package")
def matrix() -> Iterator[Matrix]:
    strict = Strict()
    with Origin(strict.answer) as origin, Node(TEXT.format(strict=origin.address)) as node:
        yield Matrix(node, strict)
        assert origin.errors == []
        assert node.metric("gateway_panics_total") == 0


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A service that answers `ok` to everything that a test does not script."""
    with Origin() as origin:
        yield origin
