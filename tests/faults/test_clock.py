"""The wall clock is set forward and back under a gateway that serves."""

import os
import struct
import subprocess
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from faults.conftest import Setting
from faults.process import Process, wait_until
from faults.test_draining import stored
from gateway import Issuer, Origin, Response, get, plain
from gateway.client import Header

WINDOW = 3600
STEP = 3 * WINDOW
TEXT = """\
version: 1
# With more than one, a request may come to one that has not noticed yet.
node: {{workers: 1}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
services:
  - {{name: good, instances: ["127.0.0.1:{service}"]}}
  - name: gone
    instances: ["127.0.0.1:{gone}"]
    circuit_breaker: {{minimum_requests: 1, open_for: 50s}}
identities: [{identity}]
tiers: [{{name: five, limit: 5, window: 1h, per: client_ip}}]
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes:
  - {{name: open, match: /open, service: good}}
  - {{name: limited, match: /limited, service: good, rate_limit: {{tier: five}}}}
  - {{name: protected, match: /protected, service: good, auth: {{accept: [mobile]}}}}
  - {{name: gone, match: /gone, service: gone}}
"""
# Starts the gateway anew with the other clock: a library has to be there before the program is.
PROGRAM = """
import os, sys
os.environ.update(LD_PRELOAD={library!r}, CLOCK_FILE={file!r})
os.execv(sys.executable, [sys.executable, "-m", "gatewright", *sys.argv[1:]])
"""


class Clock:
    """The wall clock of one process, some seconds off."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "clock"
        self.library = directory / "clock.so"
        self.set(0)
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, source], check=True)

    def set(self, seconds: int) -> None:
        # In place: the process has mapped it.
        with os.fdopen(os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(struct.pack("q", seconds))

    @property
    def program(self) -> tuple[str, str]:
        return "-c", PROGRAM.format(library=str(self.library), file=str(self.file))


class Shifted:
    """A gateway whose clock the test sets."""

    def __init__(self, setting: Setting, clock: Clock) -> None:
        self.address = ("127.0.0.1", setting.port)
        self.clock = clock
        self.process: Process = setting.run(program=clock.program)

    def ask(self, target: str, *headers: Header) -> Response:
        return get(self.address, target, *headers)

    def burst(self) -> list[int]:
        return [self.ask("/limited").status for _ in range(6)]

    def set(self, seconds: int) -> None:
        """Returns once the workers have noticed, which takes them a second at most."""
        self.clock.set(seconds)
        wait_until("the new time in `Date`", lambda: abs(self.ahead() - seconds) < 60)

    def ahead(self) -> float:
        """Seconds that the gateway's `Date` is ahead of this process's clock."""
        return parsedate_to_datetime(self.ask("/open").get("date") or "").timestamp() - time.time()


@pytest.mark.needs("cc")
def test_clock_that_is_set_moves_tokens_and_records_locks_nobody_out_and_leaves_breakers(
    setting: Setting, free_port: Callable[[], int]
) -> None:
    issuer = Issuer()
    with Origin(plain(b"good")) as origin:
        setting.service = origin.port
        setting.write(
            TEXT.format(
                port=setting.port,
                admin=setting.admin,
                service=origin.port,
                gone=free_port(),
                identity=issuer.identity,
            )
        )
        gateway = Shifted(setting, Clock(setting.directory))
        bearer = issuer.bearer()
        assert gateway.ask("/protected", bearer).status == 200
        assert gateway.burst() == [200, 200, 200, 200, 200, 429]
        assert [gateway.ask("/gone").status for _ in range(2)] == [502, 503]

        gateway.set(STEP)
        assert gateway.ask("/protected", bearer).status == 401, (
            "a verified token that is kept expires as well"
        )
        assert gateway.burst() == [200, 200, 200, 200, 200, 429], "a window of its own, and no more"
        assert gateway.ask("/gone").json()["error"] == "service_unavailable", "the breaker's time goes on"

        gateway.set(-STEP)
        assert gateway.ask("/protected", bearer).status == 401, "it was issued in the future now"
        assert gateway.burst() == [200, 200, 200, 200, 200, 429]
        waits = int(gateway.ask("/limited").get("retry-after") or 0)
        assert 0 < waits <= 2 * WINDOW, "nobody is locked out until the clock has caught up"
        assert 0 < int(gateway.ask("/gone").get("retry-after") or 0) <= 50

        gateway.set(0)
        assert gateway.ask("/protected", bearer).status == 200
        assert gateway.process.child.poll() is None
        check_records(setting, gateway)


def check_records(setting: Setting, gateway: Shifted) -> None:
    """Every one is stored, under the time that the clock showed."""
    gateway.process.child.terminate()
    assert gateway.process.wait() == 0
    times = [parse(str(record["timestamp"])) - time.time() for record in stored(setting.records)]
    assert {round(one / STEP) for one in times} == {-1, 0, 1}
    assert not any('"level": "error"' in line or "panicked" in line for line in gateway.process.lines)


def parse(stamp: str) -> float:
    return time.mktime(time.strptime(stamp[:19] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone
