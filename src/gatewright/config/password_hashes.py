"""Hashes of passwords as text: `$argon2id$v=19$m=65536,t=3,p=1$SALT$HASH` (the PHC string format)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

_FORM = re.compile(
    r"^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,88})\$([A-Za-z0-9+/]{22,88})\Z"
)
MEMORY_KIB = range(7 * 1024, 1024 * 1024 + 1)
ROUNDS = range(1, 21)
LANES = range(1, 17)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a check takes."""

    memory_kib: int
    rounds: int
    lanes: int
    hash_bytes: int


def read(text: str) -> Cost:
    """What checking a password against this hash takes. Raises `ValueError` with what would work."""
    found = _FORM.match(text)
    if found is None:
        message = "is no hash of a password; `gatewright password` makes one, `$argon2id$v=19$...`"
        raise ValueError(message)
    memory, rounds, lanes = (int(number) for number in found.groups()[:3])
    if memory not in MEMORY_KIB or rounds not in ROUNDS or lanes not in LANES:
        message = "takes too much or too little; m is 7168 to 1048576 (KiB), t 1 to 20, p 1 to 16"
        raise ValueError(message)
    try:
        _, digest = (base64.b64decode(part + "=" * (-len(part) % 4)) for part in found.groups()[3:])
    except binascii.Error as error:
        message = "is cut off; `gatewright password` makes one"
        raise ValueError(message) from error
    return Cost(memory, rounds, lanes, len(digest))


def stamp(text: str) -> str:
    """What the data plane knows of a hash: it changes with the password, and says nothing about it."""
    return hashlib.sha256(text.encode()).hexdigest()
