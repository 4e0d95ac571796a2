"""The border: what Python may ask of the data plane, and what it hears when that is wrong."""

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway import Client, Issuer, Node, Origin, encode, get, one_route, raw
from gatewright import _engine
from gatewright._engine import Engine, check_expressions, contains_any, decide, parse
from gatewright.errors import EngineError, ListenError, SnapshotError

OPTIONS = b'{"workers": 1, "identity_timeout_ms": 100}'


@pytest.mark.parametrize(
    "options",
    [b"", b"[]", b"{}", b'{"workers": 0, "identity_timeout_ms": 1}', OPTIONS[:-1] + b', "more": 1}', b"\xff"],
)
def test_wrong_options_are_an_engine_error(options: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        Engine(options)
    assert type(caught.value) is EngineError
    assert "options" in str(caught.value)


def test_an_engine_is_started_once_and_used_while_it_runs(origin: Origin) -> None:
    engine = Engine(OPTIONS)
    with pytest.raises(EngineError, match="not running"):
        engine.apply(b"{}")
    engine.start()
    with pytest.raises(EngineError, match="started before"):
        engine.start()
    engine.stop()
    engine.stop()
    with pytest.raises(EngineError, match="started before"):
        engine.start()
    with pytest.raises(EngineError, match="not running"):
        engine.apply(b"{}")


def test_a_draining_engine_takes_no_configuration(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        assert node.engine.drain(5.0) is True
        with pytest.raises(EngineError, match="draining"):
            node.apply(one_route(origin))


def test_an_address_in_use_is_a_listen_error_and_changes_nothing(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        taken = f"listeners: [{{name: public, address: '{origin.address}'}}]"
        with pytest.raises(ListenError) as caught:
            node.apply(one_route(origin, "", taken))
        assert type(caught.value) is ListenError
        assert f"{node.file}:3:" in str(caught.value)
        assert origin.address in str(caught.value)
        assert get(node.address, "/").status == 200
        assert node.state()["version"] == 1


def test_errors_of_every_kind_are_those_of_the_package() -> None:
    assert issubclass(ListenError, EngineError)
    assert issubclass(SnapshotError, EngineError)
    calls: list[tuple[type[EngineError], Callable[[], object]]] = [
        (EngineError, lambda: Engine(b"")),
        (EngineError, lambda: parse(b"a: 1", "toml")),
        (EngineError, lambda: Engine(OPTIONS).answer(1, b"{}")),
        (SnapshotError, lambda: decide(b"{}", b"{}", b"[]")),
        (SnapshotError, lambda: Engine(OPTIONS).set_keys("x", b"nonsense")),
        (SnapshotError, lambda: Engine(OPTIONS).set_instances("x", b"nonsense")),
    ]
    for kind, call in calls:
        with pytest.raises(EngineError) as caught:
            call()
        assert type(caught.value) is kind
        assert str(caught.value)


def places(document: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where the document has an object."""
    found: list[tuple[str | int, ...]] = []
    if isinstance(document, dict):
        found.append(path)
        for name, value in document.items():
            found += places(value, (*path, name))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            found += places(value, (*path, number))
    return found


def test_a_field_that_the_engine_does_not_know_is_refused_wherever_it_is(origin: Origin) -> None:
    issuer = Issuer()
    text = one_route(
        origin,
        "auth: {accept: [mobile]}, cors: {allow_origins: ['*']}, rate_limit: standard",
        f"identities: [{issuer.identity}]",
        service="health_check: {path: /}",
    )
    with Node(text) as node:
        accepted = []
        for path in places(json.loads(node.snapshot)):
            # A key set is an open format (RFC 7517), and names of headers are the user's.
            if "keys" in path or (path and path[-1] in {"set", "add"}):
                continue
            changed = json.loads(node.snapshot)
            place = changed
            for step in path:
                place = place[step]
            place["surprise"] = 1
            if is_accepted(node, changed):
                accepted.append(path)
        assert accepted == []
        assert node.state()["version"] == 1
        assert get(node.address, "/", issuer.bearer()).status == 200


def is_accepted(node: Node, snapshot: dict[str, Any]) -> bool:
    try:
        node.engine.apply(json.dumps(snapshot).encode())
    except SnapshotError:
        return False
    return True


@pytest.mark.parametrize("change", [{"format": 2}, {"version": 0}, {"routes": [{}]}, {"listeners": None}])
def test_a_snapshot_of_another_shape_is_refused(origin: Origin, change: dict[str, object]) -> None:
    with Node(one_route(origin)) as node:
        with pytest.raises(SnapshotError):
            node.engine.apply(json.dumps(json.loads(node.snapshot) | change).encode())
        with pytest.raises(SnapshotError):
            node.engine.apply(node.snapshot[:-1])
        assert get(node.address, "/").status == 200


def test_a_busy_python_delays_no_request(origin: Origin) -> None:
    """Everything is answered while one thread holds the interpreter and computes."""
    text = "routes: [{name: self, match: '/*', service: self}]\n"
    with Node(text) as node, Client(node.address) as client, never_interrupted():
        client.send(encode("/") * 100)
        client.socket.setblocking(False)
        answers, looks = b"", 0
        while answers.count(b"HTTP/1.1 200 OK") < 100:
            compute(0.2)
            looks += 1
            # Only a look lets go of the interpreter, and there are fewer of them than answers.
            assert looks <= 50, answers
            with contextlib.suppress(BlockingIOError):
                answers += client.socket.recv(1 << 20)


def compute(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))


@contextlib.contextmanager
def never_interrupted() -> Iterator[None]:
    """This thread keeps the interpreter for as long as it computes, whoever asks for it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(3_600.0)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def test_records_that_nobody_takes_are_dropped_from_the_oldest_and_counted(origin: Origin) -> None:
    text = "routes: [{name: self, match: '/*', service: self}]\nrecords: {queue: 100}\n"
    with Node(text) as node, Client(node.address) as client:
        for number in range(20):
            client.send(b"".join(encode(f"/{number * 50 + place}") for place in range(50)))
            for _ in range(50):
                assert client.response().status == 200
        state = node.wait_for(lambda state: state["records"]["queued"] + state["records"]["dropped"] == 1000)[
            "records"
        ]
        assert 0 < state["queued"] <= 100
        assert node.metric("gateway_records_dropped_total") == state["dropped"]
        kept = [record["path"] for record in node.records(state["queued"])]
        assert kept == [f"/{number}" for number in range(1000 - len(kept), 1000)]


def test_records_and_questions_are_waited_for_no_longer_than_asked(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        assert node.engine.next_records(1 << 20, 0.01) is None
        assert node.engine.next_questions(0.01) is None
        assert node.engine.next_records(1 << 20, float("nan")) is None
        assert node.engine.next_records(1 << 20, -1.0) is None


def test_a_stopped_engine_gives_its_last_records(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        get(node.address, "/last")
        node.engine.stop()
        assert node.record()["path"] == "/last"


def test_whoever_waits_for_records_is_woken_when_the_engine_stops(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        taken: list[bytes | None] = []
        waiting = threading.Thread(target=lambda: taken.append(node.engine.next_records(1 << 20, 60.0)))
        waiting.start()
        node.engine.stop()
        waiting.join(30)
        assert taken == [None]


def test_an_answer_to_an_unknown_question_is_ignored(origin: Origin) -> None:
    with Node(one_route(origin)) as node:
        node.engine.answer(4711, b'{"ok": true}')


REQUESTS = [
    ("GET", "/open/1?a=b", {}),
    ("HEAD", "/open/../open/2", {}),
    ("POST", "/open", {}),
    ("GET", "/closed", {}),
    ("GET", "/closed", {"token": "good"}),
    ("GET", "/closed", {"token": "expired"}),
    ("GET", "/admin", {"token": "good"}),
    ("GET", "/limited", {}),
    ("GET", "/limited", {}),
    ("GET", "/strip/x/y", {}),
    ("GET", "/fixed", {}),
    ("GET", "/moved", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/a%2fb", {}),
    ("PATCH", "/fixed", {}),
]


def test_decide_agrees_with_what_happens(origin: Origin) -> None:
    issuer = Issuer()
    text = f"""
services: [{{name: users, instances: ["{origin.address}"]}}]
identities: [{issuer.identity}]
tiers: [{{name: one, limit: 1, window: 1h, per: client_ip}}]
routes:
  - {{name: open, match: "/open/*", service: users}}
  - {{name: closed, match: /closed, service: users, auth: {{accept: [mobile]}}}}
  - {{name: admin, match: /admin, service: users, auth: {{accept: [mobile], scopes: [admin]}}}}
  - {{name: limited, match: /limited, service: users, rate_limit: one}}
  - {{name: strip, match: "/strip/*", service: users, strip_prefix: /strip}}
  - {{name: fixed, match: {{path: /fixed, methods: [GET, POST]}}, respond: {{status: 203}}}}
  - {{name: moved, match: /moved, redirect: {{to: /new}}}}
"""
    tokens = {"good": issuer.bearer(), "expired": issuer.bearer(exp=1)}
    with Node(text) as node:
        asked = [
            {"method": method, "target": target, "host": "gateway.test", "peer": "127.0.0.1"}
            | {"headers": [tokens[fact["token"]]] if fact else [], "now_ms": issuer.claims()["iat"] * 1000}
            for method, target, fact in REQUESTS
        ]
        verdicts = json.loads(decide(node.snapshot, b"{}", json.dumps(asked).encode()))
        for (method, target, fact), verdict in zip(REQUESTS, verdicts, strict=True):
            headers = [tokens[fact["token"]]] if fact else []
            raw(node.address, encode(target, headers, method), [method])
            record = node.record()
            compare(record, verdict, target)
            if verdict["action"] == "proxy":
                assert origin.next_request().target.partition("?")[0] == verdict["forward_path"]


def compare(record: dict[str, Any], verdict: dict[str, Any], target: str) -> None:
    """What was decided before and what happened, of one request."""
    assert record["route_id"] == verdict["route"], target
    for step in (*record["decisions"], *verdict["decisions"]):
        # Seconds from the moment that was asked about.
        step["inputs"].pop("retry_after", None)
    assert record["decisions"] == verdict["decisions"], target
    assert record["user_id"] == verdict["user_id"], target
    if verdict["action"] != "refuse":
        assert record["error_type"] is None, target
    if verdict["action"] != "proxy":
        assert record["status"] == verdict["status"], target
    if verdict["action"] == "refuse":
        assert record["error_type"] == verdict["error"], target


def test_expressions_are_checked_one_by_one() -> None:
    ground = {"route": "users", "parameters": ["id"]}
    good, bad, unplaced = (
        {"expression": text, **ground}
        for text in ("request.params.id == '7'", "true && caller.usr == 'a'", "request.method")
    )
    found = json.loads(check_expressions(json.dumps([good, bad, unplaced]).encode()))
    assert found[0] is None
    assert (found[1]["line"], found[1]["column"]) == (1, 16)
    assert found[1]["message"].startswith("there is no `caller.usr`")
    assert found[2] == {"line": None, "column": None, "message": "a rule takes a boolean, not a string"}
    for wrong in (b"{}", b'[{"expression": "true"}]', b"x"):
        with pytest.raises(EngineError, match="expressions: "):
            check_expressions(wrong)


def test_the_module_has_what_its_stub_says_and_nothing_more() -> None:
    public = {name for name in vars(_engine) if not name.startswith("_")}
    assert public == {"Engine", "check_expressions", "contains_any", "decide", "parse"}


@pytest.mark.parametrize(
    "change", [b"", b"{}", b'{"action": "explode"}', b'{"action": "open"}', b'{"action": "reset", "by": 1}']
)
def test_a_wrong_change_of_a_breaker_is_an_engine_error(origin: Origin, change: bytes) -> None:
    with Node(one_route(origin)) as node:
        with pytest.raises(EngineError, match="change of a breaker"):
            node.engine.set_breaker("users", change)
        assert node.engine.set_breaker("nobody", b'{"action": "reset"}') == 0


def test_a_batch_is_searched_for_any_of_several_parts() -> None:
    text = b"x" * 70_000 + b'"verdict":"refused"\n'
    assert contains_any(text, (b"absent", b'"refused"'))
    assert not contains_any(text, [b"absent", b'"refused!"'])
    assert not contains_any(text, ())
