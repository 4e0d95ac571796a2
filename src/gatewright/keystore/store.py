"""The store itself: the same tables and the same statements in every database."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatewright.keystore.credentials import Credential, new_credential
from gatewright.keystore.database import Database, KeyStoreError, Row, Statement
from gatewright.keystore.keys import Found, KeyChange, NewKey, Refused, StoredKey, StoredSecret
from gatewright.keystore.schema import MIGRATIONS

OVERLAP_MS = 7 * 86_400_000
"""How long the old secret of a rotated key is valid (MK-2)."""

HOUR_MS = 3_600_000
CHANGES_KEPT_MS = 86_400_000
SECRETS_KEPT_MS = 30 * 86_400_000
MOST_CHANGES = 1000
TRIES = 5
LONGEST_LIST = 1000

COLUMNS = (
    "id, partner, consumer, tier, scopes, networks, metadata, created_at_ms, created_by, expires_at_ms, "
    "revoked_at_ms, revoked_by, revoked_why, last_used_ms, changed_at_ms, changed_by"
)
# What a change may touch; nothing else gets into a statement.
CHANGEABLE = ("partner", "consumer", "tier", "scopes", "networks", "expires_at_ms")
ADD_KEY = f"""
INSERT INTO api_keys ({COLUMNS}) 
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, NULL, NULL, NULL)
"""  # noqa: S608 - of constants.
ADD_HASH = """
INSERT INTO api_key_secrets (prefix, key_id, hash, created_at_ms, expires_at_ms)
SELECT CAST(? AS TEXT), id, CAST(? AS TEXT), CAST(? AS BIGINT), NULL FROM api_keys
WHERE id = ? AND revoked_at_ms IS NULL
"""
FIND = f"""
SELECT s.hash, s.expires_at_ms, {", ".join(f"k.{name}" for name in COLUMNS.split(", "))}
FROM api_key_secrets s JOIN api_keys k ON k.id = s.key_id WHERE s.prefix = ?
"""  # noqa: S608 - of constants.
END_SECRETS = """
UPDATE api_key_secrets SET expires_at_ms = ?
WHERE key_id = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)
"""
SECRETS = """
SELECT key_id, prefix, created_at_ms, expires_at_ms FROM api_key_secrets
WHERE key_id >= ? AND key_id <= ? ORDER BY key_id, created_at_ms
"""
REVOKE = """
UPDATE api_keys SET revoked_at_ms = ?, revoked_by = ?, revoked_why = ? WHERE id = ? AND revoked_at_ms IS NULL
"""
ADD_USE = """
INSERT INTO api_key_usage (key_id, hour_ms, requests) VALUES (?, ?, ?)
ON CONFLICT (key_id, hour_ms) DO UPDATE SET requests = api_key_usage.requests + excluded.requests
"""
LAST_USE = """
UPDATE api_keys SET last_used_ms = ? WHERE id = ? AND (last_used_ms IS NULL OR last_used_ms < ?)
"""


class UnknownKeyError(KeyStoreError):
    """There is no key of this id, or it was revoked already."""


@dataclass(frozen=True, slots=True)
class Use:
    """How often a key was used in an hour, and when last."""

    id: str
    hour_ms: int
    requests: int
    last_ms: int


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


class KeyStore:
    """Every call raises `KeyStoreError`."""

    def __init__(self, database: Database, secret: str, clock: Callable[[], int] = unix_ms) -> None:
        self._database = database
        self._secret = secret
        self.now_ms = clock

    async def open(self) -> None:
        await self._database.open(MIGRATIONS)

    async def close(self) -> None:
        await self._database.close()

    async def create(self, key: NewKey) -> tuple[StoredKey, str]:
        """Store a new key; give it and its text, which nobody can give again."""
        credential = new_credential(self._secret)
        identifier = f"key_{secrets.token_hex(6)}"
        now = self.now_ms()
        lists = [json.dumps(list(key.scopes)), json.dumps(list(key.networks)), json.dumps(dict(key.metadata))]
        values = [
            identifier,
            key.partner,
            key.consumer,
            key.tier,
            *lists,
            now,
            key.created_by,
            key.expires_at_ms,
        ]
        await self._database.change([(ADD_KEY, values), self._secret_of(identifier, credential)])
        return await self.show(identifier), credential.text

    async def show(self, identifier: str) -> StoredKey:
        """One key. Raises `UnknownKeyError`."""
        found = await self.keys(at=identifier)
        if not found:
            raise UnknownKeyError(f"there is no key `{identifier}`")
        return found[0]

    async def keys(
        self, partner: str | None = None, after: str = "", limit: int = LONGEST_LIST, at: str | None = None
    ) -> list[StoredKey]:
        """Keys by id: of one partner or of all, those behind `after`; or the one `at` an id."""
        query = f"SELECT {COLUMNS} FROM api_keys WHERE id > ?"  # noqa: S608 - of constants.
        values: list[object] = [after]
        for condition, value in ((" AND partner = ?", partner), (" AND id = ?", at)):
            if value is not None:
                query += condition
                values.append(value)
        rows = await self._database.rows(f"{query} ORDER BY id LIMIT ?", *values, min(limit, LONGEST_LIST))
        if not rows:
            return []
        by_key: dict[str, list[StoredSecret]] = {}
        for owner, *secret in await self._database.rows(SECRETS, rows[0][0], rows[-1][0]):
            by_key.setdefault(owner, []).append(StoredSecret(*secret))
        return [key_of(row, tuple(by_key.get(row[0], ()))) for row in rows]

    async def rotate(self, identifier: str, overlap_ms: int = OVERLAP_MS) -> tuple[StoredKey, str]:
        """Give a key a new secret; those before it end after `overlap_ms` at the latest. Raises
        `UnknownKeyError`.
        """
        credential = new_credential(self._secret)
        now = self.now_ms()
        end = now + overlap_ms
        counts = await self._database.change([
            (
                "DELETE FROM api_key_secrets WHERE key_id = ? AND expires_at_ms < ?",
                [identifier, now - SECRETS_KEPT_MS],
            ),
            (END_SECRETS, [end, identifier, end]),
            self._secret_of(identifier, credential),
            *self._changed(identifier),
        ])
        if counts[2] == 0:
            raise UnknownKeyError(f"there is no key `{identifier}` that could be rotated")
        return await self.show(identifier), credential.text

    async def change(self, identifier: str, change: KeyChange) -> StoredKey:
        """Let a key be otherwise from now on; its secrets stay. Raises `UnknownKeyError` where it ended."""
        for _ in range(TRIES):
            before = await self.show(identifier)
            if before.revoked_at_ms is not None:
                break
            statement = changing(before, change, self.now_ms())
            if (await self._database.change([statement, *self._changed(identifier)]))[0]:
                return await self.show(identifier)
        else:
            raise KeyStoreError(f"others change the key `{identifier}` at the same time; try again")
        raise UnknownKeyError(f"there is no key `{identifier}` that could be changed")

    async def revoke(self, identifier: str, by: str | None = None, why: str | None = None) -> StoredKey:
        """End a key with all its secrets, for ever. Raises `UnknownKeyError` where it has ended before."""
        counts = await self._database.change([
            (REVOKE, [self.now_ms(), by, why, identifier]),
            *self._changed(identifier),
        ])
        if counts[0] == 0:
            raise UnknownKeyError(f"there is no key `{identifier}` that could be revoked")
        return await self.show(identifier)

    async def find(self, prefix: str, digest: str) -> Found | Refused:
        """What the data plane asks: whose key is it?"""
        rows = await self._database.rows(FIND, prefix)
        # The same time for every wrong hash: how much of one was right is told to nobody.
        if not rows or not hmac.compare_digest(str(rows[0][0]), digest):
            return Refused("unknown")
        secret_end, key = rows[0][1], key_of(rows[0][2:])
        if key.revoked_at_ms is not None:
            return Refused("revoked", key.id)
        ends = [end for end in (secret_end, key.expires_at_ms) if end is not None]
        if ends and min(ends) <= self.now_ms():
            return Refused("expired", key.id)
        return Found(key.id, entry_of(key, digest, min(ends, default=None)))

    async def last_change(self) -> int:
        """The number of the last change; 0 where none is known."""
        rows = await self._database.rows("SELECT COALESCE(MAX(number), 0) FROM api_key_changes")
        return int(rows[0][0])

    async def changes(self, after: int) -> tuple[int, list[str]]:
        """Ids of keys that were changed after a number, and the number to ask with next."""
        rows = await self._database.rows(
            "SELECT number, key_id FROM api_key_changes WHERE number > ? ORDER BY number LIMIT ?",
            after,
            MOST_CHANGES,
        )
        return (int(rows[-1][0]) if rows else after), [str(row[1]) for row in rows]

    async def used(self, uses: Sequence[Use]) -> None:
        """Add to what is known of the use of keys, in one batch."""
        # In the order of their ids: nodes that write at once never wait for each other in a circle.
        ordered = sorted(uses, key=lambda use: (use.id, use.hour_ms))
        await self._database.many([
            (ADD_USE, [(use.id, use.hour_ms, use.requests) for use in ordered]),
            (LAST_USE, [(use.last_ms, use.id, use.last_ms) for use in ordered]),
        ])

    async def forget_usage(self, before_ms: int) -> None:
        """Delete the use of hours that are older."""
        await self._database.change([("DELETE FROM api_key_usage WHERE hour_ms < ?", [before_ms])])

    async def usage(self, identifier: str, since_ms: int) -> list[tuple[int, int]]:
        """Hours and requests in them, oldest first. Raises `UnknownKeyError`."""
        await self.show(identifier)
        query = (
            "SELECT hour_ms, requests FROM api_key_usage WHERE key_id = ? AND hour_ms >= ? ORDER BY hour_ms"
        )
        rows = await self._database.rows(query, identifier, since_ms - since_ms % HOUR_MS)
        return [(int(hour), int(requests)) for hour, requests in rows]

    def _secret_of(self, identifier: str, credential: Credential) -> Statement:
        return ADD_HASH, [credential.prefix, credential.hash, self.now_ms(), identifier]

    def _changed(self, identifier: str) -> list[Statement]:
        now = self.now_ms()
        return [
            ("INSERT INTO api_key_changes (key_id, at_ms) VALUES (?, ?)", [identifier, now]),
            ("DELETE FROM api_key_changes WHERE at_ms < ?", [now - CHANGES_KEPT_MS]),
        ]


def changing(before: StoredKey, change: KeyChange, now_ms: int) -> Statement:
    """The statement that makes a key what it shall be, if nobody else has changed its metadata since."""
    kept = {name: value for name, value in before.metadata.items() if name not in change.metadata}
    new = {name: value for name, value in change.metadata.items() if value is not None}
    values = {name: stored(change.columns[name]) for name in CHANGEABLE if name in change.columns}
    values |= {"metadata": json.dumps(kept | new), "changed_at_ms": now_ms, "changed_by": change.by}
    assignments = ", ".join(f"{name} = ?" for name in values)
    query = f"UPDATE api_keys SET {assignments} WHERE id = ? AND revoked_at_ms IS NULL AND metadata = ?"  # noqa: S608 - of constants.
    return query, [*values.values(), before.id, json.dumps(dict(before.metadata))]


def stored(value: object) -> object:
    return json.dumps(list(value)) if isinstance(value, tuple) else value


def key_of(row: Row, found: tuple[StoredSecret, ...] = ()) -> StoredKey:
    identifier, partner, consumer, tier, scopes, networks, metadata, *rest = row
    created_at, created_by, expires_at, revoked_at, revoked_by, revoked_why, last_used, *changed = rest
    return StoredKey(
        id=identifier,
        partner=partner,
        consumer=consumer,
        tier=tier,
        scopes=tuple(json.loads(scopes)),
        networks=tuple(json.loads(networks)),
        metadata=json.loads(metadata),
        created_at_ms=created_at,
        created_by=created_by,
        expires_at_ms=expires_at,
        revoked_at_ms=revoked_at,
        revoked_by=revoked_by,
        revoked_why=revoked_why,
        last_used_ms=last_used,
        changed_at_ms=changed[0],
        changed_by=changed[1],
        secrets=found,
    )


def entry_of(key: StoredKey, digest: str, ends_at_ms: int | None) -> dict[str, object]:
    """As a key file has it: what the data plane keeps."""
    return {
        "id": key.id,
        "hash": digest,
        "partner": key.partner,
        "scopes": list(key.scopes),
        "tier": key.tier,
        "expires_at_ms": ends_at_ms,
        "networks": list(key.networks),
    }
