"""What records may call a user: the same as the data plane makes of one."""

from datetime import UTC, datetime
from typing import Literal

from gatewright.config.models.recording import HashKey, UserId
from gatewright.records.user_ids import asked_spellings, spellings

SECRET = "0123456789abcdef0123456789abcdef"
SINCE, UNTIL = datetime(2026, 11, 29, 23, tzinfo=UTC), datetime(2026, 12, 1, 1, tzinfo=UTC)


def settings(rotate: Literal["never", "daily", "monthly"], *ids: str) -> UserId:
    return UserId(form="hashed", keys=[HashKey(id=id, secret=SECRET) for id in ids], rotate=rotate)


def test_a_user_is_found_by_name_and_by_the_hash_of_every_key() -> None:
    hashes = spellings(settings("never", "k2", "k1"), "alice", SINCE, UNTIL)
    # As in crates/dataplane/src/record/users.rs.
    digits = "433deb45467e4e53dbaba594c88bc3a2"
    assert hashes == ["alice", f"k2:{digits}", f"k1:{digits}"]


def test_rotated_hashes_are_those_of_each_period_between_the_times() -> None:
    days = spellings(settings("daily", "k1"), "alice", SINCE, UNTIL)[1:]
    assert [one.split(":")[0] for one in days] == ["k1.20261129", "k1.20261130", "k1.20261201"]
    assert len({one.split(":")[1] for one in days}) == 3
    months = spellings(settings("monthly", "k1"), "alice", SINCE, UNTIL)[1:]
    assert [one.split(":")[0] for one in months] == ["k1.202611", "k1.202612"]
    one = spellings(settings("daily", "k1"), "alice", datetime(2026, 11, 27, tzinfo=UTC), SINCE)[1]
    assert one == "k1.20261127:aef2d7a15cce0b49171db80bb4d01c12"


def test_without_a_time_the_last_hundred_days_are_looked_through() -> None:
    assert len(asked_spellings(settings("daily", "k1"), "alice", None, None)) == 102
    assert len(asked_spellings(settings("daily", "k1"), "alice", "2h", None)) in {2, 3}
    assert asked_spellings(UserId(), "alice", None, None) == ["alice"]
