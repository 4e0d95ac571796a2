"""What is soaked: a gateway that reloads every second, and instances that come and go."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from faults.process import PROGRAM, Process, environment
from gateway import get
from gateway.nginx import Nginx, constant

TEXT = """\
version: 1
node: {{drain_timeout: 20s}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
records: {{sinks: [{{kind: file, path: records.jsonl}}], queue: 100000}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
services:
  - {{name: bulk, instances: [{bulk}], health_check: {{path: /, interval: 1s}}}}
  - {{name: checked, instances: [{checked}], health_check: {{path: /, interval: 1s}}}}
routes:
  - {{name: bulk, match: /bulk/*, service: bulk}}
  - {{name: checked, match: /checked/*, service: checked}}
  - {{name: number, match: /number, respond: {{body: "{number}"}}}}
"""
QUIET = subprocess.DEVNULL
# An instance that left the configuration may still be answering.
REST_RELOADS = 5
# Of the records of one reload's time.
KEPT_RECORDS = 20
FAILED = b'"status":5'


@dataclass
class Instance:
    """A process that serves a service."""

    service: str
    child: "subprocess.Popen[bytes]"
    port: int

    def __str__(self) -> str:
        return f"{self.service} on 127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.child.kill()
        self.child.wait(30)
        if self.child.stdout is not None:
            self.child.stdout.close()


@dataclass(frozen=True)
class Sample:
    """What the gateway holds at one moment."""

    resident: int
    descriptors: int
    threads: int
    connections: int
    version: int
    dropped: int


@dataclass
class World:
    """Processes and the file that names them. `turn` is one reload, now and then with other instances."""

    directory: Path
    port: int
    admin: int
    ports: "Iterator[int]"
    number: int = 0
    bulk: list[Instance] = field(default_factory=list)
    checked: list[Instance] = field(default_factory=list)
    leaving: list[tuple[int, Instance]] = field(default_factory=list)
    replaced: int = 0
    gateway: Process | None = None
    say: Callable[[str], None] = print

    def start(self) -> None:
        self.bulk = [self.start_bulk() for _ in range(2)]
        self.checked = [self.start_checked() for _ in range(2)]
        self.write()
        self.gateway = Process(self.directory / "gateway.yaml", self.admin, "--workers", "2", program=PROGRAM)
        self.gateway.wait_until_live()

    def stop(self) -> None:
        for one in [*self.bulk, *self.checked, *(instance for _, instance in self.leaving)]:
            one.stop()
        if self.gateway is not None:
            self.gateway.__exit__()

    def start_bulk(self) -> Instance:
        """An nginx, which costs next to nothing."""
        port = next(self.ports)
        directory = self.directory / f"nginx-{port}"
        directory.mkdir()
        return Instance("bulk", Nginx(directory, port, constant(port, "bulk")).child, port)

    def start_checked(self) -> Instance:
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), environment()["PYTHONPATH"]])
        command = [sys.executable, "-m", "soak.instance"]
        child = subprocess.Popen(
            command, stdin=QUIET, stdout=subprocess.PIPE, env={**environment(), "PYTHONPATH": paths}
        )
        assert child.stdout is not None
        return Instance("checked", child, int(child.stdout.readline()))

    def write(self) -> None:
        self.number += 1
        text = TEXT.format(
            port=self.port,
            admin=self.admin,
            number=self.number,
            bulk=", ".join(f'"127.0.0.1:{one.port}"' for one in self.bulk),
            checked=", ".join(f'"127.0.0.1:{one.port}"' for one in self.checked),
        )
        beside = self.directory / "gateway.new"
        beside.write_text(text)
        beside.replace(self.directory / "gateway.yaml")

    def turn(self) -> None:
        """Reload; every third time an instance of one service is replaced, in turns."""
        assert self.gateway is not None
        if self.number % 3 == 0:
            is_bulk = self.number % 2 == 0
            service = self.bulk if is_bulk else self.checked
            service.append(self.start_bulk() if is_bulk else self.start_checked())
            gone = service.pop(0)
            self.leaving.append((self.number + 1, gone))
            self.replaced += 1
            self.say(f"configuration {self.number + 1}: {service[-1]} comes, {gone} goes")
        self.take_records()
        self.write()
        self.gateway.signal(signal.SIGHUP)
        self.stop_those_at_rest()

    def take_records(self) -> None:
        """Keep those of failures. The file is opened anew at each reload: an hour of it would fill a disk."""
        records, before = self.directory / "records.jsonl", self.directory / "records.before"
        with contextlib.suppress(FileNotFoundError):
            # The gateway let go of it a reload ago.
            found = [record for record in before.read_bytes().splitlines() if FAILED in record]
            for record in found[:KEPT_RECORDS]:
                self.say(f"record {record.decode(errors='replace')}")
            if len(found) > KEPT_RECORDS:
                self.say(f"{len(found) - KEPT_RECORDS} more such records")
        with contextlib.suppress(FileNotFoundError):
            records.replace(before)

    def stop_those_at_rest(self) -> None:
        """Ends instances that the live configuration has not named for a while, however long reloads take."""
        if not self.leaving or self.live() < self.leaving[0][0] + REST_RELOADS:
            return
        instance = self.leaving.pop(0)[1]
        instance.stop()
        self.say(f"{instance} ended")
        shutil.rmtree(self.directory / f"nginx-{instance.port}", ignore_errors=True)

    def live(self) -> int:
        """The number of the configuration that the gateway answers with."""
        return int(get(("127.0.0.1", self.port), "/number").body)

    def sample(self) -> Sample:
        """Raises where the gateway has ended, with its last words."""
        assert self.gateway is not None
        if (code := self.gateway.child.poll()) is not None:
            raise RuntimeError(f"the gateway ended with {code}:\n" + "\n".join(self.gateway.lines[-20:]))
        process = psutil.Process(self.gateway.child.pid)
        return Sample(
            process.memory_info().rss,
            process.num_fds(),
            process.num_threads(),
            int(self.gateway.metric("gateway_connections_open")),
            int(self.gateway.metric("gateway_config_version")),
            int(self.gateway.metric("gateway_records_dropped_total")),
        )
