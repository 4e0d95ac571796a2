"""What the store knows of a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a new key shall stand for."""

    partner: str
    consumer: str | None = None
    tier: str | None = None
    scopes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    expires_at_ms: int | None = None
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What of a key shall be otherwise; the rest stays."""

    columns: Mapping[str, str | int | tuple[str, ...] | None] = field(default_factory=dict)
    """New values by column."""
    metadata: Mapping[str, str | None] = field(default_factory=dict)
    """Names with their new values; `None` takes a name out."""
    by: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """One of the secrets of a key, by its public prefix. A rotated key has two for a while."""

    prefix: str
    created_at_ms: int
    expires_at_ms: int | None


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key, without its hash: nobody who looks at keys needs it."""

    id: str
    partner: str
    consumer: str | None
    tier: str | None
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    metadata: Mapping[str, str]
    created_at_ms: int
    created_by: str | None
    expires_at_ms: int | None
    revoked_at_ms: int | None
    revoked_by: str | None
    revoked_why: str | None
    last_used_ms: int | None
    changed_at_ms: int | None
    changed_by: str | None
    secrets: tuple[StoredSecret, ...] = ()

    def state(self, now_ms: int) -> str:
        if self.revoked_at_ms is not None:
            return "revoked"
        is_over = self.expires_at_ms is not None and self.expires_at_ms <= now_ms
        return "expired" if is_over else "active"

    def document(self, now_ms: int) -> dict[str, Any]:
        """For people and programs; times as RFC 3339."""
        return {
            "id": self.id,
            "state": self.state(now_ms),
            "partner": self.partner,
            "consumer": self.consumer,
            "tier": self.tier,
            "scopes": list(self.scopes),
            "networks": list(self.networks),
            "metadata": dict(self.metadata),
            "created_at": moment(self.created_at_ms),
            "created_by": self.created_by,
            "expires_at": moment(self.expires_at_ms),
            "changed_at": moment(self.changed_at_ms),
            "changed_by": self.changed_by,
            "revoked_at": moment(self.revoked_at_ms),
            "revoked_by": self.revoked_by,
            "revoked_why": self.revoked_why,
            "last_used_at": moment(self.last_used_ms),
            "secrets": [
                {
                    "prefix": f"pk_live_{secret.prefix}",
                    "created_at": moment(secret.created_at_ms),
                    "expires_at": moment(secret.expires_at_ms),
                }
                for secret in self.secrets
            ],
        }


@dataclass(frozen=True, slots=True)
class Found:
    """What the data plane needs of a key that may be used."""

    id: str
    entry: Mapping[str, Any]
    ttl_ms: int | None = None
    """How long it may be believed; as long as `cache_ttl` says for `None`."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a key may not be used: `unknown`, `revoked` or `expired`; and which it is, where it is known."""

    why: str
    id: str | None = None


def moment(milliseconds: int | None) -> str | None:
    """An RFC 3339 time in UTC."""
    if milliseconds is None:
        return None
    text = datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
