"""What every test may use: the repository's own paths, free ports, and the servers that Debian brings."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.clock import HOUR, MINUTE, before_the_end_of
from gateway.ports import unused_ports

# Debian keeps servers where an ordinary user's path does not look.
DEBIAN = ["/usr/sbin", "/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
# What a test takes at most, but for some that no border matters to.
QUICK_SECONDS = 5.0
SERVER_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), *DEBIAN])


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*programs): skipped where one is missing; fails with CI=true")
    config.addinivalue_line("markers", "one_minute: begins when some seconds of a minute are left")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [name for name in marker.args if shutil.which(name, path=SERVER_PATH) is None]
        if not missing:
            continue
        reason = f"needs {', '.join(missing)}, see scripts/servers.sh"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI=true, and this test {reason}", pytrace=False)
        pytest.skip(reason)
    before_the_end_of(HOUR, QUICK_SECONDS)
    if item.get_closest_marker("one_minute"):
        before_the_end_of(MINUTE, QUICK_SECONDS)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asyncio is the only loop that Gatewright runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives TCP ports of 127.0.0.1 that nothing listened on a moment ago, each one once.

    For programs that cannot be told port 0; what can be told it should be.
    """
    return unused_ports().__next__
