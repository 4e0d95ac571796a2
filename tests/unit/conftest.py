"""A data plane that does nothing and remembers everything, for tests of the operating half."""

import json
import queue
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.ports import unused_ports
from gatewright.errors import EngineError, SnapshotError
from gatewright.records.batch import Batch
from gatewright.records.sinks.sqlite import SqliteSink


class FakeEngine:
    """Has the methods of `gatewright._engine.Engine`."""

    def __init__(self, options: bytes = b"{}") -> None:
        self.options = json.loads(options)
        self.calls: list[tuple[object, ...]] = []
        self.snapshots: list[dict[str, object]] = []
        self.refuse: Exception | None = None
        self.services: list[dict[str, object]] = []
        self.records: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[tuple[int, bytes]] = queue.SimpleQueue()
        self.drained = threading.Event()
        self.store: dict[str, object] | None = None
        self.most = 0
        self.counted: list[tuple[Any, ...]] = []

    def forget_keys(self, ids: bytes) -> int:
        self.calls.append(("forget_keys", json.loads(ids)))
        return 0

    def revoke(self, entries: bytes, replace: bool) -> int:
        self.calls.append(("revoke", json.loads(entries), replace))
        return 0

    def restore(self, entries: bytes) -> int:
        return 0

    def key_uses(self) -> bytes:
        return b"[]"

    def start(self) -> None:
        self.calls.append(("start",))

    def apply(self, snapshot: bytes) -> int:
        if self.refuse is not None:
            raise self.refuse
        document = json.loads(snapshot)
        self.snapshots.append(document)
        return int(document["version"])

    def self_check(self) -> str:
        return "/.well-known/gatewright/self-check/none"

    def adopt(self, path: str) -> int:
        self.calls.append(("adopt", path))
        return 0

    def listening(self) -> bytes:
        return b"[]"

    def set_instances(self, service: str, instances: bytes) -> None:
        self.calls.append(("set_instances", service, json.loads(instances)))

    def set_keys(self, identity: str, keys: bytes) -> None:
        self.calls.append(("set_keys", identity, json.loads(keys)))

    def drain_instance(self, service: str, instance: str, wanted: bool) -> int | None:
        self.calls.append(("drain_instance", service, instance, wanted))
        return 1 if instance == "127.0.0.1:9001" else None

    def set_breaker(self, name: str | None, change: bytes) -> int:
        self.calls.append(("set_breaker", name, json.loads(change)))
        return 1

    def reset_limits(self, tier: str | None, caller: str | None) -> int:
        self.calls.append(("reset_limits", tier, caller))
        return 2

    def bans(self) -> bytes:
        ban = {"tier": "standard", "caller": "ip:192.0.2.1", "until_ms": 0, "remaining_ms": 61_200, "bans": 2}
        return json.dumps([ban]).encode()

    def set_limit(self, tier: str, limit: int | None, lasts_ms: int) -> None:
        self.calls.append(("set_limit", tier, limit, lasts_ms))
        if limit == 13:
            raise EngineError("the limit of tier `standard` is at most 12")

    def lift_bans(self, tier: str | None, caller: str | None) -> int:
        self.calls.append(("lift_bans", tier, caller))
        return 3

    def limit_store(self) -> bytes:
        return json.dumps(self.store).encode()

    def bypass_limits(self, for_ms: int, counts: bool) -> None:
        self.calls.append(("bypass_limits", for_ms, counts))

    def reload_addresses(self, kind: str, name: str) -> bytes:
        self.calls.append(("reload_addresses", kind, name))
        if self.refuse is not None:
            raise self.refuse
        return b'{"entries": 1, "bytes": 8}'

    def set_blocks(self, blocks: bytes) -> int:
        self.calls.append(("set_blocks", json.loads(blocks)))
        return len(json.loads(blocks))

    def take_quotas(self, maximum: int) -> bytes | None:
        return None

    def restore_quotas(self, quotas: bytes) -> int:
        return len(json.loads(quotas))

    def take_bans(self, maximum: int) -> bytes | None:
        return None

    def restore_bans(self, bans: bytes) -> int:
        return len(json.loads(bans))

    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None:
        try:
            return self.records.get(timeout=min(wait_seconds, 0.02))
        except queue.Empty:
            return None

    def count_requests(self, most: int) -> None:
        self.most = most

    def take_counts(self) -> list[tuple[Any, ...]]:
        taken, self.counted = self.counted, []
        return taken

    def next_questions(self, wait_seconds: float) -> bytes | None:
        try:
            return self.questions.get(timeout=min(wait_seconds, 0.02))
        except queue.Empty:
            return None

    def answer(self, question: int, result: bytes) -> None:
        self.answers.put((question, result))

    def metrics(self) -> str:
        return "# HELP gateway_requests_total Requests.\n# TYPE gateway_requests_total counter\n"

    def exposition(self, format: str, families: bytes) -> bytes:
        lines = [f"# {format}", *self.metrics().splitlines()]
        for family in json.loads(families):
            lines += [
                f"# HELP {family['name']} {family['help']}",
                f"# TYPE {family['name']} {family['kind']}",
            ]
            for labels, value in family["samples"]:
                pairs = ",".join(f'{name}="{one}"' for name, one in labels.items())
                lines.append(f"{family['name']}{{{pairs}}} {value}".replace("{}", ""))
        return ("\n".join(lines) + "\n").encode()

    def state(self) -> bytes:
        live = self.snapshots[-1] if self.snapshots else {"version": 0, "listeners": [], "services": []}
        return json.dumps({
            "version": live["version"],
            "listeners": live["listeners"],
            "services": self.services or live["services"],
            "tiers": [{"name": "standard", "limit": 100}],
        }).encode()

    def drain(self, deadline_seconds: float) -> bool:
        self.calls.append(("drain", deadline_seconds))
        self.drained.set()
        return True

    def stop(self) -> None:
        self.calls.append(("stop",))

    def refuse_with(self, text: str) -> None:
        self.refuse = SnapshotError(text)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


CONFIGURATION = """\
import gatewright as g

gateway = g.Gateway(
    listeners=[g.Listener(name="public", address="127.0.0.1:8080")],
    admin=g.Admin(address="127.0.0.1:{admin}"{token}),
    services=[g.Service(name="users", instances=[g.Instance(address="127.0.0.1:9001")])],
    routes=[g.Route(name="{route}", match=g.Match(path="/api/*"), service="users")],
)
"""


@pytest.fixture
def write_configuration(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small valid configuration in Python, which needs no parser of the data plane."""

    # The configuration refuses port 0.
    port = next(unused_ports())

    def write(route: str = "everything", admin: int = port, token: str | None = None) -> Path:
        path = tmp_path / "gateway.py"
        secret = f", token={token!r}" if token else ""
        # By a rename, or a node that watches could read half of it.
        new = tmp_path / "gateway.py.new"
        new.write_text(CONFIGURATION.format(route=route, admin=admin, token=secret), encoding="utf-8")
        return new.replace(path)

    return write


RECORD = {
    "timestamp": "2026-11-21T10:00:00.000Z",
    "request_id": "one",
    "method": "GET",
    "path": "/api/users",
    "status": 200,
    "client_ip": "203.0.113.9",
    "route_id": "users",
    "total_latency_ms": 1.5,
    "decisions": [
        {"stage": "route", "verdict": "matched", "rule": "users", "at": "gateway.yaml:9:5", "inputs": {}}
    ],
}


@pytest.fixture
def record_line() -> Iterator[Callable[..., bytes]]:
    """Makes records as the data plane writes them, with fields changed."""

    def line(**changes: object) -> bytes:
        return json.dumps(RECORD | changes).encode() + b"\n"

    yield line


@pytest.fixture
def store_records() -> Callable[[Path, bytes], None]:
    """Stores lines in a directory of segments, as the sink does."""

    def store(directory: Path, lines: bytes) -> None:
        sink = SqliteSink(directory, timedelta(days=36_500))
        sink.write(Batch.of(lines))
        sink.close()

    return store
