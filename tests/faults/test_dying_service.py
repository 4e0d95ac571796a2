"""A service that dies at every point of an exchange: what exactly its client sees, and nobody else."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from gateway import CLOSE, Client, Connection, Node, Origin, Received, Record, Response, plain
from gateway.client import encode
from gateway.origin import RESET, Step

TEXT = """
version: 1
services:
  - {{name: dying, instances: ["{dying}"], circuit_breaker: off}}
  - {{name: other, instances: ["{other}"], circuit_breaker: off}}
routes:
  - {{name: dying, match: /dying/*, service: dying}}
  - {{name: hanging, match: /hanging/*, service: dying, timeout: 1s}}
  - {{name: other, match: /other/*, service: other}}
"""


@dataclass
class Setting:
    """A gateway before a service that dies and one that does not."""

    node: Node
    dying: Origin
    other: Origin
    number: int = 0

    def ask(
        self, client: Client, service: str = "dying", method: str = "GET", body: bytes | None = None
    ) -> Response:
        self.number += 1
        client.send(encode(f"/{service}/", [("X-Request-ID", f"ask-{self.number}")], method, body))
        return client.response(method)

    def record(self) -> Record:
        """That of the last request."""
        while (record := self.node.record())["request_id"] != f"ask-{self.number}":
            pass
        return record

    def check_that_nobody_else_feels_it(self) -> None:
        """Another service answers, this one does again, and nothing is left open but what rests in pools."""
        with Client(self.node.address) as client:
            assert self.ask(client, "other").body == b"other"
            assert self.ask(client).body == b"dying"
        self.node.wait_for(lambda state: state["connections"] == 0 and state["in_flight"] == 0)
        assert all(
            instance["in_flight"] == 0
            for service in self.node.state()["services"]
            for instance in service["instances"]
        )
        assert self.dying.errors == self.other.errors == []
        assert self.node.metric("gateway_panics_total") == 0


@pytest.fixture(scope="module")
def setting() -> Iterator[Setting]:
    """One for all tests: what one of them leaves behind, in pools for instance, must not hurt the next."""
    with (
        Origin(plain(b"dying")) as dying,
        Origin(plain(b"other")) as other,
        Node(TEXT.format(dying=dying.address, other=other.address)) as node,
    ):
        yield Setting(node, dying, other)


@dataclass(frozen=True)
class Expected:
    """An answer of the gateway's own, and what its record says."""

    status: int
    error: str
    error_type: str
    route: str = "dying"


def refused_with(setting: Setting, expected: Expected, *steps: Step) -> None:
    """The next request is answered by the gateway itself, on a connection that stays usable."""
    status, error_type = expected.status, expected.error_type
    taken = setting.dying.script(*steps)
    with Client(setting.node.address) as client:
        answer = setting.ask(client, expected.route)
        assert taken.wait(30)
        assert (answer.status, answer.json()["error"]) == (status, expected.error)
        assert answer.json()["request_id"] == answer.get("x-request-id")
        record = setting.record()
        assert (record["status"], record["error_type"]) == (status, error_type)
        assert record["request_id"] == answer.get("x-request-id")
        assert setting.ask(client, "other").status == 200, "the client's connection is still good"
    setting.check_that_nobody_else_feels_it()


RESPONSE = plain(b"0123456789", "200 OK", ("X-Told", "yes"))
HEAD = RESPONSE.index(b"\r\n\r\n") + 4


def refresh(setting: Setting) -> None:
    """Make sure that the next request goes out on a new connection, so that nothing is sent twice."""
    setting.dying.script(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", CLOSE)
    with Client(setting.node.address) as client:
        assert setting.ask(client).status == 200


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("count", range(len(RESPONSE)))
def test_response_cut_at_any_byte_is_a_502_or_visibly_cut(setting: Setting, count: int, end: str) -> None:
    refresh(setting)
    if count < HEAD:
        refused_with(setting, Expected(502, "bad_gateway", "connection_reset"), RESPONSE[:count], end)
        return
    setting.dying.script(RESPONSE[:count], end)
    with Client(setting.node.address) as client:
        with pytest.raises(ConnectionError):
            setting.ask(client)
        assert client.is_closed
    record = setting.record()
    assert (record["status"], record["error_type"]) == (200, "connection_reset")
    setting.check_that_nobody_else_feels_it()


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\nX-End: 1\r\n\r\n"
)
CHUNKED_HEAD = CHUNKED.index(b"\r\n\r\n") + 4


@pytest.mark.parametrize("count", range(CHUNKED_HEAD, len(CHUNKED)))
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_chunked_response_cut_at_any_byte_is_never_taken_for_complete(
    setting: Setting, count: int, version: str
) -> None:
    """A client of 1.0 knows the end by the connection's alone, so that must be no clean one."""
    refresh(setting)
    setting.dying.script(CHUNKED[:count], CLOSE)
    with Client(setting.node.address) as client:
        setting.number += 1
        named = f"X-Request-ID: ask-{setting.number}"
        client.send(f"GET /dying/ HTTP/{version}\r\nHost: a\r\n{named}\r\n\r\n".encode())
        if version == "1.1":
            with pytest.raises(ConnectionError):
                client.response()
        else:
            with pytest.raises(ConnectionResetError):
                read_to_the_end(client)
    assert setting.record()["error_type"] == "connection_reset"
    setting.check_that_nobody_else_feels_it()


def read_to_the_end(client: Client) -> None:
    while client.socket.recv(1000):
        pass


GARBAGE = [
    b"\0",
    b"hello\r\n\r\n",
    b"HTTP/2.0 200 OK\r\n\r\n",
    b"HTTP/1.1 99 Low\r\n\r\n",
    b"HTTP/1.1 2000 Long\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Bad : 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=[str(number) for number in range(len(GARBAGE))])
def test_answer_that_is_no_http_is_a_502(setting: Setting, garbage: bytes) -> None:
    refresh(setting)
    refused_with(setting, Expected(502, "bad_gateway", "invalid_response"), garbage, CLOSE)


def test_head_of_a_response_that_is_too_long_is_a_502(setting: Setting) -> None:
    long = b"HTTP/1.1 200 OK\r\n" + b"X-Long: %s\r\n" % (b"a" * 900) * 20 + b"Content-Length: 0\r\n\r\n"
    refused_with(setting, Expected(502, "bad_gateway", "upstream_headers_too_large"), long, CLOSE)


def test_endless_interim_answers_are_a_502(setting: Setting) -> None:
    """What waits for the client must not grow without a bound."""

    def talk(connection: Connection, received: Received) -> None:
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        for _ in range(10_000):
            connection.send(hint * 100)

    setting.dying.script(talk, CLOSE)
    with Client(setting.node.address) as client:
        answer = setting.ask(client)
        assert (answer.status, answer.json()["error"]) == (502, "bad_gateway")
        assert len(answer.interim) <= 100
    assert setting.record()["error_type"] == "invalid_response"
    setting.check_that_nobody_else_feels_it()


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le"])
def test_service_that_hangs_before_its_answer_is_a_504(setting: Setting, sent: bytes) -> None:
    hanging = threading.Event()
    refused_with(setting, Expected(504, "upstream_timeout", "upstream_timeout", "hanging"), sent, hanging)
    hanging.set()


def test_service_that_hangs_in_its_answer_is_cut(setting: Setting) -> None:
    hanging = threading.Event()
    taken = setting.dying.script(RESPONSE[:-3], hanging)
    with Client(setting.node.address) as client, pytest.raises(ConnectionError):
        setting.ask(client, "hanging")
    assert taken.wait(30)
    record = setting.record()
    assert (record["status"], record["error_type"]) == (200, "upstream_timeout")
    hanging.set()
    setting.check_that_nobody_else_feels_it()


def test_bytes_behind_an_answer_are_never_the_next_answer(setting: Setting) -> None:
    """A length that is too short leaves bytes, which whoever comes next would take for theirs."""
    may_stray, has_strayed = threading.Event(), threading.Event()

    def stray(connection: Connection, received: Received) -> None:
        connection.send(plain(b"stray"))
        has_strayed.set()

    with Client(setting.node.address) as client:
        setting.dying.script(plain(b"first") + plain(b"stray"))
        assert setting.ask(client).body == b"first"
        assert setting.ask(client).body == b"dying"
        setting.dying.script(plain(b"first"), may_stray, stray)
        assert setting.ask(client).body == b"first"
        may_stray.set()
        assert has_strayed.wait(30)
        # An exchange with another service lets the gateway look at what arrived meanwhile.
        assert setting.ask(client, "other").body == b"other"
        for _ in range(3):
            assert setting.ask(client).body == b"dying"
    setting.check_that_nobody_else_feels_it()


def closes_when_idle(setting: Setting, *last: Step) -> None:
    """Leave one pooled connection, whose service reads the next request and then does `last`."""
    refresh(setting)
    with Client(setting.node.address) as client:
        assert setting.ask(client).status == 200
    setting.dying.script(*last)


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_stale_connection_is_made_good_once_where_repeating_is_harmless(
    setting: Setting, end: str, method: str
) -> None:
    closes_when_idle(setting, end)
    before = len(setting.dying.requests)
    with Client(setting.node.address) as client:
        assert setting.ask(client, method=method, body=b"abc" if method == "PUT" else None).status == 200
    asked = setting.dying.requests[before:]
    assert [one.method for one in asked] == [method, method]
    assert asked[0].connection != asked[1].connection
    assert asked[0].body == asked[1].body
    assert setting.record()["attempts"] == 2
    setting.check_that_nobody_else_feels_it()


@pytest.mark.parametrize("end", [CLOSE, RESET])
@pytest.mark.parametrize("method", ["POST", "PATCH", "BREW"])
def test_stale_connection_is_a_502_where_repeating_may_do_harm(
    setting: Setting, end: str, method: str
) -> None:
    closes_when_idle(setting, end)
    before = len(setting.dying.requests)
    with Client(setting.node.address) as client:
        answer = setting.ask(client, method=method, body=b"abc")
        assert (answer.status, answer.json()["error"]) == (502, "bad_gateway")
    assert len(setting.dying.requests) == before + 1
    assert setting.record()["attempts"] == 1
    setting.check_that_nobody_else_feels_it()


def test_stale_connection_is_made_good_only_once(setting: Setting) -> None:
    closes_when_idle(setting, CLOSE)
    setting.dying.script(CLOSE)
    before = len(setting.dying.requests)
    with Client(setting.node.address) as client:
        assert setting.ask(client).status == 502
    assert len(setting.dying.requests) == before + 2
    setting.check_that_nobody_else_feels_it()


def test_no_second_attempt_after_the_first_byte_of_an_answer(setting: Setting) -> None:
    closes_when_idle(setting, b"H", CLOSE)
    before = len(setting.dying.requests)
    with Client(setting.node.address) as client:
        assert setting.ask(client).status == 502
    assert len(setting.dying.requests) == before + 1
    setting.check_that_nobody_else_feels_it()


def drained(setting: Setting, answer: bytes) -> Callable[[Connection, Received], None]:
    def early(connection: Connection, _: Received) -> None:
        connection.send(answer)

    return early


def test_answer_before_the_end_of_the_body_reaches_the_client(setting: Setting) -> None:
    """The rest of the body is never read as a request, neither here nor at the service."""
    smuggled = b"GET /dying/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    refresh(setting)
    setting.dying.script(drained(setting, plain(b"early", "413 Content Too Large")), CLOSE)
    with Client(setting.node.address) as client:
        client.send(b"POST /dying/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc")
        answer = client.response()
        assert (answer.status, answer.body) == (413, b"early")
        assert answer.closes
        client.send(smuggled)
        client.wait_closed()
    setting.check_that_nobody_else_feels_it()
    assert not any("smuggled" in one.target for one in setting.dying.requests)


def test_service_that_refuses_connections_is_a_502() -> None:
    with Origin() as gone:
        address = gone.address
    with Origin(plain(b"other")) as other, Node(TEXT.format(dying=address, other=other.address)) as node:
        with Client(node.address) as client:
            client.send(encode("/dying/"))
            assert client.response().json()["error"] == "bad_gateway"
            client.send(encode("/other/"))
            assert client.response().body == b"other"
        record = node.record()
        assert (record["status"], record["error_type"]) == (502, "connection_refused")
