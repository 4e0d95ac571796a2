"""Checks passwords for the data plane: slow on purpose, on threads of its own, and the same for a name that
nobody has as for a wrong password.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from gatewright.config.password_hashes import Cost, read, stamp

Document = dict[str, Any]
SALT_BYTES = 16
DEFAULT = Cost(memory_kib=64 * 1024, rounds=3, lanes=1, hash_bytes=32)
"""What a new hash takes, by RFC 9106's advice for small memory: about a tenth of a second."""


@dataclass(frozen=True, slots=True)
class PasswordSettings:
    """The hashes of all users, and how they are checked. Seconds."""

    hashes: tuple[str, ...] = field(default=(), repr=False)
    threads: int = 2
    timeout: float = 3.0


class PasswordChecker:
    """Checks passwords of one node. Belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._settings = PasswordSettings()
        self._hashes: Mapping[str, str] = {}
        # Of the configuration before: a request that began under it may still ask.
        self._previous: Mapping[str, str] = {}
        self._decoy = decoy(DEFAULT)
        self._threads: ThreadPoolExecutor | None = None
        self.checks = 0

    def use(self, settings: PasswordSettings) -> None:
        """Check against these hashes from now on. Call it before their configuration is live."""
        if settings == self._settings:
            return
        if settings.threads != self._settings.threads:
            self.close()
        if settings.hashes != self._settings.hashes:
            self._previous = self._hashes
            self._hashes = {stamp(one): one for one in settings.hashes}
            self._decoy = decoy(most_common(settings.hashes))
        self._settings = settings

    def close(self) -> None:
        """End when what is being checked is done; what waits is not checked any more."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    async def check(self, question: Document) -> Document:
        """Answer the data plane's question whether a password is right."""
        asked = self._clock()
        known = question.get("hash")
        hashed = self._hashes.get(str(known)) or self._previous.get(str(known))
        password = str(question["password"]).encode()
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._settings.threads, "passwords")
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._check, asked, hashed or self._decoy, password
        )
        try:
            is_right = await work
        except asyncio.CancelledError:
            return {"ok": False}
        if is_right is None or (known is not None and hashed is None):
            return {"ok": False}
        return {"ok": True, "password": is_right and hashed is not None}

    def _check(self, asked: float, hashed: str, password: bytes) -> bool | None:
        """`None` where nobody waits any more, so that what piled up is gone at once."""
        if self._clock() - asked >= self._settings.timeout:
            return None
        self.checks += 1
        return is_of(password, hashed)


def is_of(password: bytes, hashed: str) -> bool:
    """Is this the password of the hash? Takes what the hash says."""
    # An extra, and only for nodes that check passwords.
    from argon2.exceptions import VerificationError  # noqa: PLC0415
    from argon2.low_level import Type, verify_secret  # noqa: PLC0415

    try:
        return verify_secret(hashed.encode(), password, Type.ID)
    except VerificationError:
        return False


def hash_of(password: str, cost: Cost = DEFAULT) -> str:
    """A new hash of a password, with a salt of its own."""
    from argon2.low_level import Type, hash_secret  # noqa: PLC0415 - an extra.

    return hash_secret(
        password.encode(),
        secrets.token_bytes(SALT_BYTES),
        time_cost=cost.rounds,
        memory_cost=cost.memory_kib,
        parallelism=cost.lanes,
        hash_len=cost.hash_bytes,
        type=Type.ID,
    ).decode()


def decoy(cost: Cost) -> str:
    """A hash of nothing, which takes as much to check: whoever has no account is refused as slowly."""
    salt, digest = (encoded(secrets.token_bytes(size)) for size in (SALT_BYTES, cost.hash_bytes))
    return f"$argon2id$v=19$m={cost.memory_kib},t={cost.rounds},p={cost.lanes}${salt}${digest}"


def most_common(hashes: Iterable[str]) -> Cost:
    counted = Counter(map(read, hashes)).most_common(1)
    return counted[0][0] if counted else DEFAULT


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")
