"""Many clients, slow clients, and no descriptors left: bounds hold, and all is well afterwards."""

import asyncio
import resource
import selectors
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from faults.conftest import Setting
from faults.process import wait_until
from faults.traffic import closed, echo, read_answer
from gateway import Client, Node, Origin, get, plain
from gateway.client import Address, Response, encode

CROWD = 1_000
TEXT = """
version: 1
listeners:
  - name: public
    address: "127.0.0.1:1"
    header_timeout: 2s
    body_timeout: 300ms
    idle_timeout: 300ms
    write_timeout: 300ms
  - {{name: small, address: "127.0.0.1:2", max_connections: 3}}
services: [{{name: service, instances: ["{service}"], circuit_breaker: off}}]
routes:
  - {{name: service, match: /service/*, service: service}}
  - {{name: fixed, match: /fixed, respond: {{body: fixed}}}}
"""


@pytest.fixture(scope="module", autouse=True)
def many_descriptors() -> Iterator[None]:
    """A thousand clients, the gateway's side of them, and the service's."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(before[0], min(before[1], 4 * CROWD + 200))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def service() -> Iterator[Origin]:
    with Origin(plain(b"service")) as made:
        yield made


@pytest.fixture
def node(service: Origin) -> Iterator[Node]:
    with Node(TEXT.format(service=service.address)) as made:
        yield made
        made.wait_for(lambda state: state["connections"] == 0 and state["in_flight"] == 0)
        assert made.metric("gateway_panics_total") == 0


async def test_a_thousand_clients_at_once_get_their_own_answers() -> None:
    async with echo() as service:
        text = TEXT.format(service=f"127.0.0.1:{service.port}")
        text = text.replace("idle_timeout: 300ms", "idle_timeout: 60s")
        with Node(text.replace("header_timeout: 2s", "header_timeout: 30s"), workers=2) as node:
            service.may_answer.clear()
            links = [await asyncio.open_connection(*node.address) for _ in range(CROWD)]
            ask_each(links)
            await asyncio.to_thread(node.wait_for, lambda state: state["in_flight"] == CROWD)
            assert node.state()["connections"] == CROWD
            service.may_answer.set()
            await check_each(links)
            ask_each(links)
            await check_each(links)
            for _, writer in links:
                await closed(writer)
            await asyncio.to_thread(node.wait_for, lambda state: state["connections"] == 0)
            assert len(node.records(2 * CROWD)) == 2 * CROWD


Links = list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]


def ask_each(links: Links) -> None:
    for number, (_, writer) in enumerate(links):
        writer.write(b"GET /service/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)


async def check_each(links: Links) -> None:
    for number, (reader, _) in enumerate(links):
        status, _, body = await asyncio.wait_for(read_answer(reader), 30)
        assert (status, body) == (200, b"/service/%d" % number)


def test_head_that_comes_too_slowly_is_a_408(node: Node) -> None:
    whole = encode("/fixed")
    told = set()
    with ExitStack() as stack:
        clients = []
        for end in range(1, len(whole), 7):
            clients.append(stack.enter_context(Client(node.address)))
            clients[-1].send(whole[:end])
        for client in clients:
            answer = client.response()
            assert (answer.status, answer.json()["error"], answer.closes) == (408, "request_timeout", True)
            assert answer.json()["request_id"] == answer.get("x-request-id") != ""
            client.wait_closed()
            told.add((408, answer.get("x-request-id")))
    assert {(record["status"], record["request_id"]) for record in node.records(len(told))} == told


def test_bytes_that_drip_do_not_prolong_a_head(node: Node) -> None:
    """The time is that of the whole head, not that between two bytes."""
    with Client(node.address) as client:
        client.send(b"GET /fixed HTTP/1.1\r\nHost: a\r\n")
        client.socket.settimeout(0.02)
        answered = b""
        for _ in range(500):
            try:
                answered = client.socket.recv(10_000)
                break
            except TimeoutError:
                client.send(b"X-Slow: 1\r\n"[:1] if not answered else b"")
        assert answered.startswith(b"HTTP/1.1 408 ")


def test_connection_that_says_nothing_is_closed_without_a_word(node: Node) -> None:
    with Client(node.address) as client:
        client.wait_closed()
        node.wait_for_metric(1, "gateway_timeouts_total", kind="head")
        client.is_closed = False
    with Client(node.address) as client:
        client.send(encode("/fixed"))
        assert client.response().status == 200
        client.wait_closed()
    node.wait_for_metric(1, "gateway_timeouts_total", kind="idle")


@pytest.mark.parametrize("told", [("Content-Length", "10"), ("Transfer-Encoding", "chunked")])
def test_body_that_comes_too_slowly_is_a_408(node: Node, told: tuple[str, str]) -> None:
    with Client(node.address) as client:
        client.send(encode("/service/", [told], "POST") + (b"5\r\nhe" if "chunked" in told else b"he"))
        answer = client.response()
        assert (answer.status, answer.json()["error"], answer.closes) == (408, "request_timeout", True)
        client.wait_closed()
    assert node.record()["error_type"] == "request_timeout"


def test_client_that_reads_nothing_is_cut(node: Node, service: Origin) -> None:
    service.script(plain(b"x" * (32 << 20)))
    with Client(node.address) as client:
        client.send(encode("/service/big"))
        record = node.record()
        assert (record["status"], record["error_type"]) == (200, "client_stalled")


def test_others_are_served_while_slow_clients_hold_their_connections(node: Node) -> None:
    with ExitStack() as stack:
        for number in range(200):
            slow = stack.enter_context(Client(node.address))
            slow.send(encode("/fixed")[: 1 + number % 20])
        for _ in range(20):
            assert get(node.address, "/fixed").body == b"fixed"


def test_connection_over_the_maximum_is_told_so_and_the_next_one_is_served(node: Node) -> None:
    address: Address = node.address_of("small")
    with ExitStack() as stack:
        held = [stack.enter_context(Client(address)) for _ in range(3)]
        for client in held:
            client.send(encode("/fixed"))
            assert client.response().status == 200
        for _ in range(5):
            with Client(address) as refused:
                answer = refused.response()
                assert (answer.status, answer.json()["error"]) == (503, "overloaded")
                assert answer.closes
                assert answer.get("retry-after") == "1"
                refused.wait_closed()
        node.wait_for_metric(5, "gateway_connections_refused_total", listener="small")
        assert get(node.address, "/fixed").status == 200, "another listener has its own maximum"
        held[0].socket.close()
        node.wait_for(
            lambda state: {one["name"]: one["connections"] for one in state["listeners"]}["small"] == 2
        )
        assert get(address, "/fixed").status == 200


LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (90, 90))
runpy.run_module('gatewright', run_name='__main__', alter_sys=True)
"""


async def test_gateway_without_descriptors_survives_and_recovers(setting: Setting) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run, program=("-c", LIMITED))
        with ExitStack() as stack:
            crowd = [stack.enter_context(Client(("127.0.0.1", setting.port))) for _ in range(150)]
            for client in crowd:
                client.send(encode("/number"))
            # Those that found a descriptor are served while the others wait in the kernel.
            assert (await asyncio.to_thread(first_answer, crowd)).body == b"1"
            assert process.child.poll() is None
        async with asyncio.timeout(30):
            while await ask_once(setting.port) != 200:
                pass
        assert await asyncio.to_thread(process.health) != {}
        assert not process.said("panicked")


async def test_service_is_not_blamed_for_descriptors_that_the_gateway_lacks(setting: Setting) -> None:
    async with echo() as service:
        setting.service = service.port
        setting.write()
        process = await asyncio.to_thread(setting.run, program=("-c", LIMITED))
        with ExitStack() as stack:
            crowd = [stack.enter_context(Client(("127.0.0.1", setting.port))) for _ in range(150)]
            open_files = Path(f"/proc/{process.child.pid}/fd")
            await asyncio.to_thread(
                wait_until, "no descriptor left", lambda: len(list(open_files.iterdir())) >= 90
            )
            for client in crowd:
                client.send(encode("/service"))
            answer = await asyncio.to_thread(first_refusal, crowd)
            assert (answer.status, answer.json()["error"]) == (503, "service_unavailable")
            assert answer.get("retry-after") == "1"
        async with asyncio.timeout(30):
            while await ask_once(setting.port) != 200:
                pass
        assert await asyncio.to_thread(process.metric, "gateway_accept_pauses_total") > 0
        assert await asyncio.to_thread(process.metric, "gateway_upstream_failures_total") == 0


def answers(crowd: list[Client]) -> Iterator[Response]:
    """Who of them found a descriptor is for the kernel to say: each worker accepts from its own queue."""
    with selectors.DefaultSelector() as selector:
        for client in crowd:
            selector.register(client.socket, selectors.EVENT_READ, client)
        while answered := selector.select(timeout=crowd[0].deadline):
            for key, _ in answered:
                selector.unregister(key.fileobj)
                yield key.data.response()
    raise AssertionError("nobody else was answered")


def first_answer(crowd: list[Client]) -> Response:
    return next(answers(crowd))


def first_refusal(crowd: list[Client]) -> Response:
    """One or the other may be served by a descriptor that the node itself has given back meanwhile."""
    return next(answer for answer in answers(crowd) if answer.status != 200)


async def ask_once(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    status, _, _ = await read_answer(reader)
    await closed(writer)
    return status
