"""Events that any part of the gateway logs to `gatewright.alerts` are alerts for a while."""

import logging
from collections.abc import Iterator

import pytest

from gatewright.insight import events
from gatewright.insight.events import NAME, Events
from gatewright.insight.states import States

log = logging.getLogger(NAME)
NOW = 1_800_000_000.0


@pytest.fixture
def heard() -> Iterator[Events]:
    made = Events()
    made.attach()
    yield made
    made.detach()


def leak(key: str, networks: int = 30) -> None:
    extra = {"alert": "api_key_leak_suspected", "key": key, "networks": networks}
    log.error("an API key is used from many networks", extra=extra)


def told(states: States, heard: Events, now: float) -> list[tuple[str, str]]:
    messages = [one for alert in heard.taken(now) for one in states.happened(alert, now)]
    messages += states.end_events(900.0, now)
    return [(one.happening, one.alert.subject) for one in messages]


def test_an_event_is_told_once_for_each_subject_and_is_over_when_it_comes_no_more(heard: Events) -> None:
    states = States()
    for networks in (30, 31):
        leak("one", networks)
    leak("two")
    assert told(states, heard, NOW) == [("firing", "one"), ("firing", "two")]
    assert states.alerts["api_key_leak_suspected", "one"].fields["networks"] == 30
    leak("one")
    assert told(states, heard, NOW + 800) == []
    assert told(states, heard, NOW + 1000) == [("resolved", "two")]
    assert told(states, heard, NOW + 1700) == [("resolved", "one")]


def test_rules_that_say_nothing_of_an_event_do_not_end_it(heard: Events) -> None:
    states = States(resolve_after=0.0)
    leak("one")
    assert told(states, heard, NOW) == [("firing", "one")]
    assert list(states.update([], NOW + 10)) == []
    assert states.counts() == {("api_key_leak_suspected", "high"): 1}


def test_what_is_no_alert_is_left_out_and_a_flood_is_bounded(
    heard: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MOST", 3)
    log.warning("nothing of note")
    for number in range(5):
        leak(f"key-{number}")
    assert [alert.subject for alert in heard.taken(NOW)] == ["key-2", "key-3", "key-4"]
    assert heard.dropped == 2
    assert heard.taken(NOW) == []
