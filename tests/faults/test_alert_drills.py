"""Signals that mislead, and faults that nobody may miss: each happens, and its shipped alert is told."""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from faults.process import Process, gatewright, wait_until
from gateway import Client, Origin, RedisServer, encode, get, plain
from gateway.drills import SECRET, SHORT, TEXT, Moody, Tailed
from gateway.listening import Listening
from gateway.ports import unused_ports

pytestmark = pytest.mark.needs("redis-server")


@dataclass
class Drill:
    """A gateway, who is told of its alerts, and what can go wrong behind it."""

    process: Process
    address: tuple[str, int]
    listening: Listening
    redis: RedisServer
    failing: Moody
    empty: Moody
    tail: Tailed
    file: Path

    @contextmanager
    def load(self, path: str, *headers: tuple[str, str]) -> Iterator[None]:
        """Requests of a browser, or as `headers` say, one after the other until the block ends."""
        ending = threading.Event()
        headers = headers or (("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Firefox/144.0"),)

        def ask() -> None:
            while not ending.wait(0.005):
                with suppress(OSError), Client(self.address) as client:
                    while not ending.wait(0.005):
                        client.send(encode(path, headers))
                        client.response()

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join(30)

    def write(self, text: str) -> None:
        """Replace the configuration in one step: half of it would be refused, too, and told once more."""
        beside = self.file.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.file)

    def fires(self, alert: str, subject: str) -> dict[str, object]:
        return self.listening.wait_for("firing", alert, subject)

    def is_over(self, alert: str, subject: str) -> None:
        self.listening.wait_for("resolved", alert, subject)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drill]:
    directory, unused = tmp_path_factory.mktemp("drills"), unused_ports()
    ports = [next(unused) for _ in range(4)]
    failing, empty, tail = Moody(plain()), Moody(plain(b"x" * 9000)), Tailed()
    with ExitStack() as opened:
        origins = [opened.enter_context(Origin(one.answer)) for one in (failing, empty, tail)]
        origin = opened.enter_context(Origin())
        # Its first answer is that it cannot: it is told once more.
        listening = opened.enter_context(Listening(503))
        redis = RedisServer(ports[2], directory)
        opened.callback(redis.kill)
        names = dict(zip(("failing", "empty", "tail"), (one.address for one in origins), strict=True))
        names |= {"origin": origin.address, "dead": f"127.0.0.1:{ports[3]}", "url": listening.url}
        file = directory / "gateway.yaml"
        file.write_text(
            TEXT.format(public=ports[0], admin=ports[1], redis=redis.url, secret=SECRET, short=SHORT, **names)
        )
        process = opened.enter_context(Process(file, ports[1], "--workers", "1"))
        process.wait_until_live()
        yield Drill(process, ("127.0.0.1", ports[0]), listening, redis, failing, empty, tail, file)


def test_requests_that_fail_are_told_with_a_signature_and_so_is_their_end(drill: Drill) -> None:
    with drill.load("/failing"):
        drill.failing.body = plain(b"no", "500 Internal Server Error")
        told = drill.fires("error_rate", "gateway")
        assert told["severity"] == "high"
        assert float(str(told["value"])) > 0.05
        drill.fires("error_rate_critical", "gateway")
        drill.failing.body = plain()
        drill.is_over("error_rate", "gateway")
    for headers, body in drill.listening.bodies:
        at, _, code = headers["x-gatewright-signature"].partition(",v1=")
        content = at.removeprefix("t=").encode() + b"." + body
        assert code == hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    # The first was not taken, and came again.
    assert drill.listening.bodies[0][1] in [body for _, body in drill.listening.bodies[1:]]


def test_an_error_budget_that_burns_is_told(drill: Drill) -> None:
    with drill.load("/failing"):
        drill.failing.body = plain(b"no", "503 Service Unavailable")
        drill.fires("burn_rate_1x", "failing-up")
        drill.failing.body = plain()
    shown = gatewright("alerts", "objectives", "--json", "--admin", admin(drill))
    assert shown.returncode == 0
    assert '"failing-up"' in shown.stdout


def test_a_service_that_nobody_asks_any_more_is_told(drill: Drill) -> None:
    with drill.load("/ok"):
        with drill.load("/silent"):
            before = drill.process.metric("gateway_requests_total")
            wait_until("requests", lambda: drill.process.metric("gateway_requests_total") > before + 100)
        drill.fires("service_silent", "silent")
        get(drill.address, "/silent")
        drill.is_over("service_silent", "silent")


def test_few_very_slow_requests_behind_a_good_median_are_told(drill: Drill) -> None:
    with drill.load("/tail"):
        drill.tail.is_slow = True
        drill.fires("slow_tail", "tail")
        drill.tail.is_slow = False
        drill.is_over("slow_tail", "tail")


def test_successful_answers_that_became_empty_are_told(drill: Drill) -> None:
    with drill.load("/empty"):
        wait_until("answers", lambda: drill.process.metric("gateway_upstream_connections_total") > 0)
        # As long as the rule looks back, and a little more.
        before = drill.process.metric("gateway_uptime_seconds")
        wait_until("a while", lambda: drill.process.metric("gateway_uptime_seconds") > before + 4)
        drill.empty.body = plain(b"")
        drill.fires("responses_shrink", "empty")
        drill.is_over("responses_shrink", "empty")


def test_a_service_that_cannot_be_reached_is_told(drill: Drill) -> None:
    with drill.load("/dead"):
        drill.fires("service_bad_gateway", "dead")
    with drill.load("/broken"):
        drill.fires("breaker_stuck_open", "broken")


def test_no_refusals_while_nobody_counts_are_told(drill: Drill) -> None:
    """With Redis down a route that fails open refuses nobody, which looks well."""
    with drill.load("/limited"):
        drill.redis.kill()
        drill.fires("limit_store_unavailable", "gateway")
        assert get(drill.address, "/limited").status == 200
        drill.redis.start()
        drill.is_over("limit_store_unavailable", "gateway")


def test_success_that_is_due_to_programs_is_told(drill: Drill) -> None:
    """Four requests in five are of bots: more traffic, no errors, and nobody who buys."""
    with drill.load("/ok"), ExitStack() as bots:
        # As long as the rule looks back, and a little more.
        before = drill.process.metric("gateway_uptime_seconds")
        wait_until("a while", lambda: drill.process.metric("gateway_uptime_seconds") > before + 4)
        for _ in range(4):
            bots.enter_context(drill.load("/ok", ("User-Agent", "somebot/1.0 (+https://bot.test)")))
        assert float(str(drill.fires("bot_traffic", "gateway")["value"])) > 0.5
        drill.fires("bot_traffic_rises", "gateway")
        bots.close()
        drill.is_over("bot_traffic", "gateway")
        drill.is_over("bot_traffic_rises", "gateway")


def test_a_route_that_refuses_nearly_everybody_is_told(drill: Drill) -> None:
    with drill.load("/mobile"):
        drill.fires("route_client_errors", "mobile")


def test_keys_that_are_not_to_be_had_are_told(drill: Drill) -> None:
    """From the start on, so that it was told before any other test began."""
    fires = gatewright("alerts", "list", "--json", "--admin", admin(drill))
    assert fires.returncode == 1
    assert '"key_set_unavailable"' in fires.stdout


def test_a_configuration_that_is_refused_is_told(drill: Drill) -> None:
    good = drill.file.read_text()
    drill.write(good + "nonsense: 1\n")
    drill.fires("configuration_refused", "gateway")
    drill.write(good)
    drill.is_over("configuration_refused", "gateway")


def test_a_node_with_another_configuration_at_the_same_redis_is_told(drill: Drill, tmp_path: Path) -> None:
    """Each node is well by itself, and an answer depends on who gives it."""
    unused = unused_ports()
    public, other = next(unused), next(unused)
    file = tmp_path / "gateway.yaml"
    listening = f'listeners: [{{name: public, address: "127.0.0.1:{public}"}}]\n'
    redis = f"redis: {{url: '{drill.redis.url}', timeout: 200ms}}\n"
    file.write_text(f'{listening}admin: {{address: "127.0.0.1:{other}"}}\n{redis}records: {{sinks: []}}\n')
    with Process(file, other, "--workers", "1") as second:
        second.wait_until_live()
        assert drill.fires("configurations_differ", "gateway")["value"] == 2
        wait_until("both to know", lambda: second.metric("gateway_fleet_nodes") == 2)
    drill.is_over("configurations_differ", "gateway")


def test_a_silence_keeps_an_alert_from_being_told_and_not_from_being_shown(drill: Drill) -> None:
    made = gatewright(
        "alerts",
        "silence",
        "configuration_refused",
        "--for",
        "1h",
        "--why",
        "a drill",
        "--admin",
        admin(drill),
    )
    assert made.returncode == 0, made.stderr
    good = drill.file.read_text()
    drill.write(good + "nonsense: 1\n")

    def is_shown() -> bool:
        shown = drill.process.ask("/api/v1/alerts")[1]
        return '"silenced":true' in shown

    wait_until("the alert", is_shown)
    drill.write(good)
    told = gatewright("alerts", "test", "--admin", admin(drill))
    assert told.returncode == 0
    drill.listening.wait_for("firing", "test", "gateway")
    assert not drill.listening.has("configuration_refused")
    listed = gatewright("alerts", "silences", "--json", "--admin", admin(drill)).stdout
    silence = listed.split('"id": "')[1].split('"')[0]
    assert gatewright("alerts", "unsilence", silence, "--admin", admin(drill)).returncode == 0


def test_a_dead_channel_is_counted_and_delays_nobody(drill: Drill) -> None:
    page = drill.process.ask("/metrics")[1]
    assert 'gateway_alert_messages_total{channel="dead",outcome="delivered"} 0' in page
    assert drill.process.metric("gateway_alerts_firing") >= 1
    assert drill.process.metric("gateway_alert_evaluation_failures_total") == 0
    assert drill.process.metric("gateway_objective_budget_left_ratio") < 1
    wait_until("the dead channel", lambda: failed(drill) > 0)


def failed(drill: Drill) -> float:
    lines = drill.process.ask("/metrics")[1].splitlines()
    [line] = [
        one
        for one in lines
        if one.startswith('gateway_alert_messages_total{channel="dead",outcome="failed"}')
    ]
    return float(line.rsplit(" ", 1)[1])


def admin(drill: Drill) -> str:
    return f"http://127.0.0.1:{drill.process.admin_port}"
