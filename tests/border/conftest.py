"""A service for tests of the border."""

from collections.abc import Iterator

import pytest

from gateway import Origin


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A service that answers `ok` to everything that a test does not script."""
    with Origin() as origin:
        yield origin
