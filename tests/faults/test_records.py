"""Whole nodes whose sinks are killed, hang or are full: requests go on, and every record is accounted for."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.conftest import TEXT, Setting
from faults.process import Process, wait_until
from faults.test_draining import stored
from gateway import Client, Postgres
from gateway.client import encode
from gateway.ports import unused_ports

SINKS = """\
records:
  sinks:
    - {{kind: sqlite}}
    - {{kind: postgresql, url: "{url}", timeout: 2s, batch: {{records: 100, wait: 10ms}},
        retry: {{first: 20ms, longest: 200ms}}}}
    - {{kind: file, name: full, path: /dev/full, queue: 64KiB, batch: {{bytes: 16KiB}}}}
    - {{kind: file, name: hung, path: {pipe}, queue: 64KiB, batch: {{bytes: 16KiB}}}}
"""


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = Postgres(next(unused_ports()))
    yield server
    server.close()


def configure(setting: Setting, postgres: Postgres, pipe: Path) -> None:
    text = TEXT.format(port=setting.port, admin=setting.admin, service=1, number=1)
    setting.write(text + SINKS.format(url=postgres.url, pipe=pipe))


def send(port: int, first: int, count: int) -> None:
    """Requests whose every answer is right, whatever becomes of their records."""
    with Client(("127.0.0.1", port)) as client:
        for number in range(first, first + count):
            client.send(encode("/number", [("X-Request-ID", f"n-{number}")]))
            assert client.response().status == 200


def counted(process: Process, metric: str, sink: str) -> float:
    """The sum over a metric's series of one sink."""
    series = re.findall(rf"^{metric}\{{([^}}]*)\}} (\S+)$", process.ask("/metrics")[1], re.MULTILINE)
    return sum(float(value) for labels, value in series if f'sink="{sink}"' in labels)


def accounted(process: Process, sink: str) -> float:
    """Records of a sink that were stored or dropped, or wait."""
    names = ("records_total", "dropped_total", "queued_records", "spilled_records")
    return sum(counted(process, f"gateway_sink_{name}", sink) for name in names)


def rows(postgres: Postgres) -> list[str]:
    query = "SELECT request_id FROM gateway_records"
    return subprocess.check_output(["psql", "-At", postgres.url, "-c", query], text=True).split()


@pytest.mark.needs("postgres")
def test_sinks_that_die_hang_or_are_full_cost_no_request_and_no_record_of_another(
    setting: Setting, postgres: Postgres, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    # Nobody reads it: whoever opens it to write hangs.
    os.mkfifo(pipe)
    configure(setting, postgres, pipe)
    process = setting.run()
    send(setting.port, 0, 300)
    wait_until(
        "records in PostgreSQL", lambda: counted(process, "gateway_sink_records_total", "postgresql") > 0
    )
    # All of it at once: in the middle of a batch, as likely as not.
    send(setting.port, 300, 300)
    postgres.stop()
    send(setting.port, 600, 300)
    wait_until("a failure", lambda: counted(process, "gateway_sink_failures_total", "postgresql") > 0)
    wait_until("a spill", lambda: counted(process, "gateway_sink_spilled_records", "postgresql") > 0)
    # The gateway ends and starts again while the store is down.
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    again = setting.run()
    send(setting.port, 900, 100)
    postgres.start()
    wait_until("all in PostgreSQL", lambda: len(rows(postgres)) >= 1000)
    wait_until("all in SQLite", lambda: counted(again, "gateway_sink_records_total", "sqlite") == 100)
    for sink in ("full", "hung"):
        wait_until(f"all of {sink}", lambda name=sink: accounted(again, name) == 100)
        assert counted(again, "gateway_sink_records_total", sink) == 0
    again.signal(signal.SIGKILL)
    assert again.wait() == -signal.SIGKILL
    sent = sorted(f"n-{number}" for number in range(1000))
    assert sorted(rows(postgres)) == sent
    sqlite = sorted(str(record["request_id"]) for record in stored(setting.records))
    assert sqlite == sent
    said = [json.loads(line) for line in process.lines if '"alert"' in line]
    assert {one["sink"] for one in said if one.get("alert") == "records_dropped"} >= {"full", "hung"}
