"""A gateway in this process: configuration text in, decision records out."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.schema import check_record
from gatewright._engine import Engine
from gatewright.config import Loaded, compile, load

Record = dict[str, Any]
Address = tuple[str, int]

DEADLINE = 30.0
# Whatever there is: who would take more waits for more.
BATCH_BYTES = 1


def steps(record: Record) -> list[tuple[str, str]]:
    """Stage and verdict of every decision of a record, in order."""
    return [(step["stage"], step["verdict"]) for step in record["decisions"]]


class Node:
    """A data plane that serves a configuration. What Python adds to it in production is up to the test.

    A configuration without listeners gets one, `public`; one without `defaults` limits nothing. Listeners
    with a port below 100 listen on a free one, which `address_of` tells.
    """

    def __init__(self, text: str, *, workers: int = 1, identity_timeout_ms: int = 5_000) -> None:
        options = {"workers": workers, "identity_timeout_ms": identity_timeout_ms}
        self.engine = Engine(json.dumps(options).encode())
        self.version = 0
        self.snapshot = b""
        self.loaded: Loaded | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="gatewright-test-")
        self._taken: list[Record] = []
        self.engine.start()
        try:
            self.apply(text)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def file(self) -> Path:
        """The file that holds the configuration; the `at` of decisions name it."""
        return Path(self._directory.name) / "gateway.yaml"

    def load(self, text: str) -> Loaded:
        """Check a configuration as the gateway does. Raises `ConfigError`."""
        if "listeners:" not in text:
            text += "\nlisteners: [{name: public, address: '127.0.0.1:1'}]\n"
        if "defaults:" not in text:
            text += "\ndefaults: {rate_limit: none, unauthenticated_tier: none}\n"
        self.file.write_text(text)
        return load([self.file], {})

    def at(self, *location: str | int) -> str:
        """Where a part of the live configuration stands, as decisions name it."""
        assert self.loaded is not None
        return str(self.loaded.at(*location))

    def compile(self, loaded: Loaded) -> bytes:
        """The snapshot of a configuration, with the next version."""
        document = json.loads(compile(loaded, self.version + 1))
        for listener in document["listeners"]:
            host, _, port = listener["address"].rpartition(":")
            if listener["address"].startswith("unix:"):
                continue
            # A configuration names real ports only; a low one stands for one that is free.
            if int(port) < 100:
                listener["address"] = f"{host}:0"
        return json.dumps(document).encode()

    def apply(self, text: str) -> int:
        """Make a configuration live and give its version. Raises `ConfigError` or `EngineError`."""
        loaded = self.load(text)
        snapshot = self.compile(loaded)
        self.version = self.engine.apply(snapshot)
        self.snapshot, self.loaded = snapshot, loaded
        return self.version

    def stop(self) -> None:
        """End every thread of the data plane."""
        self.engine.stop()
        self._directory.cleanup()

    def state(self) -> dict[str, Any]:
        """What the engine says is live."""
        return json.loads(self.engine.state())

    def address_of(self, listener: str) -> Address:
        """Where a listener really listens."""
        for open_ in self.state()["listeners"]:
            if open_["name"] == listener:
                host, _, port = open_["address"].rpartition(":")
                return host.strip("[]"), int(port)
        raise LookupError(listener)

    @property
    def address(self) -> Address:
        """Where the listener `public` really listens."""
        return self.address_of("public")

    def records(self, count: int = 1, deadline: float = DEADLINE) -> list[Record]:
        """Exactly the next `count` records. Raises `TimeoutError` with those that came instead."""
        end = time.monotonic() + deadline
        while len(self._taken) < count:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{len(self._taken)} of {count} records: {self._taken}")
            batch = self.engine.next_records(BATCH_BYTES, left)
            if batch is not None:
                self._taken.extend(json.loads(line) for line in batch.splitlines())
        taken, self._taken = self._taken[:count], self._taken[count:]
        for record in taken:
            check_record(record)
        return taken

    def record(self) -> Record:
        """The next record."""
        return self.records(1)[0]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all series of a metric that have these labels. Zero when there is none."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        total = 0.0
        for line in self.engine.metrics().splitlines():
            series, _, value = line.rpartition(" ")
            bare, _, told = series.partition("{")
            if bare == name and all(label in told for label in wanted):
                total += float(value)
        return total

    def wait_for_metric(self, value: float, name: str, **labels: str) -> None:
        """Return when a metric has this value: some things are counted after whoever caused them knows."""
        self.wait_for(lambda _: self.metric(name, **labels) == value)

    def wait_for(
        self, wanted: Callable[[dict[str, Any]], bool], deadline: float = DEADLINE
    ) -> dict[str, Any]:
        """The state as soon as it is as wanted. Raises `TimeoutError` with what it was last."""
        end = time.monotonic() + deadline
        while not wanted(state := self.state()):
            if time.monotonic() > end:
                raise TimeoutError(json.dumps(state))
            time.sleep(0.01)
        return state
