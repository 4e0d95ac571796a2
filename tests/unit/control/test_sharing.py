"""What one node's breaker tells another, with the time passed in."""

import pytest

from gatewright.control.shared_store import RedisStore, StoreError, is_sound
from gatewright.control.sharing import Seen, fields_of, is_news, news

OPEN = {"state": "open", "failure_count": "3", "last_failure_at": "99", "opened_at": "100"}
CLOSED = OPEN | {"state": "closed"}


def test_an_opening_is_taken_for_the_time_that_is_left() -> None:
    assert news(OPEN, None, 30.0, 110.0) == {"action": "shared_open", "for_ms": 20_000}
    assert news(OPEN, CLOSED, 30.0, 129.0) == {"action": "shared_open", "for_ms": 1_000}


def test_an_opening_that_is_over_is_no_news_so_a_dead_node_keeps_nobody_out() -> None:
    assert news(OPEN, None, 30.0, 130.0) is None


def test_a_clock_that_is_ahead_opens_no_longer_than_our_own_rule() -> None:
    assert news(OPEN, None, 30.0, 10.0) == {"action": "shared_open", "for_ms": 30_000}


def test_a_closing_is_taken_only_when_it_was_seen_to_happen() -> None:
    assert news(CLOSED, None, 30.0, 110.0) is None
    assert news(CLOSED, OPEN, 30.0, 110.0) == {"action": "shared_closed"}


def test_what_was_seen_before_is_no_news() -> None:
    assert news(OPEN, OPEN, 30.0, 110.0) is None
    assert news({}, OPEN, 30.0, 110.0) is None
    assert news(OPEN | {"state": "half_open"}, OPEN, 30.0, 110.0) is None


@pytest.mark.parametrize(
    "answer",
    [[], "", {}, {"state": "open"}, OPEN | {"opened_at": "soon"}, OPEN | {"opened_at": "inf"}, ValueError()],
)
def test_what_no_node_wrote_is_not_understood(answer: object) -> None:
    assert not is_sound(answer)
    assert is_sound(OPEN)


def test_the_hash_holds_the_numbers_of_the_last_opening() -> None:
    local = {
        "state": "half_open",
        "failed_ms": 99_500,
        "recent": [
            {"to": "open", "at_ms": 100_000, "counted": {"failures": 7}},
            {"to": "half_open", "at_ms": 130_000, "counted": {"failures": 0}},
        ],
    }
    assert fields_of(local) == {
        "state": "half_open",
        "failure_count": "7",
        "last_failure_at": "99.500",
        "opened_at": "100.000",
    }


def local(reason: str, state: str = "open", **changed: object) -> dict[str, object]:
    return {"state": state, "held": None, "transitions": 3, "recent": [{"reason": reason}], **changed}


@pytest.mark.parametrize(
    ("breaker", "seen", "remote", "told"),
    [
        (local("failure_ratio"), Seen(2), CLOSED, True),
        (local("failure_ratio"), Seen(3), OPEN, False),
        (local("shared"), Seen(2), OPEN, False),
        (local("opened_by_hand"), Seen(2), CLOSED, False),
        (local("failure_ratio", held={"by": "ann"}), Seen(2), CLOSED, False),
        (local("failure_ratio"), Seen(3), {}, True),
        (local("failure_ratio"), Seen(None), CLOSED, True),
        # Closed long ago, on a node that has only just begun to share.
        (local("reset", "closed"), Seen(None), OPEN, False),
        (local("reset", "closed"), Seen(2), OPEN, True),
        (local("failure_ratio", "closed", recent=[]), Seen(None), {}, False),
    ],
)
def test_only_changes_of_its_own_are_told(
    breaker: dict[str, object], seen: Seen, remote: dict[str, str], told: bool
) -> None:
    assert is_news(breaker, seen, remote) is told


async def test_an_address_that_cannot_be_read_is_an_error_of_the_store() -> None:
    with pytest.raises(StoreError):
        RedisStore("redis://127.0.0.1:port/0", 0.1)
