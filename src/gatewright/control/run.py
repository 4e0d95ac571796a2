"""`gatewright run`: one process from its first line to its exit code. The main thread's loop owns the
signals.

SIGTERM and SIGINT drain: not ready, after `node.drain_delay` no new connections, up to `node.drain_timeout`
for requests under way, records flushed, exit 0. A second one ends the process at once with 1. SIGHUP reloads
and opens log files anew. SIGUSR2 starts a process with the same command line that takes over from this one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewright.admin.app import build_app
from gatewright.admin.server import AdminServer
from gatewright.audit.log import GATEWAY
from gatewright.control.configuration import AdminSettings, Configuration, read
from gatewright.control.node import DRAIN_SECONDS, DataPlane, Node
from gatewright.control.reload import Reloader
from gatewright.control.state import StateDirectory, choose_directory
from gatewright.control.successor import Succession
from gatewright.control.takeover import Handing, OldNode, TakeoverListener, old_node
from gatewright.errors import ConfigError, GatewrightError
from gatewright.metrics.names import NamesWatch
from gatewright.metrics.push import MetricsPush
from gatewright.tasks import end

log = logging.getLogger("gatewright.control")

RESTART_SECONDS = 1.0
# How long a request with an unknown key waits for its issuer (AU-12).
IDENTITY_TIMEOUT_MS = 2000
LAST_GOOD_ADMIN = AdminSettings("127.0.0.1", 9901)

MakeEngine = Callable[[bytes], DataPlane]
Ready = Callable[[Node, AdminServer], Coroutine[None, None, None]]
Work = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line says; `workers` of `None` is one per processor that this process may use."""

    paths: tuple[Path, ...]
    workers: int | None = None
    last_good: bool = False
    takeover: bool = False


def make_engine(options: bytes) -> DataPlane:
    """The data plane in Rust."""
    # Imported here, so that everything but running works where the extension is not built.
    from gatewright._engine import Engine  # noqa: PLC0415

    return Engine(options)


def say(text: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run_node(options: RunOptions, make: MakeEngine = make_engine, ready: Ready | None = None) -> int:
    """Run a node until it is told to end; give the exit code of the process."""
    try:
        start = read_start(options)
    except (ConfigError, GatewrightError, OSError) as error:
        say(str(error))
        return 1
    return asyncio.run(Life(options, start, make).live(ready))


@dataclass(frozen=True, slots=True)
class Start:
    """What a node starts from: a configuration, or the snapshot of the last one that was good."""

    state: StateDirectory
    configuration: Configuration | None = None
    snapshot: bytes | None = None
    refused: ConfigError | None = None

    @property
    def admin(self) -> AdminSettings:
        return self.configuration.admin if self.configuration else LAST_GOOD_ADMIN


def read_start(options: RunOptions) -> Start:
    """Read the configuration; with `last_good`, fall back on the saved snapshot. Raises `ConfigError`."""
    try:
        configuration = read(options.paths)
    except ConfigError as error:
        state = StateDirectory(choose_directory(options.paths[0]))
        snapshot = state.last_snapshot() if options.last_good else None
        if snapshot is None:
            raise
        say(f"{error}\nstarting from the last good configuration in {state.snapshot_file}")
        return Start(state, snapshot=snapshot, refused=error)
    return Start(configuration.state, configuration)


class Life:
    """The life of one node."""

    def __init__(self, options: RunOptions, start: Start, make: MakeEngine) -> None:
        self._options = options
        self._start = start
        self._ending = asyncio.Event()
        self._begun = asyncio.Event()
        self._old: OldNode | None = None
        self._takeover: TakeoverListener | None = None
        self._is_serving = False
        self._is_replaced = False
        self._why = "drain asked for by the admin API"
        self._succession = Succession(sys.orig_argv, lambda: self._is_replaced)
        self._node = Node(make(self._engine_options()), start.state)
        if start.configuration is not None:
            # From the first entry on: a key that came later would leave the first ones without.
            self._node.audit.use(start.configuration.audit)
        self._reloader = Reloader(self._node, options.paths, start.configuration)

    async def live(self, ready: Ready | None = None) -> int:
        """Start, serve, drain, stop; give the exit code."""
        with self._signals():
            try:
                admin = await self._open()
            except GatewrightError as error:
                say(str(error))
                return 1
            async with asyncio.TaskGroup() as tasks:
                serving = tasks.create_task(self._serve_admin(admin))
                try:
                    code = await self._serve(tasks, admin, ready)
                finally:
                    await self._node.close()
                    self._begun.set()
                    admin.stop()
                    await serving
        return code

    async def _open(self) -> AdminServer:
        """Open the admin listener, start the data plane; with the old node's sockets where one hands over."""
        settings = self._start.admin
        if self._options.takeover:
            self._old = await asyncio.to_thread(old_node, self._start.state.path)
        inherited = self._old.admin_socket(settings) if self._old is not None else None
        admin = AdminServer(build_app(self._node, self._admin_settings), settings, inherited)
        self._node.start()
        if self._old is not None:
            await asyncio.to_thread(self._old.hand_over, self._node.engine)
        return admin

    async def _serve_admin(self, admin: AdminServer) -> None:
        if self._old is not None:
            # Until this node is ready, the answers of the old one at the same address are the right ones.
            await self._begun.wait()
            if not self._is_serving:
                return
        await supervised("admin", admin.run)

    async def _serve(self, tasks: asyncio.TaskGroup, admin: AdminServer, ready: Ready | None) -> int:
        try:
            await self._begin()
            if self._old is not None:
                await asyncio.to_thread(self._old.drain)
                await self._node.revocations.read_again()
        except (GatewrightError, OSError) as error:
            say(str(error))
            await self._node.audit.act(GATEWAY, "node.start", {"error": str(error)}, "failed")
            if self._node.status.is_applied:
                await self._node.drain(self._drain_seconds()[0])
            return 1
        await self._node.audit.act(GATEWAY, "node.start", self._beginning())
        self._takeover = takeover = self._be_next(admin)
        self._is_serving = True
        self._begun.set()
        self._announce(admin)
        background = [tasks.create_task(supervised(name, work)) for name, work in self._work()]
        if takeover is not None:
            background.append(tasks.create_task(supervised("takeover", takeover.run)))
        if ready is not None:
            background.append(tasks.create_task(ready(self._node, admin)))
        await self._ending.wait()
        await self._node.audit.act(GATEWAY, "node.stop", {"why": self._why})
        if self._is_replaced:
            # Before it says that it drains: who asks at this address wants to know of the new node.
            await admin.close()
        await self._node.drain(*self._drain_seconds())
        if takeover is not None:
            takeover.close()
        await end(*background)
        return 0

    async def _begin(self) -> None:
        if self._start.configuration is not None:
            await self._node.apply(self._start.configuration)
        elif self._start.snapshot is not None:
            await self._node.apply_last_good(self._start.snapshot)
            if self._start.refused is not None:
                self._node.status.refused(self._start.refused)

    def _be_next(self, admin: AdminServer) -> TakeoverListener | None:
        """Answer whoever takes over next, in the place of the old node."""
        handing = Handing(
            engine=self._node.engine,
            admin=self._start.admin,
            admin_socket=admin.socket,
            applying=self._node.applying,
            refuses=lambda: "it is draining" if self._ending.is_set() else None,
            taken=self._replaced,
        )
        try:
            return TakeoverListener(self._start.state.path, handing)
        except OSError as error:
            log.warning("no process can take over from this one", extra={"error": str(error)})
            return None

    def _beginning(self) -> dict[str, object]:
        """What the audit log is told of the start."""
        version, from_pid = self._node.status.version, self._old.pid if self._old is not None else None
        return {"version": version, "workers": self._workers(), "took_over_from": from_pid}

    def _replaced(self) -> None:
        self._is_replaced = True
        self._why = "another process took over"
        self._ending.set()

    def _work(self) -> list[tuple[str, Work]]:
        return [
            ("key sets", self._node.key_sets.run),
            ("logins", self._node.logins.run),
            ("discovery", self._node.discovery.run),
            ("certificates", self._node.expiry.run),
            ("metrics", MetricsPush(self._node).run),
            ("names of metrics", NamesWatch(self._node.engine).run),
            ("grace periods", self._node.grace.run),
            ("addresses", self._node.address_files.run),
            ("audit", self._node.audit.run),
            ("alerts", self._node.alerting.run),
            ("drain request", self._end_when_asked),
            ("reload", self._reloader.run),
        ]

    async def _end_when_asked(self) -> None:
        await self._node.drain_wanted.wait()
        self._ending.set()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up, loop)
        loop.add_signal_handler(signal.SIGUSR2, self._succeed)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
                loop.remove_signal_handler(number)

    def _end(self, number: signal.Signals) -> None:
        if self._ending.is_set() and not self._is_replaced:
            log.warning("ended at once", extra={"signal": number.name})
            # Threads of the data plane still serve; a clean exit would wait for them.
            os._exit(1)
        log.info("draining", extra={"signal": number.name})
        self._why = number.name
        self._node.is_draining = True
        self._ending.set()

    def _hang_up(self, loop: asyncio.AbstractEventLoop) -> None:
        self._node.records.reopen()
        self._reloading = loop.create_task(self._reloader.reload())

    def _succeed(self) -> None:
        if self._takeover is None or self._ending.is_set():
            log.warning("no successor is started: this node is starting or draining, or none can take over")
            return
        self._succession.begin()

    def _admin_settings(self) -> AdminSettings:
        return self._node.configuration.admin if self._node.configuration else self._start.admin

    def _drain_seconds(self) -> tuple[float, float]:
        """Give how long requests may finish, and how long connections are still accepted before that."""
        if self._node.configuration is None:
            return DRAIN_SECONDS, 0.0
        node = self._node.configuration.gateway.node
        # After a takeover the new node is ready at the same addresses: nobody has to look away.
        return node.drain_timeout / 1000, 0.0 if self._is_replaced else node.drain_delay / 1000

    def _engine_options(self) -> bytes:
        return json.dumps({
            "workers": self._workers(),
            "identity_timeout_ms": IDENTITY_TIMEOUT_MS,
        }).encode()

    def _workers(self) -> int:
        configured = self._start.configuration.gateway.node.workers if self._start.configuration else None
        return self._options.workers or configured or len(os.sched_getaffinity(0))

    def _scheme(self, listener: str) -> str:
        loaded = self._node.loaded()
        return "https" if loaded is not None and listener in loaded.tls.listener_pairs else "http"

    def _announce(self, admin: AdminServer) -> None:
        for listener in json.loads(self._node.engine.state()).get("listeners", []):
            say(f"listening on {self._scheme(listener['name'])}://{listener['address']} ({listener['name']})")
        settings = self._start.admin
        say(f"admin on {AdminSettings(settings.host, admin.port).url}")
        say(f"configuration version {self._node.status.version} is live; state in {self._start.state.path}")
        for warning in self._node.status.warnings:
            say(f"warning: {warning}")


async def supervised(name: str, work: Work) -> None:
    """Run `work` until it returns; after a fault log it and begin again. The data plane serves on
    meanwhile.
    """
    while True:
        try:
            return await work()
        except Exception:
            log.exception("background work failed", extra={"work": name})
        await asyncio.sleep(RESTART_SECONDS)


def as_paths(texts: Sequence[Path]) -> tuple[Path, ...]:
    """The configuration files of a command line: `gateway.yaml` of the working directory when none is
    given.
    """
    return tuple(texts) or (Path("gateway.yaml"),)
