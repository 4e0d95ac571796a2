"""A service for the tests of every stage."""

from collections.abc import Iterator

import pytest

from gateway import Origin


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A service that answers `ok` to everything that a test does not script."""
    with Origin() as origin:
        yield origin
