"""Networks that lose, delay and cut: between client and gateway, and between gateway and service."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from faults import wire
from faults.wire import Wire
from gateway import Client, Node, Origin, Record, plain
from gateway.client import encode

TEXT = """
version: 1
listeners:
  - name: public
    address: "{near}:1"
    header_timeout: {patience}
    body_timeout: {patience}
    write_timeout: {patience}
    idle_timeout: {idle}
  - {{name: local, address: "127.0.0.1:2"}}
services:
  - name: remote
    instances: ["{remote}"]
    circuit_breaker: off
    pool: {{connect_timeout: {connect}, idle_timeout: 2s}}
  - {{name: local, instances: ["{local}"], circuit_breaker: off}}
  - name: both
    instances: ["{remote}", "{local}"]
    circuit_breaker: off
    {check}
routes:
  - {{name: remote, match: /remote/*, service: remote, timeout: {timeout}}}
  - {{name: local, match: /local/*, service: local}}
  - {{name: both, match: /both/*, service: both, timeout: 5s}}
"""
# Two in a row: one is too late now and then where the machine is busy.
CHECK = "health_check: {path: /health, interval: 200ms, timeout: 1s, unhealthy_after: 2, healthy_after: 1}"
BIG = bytes(range(256)) * 512
CLIENTS = 6
ROUNDS = 5


@dataclass
class Network:
    """Clients beyond one wire, a service beyond another, a gateway between them, and a service beside it."""

    outside: Wire
    inside: Wire
    remote: Origin
    local: Origin
    open: ExitStack = field(default_factory=ExitStack)

    def node(self, **settings: str) -> Node:
        """`timeout`, `connect`, `idle`, `patience` and `check` where they are not the usual ones."""
        text = TEXT.format(
            near=self.outside.near,
            remote=self.remote.address,
            local=self.local.address,
            **{
                "timeout": "2s",
                "connect": "1500ms",
                "idle": "1m",
                "patience": "20s",
                "check": "",
                **settings,
            },
        )
        node: Node = self.open.enter_context(Node(text, workers=2))
        return node

    def client(self, node: Node) -> Client:
        """One that reaches the gateway over the wire only."""
        made = self.outside.inside(lambda: Client(node.address))
        return self.open.enter_context(made)


@pytest.fixture(scope="module")
def wires() -> Iterator[tuple[Wire, Wire]]:
    if reason := wire.why_not():
        pytest.skip(reason)
    with Wire() as outside, Wire() as inside:
        yield outside, inside


@pytest.fixture
def network(wires: tuple[Wire, Wire]) -> Iterator[Network]:
    outside, inside = wires
    for one in wires:
        one.loss, one.delay, one.is_cut = 0.0, 0.0, False
    remote, local = inside.inside(lambda: Origin(plain(b"remote"), inside.far)), Origin(plain(b"local"))
    with remote, local:
        made = Network(outside, inside, remote, local)
        with made.open:
            yield made
        # What hangs in a cut wire must not hold the end of the test.
        inside.is_cut = False


def ask(client: Client, target: str, body: bytes | None = None) -> bytes:
    method = "GET" if body is None else "POST"
    client.send(encode(target, (), method, body))
    answer = client.response(method)
    assert answer.status == 200, answer
    return answer.body


def record_of(node: Node, request_id: str) -> Record:
    while (record := node.record())["request_id"] != request_id:
        pass
    return record


@pytest.mark.parametrize("side", ["client", "service"])
def test_loss_and_delay_fail_no_request(network: Network, side: str) -> None:
    lossy = network.outside if side == "client" else network.inside
    # Long enough for four losses in a row: the kernel sends the first packet of a connection again after
    # 1, 3, 7 and 15 seconds.
    node = network.node(timeout="20s", connect="20s")
    service = "local" if side == "client" else "remote"
    origin = network.local if side == "client" else network.remote
    origin.answer = plain(BIG)
    lossy.loss, lossy.delay = 0.05, 0.005

    def visit(number: int) -> None:
        client = network.client(node)
        for turn in range(ROUNDS):
            assert ask(client, f"/{service}/{number}/{turn}", BIG if turn % 2 else None) == BIG

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(visit, range(CLIENTS)))
    assert {len(one.body) for one in origin.requests} == {0, len(BIG)}
    records = node.records(CLIENTS * ROUNDS)
    assert {(record["status"], record["error_type"]) for record in records} == {(200, None)}


def test_partition_from_a_service_is_bounded_by_its_timeouts_and_heals(network: Network) -> None:
    node = network.node()
    client = network.client(node)
    assert ask(client, "/remote/before") == b"remote"
    network.inside.is_cut = True
    # The first takes the pooled connection, into which its bytes vanish; the second cannot open a new one.
    for name, status, error_type in [
        ("pooled", 504, "upstream_timeout"),
        ("new", 502, "connection_timeout"),
    ]:
        client.send(encode(f"/remote/{name}", [("X-Request-ID", name)]))
        with Client(node.address_of("local")) as neighbour:
            assert ask(neighbour, "/local/") == b"local", "others do not wait"
        assert client.response().status == status
        assert record_of(node, name)["error_type"] == error_type
    network.inside.is_cut = False
    assert ask(client, "/remote/after") == b"remote"
    node.wait_for(lambda state: state["in_flight"] == 0)


def test_instance_behind_a_partition_gets_no_requests_until_it_heals(network: Network) -> None:
    node = network.node(check=CHECK)

    def healthy(count: int) -> None:
        def is_so(state: dict[str, object]) -> bool:
            services = state["services"]
            assert isinstance(services, list)
            return sum(one["healthy"] for one in services[2]["instances"]) == count

        node.wait_for(is_so)

    healthy(2)
    network.inside.is_cut = True
    healthy(1)
    client = network.client(node)
    assert {ask(client, "/both/") for _ in range(20)} == {b"local"}
    network.inside.is_cut = False
    healthy(2)
    assert {ask(client, "/both/") for _ in range(20)} == {b"local", b"remote"}


def test_clients_that_vanish_are_given_up(network: Network) -> None:
    """No FIN and no reset ever comes: idle, within a head, within an upload, within a download."""
    node = network.node(timeout="10s", idle="1s", patience="2s")
    network.local.answer = plain(b"x" * (16 << 20))
    idle, head, upload, download = (network.client(node) for _ in range(4))
    head.send(b"GET /local/head HTTP/1.1\r\n")
    told = [("X-Request-ID", "upload"), ("Content-Length", "100000")]
    upload.send(encode("/local/up", told, "POST") + b"part")
    download.send(encode("/local/down", [("X-Request-ID", "download")]))
    download.read(100_000)
    network.outside.is_cut = True
    del idle
    records = {record["request_id"]: record for record in node.records(3)}
    assert (records["upload"]["status"], records["upload"]["error_type"]) == (408, "request_timeout")
    assert (records["download"]["status"], records["download"]["error_type"]) == (200, "client_stalled")
    node.wait_for(lambda state: state["connections"] == 0 and state["in_flight"] == 0)


def test_service_that_vanishes_in_its_answer_is_given_up(network: Network) -> None:
    node = network.node()
    client = network.client(node)
    may_go_on = threading.Event()
    network.remote.script(plain(b"0123456789")[:-3], may_go_on)
    client.send(encode("/remote/", [("X-Request-ID", "cut")]))
    assert network.remote.next_request().target == "/remote/"
    while b"0123456" not in client.pending:
        assert not client.is_closed
        client.pending += client.receive()
    network.inside.is_cut = True
    with pytest.raises(ConnectionError):
        client.response()
    assert record_of(node, "cut")["error_type"] == "upstream_timeout"
    node.wait_for(lambda state: state["in_flight"] == state["services"][0]["instances"][0]["in_flight"] == 0)
    may_go_on.set()


def test_pooled_connection_to_a_service_that_vanished_is_closed_in_time(network: Network) -> None:
    node = network.node()
    assert ask(network.client(node), "/remote/") == b"remote"
    network.inside.is_cut = True
    node.wait_for(lambda _: node.metric("gateway_backend_connections", service="remote") == 0)
