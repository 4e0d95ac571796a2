"""Key sets on disk, so that a node that starts while an issuer is down still knows whom to let in.

They are public keys: what is worth protecting is that nobody else writes the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gatewright.control.durable import write_durably
from gatewright.identity.fetch import KeySetSource, KeySetTimes

FORMAT = 1
MAXIMUM_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class KeptKeySet:
    """One key set as it was fetched, at an epoch second."""

    source: KeySetSource
    keys: bytes
    fetched_at: float


class KeptKeys:
    """The file of kept key sets."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, KeptKeySet]:
        """What was kept, by identity; nothing where the file cannot be used. Blocks."""
        try:
            if self._path.stat().st_size > MAXIMUM_BYTES:
                return {}
            document = json.loads(self._path.read_bytes())
            if document["format"] != FORMAT:
                return {}
            kept = [read(entry) for entry in document["sets"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}
        return {one.source.identity: one for one in kept}

    def save(self, sets: Iterable[KeptKeySet]) -> None:
        """Replace what is kept. Blocks. Raises `OSError`."""
        document = {"format": FORMAT, "sets": [written(one) for one in sets]}
        write_durably(self._path, json.dumps(document, separators=(",", ":")).encode())


def written(kept: KeptKeySet) -> dict[str, object]:
    keys = json.loads(kept.keys)["keys"]
    return {"source": asdict(kept.source), "keys": keys, "fetched_at": kept.fetched_at}


def read(entry: dict[str, Any]) -> KeptKeySet:
    told = entry["source"]
    names = (told["identity"], told["url"])
    if not all(isinstance(name, str) for name in names):
        raise TypeError
    source = KeySetSource(*names, bool(told["allow_http"]), KeySetTimes(**told["times"]), told["issuer"])
    keys = json.dumps({"keys": entry["keys"]}, separators=(",", ":"), sort_keys=True).encode()
    return KeptKeySet(source, keys, float(entry["fetched_at"]))
