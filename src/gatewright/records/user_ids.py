"""How records name a user: plain, or by a keyed hash as `crates/dataplane/src/record/users.rs` makes it."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gatewright.config.models.recording import UserId
from gatewright.records.moments import moment_of

TOLD = 32
"""Hexadecimal digits of the hash that are told."""


DAYS = 100
"""How far back a user is looked for by hashes that rotate, where nobody says since when."""


def asked_spellings(settings: UserId, user: str, since: str | None, until: str | None) -> list[str]:
    """The same as `spellings` for times as people write them. Raises `RecordQueryError`."""
    now = datetime.now(UTC)
    last = moment_of(until, now) if until else now
    first = moment_of(since, now) if since else last - timedelta(days=DAYS)
    return spellings(settings, user, first, last)


def spellings(settings: UserId, user: str, since: datetime, until: datetime) -> list[str]:
    """Give every `user_id` by which records between these moments may name a user: plain, and by each key
    that the configuration still has, in each period of its rotation.
    """
    found = [user]
    for key in settings.keys:
        periods = [None] if settings.rotate == "never" else _periods(settings.rotate, since, until)
        found += [_hash(key.id, key.secret, period, user) for period in periods]
    return found


def _periods(rotate: str, since: datetime, until: datetime) -> Iterator[str]:
    form = "%Y%m%d" if rotate == "daily" else "%Y%m"
    day, last, before = since.astimezone(UTC).date(), until.astimezone(UTC).date(), ""
    while day <= last:
        period = day.strftime(form)
        if period != before:
            yield period
        before, day = period, day + timedelta(days=1)


def _hash(key_id: str, secret: str, period: str | None, user: str) -> str:
    text = user if period is None else f"{period}:{user}"
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    return f"{key_id}{'' if period is None else f'.{period}'}:{digest[:TOLD]}"
