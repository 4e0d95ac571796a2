"""API keys of the store as callers hold them: `pk_live_`, 12 characters by which the store finds the key,
32 that are secret, 8 that check the others.

What is stored is the HMAC-SHA-256 of all but the last 8, under a secret that is not in the database: whoever
reads the database cannot try out guesses, and whoever writes to it cannot invent keys. The last 8 characters
come from that HMAC, so that the data plane refuses invented keys without asking anybody.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from dataclasses import dataclass

MARK = "pk_live_"
PREFIX_LENGTH = 12
SECRET_LENGTH = 32
CHECK_LENGTH = 8
# 62 characters; the data plane has the same in the same order.
ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Credential:
    """A new key: its text, shown once, and what is stored of it."""

    text: str
    prefix: str
    hash: str


def new_credential(secret: str) -> Credential:
    """A random key; 190 bits of it are secret."""
    prefix = letters(PREFIX_LENGTH)
    signed = MARK + prefix + letters(SECRET_LENGTH)
    digest = digest_of(signed, secret)
    return Credential(signed + checksum(digest), prefix, digest.hex())


def letters(count: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def digest_of(signed: str, secret: str) -> bytes:
    return hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()


def checksum(digest: bytes) -> str:
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest[-CHECK_LENGTH:])
