"""The request by which a node asks itself: answered whatever holds for clients, and without a trace."""

import asyncio
import contextlib
import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Authority, Client, Node, Origin, encode, get, listener, one_route, plain
from gateway.frozen import frozen, thread_of
from gateway.health import AskedGateway, of
from gateway.ports import unused_ports
from gatewright.control.configuration import AdminSettings
from gatewright.control.takeover import Handing, TakeoverListener, old_node
from gatewright.health.self_check import NoAnswerError, Question, Target, ask
from gatewright.health.settings import address_of, self_check_of

PREFIX = "/.well-known/gatewright/self-check/"
TIMES = 20
PING = "routes: [{name: ping, match: /ping, respond: {status: 200}}]"
# What connections count in, and what moves by itself.
ASIDE = re.compile(
    "gateway_(listener_|open_connections|connections|http2_|worker_|tls_|overload_|uptime|cpu_|memory_|process)"
    "|process_|#"
)
PATIENCE = 10.0


def own(node: Node) -> Question:
    return Question(node.engine.self_check())


def target(node: Node) -> Target:
    """The listener that a node with this configuration asks, as it asks it."""
    assert node.loaded is not None
    settings = self_check_of(node.loaded)
    assert settings is not None
    [address] = [one["address"] for one in node.state()["listeners"] if one["name"] == settings.listener]
    return Target(
        settings.listener,
        address_of(address),
        http2=settings.http2,
        tls_name=settings.tls_name,
        introduced=settings.introduced,
    )


def ask_own(node: Node) -> float:
    return ask(target(node), own(node), PATIENCE)


def counted(node: Node) -> list[str]:
    return [line for line in node.engine.metrics().splitlines() if not ASIDE.match(line)]


def test_it_leaves_no_record_no_metric_and_no_count(origin: Origin) -> None:
    with Node(one_route(origin), workers=2) as node:
        node.engine.count_requests(100)
        assert get(node.address, "/before").status == 200
        node.record()
        assert len(node.engine.take_counts()) == 1
        node.wait_for(lambda state: state["connections"] == 0)
        before = counted(node)
        assert any(line.startswith("gateway_requests_total{") for line in before)
        for _ in range(TIMES):
            assert ask_own(node) > 0
        node.wait_for(lambda state: state["connections"] == 0)
        assert counted(node) == before
        assert node.engine.take_counts() == []
        # The next record there is is that of the next request.
        get(node.address, "/after")
        assert node.record()["path"] == "/after"
        assert [received.target for received in origin.requests] == ["/before", "/after"]


def test_without_the_token_it_is_a_request_as_any_other(origin: Origin) -> None:
    with Node(one_route(origin)) as node, Node(one_route(origin)) as other:
        right = node.engine.self_check()
        assert re.fullmatch(rf"{PREFIX}[A-Za-z0-9_-]{{22}}", right)
        for path in (other.engine.self_check(), PREFIX + "x" * 22, PREFIX, f"{right}/x"):
            assert get(node.address, path).status == 200
            assert node.record()["path"] == path
        with pytest.raises(NoAnswerError, match="answers 200 to its own node"):
            ask(target(node), own(other), PATIENCE)
        assert node.record()["path"] == other.engine.self_check()


def test_no_address_list_block_or_bound_of_a_listener_refuses_it(origin: Origin) -> None:
    bounds = listener("max_uri_bytes: 64B, max_header_bytes: 1KiB, redirect_to_https: true")
    with Node(one_route(origin, "", bounds, "screening: {addresses: {allow: [203.0.113.0/24]}}")) as node:
        assert get(node.address, "/").status == 308
        node.record()
        node.engine.set_blocks(json.dumps([{"network": "127.0.0.1/32", "until_ms": None}]).encode())
        assert ask_own(node) > 0
        node.apply(one_route(origin, "", "screening: {addresses: {allow: [203.0.113.0/24]}}"))
        assert get(node.address, "/").status == 403
        assert ask_own(node) > 0


def test_it_is_charged_to_no_limit_and_no_ban_stops_it(origin: Origin) -> None:
    ban = "ban: {after: 1, within: 60s, lasts: 5m, at_most: 1h}"
    tier = f"name: one, limit: 1, window: 1h, per: client_ip, {ban}"
    with Node(one_route(origin, "rate_limit: one", f"tiers: [{{{tier}}}]")) as node:
        for _ in range(3):
            ask_own(node)
        assert [get(node.address).status for _ in range(3)] == [200, 429, 429]
        assert len(json.loads(node.engine.bans())) == 1
        assert ask_own(node) > 0


def test_what_sheds_a_client_does_not_shed_it(origin: Origin) -> None:
    with Node(one_route(origin, "", "node: {max_in_flight: 1}")) as node, Client(node.address) as client:
        go = threading.Event()
        origin.script(go, plain(b"held"))
        client.send(encode("/"))
        origin.next_request()
        assert get(node.address).json()["error"] == "overloaded"
        assert ask_own(node) > 0
        go.set()
        assert client.response().body == b"held"


@pytest.mark.parametrize("protocols", ["http1", "http2", "[http1, http2]"])
@pytest.mark.parametrize("is_secure", [False, True])
def test_each_protocol_is_asked_with_and_without_tls(tmp_path: Path, protocols: str, is_secure: bool) -> None:
    pair = Authority(tmp_path).issue("tls", "example.com")
    tls = f", tls: {{certificates: {pair.yaml}}}" if is_secure else ""
    with Node(f"{listener(f'protocols: {protocols}{tls}')}\n{PING}") as node:
        asked = target(node)
        assert (asked.http2, asked.tls_name) == (protocols == "http2", "example.com" if is_secure else None)
        assert ask(asked, own(node), PATIENCE) > 0
        # The host is none of the certificate's, which is looked at for any other request.
        with pytest.raises(NoAnswerError, match="answers 421" if is_secure else "answers 404"):
            ask(asked, Question(PREFIX + "x" * 22), PATIENCE)
        assert node.record()["protocol"] == ("HTTP/2" if protocols == "http2" else "HTTP/1.1")


@pytest.mark.parametrize("senders", ["127.0.0.1", "203.0.113.9"])
@pytest.mark.parametrize("required", ["true", "false"])
def test_a_listener_behind_a_balancer_is_asked(senders: str, required: str) -> None:
    fronted = listener(f"proxy_protocol: {{from: {senders}, required: {required}}}")
    with Node(f"{fronted}\n{PING}") as node:
        assert ask_own(node) > 0
        assert ask(target(node), Question("/ping", own=False), PATIENCE) > 0
        assert node.record()["path"] == "/ping"
        assert node.metric("gateway_proxy_protocol_errors_total") == 0


def test_a_listener_on_a_path_is_asked(tmp_path: Path) -> None:
    options = f'name: public, address: "unix:{tmp_path}/socket", proxy_protocol: 127.0.0.1'
    with Node(f"listeners: [{{{options}}}]\n{PING}") as node:
        assert ask_own(node) > 0


def test_a_path_of_the_user_is_a_request_as_any_other() -> None:
    with Node(PING) as node:
        assert ask(target(node), Question("/ping", "internal.example.com", own=False), PATIENCE) > 0
        record = node.record()
        assert (record["path"], record["host"]) == ("/ping", "internal.example.com")
        # Nothing that is answered is a slow node; what fails is.
        assert ask(target(node), Question("/none", own=False), PATIENCE) > 0


async def test_who_takes_over_asks_with_the_same_token(origin: Origin, tmp_path: Path) -> None:
    with (
        Node(one_route(origin)) as old,
        Node(one_route(origin)) as other,
        socket.create_server(("127.0.0.1", 0)) as admin,
    ):
        new = type(old.engine)(b'{"workers": 1, "identity_timeout_ms": 100}')
        settings = AdminSettings("127.0.0.1", admin.getsockname()[1])
        handing = Handing(old.engine, settings, admin, asyncio.Lock(), lambda: None, lambda: None)
        handing_over = TakeoverListener(tmp_path, handing)
        answering = asyncio.create_task(handing_over.run())
        found = await asyncio.to_thread(old_node, tmp_path)
        assert found is not None
        await asyncio.to_thread(found.hand_over, new)
        assert new.self_check() == old.engine.self_check() != other.engine.self_check()
        found.close()
        answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await answering
        handing_over.close()


STUCK = """
routes: [{name: ping, match: /ping, respond: {status: 200}}]
node: {workers: 2}
health: {readiness: self_check, self_check: {interval: 100ms, within: 1s, unhealthy_after: 3}}
"""


def text_of(url: str) -> str:
    return httpx2.get(url, timeout=60.0, trust_env=False).text


def last_time(gateway: AskedGateway) -> str:
    """How long the last answer took, of all that came."""
    page = text_of(f"{gateway.url}/metrics")
    return next(line for line in page.splitlines() if line.startswith("gateway_self_check_seconds "))


def check_of(health: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in health["checks"] if one["check"] == "self_check")


def test_a_node_with_a_stuck_worker_takes_itself_out_and_back(tmp_path: Path) -> None:
    ports = unused_ports()
    gateway = AskedGateway(tmp_path, (next(ports), next(ports)), STUCK)
    gateway.start()
    try:
        gateway.awaited("/health", lambda _, told: of(told, "self_check") == {"healthy"})
        with contextlib.ExitStack() as stuck:
            try:
                stuck.enter_context(frozen(thread_of(gateway.process, "worker-1")))
            except PermissionError as error:
                pytest.skip(f"no thread can be held here: {error}")
            gateway.awaited("/health", lambda _, told: check_of(told)["message"] is not None)
            before = last_time(gateway)
            assert gateway.awaited("/readyz", lambda status, _: status == 503)["failing"] == ["self_check"]
            told = check_of(gateway.asked("/health")[1])
            assert told["message"] == "no answer of listener `public` within 1 s"
            # Whichever worker was asked.
            assert (told["in_a_row"] >= 3, last_time(gateway)) == (True, before)
        gateway.awaited("/readyz", lambda status, _: status == 200)
        pages = [text_of(gateway.url + path) for path in ("/metrics", "/health")]
    finally:
        gateway.end()
    assert not [text for text in (*pages, *gateway.lines) if "self-check/" in text]
    # Those that nobody waited for to their end left no trace either.
    assert not re.search(r"^gateway_requests_total\{", pages[0], re.MULTILINE)
    assert re.search(r"^gateway_client_aborts_total 0$", pages[0], re.MULTILINE)
