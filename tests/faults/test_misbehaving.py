"""An instance that does wrong in every way, as a process: what its client gets, and nobody else."""

import select
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from faults.instances import Instance
from faults.misbehaving import BODY, FAULTS
from gateway import Client, Node, Origin, Record, Response, plain
from gateway.client import encode

TEXT = """
version: 1
services:
  - name: broken
    instances: ["127.0.0.1:{broken}"]
    circuit_breaker: {{minimum_requests: 1, failure_ratio: 0.01, open_for: 60s}}
  - {{name: other, instances: ["{other}"]}}
routes:
  - {{name: broken, match: /broken/*, service: broken}}
  - {{name: late, match: /late/*, service: broken, timeout: 2s}}
  - {{name: other, match: /other/*, service: other}}
"""
WITNESSES = 5


@dataclass
class Setting:
    """A gateway before the instance that does wrong and a service that does not."""

    node: Node
    instance: Instance
    number: int = 0

    def begin(self, client: Client, fault: str, method: str = "GET", body: bytes | None = None) -> None:
        self.number += 1
        told = [("X-Request-ID", f"fault-{self.number}")]
        client.send(encode(f"/{'late' if fault in SLOW else 'broken'}/{fault}", told, method, body))

    def kill(self) -> None:
        self.instance.kill()

    def record(self) -> Record:
        """That of the last request."""
        while (record := self.node.record())["request_id"] != f"fault-{self.number}":
            pass
        return record

    def breaker(self) -> str:
        state: str = self.node.state()["services"][0]["breakers"][0]["state"]
        return state

    def check_that_others_feel_nothing(self, waiting: Client | None = None) -> None:
        """Another service answers, and while `waiting` still waits."""
        for number in range(WITNESSES):
            with Client(self.node.address) as client:
                client.send(encode(f"/other/{number}"))
                assert client.response().body == b"other"
        if waiting is not None:
            readable, _, _ = select.select([waiting.socket], [], [], 0)
            assert not readable, "others were answered only after the broken service was given up"

    def check_that_the_service_recovers(self) -> None:
        """Nothing of the fault is left, neither in a pool nor in the counts, once the breaker is reset."""
        self.node.engine.set_breaker("broken", b'{"action": "reset"}')
        with Client(self.node.address) as client:
            for number in range(3):
                client.send(encode(f"/broken/well/{number}"))
                assert client.response().body == b"/broken/well/%d" % number
        state = self.node.wait_for(lambda state: state["connections"] == 0 and state["in_flight"] == 0)
        assert [one["in_flight"] for service in state["services"] for one in service["instances"]] == [0, 0]
        assert self.node.metric("gateway_panics_total") == 0


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    with Origin(plain(b"other")) as other, ExitStack() as stack:
        instance = Instance()
        text = TEXT.format(broken=instance.port, other=other.address)
        made = Setting(stack.enter_context(Node(text)), instance)
        # Whichever it is by then: a test starts another one.
        stack.callback(made.kill)
        yield made


@dataclass(frozen=True)
class Refused:
    """The gateway's own answer, on a connection that stays."""

    status: int
    error: str
    error_type: str
    interims: int = 0


RESET = Refused(502, "bad_gateway", "connection_reset")
LATE = Refused(504, "upstream_timeout", "upstream_timeout")
INVALID = Refused(502, "bad_gateway", "invalid_response")
REFUSED = {
    "reset": RESET,
    "close": RESET,
    "hang": LATE,
    "hang-in-head": LATE,
    "drip-head": LATE,
    "garbage": INVALID,
    "switch": INVALID,
    "flood-100": INVALID,
    "flood-103": Refused(502, "bad_gateway", "invalid_response", interims=16),
}
# The answer has begun, so that only the end of the connection can say that it is no whole one.
CUT = {
    "hang-in-body": "upstream_timeout",
    "reset-in-body": "connection_reset",
    "says-more": "connection_reset",
    "garbage-in-body": "invalid_response",
}
# What a route that waits for two seconds finds out. All else has the time that a busy machine takes.
SLOW = {name for name, expected in REFUSED.items() if expected is LATE} | {"hang-in-body", "drip-body"}
WHOLE = {"drip-body": BODY, "says-less": BODY[:4], "twice": BODY, "close-after": BODY}
EARLY = [name for name in FAULTS if name.startswith("early-")]


def test_every_fault_has_its_outcome() -> None:
    assert {*REFUSED, *CUT, *WHOLE, *EARLY} == FAULTS.keys()


@pytest.mark.parametrize("fault", REFUSED)
def test_fault_before_an_answer_is_a_refusal_and_counts_for_the_breaker(setting: Setting, fault: str) -> None:
    expected = REFUSED[fault]
    with Client(setting.node.address) as client:
        setting.begin(client, fault)
        setting.check_that_others_feel_nothing(client if expected is LATE else None)
        answer = client.response()
        assert (answer.status, answer.json()["error"]) == (expected.status, expected.error)
        assert answer.interim == [103] * expected.interims
        record = setting.record()
        assert (record["status"], record["error_type"]) == (expected.status, expected.error_type)
        assert (record["request_id"], record["attempts"]) == (answer.get("x-request-id"), 1)
        client.send(encode("/other/"))
        assert client.response().body == b"other", "the client's connection is as good as before"
        check_that_the_breaker_is_open(setting, client)
    setting.check_that_the_service_recovers()


def check_that_the_breaker_is_open(setting: Setting, client: Client) -> None:
    assert setting.breaker() == "open"
    setting.begin(client, "well")
    assert client.response().json()["error"] == "service_unavailable"


@pytest.mark.parametrize("fault", CUT)
def test_fault_within_an_answer_is_a_visible_cut_and_counts_for_the_breaker(
    setting: Setting, fault: str
) -> None:
    with Client(setting.node.address) as client:
        setting.begin(client, fault)
        setting.check_that_others_feel_nothing()
        with pytest.raises(ConnectionError):
            client.response()
        assert client.is_closed
    record = setting.record()
    assert (record["status"], record["error_type"]) == (200, CUT[fault])
    assert setting.breaker() == "open"
    setting.check_that_the_service_recovers()


@pytest.mark.parametrize("fault", WHOLE)
def test_answer_that_is_whole_is_given_whatever_comes_behind_it(setting: Setting, fault: str) -> None:
    with Client(setting.node.address) as client:
        setting.begin(client, fault)
        setting.check_that_others_feel_nothing()
        assert client.response().body == WHOLE[fault]
        record = setting.record()
        assert (record["status"], record["error_type"]) == (200, None)
        assert setting.breaker() == "closed"
        for number in range(3):
            client.send(encode(f"/broken/next/{number}"))
            assert client.response().body == b"/broken/next/%d" % number, "its own answer"
    setting.check_that_the_service_recovers()


@pytest.mark.parametrize("fault", EARLY)
def test_answer_before_the_end_of_the_body_is_given_and_ends_the_connection(
    setting: Setting, fault: str
) -> None:
    smuggled = encode("/broken/smuggled")
    with Client(setting.node.address) as client:
        setting.number += 1
        told = [("X-Request-ID", f"fault-{setting.number}"), ("Content-Length", "100000")]
        client.send(encode(f"/broken/{fault}", told, "POST") + b"part")
        setting.check_that_others_feel_nothing()
        answer = client.response()
        assert (answer.status, answer.body, answer.closes) == (int(fault.split("-")[1]), b"early", True)
        # What follows belongs to the body, whoever reads it.
        client.send(smuggled)
        client.wait_closed()
    record = setting.record()
    assert (record["status"], record["error_type"]) == (answer.status, None)
    assert setting.breaker() == "closed"
    setting.check_that_the_service_recovers()


def test_pooled_connections_that_close_at_any_moment_fail_no_get(setting: Setting) -> None:
    """The instance closes each connection behind its answer, while the next request is on its way."""
    with Client(setting.node.address) as client:
        for _ in range(200):
            client.send(encode("/broken/close-after"))
            assert client.response().body == BODY
    assert setting.breaker() == "closed"
    setting.check_that_the_service_recovers()


def test_instance_that_is_killed_is_refused_and_served_again_once_it_is_back(setting: Setting) -> None:
    setting.check_that_the_service_recovers()
    setting.instance.kill()
    with Client(setting.node.address) as client:
        # The pooled connection is found dead, and the new one refused.
        setting.begin(client, "well")
        answer: Response = client.response()
        assert (answer.status, answer.json()["error"]) == (502, "bad_gateway")
        assert setting.record()["error_type"] == "connection_refused"
        check_that_the_breaker_is_open(setting, client)
    setting.check_that_others_feel_nothing()
    setting.instance = Instance(setting.instance.port)
    setting.check_that_the_service_recovers()
