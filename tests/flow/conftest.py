"""A service for the tests of every stage."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway import Origin
from gateway.translation import Ways


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A service that answers `ok` to everything that a test does not script."""
    with Origin() as origin:
        yield origin


@pytest.fixture(params=[(1, 1), (2, 1), (1, 2), (2, 2)], ids=lambda ways: "http{}-to-http{}".format(*ways))
def ways(request: pytest.FixtureRequest) -> Iterator[Ways]:
    """A WebSocket over each version of HTTP, on either side."""
    with ExitStack() as opened:
        yield Ways(request.param, opened)
