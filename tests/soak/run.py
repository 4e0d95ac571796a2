"""`make soak SECONDS=1800`: half load, a reload every second, instances that come and go.

Prints a table over time, writes it to `results/`, and exits with 1 where a request failed, memory or
descriptors grew, a record was dropped or something panicked.
"""

import argparse
import asyncio
import itertools
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from gateway.ports import unused_ports
from soak.journal import Journal
from soak.loads import Clients, Downloads, H2load, Load, Uploads
from soak.world import Sample, World

RESULTS = Path(__file__).with_name("results")
RELOAD_SECONDS = 1.0
CALIBRATION_SECONDS = 3
PROGRESS_RELOADS = 60
BULK_CLIENTS = 16
ROWS = 30
MEBIBYTE = 1 << 20
# Of the median of the last third over that of the second one: the first third warms up.
RESIDENT_GROWTH = 8 * MEBIBYTE
DESCRIPTOR_GROWTH = 30


@dataclass(frozen=True)
class Row:
    """One moment of the run."""

    seconds: float
    requests: int
    failed: int
    p99: float
    sample: Sample

    def line(self) -> str:
        """Of the table."""
        held = self.sample
        cells = [f"{self.seconds:.0f}", self.requests, self.failed, f"{self.p99 * 1000:.1f}"]
        cells += [f"{held.resident / MEBIBYTE:.1f}", held.descriptors, held.connections, held.version]
        return f"| {' | '.join(map(str, cells))} |"


@dataclass
class Outcome:
    """The run as a whole, as far as it has come."""

    rate: int = 0
    rows: list[Row] = field(default_factory=list)
    loads: Sequence[Load] = ()
    replaced: int = 0
    said: list[str] = field(default_factory=list)
    resident_growth: int = RESIDENT_GROWTH
    # Where it goes what happens meanwhile.
    say: Callable[[str], None] = print

    def faults(self) -> list[str]:
        """Everything that must not be. Empty after a good run."""
        found = [failure for load in self.loads for failure in load.tally.failures]
        found += [f"{load.name}: no request" for load in self.loads if load.tally.requests == 0]
        resident = self.growth([row.sample.resident for row in self.rows])
        if resident > self.resident_growth:
            found.append(f"resident memory grew by {resident / MEBIBYTE:.1f} MiB")
        descriptors = self.growth([row.sample.descriptors for row in self.rows])
        if descriptors > DESCRIPTOR_GROWTH:
            found.append(f"{descriptors:.0f} more descriptors")
        if self.rows and (dropped := self.rows[-1].sample.dropped):
            found.append(f"{dropped} records were dropped")
        return found + [line for line in self.said if "panicked" in line or '"level": "error"' in line]

    @staticmethod
    def growth(values: Sequence[int]) -> float:
        third = len(values) // 3
        if third == 0:
            return 0.0
        return statistics.median(values[-third:]) - statistics.median(values[third : 2 * third])

    def table(self) -> str:
        lines = [
            "| s | requests | failed | p99, ms | resident, MiB | descriptors | connections | version |",
            "|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        step = max(1, len(self.rows) // ROWS)
        for row in [*self.rows[:-1:step], *self.rows[-1:]]:
            lines.append(row.line())
        return "\n".join(lines) + "\n"


async def soak(outcome: Outcome, seconds: float, directory: Path, share: float) -> None:
    """Start everything, load it for so long, end it. Where it breaks off, `outcome` has what there was.

    `share` is the load as a share of what this machine can do, gateway, services and clients together.
    """
    ports = unused_ports()
    world = World(directory, next(ports), next(ports), ports, say=outcome.say)
    try:
        await asyncio.to_thread(world.start)
        outcome.rate = await half(world.port, share)
        outcome.loads = loads(outcome.rate, seconds)
        await carry(world, outcome, seconds)
    finally:
        outcome.replaced = world.replaced
        outcome.said = world.gateway.lines if world.gateway is not None else []
        await asyncio.to_thread(world.stop)


async def half(port: int, share: float) -> int:
    """Requests per second: a share of what comes through when nobody holds back, on this machine, now."""
    trial = H2load("trial", BULK_CLIENTS, 0)
    succeeded = await trial.segment(port, CALIBRATION_SECONDS)
    if trial.tally.failures:
        raise RuntimeError(trial.tally.failures)
    return max(BULK_CLIENTS, int(share * succeeded / CALIBRATION_SECONDS))


def loads(rate: int, seconds: float) -> list[Load]:
    segment = max(2, min(10, int(seconds // 4)))
    return [
        H2load("kept connections", BULK_CLIENTS, rate, segment_seconds=segment),
        Clients("new connections", 4, 0.05),
        Uploads("uploads", 2, 0.1),
        Downloads("downloads", 2, 0.1),
    ]


async def carry(world: World, outcome: Outcome, seconds: float) -> None:
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for load in outcome.loads:
            tasks.create_task(load.run(world.port, stopping))
        try:
            await reload(world, outcome, seconds)
        finally:
            stopping.set()


async def reload(world: World, outcome: Outcome, seconds: float) -> None:
    """Again and again, with a look at the gateway after each time."""
    start = time.monotonic()
    told: Counter[str] = Counter()
    for turn in itertools.count(1):
        await asyncio.to_thread(world.turn)
        await asyncio.sleep(max(0.0, start + turn * RELOAD_SECONDS - time.monotonic()))
        outcome.rows.append(await look(world, outcome, time.monotonic() - start))
        for load in outcome.loads:
            for failure in load.tally.failures[told[load.name] :]:
                outcome.say(failure)
            told[load.name] = len(load.tally.failures)
        if turn % PROGRESS_RELOADS == 0:
            print(outcome.rows[-1].line(), flush=True)
            outcome.say(outcome.rows[-1].line())
        if time.monotonic() - start >= seconds:
            return


async def look(world: World, outcome: Outcome, seconds: float) -> Row:
    tallies = [load.tally for load in outcome.loads]
    small = sorted(outcome.loads[1].tally.seconds)
    for tally in tallies:
        tally.seconds.clear()
    return Row(
        seconds,
        sum(tally.requests for tally in tallies),
        sum(tally.failed for tally in tallies),
        small[int(0.99 * (len(small) - 1))] if small else 0.0,
        await asyncio.to_thread(world.sample),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--share", type=float, default=0.5, help="load, as a share of the most (0.5)")
    options = parser.parse_args()
    # As an exception, so that nothing that was started outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.md"
    journal = Journal(path.with_suffix(".log"))
    outcome, broken_off = Outcome(say=journal.say), []
    try:
        with tempfile.TemporaryDirectory(prefix="gatewright-soak-") as directory:
            asyncio.run(soak(outcome, options.seconds, Path(directory), options.share))
    except (Exception, SystemExit) as error:
        broken_off.append(f"broke off: {error!r}")
        journal.say("".join(traceback.format_exception(error)))
    for line in outcome.said:
        journal.say(f"gateway: {line}")
    journal.close()
    text = report(outcome, broken_off)
    print(f"{text}\nWhat happened meanwhile: {path.with_suffix('.log')}")
    path.write_text(text)
    return 1 if broken_off or outcome.faults() else 0


def report(outcome: Outcome, broken_off: Sequence[str]) -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    counts = "; ".join(f"{load.name} {load.tally.requests}" for load in outcome.loads)
    faults = [*broken_off, *outcome.faults()]
    return "\n".join([
        "# Soak",
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}, Python {sys.version.split()[0]}. "
        f"{outcome.rate} requests per second on kept connections; a reload every second; "
        f"{outcome.replaced} instances replaced. Requests: {counts}.",
        "",
        outcome.table(),
        *(["Wrong:", "", *(f"- {one}" for one in faults)] if faults else ["Nothing failed, nothing grew."]),
        "",
    ])


if __name__ == "__main__":
    raise SystemExit(main())
