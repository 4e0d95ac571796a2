"""Balance: the algorithms, seen from what services were asked."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway import Client, Connection, Node, Origin, Received, Record, Response, encode, get, plain, steps
from gatewright._engine import decide


@pytest.fixture
def origins() -> Iterator[list[Origin]]:
    """Four instances of one service."""
    with ExitStack() as stack:
        yield [stack.enter_context(Origin()) for _ in range(4)]


def config(origins: list[Origin], balance: str, options: str = "") -> str:
    instances = ", ".join(f'"{origin.address}"' for origin in origins)
    return f"""
services: [{{name: users, instances: [{instances}], balance: {balance}{options and ", " + options}}}]
routes: [{{name: users, match: "/*", service: users}}]
"""


def ask(node: Node, path: str = "/", *headers: tuple[str, str]) -> Response:
    with Client(node.address) as client:
        client.send(encode(path, headers=headers))
        return client.response()


def instances(node: Node, count: int) -> list[str]:
    return [record["backend_instance"] for record in node.records(count)]


def test_requests_with_one_key_go_to_one_instance_over_a_reload(origins: list[Origin]) -> None:
    balance = "{kind: hash, by: header, name: X-Tenant}"
    with Node(config(origins, balance)) as node:
        tenants = [f"tenant-{number}" for number in range(20)]
        for tenant in tenants:
            ask(node, "/", ("X-Tenant", tenant))
        before = instances(node, 20)
        assert len(set(before)) > 1
        node.apply(config(list(reversed(origins)), balance, "circuit_breaker: off"))
        for tenant in tenants:
            ask(node, "/", ("X-Tenant", tenant))
        assert instances(node, 20) == before


def test_the_record_tells_the_kind_of_key_and_never_the_key(origins: list[Origin]) -> None:
    with Node(config(origins, "{kind: hash, by: cookie, name: session}")) as node:
        ask(node, "/", ("Cookie", "a=1; session=very-secret"))
        record = node.record()
        assert steps(record)[-1] == ("balance", "picked")
        assert record["decisions"][-1]["inputs"] == {"algorithm": "hash", "key": "cookie"}
        assert "very-secret" not in json.dumps(record)
        ask(node)
        assert node.record()["decisions"][-1]["inputs"]["chosen"] == "at_random"


class Busy:
    """Answers `/slow` when told to, and everything else at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []

    def __call__(self, connection: Connection, received: Received) -> None:
        self.asked.append(received.target)
        assert received.target != "/slow" or self.go.wait(30)
        connection.send(plain())


def test_a_busy_instance_is_avoided() -> None:
    handlers = [Busy(), Busy()]
    with ExitStack() as stack:
        origins = [stack.enter_context(Origin(handler)) for handler in handlers]
        node = stack.enter_context(Node(config(origins, "least_requests")))
        client = stack.enter_context(Client(node.address))
        client.send(encode("/slow"))
        node.wait_for(lambda _: any(handler.asked for handler in handlers))
        for _ in range(10):
            assert get(node.address, "/").status == 200
        assert sorted(len(handler.asked) for handler in handlers) == [1, 10]
        for handler in handlers:
            handler.go.set()
        assert client.response().status == 200


def test_an_instance_that_refuses_connections_is_not_the_quickest(origins: list[Origin]) -> None:
    two = origins[:2]
    with Node(config(two, "peak_ewma", "circuit_breaker: off")) as node:
        two[0].stop()
        statuses = Counter(get(node.address, "/").status for _ in range(20))
        assert statuses == {502: 1, 200: 19}
        inputs = node.records(20)[-1]["decisions"][-1]["inputs"]
        assert inputs["algorithm"] == "peak_ewma"
        assert inputs["latency_us"] > 0


@pytest.mark.parametrize(("decay", "seconds", "is_tried"), [("100ms", 1.5, True), ("10m", 0.2, False)])
def test_a_bad_latency_is_forgotten_as_fast_as_told(
    origins: list[Origin], decay: str, seconds: float, is_tried: bool
) -> None:
    balance = f"{{kind: peak_ewma, decay: {decay}}}"
    with Node(config(origins[:2], balance, "circuit_breaker: off")) as node:
        origins[0].stop()
        assert [get(node.address, "/").status for _ in range(4)].count(502) == 1
        assert threading.Event().wait(seconds) is False
        # The first tells how quick the good one is now; the second goes to whoever looks quicker. Where the
        # good one was slow before, that is the first already.
        assert [get(node.address, "/").status for _ in range(2)] == [200, 200]
        records = node.records(6)
        # Being refused once more costs the client nothing, but it is told.
        tried = 2 in [record["attempts"] for record in records[4:]]
        # Whoever was once slower than what a failure counts for is the worse one.
        assert tried == is_tried or max(record["upstream_latency_ms"] or 0 for record in records) >= 1_000


def test_chance_reaches_every_instance(origins: list[Origin]) -> None:
    with Node(config(origins, "random")) as node:
        # That one of four is never drawn in 80 has a chance of 4 in ten thousand million.
        for _ in range(80):
            get(node.address, "/")
        assert set(instances(node, 80)) == {origin.address for origin in origins}


def test_explain_names_the_instance_that_the_key_leads_to(origins: list[Origin]) -> None:
    with Node(config(origins, "{kind: hash, by: path}")) as node:
        for path in ("/a", "/b", "/c"):
            get(node.address, path)
            told = explained(node, path)
            assert told["instance"] == node.record()["backend_instance"]
            assert told["decisions"][-1]["inputs"] == {"algorithm": "hash", "key": "path"}


def explained(node: Node, path: str) -> Record:
    request = {
        "listener": "public",
        "method": "GET",
        "target": path,
        "host": "x",
        "headers": [],
        "peer": "127.0.0.1",
        "now_ms": 1_000,
        "content_length": None,
    }
    return json.loads(decide(node.snapshot, b"{}", json.dumps([request]).encode()))[0]
