"""One revocation of tokens, and which of two that mean the same holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

LONGEST_VALUE = 1024
LONGEST_NAME = 100
LONGEST_WHY = 300
KINDS = frozenset({"token", "subject", "identity"})


@dataclass(frozen=True, slots=True)
class Revocation:
    """Tokens that count no more: one by its `jti`, those of a subject, or those of a whole identity.

    `identity` of `None` means all identities. Of subjects and identities those tokens are meant that were
    issued before `issued_before_ms`. After `until_ms` every such token has expired. One that is `restored`
    means no token any more; it is kept so that no node brings back what it was.
    """

    kind: str
    identity: str | None
    value: str | None
    issued_before_ms: int
    until_ms: int
    changed_ms: int
    restored: bool = False
    by: str = ""
    why: str | None = None

    @property
    def id(self) -> str:
        """Equal for what means the same tokens, so that the later one replaces the earlier."""
        text = json.dumps([self.kind, self.identity, self.value])
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    @property
    def takes_room(self) -> bool:
        """Is it counted against `max_entries`? Of identities there are few."""
        return self.kind != "identity"

    def follows(self, other: Revocation) -> bool:
        """Does it replace this other one of the same id? Of two at one moment the stricter."""
        return (self.changed_ms, not self.restored) > (other.changed_ms, not other.restored)

    def document(self) -> dict[str, Any]:
        """As the data plane takes it."""
        return {
            "kind": self.kind,
            "identity": self.identity,
            "value": self.value,
            "issued_before_ms": self.issued_before_ms,
            "until_ms": self.until_ms,
        }

    def text(self) -> str:
        """As it is stored and told to other nodes."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)


def of_text(text: str | bytes) -> Revocation | None:
    """What was stored or told; `None` for anything else, since others may write under our names."""
    try:
        return of_fields(json.loads(text))
    except (ValueError, RecursionError):
        return None


def of_fields(fields: object) -> Revocation | None:
    """The same of what a text holds."""
    try:
        made = Revocation(**fields)  # type: ignore[arg-type] - anything else is a `TypeError`.
    except TypeError:
        return None
    numbers = (made.issued_before_ms, made.until_ms, made.changed_ms)
    is_sound = (
        made.kind in KINDS
        and all(type(number) is int and 0 <= number < 1 << 53 for number in numbers)
        and type(made.restored) is bool
        and is_text(made.identity, LONGEST_NAME)
        and is_text(made.value, LONGEST_VALUE)
        and (made.value is None) == (made.kind == "identity")
        and isinstance(made.by, str)
        and is_text(made.by or None, LONGEST_NAME)
        and is_text(made.why, LONGEST_WHY)
    )
    return made if is_sound else None


def is_text(text: object, longest: int) -> bool:
    return text is None or (isinstance(text, str) and 0 < len(text) <= longest)


def documents(entries: Iterable[Revocation]) -> bytes:
    """Entries as the data plane takes them."""
    return json.dumps([entry.document() for entry in entries]).encode()
