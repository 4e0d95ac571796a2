"""One entry of the audit log: its form as a line of JSON, and the seal that chains it to the one before.

A line is `{"seq", "time", "pid", "kind", "who", "what", "outcome", "fields", "previous", "hash"}`. `hash` is
made of the very bytes that stand before it, and `previous` is the hash of the line before: whoever changes,
removes, adds or moves a line has to make every later hash anew, which nobody can where they are keyed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ACT = "act"
DECISION = "decision"
LOG = "log"
"""Kinds: what somebody did; what the gateway decided about a request; what happened to the log itself."""

NOTHING = "0" * 64
"""The hash before the first entry."""
LONGEST_LINE = 16_384
LONGEST_TEXT = 512
MOST_VALUES = 100
DEEPEST = 4

HIDDEN = "***"
_BEFORE_HASH = b',"hash":"'
_AFTER_HASH = b'"}'
# A second fence: whoever writes an entry leaves secrets out.
_SECRETS = frozenset({
    *("authorization", "cookie", "password", "passwd", "secret", "token", "api_key", "credential"),
    *("client_secret", "access_token", "refresh_token", "id_token", "private_key"),
})

Fields = dict[str, Any]


class BrokenEntryError(Exception):
    """A line is no entry, or not as it was written."""


@dataclass(frozen=True, slots=True)
class Seal:
    """How lines are hashed: with the key, if there is one."""

    key: bytes | None = None

    @property
    def name(self) -> str:
        """`sha256`, or `hmac-sha256:` and what tells keys apart."""
        if self.key is None:
            return "sha256"
        return f"hmac-sha256:{hashlib.sha256(b'gatewright audit key ' + self.key).hexdigest()[:8]}"

    def of(self, text: bytes) -> str:
        if self.key is None:
            return hashlib.sha256(text).hexdigest()
        return hmac.new(self.key, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written. `who` names a principal; `fields` hold no secret."""

    kind: str
    who: Mapping[str, str]
    what: str
    outcome: str = "done"
    fields: Mapping[str, object] = field(default_factory=dict)
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that was read: what it says, and the bytes that its hash is of."""

    document: Fields
    sealed: bytes
    hash: str

    @property
    def seq(self) -> int:
        return self.document["seq"]

    @property
    def previous(self) -> str:
        return self.document["previous"]


def line_of(draft: Draft, seq: int, previous: str, seal: Seal, pid: int) -> tuple[bytes, str]:
    """The line of an entry with its line end, and its hash."""
    document = {
        "seq": seq,
        "time": draft.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "pid": pid,
        "kind": draft.kind,
        "who": bounded(draft.who),
        "what": bounded(draft.what),
        "outcome": bounded(draft.outcome),
        "fields": bounded(draft.fields),
        "previous": previous,
    }
    text = written(document)
    if len(text) > LONGEST_LINE:
        text = written(document | {"fields": {"too_long": True, "names": bounded(list(draft.fields))}})
    digest = seal.of(text)
    return text[:-1] + _BEFORE_HASH + digest.encode() + _AFTER_HASH + b"\n", digest


def written(document: Fields) -> bytes:
    """JSON on one line, in ASCII: no text can end the line or steer a terminal."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def read_line(line: bytes) -> Entry:
    """The entry of a line without its line end. Raises `BrokenEntryError`; whether the hash is right is
    for `Seal` to say.
    """
    start = len(line) - len(_AFTER_HASH) - 64
    digest = line[start:-2]
    if start < len(_BEFORE_HASH) or not line.endswith(_AFTER_HASH) or line[:start][-9:] != _BEFORE_HASH:
        raise BrokenEntryError("the line does not end with a hash")
    sealed = line[: start - len(_BEFORE_HASH)] + b"}"
    try:
        document = json.loads(sealed)
    except ValueError as error:
        raise BrokenEntryError("the line is no JSON") from error
    wanted = {"seq": int, "previous": str, "kind": str, "what": str, "time": str, "fields": dict, "who": dict}
    for name, kind in wanted.items():
        if not isinstance(document, dict) or not isinstance(document.get(name), kind):
            raise BrokenEntryError(f"`{name}` is missing")
    return Entry(document, sealed, digest.decode("ascii", "replace"))


def bounded(value: object, depth: int = 0) -> Any:
    """What of a value goes into an entry: plain data, short, without what looks like a secret."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        # Neither of the others is JSON.
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping) and depth < DEEPEST:
        items = list(value.items())[:MOST_VALUES]
        return {
            str(name)[:LONGEST_TEXT]: HIDDEN if is_secret(str(name)) else bounded(one, depth + 1)
            for name, one in items
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < DEEPEST:
        return [bounded(one, depth + 1) for one in list(value)[:MOST_VALUES]]
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def is_secret(name: str) -> bool:
    return name.lower().replace("-", "_") in _SECRETS
