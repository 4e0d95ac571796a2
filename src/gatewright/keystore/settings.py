"""What a configuration says of the store, as plain data. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gatewright.keystore.database import Database
from gatewright.keystore.postgresql import PostgresDatabase
from gatewright.keystore.sharing import SharingSettings
from gatewright.keystore.sqlite import SqliteDatabase
from gatewright.keystore.store import KeyStore


@dataclass(frozen=True, slots=True)
class LeakSettings:
    """More networks than `networks` within `window` raise an alert."""

    networks: int = 20
    window: float = 3600.0


@dataclass(frozen=True, slots=True)
class KeyStoreSettings:
    """Where the store is, and how often a node turns to it by itself."""

    secret: str = field(repr=False)
    path: Path | None = None
    url: str | None = field(default=None, repr=False)
    timeout: float = 1.0
    watch_interval: float = 1.0
    usage_interval: float = 10.0
    usage_retention: float = 400 * 86_400.0
    leaks: LeakSettings | None = None
    sharing: SharingSettings | None = None
    tiers: tuple[str, ...] = ()
    """Tiers that keys may name."""

    @property
    def kind(self) -> str:
        return "sqlite" if self.url is None else "postgresql"

    def database(self) -> Database:
        """The database, not open yet."""
        if self.url is not None:
            return PostgresDatabase(self.url)
        return SqliteDatabase(self.path or Path("keys.db"))

    def store(self) -> KeyStore:
        """The store, not open yet."""
        return KeyStore(self.database(), self.secret)
