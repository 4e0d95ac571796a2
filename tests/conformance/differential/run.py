"""`make conformance-differential`: every case against every peer; writes `results.md` beside this file.

Exits with 1 where a difference is not explained, or an explanation is needed no more.
"""

import argparse
import asyncio
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from conformance.differential.comparison import (
    ACCEPTS_MORE,
    OTHER_BYTES,
    REFUSES_MORE,
    SAME,
    Comparison,
    compare,
)
from conformance.differential.corpus import cases
from conformance.differential.subjects import PATH, envoy_program

RESULTS = Path(__file__).with_name("results.md")
PEERS = ["nginx", "haproxy", "envoy"]
VERDICTS = [SAME, REFUSES_MORE, ACCEPTS_MORE, OTHER_BYTES]
SHOWN = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generated", type=int, default=3000, help="cases of each generator (3000)")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--no-results", action="store_true", help="do not write the file")
    options = parser.parse_args()
    peers = options.peers.split(",")
    with tempfile.TemporaryDirectory(prefix="gatewright-differential-") as directory:
        done = asyncio.run(compare(cases(options.generated), peers, Path(directory)))
    for difference in done.unexplained[:SHOWN]:
        print(difference)
    unused = [reason for reason in done.explanations.reasons if not done.used[reason]]
    text = report(done)
    print(text)
    for reason in unused:
        print(f"needed no more: {reason}")
    print(f"{len(done.unexplained)} differences are not explained")
    if not options.no_results:
        RESULTS.write_text(text)
    return 1 if done.unexplained or unused or "gatewright" in done.strays else 0


def report(done: Comparison) -> str:
    commit = said("git", "rev-parse", "--short=10", "HEAD")
    # Envoy's line begins with the place of its program.
    envoy = said(str(envoy_program()), "--version").rpartition("version: ")[2]
    peers = f"{said('nginx', '-v')}; {said('haproxy', '-v')}; Envoy {envoy}"
    lines = [
        "# The same bytes through Gatewright, nginx, HAProxy and Envoy",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit}. {peers}.",
        "",
        "*same*: both services saw the same requests. *we refuse more*: ours saw the first of the peer's "
        "requests only. *we accept more*: the other way round. *other bytes*: a request differs. The last "
        "two are explained in [explained.toml](explained.toml).",
        "",
        f"| bytes | peer | cases | {' | '.join(VERDICTS)} |",
        "|---|---|--:|" + "--:|" * len(VERDICTS),
    ]
    for (kind, peer), counts in sorted(done.verdicts.items()):
        figures = " | ".join(str(counts[one]) for one in VERDICTS)
        lines.append(f"| {kind} | {peer} | {counts.total()} | {figures} |")
    lines += [
        "",
        "## Why we accept more, or forward other bytes",
        "",
        "| differences | reason |",
        "|--:|---|",
    ]
    lines += [f"| {count} | {reason} |" for reason, count in done.used.most_common()]
    told = [f"{name}: {len(seen)}, such as `{seen[0]}`." for name, seen in done.strays.items()]
    lines += ["", "## Requests that no client sent, but a service saw", "", *(told or ["None."])]
    lines += ["", "HAProxy takes the 200 to `CONNECT a:80` for a tunnel, and what follows for its bytes."]
    return "\n".join(lines) + "\n"


def said(*command: str) -> str:
    """The first line that a program prints, on either output."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env={"PATH": PATH}
        )
    except FileNotFoundError:
        return f"no {command[0]}"
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0].strip()


if __name__ == "__main__":
    raise SystemExit(main())
