"""Sinks that misbehave in one way each."""

import queue
import threading
from collections.abc import Callable

import pytest

from gatewright.records.batch import Batch
from gatewright.records.sink import SinkError


class Stored:
    """Keeps what it is given."""

    name = "stored"

    def __init__(self) -> None:
        self.batches: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.closed = threading.Event()

    def write(self, batch: Batch) -> None:
        self.batches.put(batch.lines)

    def reopen(self) -> None: ...

    def close(self) -> None:
        self.closed.set()

    def got(self) -> bytes:
        """The next batch."""
        return self.batches.get(timeout=60)

    def all(self) -> bytes:
        """Everything that was stored so far."""
        return b"".join(self.batches.get_nowait() for _ in range(self.batches.qsize()))


class Stuck(Stored):
    """Stores nothing until it is let go."""

    name = "stuck"

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.let_go = threading.Event()

    def write(self, batch: Batch) -> None:
        self.entered.set()
        self.let_go.wait(30)
        super().write(batch)


class Failing(Stored):
    """Fails until it is told to work, or a number of times."""

    name = "failing"

    def __init__(self, error: Exception | None = None, failures: int | None = None) -> None:
        super().__init__()
        self.error = error or SinkError("down")
        self.left = failures
        self.works = threading.Event()
        self.failed = threading.Event()

    def write(self, batch: Batch) -> None:
        if not self.works.is_set() and self.left != 0:
            self.left = None if self.left is None else self.left - 1
            self.failed.set()
            raise self.error
        super().write(batch)


@pytest.fixture
def stored() -> Stored:
    return Stored()


@pytest.fixture
def stuck() -> Stuck:
    return Stuck()


@pytest.fixture
def failing() -> Callable[..., Failing]:
    return Failing
