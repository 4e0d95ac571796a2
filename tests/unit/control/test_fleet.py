"""Which configurations the nodes of a fleet have, by a clock that tests set."""

from collections.abc import Callable

import pytest

from gateway.key_store import until
from gatewright.control import fleet as fleets
from gatewright.control.fleet import ALIVE_SECONDS, KEPT_SECONDS, Fleet
from gatewright.redis_clients import RedisSettings, RedisTarget


class Looking(Fleet):
    """Somebody who looks while others tell."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(lambda: None, lambda: self.now)
        self.health.connected = True

    def hears(self, seconds: float = 5.0, **told: str) -> list[str]:
        self.now += seconds
        return self.learn(told)


def test_nodes_that_go_on_telling_are_counted_by_what_they_tell() -> None:
    fleet = Looking()
    fleet.hears(a="aaaaaaaa 1", b="aaaaaaaa 7", c="cccccccc 3")
    # Nobody knows yet who of them is still there.
    assert (fleet.nodes, fleet.digests) == (0, 0)
    fleet.hears(a="aaaaaaaa 2", b="aaaaaaaa 8", c="cccccccc 3")
    assert (fleet.nodes, fleet.digests) == (2, 1)
    fleet.hears(a="aaaaaaaa 3", b="bbbbbbbb 9", c="cccccccc 3")
    assert (fleet.nodes, fleet.digests) == (2, 2)


def test_a_node_that_stands_still_is_gone_and_its_entry_is_taken_away_later() -> None:
    fleet = Looking()
    for beat in range(3):
        assert fleet.hears(a=f"aaaaaaaa {beat}", b=f"bbbbbbbb {beat}") == []
    fleet.hears(ALIVE_SECONDS, a="aaaaaaaa 3", b="bbbbbbbb 2")
    assert fleet.digests == 2
    fleet.hears(1, a="aaaaaaaa 4", b="bbbbbbbb 2")
    assert fleet.digests == 1
    assert passed(fleet, KEPT_SECONDS, b="bbbbbbbb 2") == ["b"]
    fleet.hears(a="aaaaaaaa 6")
    assert fleet.nodes == 1


def passed(fleet: Looking, seconds: float, **still: str) -> list[str]:
    """What nobody needs any more after so many seconds, in which `a` goes on telling and others do not."""
    gone: list[str] = []
    for beat in range(int(seconds / ALIVE_SECONDS)):
        gone = fleet.hears(ALIVE_SECONDS, a=f"aaaaaaaa {1000 + beat}", **still)
    return gone


def test_after_a_long_outage_nobody_is_taken_away_before_everybody_could_come_back() -> None:
    fleet = Looking()
    for beat in range(3):
        fleet.hears(a=f"aaaaaaaa {beat}", b=f"bbbbbbbb {beat}", c=f"cccccccc {beat}")
    # Of the first one that reconnects all others have stood still for two hours.
    assert fleet.hears(2 * KEPT_SECONDS, a="aaaaaaaa 3", b="bbbbbbbb 2", c="cccccccc 2") == []
    assert fleet.hears(a="aaaaaaaa 4", b="bbbbbbbb 3", c="cccccccc 2") == []
    assert fleet.nodes == 2
    assert passed(fleet, KEPT_SECONDS - ALIVE_SECONDS, b="bbbbbbbb 3", c="cccccccc 2") == []
    assert passed(fleet, 2 * ALIVE_SECONDS, b="bbbbbbbb 4", c="cccccccc 2") == ["c"]


def test_a_node_that_left_is_gone_at_once() -> None:
    fleet = Looking()
    for beat in range(2):
        fleet.hears(a=f"aaaaaaaa {beat}", b=f"bbbbbbbb {beat}")
    fleet.hears(a="aaaaaaaa 2")
    assert (fleet.nodes, fleet.digests) == (1, 1)


def test_entries_that_no_node_wrote_count_for_nothing() -> None:
    fleet = Looking()
    for beat in range(3):
        fleet.hears(a=f"aaaaaaaa {beat}", x=f"nonsense{beat}", y=f"AAAAAAAA {beat}", z="9" * (beat + 1))
    assert (fleet.nodes, fleet.digests) == (1, 1)


def test_nothing_is_known_while_redis_does_not_answer() -> None:
    fleet = Looking()
    for beat in range(3):
        fleet.hears(a=f"aaaaaaaa {beat}", b=f"bbbbbbbb {beat}")
    fleet.health.connected = False
    assert (fleet.nodes, fleet.digests) == (0, 0)


def breaking() -> str:
    raise ZeroDivisionError


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("url", "digest"),
    [("redis://127.0.0.1:1/1", str), ("redis://127.0.0.1:1", breaking)],
    ids=["made", "asked"],
)
async def test_whatever_goes_wrong_is_logged_once_tried_again_and_told_to_nobody_else(
    url: str, digest: Callable[[], str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fleets, "TELL_SECONDS", 0.001)
    fleet = Fleet(digest)
    await fleet.use(RedisSettings(RedisTarget((url,), cluster=True), 0.1))
    await until(lambda: fleet.health.failures >= 3)
    told = [one.message for one in caplog.records if one.name == "gatewright.control"]
    assert told == ["nodes cannot compare their configurations"]
    await fleet.use(None)
