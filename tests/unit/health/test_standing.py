"""How many outcomes in a row change what is said of a check."""

from datetime import UTC, datetime

import pytest

from gatewright.health.standing import Outcome, Patience, Standing

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("outcomes", "statuses"),
    [
        ("+", "healthy"),
        ("-", "unknown"),
        ("-- ", "unknown"),
        ("---", "unhealthy"),
        ("+--", "healthy"),
        ("+---", "unhealthy"),
        ("+--+--", "healthy"),
        ("---+", "unhealthy"),
        ("---++", "healthy"),
        ("---+-+", "unhealthy"),
    ],
)
def test_only_several_in_a_row_change_it(outcomes: str, statuses: str) -> None:
    standing = Standing("x", patience=Patience(3, 2))
    for one in outcomes.strip():
        standing.take(Outcome(one == "+"), NOW)
    assert standing.status == statuses


def test_a_change_is_told_once_with_its_time() -> None:
    standing = Standing("x", patience=Patience(2, 1))
    told = [standing.take(Outcome(False, "down"), NOW) for _ in range(4)]
    assert told == [False, True, False, False]
    document = standing.document()
    assert (document["since"], document["message"], document["in_a_row"]) == (
        NOW.isoformat(timespec="milliseconds"),
        "down",
        4,
    )
