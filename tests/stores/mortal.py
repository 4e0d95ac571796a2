"""A store in a process of its own that is killed while it works, keeps what it had stored, and is started
again: `python -m stores.mortal KIND PORT DIRECTORY WHEN`.

WHEN is `stored:3` or `received:3`: SIGKILL at the third request, after it is stored and before it is
answered, or before it is stored. `never` lives.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from stores.http import STORES, ClickHouseStore, ElasticsearchStore, Received, Reply, Store

TESTS = Path(__file__).resolve().parent.parent


class MortalStore:
    """The process as a test sees it."""

    def __init__(self, kind: str, port: int, directory: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._arguments = [kind, str(port), str(directory)]
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    def start(self, when: str) -> None:
        """Start it; it listens when this returns."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stores.mortal", *self._arguments, when],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "listening\n"

    def wait(self) -> int:
        """Wait for its death, and say what it died of."""
        assert self._process is not None
        assert self._process.stdout is not None
        status = self._process.wait(30)
        self._process.stdout.close()
        return status

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self.wait()

    @property
    def numbers(self) -> list[int]:
        """The field `number` of every stored record, in order of storing."""
        return load(self._directory)["numbers"]

    @property
    def wrong(self) -> list[str]:
        return load(self._directory)["wrong"]


def load(directory: Path) -> dict[str, Any]:
    file = directory / "state.json"
    known = {"numbers": [], "documents": [], "tokens": [], "wrong": []}
    return json.loads(file.read_text()) if file.exists() else known


def save(directory: Path, state: dict[str, Any]) -> None:
    partial = directory / "state.partial"
    partial.write_text(json.dumps(state))
    partial.replace(directory / "state.json")


def keep(store: Store, directory: Path, when: str) -> None:
    """Let a store have what it had before, save what it accepts, and die when it is time."""
    moment, _, last = when.partition(":")
    before, accept, requests = load(directory), store.accept, 0
    if isinstance(store, ElasticsearchStore):
        store.documents.update({(index, name): {} for index, name in before["documents"]})
    if isinstance(store, ClickHouseStore):
        store.tokens.update(before["tokens"])

    def kept(request: Received) -> Reply:
        nonlocal requests
        requests += 1
        is_last = last != "" and requests == int(last)
        if is_last and moment == "received":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = accept(request)
        state = {
            "numbers": before["numbers"] + [record["number"] for record in store.records],
            "documents": list(getattr(store, "documents", [])),
            "tokens": list(getattr(store, "tokens", [])),
            "wrong": before["wrong"] + store.wrong,
        }
        save(directory, state)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    store.accept = kept


def main() -> None:
    kind, port, directory, when = sys.argv[1:]
    store = STORES[kind](int(port))
    keep(store, Path(directory), when)
    store.start()
    print("listening", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
