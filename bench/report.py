"""What a run found, as a table for people and as JSON for programs."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from load import Served
from processes import CpuTime
from scenario import Scenario

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One peer, one scenario, one round."""

    scenario: str
    peer: str
    round: int
    served: Served
    cpu: CpuTime
    memory_bytes: int
    # Lines in the access log for each request; below 1 some were dropped. `None` where there is no log.
    logged: float | None
    # Bytes that each connection adds, where all are idle. `None` where they send requests.
    idle_bytes: float | None = None

    @property
    def price(self) -> float:
        """What is compared between peers: microseconds per request, or KiB per idle connection."""
        return self.cpu_us if self.idle_bytes is None else self.idle_bytes / 1024

    @property
    def price_text(self) -> str:
        return f"{self.price:.1f} {'µs' if self.idle_bytes is None else 'KiB'}"

    @property
    def user_us(self) -> float:
        return self.cpu.user / self.served.requests * 1e6

    @property
    def system_us(self) -> float:
        return self.cpu.system / self.served.requests * 1e6

    @property
    def cpu_us(self) -> float:
        return self.user_us + self.system_us

    @property
    def busy(self) -> float:
        """Share of its core. Well below 1, the load generator was the limit of requests/s."""
        return (self.cpu.user + self.cpu.system) / self.served.seconds


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians over the rounds of one peer in one scenario; the ratio is the median of each round's ratio."""

    scenario: str
    peer: str
    # `None` where the connections are idle; then `idle_kib` is what each adds.
    idle_kib: float | None
    cpu_us: float
    user_us: float
    system_us: float
    ratio: float | None
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    busy: float
    memory_mib: float
    logged: float | None
    failed: int
    rounds: int


@dataclass(slots=True)
class Run:
    """Everything that a run has to say."""

    started: datetime
    settings: dict[str, Any]
    versions: dict[str, str]
    notes: list[str] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    def summaries(self, scenario: str) -> list[Summary]:
        """Of the peers in the order in which they were measured."""
        mine = [one for one in self.measurements if one.scenario == scenario]
        peers = dict.fromkeys(one.peer for one in mine)
        base = {one.round: one.price for one in mine if one.peer == "nginx"}
        return [summarise([one for one in mine if one.peer == peer], base) for peer in peers]


def summarise(rounds: Sequence[Measurement], base: dict[int, float]) -> Summary:
    def median(value: Callable[[Measurement], float]) -> float:
        return statistics.median(map(value, rounds))

    ratios = [one.price / base[one.round] for one in rounds if base.get(one.round)]
    logged = [one.logged for one in rounds if one.logged is not None]
    return Summary(
        scenario=rounds[0].scenario,
        peer=rounds[0].peer,
        idle_kib=None if rounds[0].idle_bytes is None else median(lambda one: one.price),
        cpu_us=median(lambda one: one.cpu_us),
        user_us=median(lambda one: one.user_us),
        system_us=median(lambda one: one.system_us),
        ratio=statistics.median(ratios) if ratios else None,
        requests_per_second=median(lambda one: one.served.requests / one.served.seconds),
        p50_ms=median(lambda one: one.served.p50 * 1000),
        p99_ms=median(lambda one: one.served.p99 * 1000),
        busy=median(lambda one: one.busy),
        memory_mib=median(lambda one: one.memory_bytes / 2**20),
        logged=min(logged) if logged else None,
        failed=sum(one.served.failed for one in rounds),
        rounds=len(rounds),
    )


COLUMNS = [
    "peer",
    "CPU µs",
    "user",
    "system",
    "to nginx",
    "req/s",
    "p50 ms",
    "p99 ms",
    "busy",
    "MiB",
    "logged",
    "failed",
]


EXPLANATION = """
CPU is that of all processes and threads of the gateway, per request; medians of all rounds. `busy` is the
share of its core that the gateway used: well below 100 %, the load generator was the limit, and req/s are not
the gateway's own. `logged` is lines of the access log per request; requests that were cut off at the end may
bring it above 100 %. Where a connection is opened for each request, that is part of the request.

Idle connections cost resident memory of all processes of the gateway (`KiB each`, without what it needs
anyhow and without the kernel's part), and the CPU time of waiting (`busy`); `lost` are those that it closed.
"""
IDLE_COLUMNS = ["peer", "KiB each", "to nginx", "MiB", "busy", "lost"]


def row(one: Summary) -> list[str]:
    return [
        one.peer,
        f"{one.cpu_us:.1f}",
        f"{one.user_us:.1f}",
        f"{one.system_us:.1f}",
        "" if one.ratio is None else f"{one.ratio:.2f}",
        f"{one.requests_per_second:,.0f}",
        f"{one.p50_ms:.2f}",
        f"{one.p99_ms:.2f}",
        f"{one.busy:.0%}",
        f"{one.memory_mib:.0f}",
        "" if one.logged is None else f"{one.logged:.1%}",
        f"{one.failed:,}",
    ]


def idle_row(one: Summary) -> list[str]:
    return [
        one.peer,
        f"{one.idle_kib:.1f}",
        "" if one.ratio is None else f"{one.ratio:.2f}",
        f"{one.memory_mib:.0f}",
        f"{one.busy:.2%}",
        f"{one.failed:,}",
    ]


def table(summaries: Sequence[Summary]) -> str:
    """A table that reads as text and as Markdown."""
    is_idle = any(one.idle_kib is not None for one in summaries)
    columns, row_of = (IDLE_COLUMNS, idle_row) if is_idle else (COLUMNS, row)
    rows = [columns, *map(row_of, summaries)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(columns))]

    def show(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return f"| {first[0]:<{first[1]}} | " + " | ".join(f"{cell:>{width}}" for cell, width in rest) + " |"

    rule = "|" + "-" * (widths[0] + 2) + "|" + "|".join("-" * (width + 1) + ":" for width in widths[1:]) + "|"
    return "\n".join([show(columns), rule, *map(show, rows[1:])])


def section(run: Run, scenario: Scenario) -> str:
    return f"## {scenario.name}: {scenario.what}\n\n{table(run.summaries(scenario.name))}\n"


def write(run: Run, scenarios: Sequence[Scenario]) -> Path:
    """Write `DATE-COMMIT.json` and `.md`; give the latter."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    commit = git("rev-parse", "--short=10", "HEAD")
    stem = RESULTS / f"{run.started:%Y-%m-%d-%H%M%S}-{commit}"
    about = {
        "commit": commit,
        "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        **machine(),
    }
    summaries = {one.name: [asdict(found) for found in run.summaries(one.name)] for one in scenarios}
    document = {
        "started": run.started.isoformat(),
        "about": about,
        "settings": run.settings,
        "versions": run.versions,
        "notes": run.notes,
        "summaries": summaries,
        "measurements": [asdict(one) for one in run.measurements],
    }
    stem.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")
    changed = " with changes" if about["changed"] else ""
    lines = [
        f"# Bench of {run.started:%Y-%m-%d %H:%M} UTC, commit {commit}{changed}\n",
        *(f"- {name}: {value}" for name, value in {**machine(), **run.settings, **run.versions}.items()),
        *(f"- {note}" for note in run.notes),
        EXPLANATION,
        *(section(run, one) for one in scenarios),
    ]
    stem.with_suffix(".md").write_text("\n".join(lines))
    return stem.with_suffix(".md")


def machine() -> dict[str, str]:
    text = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "machine": f"{os.cpu_count()} x {models[0] if models else platform.machine()}",
        "kernel": platform.release(),
    }


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def now() -> datetime:
    return datetime.now(UTC)
