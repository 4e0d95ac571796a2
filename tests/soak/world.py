"""What is soaked: a gateway that reloads every second, and instances that come and go."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from faults.process import PROGRAM, Process, environment, wait_until

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
NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log off;
    keepalive_requests 1000000000;
    server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "bulk"; }} }}
}}
"""
QUIET = subprocess.DEVNULL
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
# An instance that left the configuration may still be answering.
REST_RELOADS = 5


@dataclass
class Instance:
    """A process that serves a service."""

    child: "subprocess.Popen[bytes]"
    port: int

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
        file = directory / "nginx.conf"
        file.write_text(NGINX.format(directory=directory, port=port))
        command = ["nginx", "-e", f"{directory}/error.log", "-c", str(file)]
        child = subprocess.Popen(command, stdin=QUIET, stdout=QUIET, stderr=QUIET, env={"PATH": PATH})
        wait_until(f"nginx on {port}", lambda: is_open(port))
        return Instance(child, port)

    def start_checked(self) -> Instance:
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), environment()["PYTHONPATH"]])
        command = [sys.executable, "-m", "soak.instance"]
        child = subprocess.Popen(
            command, stdin=QUIET, stdout=subprocess.PIPE, env={**environment(), "PYTHONPATH": paths}
        )
        assert child.stdout is not None
        return Instance(child, int(child.stdout.readline()))

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
            self.leaving.append((self.number, service.pop(0)))
            self.replaced += 1
        # Opened anew at the reload: an hour of records would fill a disk.
        with contextlib.suppress(FileNotFoundError):
            (self.directory / "records.jsonl").unlink()
        self.write()
        self.gateway.signal(signal.SIGHUP)
        self.stop_those_at_rest()

    def stop_those_at_rest(self) -> None:
        while self.leaving and self.leaving[0][0] + REST_RELOADS <= self.number:
            instance = self.leaving.pop(0)[1]
            instance.stop()
            shutil.rmtree(self.directory / f"nginx-{instance.port}", ignore_errors=True)

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
            int(self.gateway.metric("gateway_connections")),
            int(self.gateway.metric("gateway_config_version")),
            int(self.gateway.metric("gateway_records_dropped_total")),
        )


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
