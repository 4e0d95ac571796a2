"""API-key files: `{"keys": [{"id", "hash", "partner", "scopes", "tier", "expires_at", "networks"}]}`, hashes
only.

A key is shown once, when it is made. What is stored is its SHA-256, or its HMAC-SHA256 where the identity
has a pepper.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gatewright.control.durable import write_durably
from gatewright.errors import GatewrightError

PREFIX = "pk_live_"
# 40 characters of 62: 238 bits, so that a plain hash at rest cannot be searched.
LENGTH = 40
ALPHABET = string.ascii_letters + string.digits


class ApiKeyError(GatewrightError):
    """A key file cannot be read or changed."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a new key shall stand for."""

    partner: str
    scopes: tuple[str, ...] = ()
    tier: str | None = None
    expires_at: datetime | None = None
    networks: tuple[str, ...] = ()


def new_secret() -> str:
    """A new key: `pk_live_` and 40 random letters and digits."""
    return PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def hash_of(secret: str, pepper: str | None = None) -> str:
    """What is stored of a key, as lower-case hexadecimal."""
    if pepper is None:
        return hashlib.sha256(secret.encode()).hexdigest()
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()


def entry_of(key: NewKey, secret: str, pepper: str | None = None) -> dict[str, object]:
    """The entry of a key file for a new key; its id is random and tells nothing about the secret."""
    entry: dict[str, object] = {
        "id": f"key_{secrets.token_hex(6)}",
        "hash": hash_of(secret, pepper),
        "partner": key.partner,
        "scopes": list(key.scopes),
    }
    if key.tier is not None:
        entry["tier"] = key.tier
    if key.expires_at is not None:
        entry["expires_at"] = key.expires_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if key.networks:
        entry["networks"] = list(key.networks)
    return entry


def create(path: Path, key: NewKey, pepper: str | None = None) -> tuple[str, str]:
    """Add a key to a file, which is made if it is missing; give the key's id and secret. Raises
    `ApiKeyError`.
    """
    secret = new_secret()
    entry = entry_of(key, secret, pepper)
    with locked(path):
        write(path, [*entries(path), entry])
    return str(entry["id"]), secret


def entries(path: Path) -> list[dict[str, object]]:
    """The entries of a file, none if it does not exist. Raises `ApiKeyError`."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise ApiKeyError(f"`{path}` cannot be read: {error}") from error
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise ApiKeyError(f'`{path}` is no key file; it should be {{"keys": [...]}}')
    return keys


def write(path: Path, keys: list[dict[str, object]]) -> None:
    """Replace a file in one step, readable by its owner alone. Raises `ApiKeyError`."""
    try:
        write_durably(path, (json.dumps({"keys": keys}, indent=2) + "\n").encode())
    except OSError as error:
        raise ApiKeyError(f"`{path}` cannot be written: {error.strerror}") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else changes this file meanwhile, or one of two new keys would be lost. Raises `ApiKeyError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ApiKeyError(f"`{path.parent}` cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
