"""What the tests of every stage have beside a gateway: a service, a Redis."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway import Origin, RedisServer
from gateway.translation import Ways


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A service that answers `ok` to everything that a test does not script."""
    with Origin() as origin:
        yield origin


@pytest.fixture
def server(free_port: Callable[[], int], tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which may be killed, hung and started again."""
    running = RedisServer(free_port(), tmp_path)
    yield running
    running.kill()


@pytest.fixture(params=[(1, 1), (2, 1), (1, 2), (2, 2)], ids=lambda ways: "http{}-to-http{}".format(*ways))
def ways(request: pytest.FixtureRequest) -> Iterator[Ways]:
    """A WebSocket over each version of HTTP, on either side."""
    with ExitStack() as opened:
        yield Ways(request.param, opened)
