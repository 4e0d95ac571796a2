"""Keys that are used from many networks."""

import pytest

from gatewright.keystore import leaks
from gatewright.keystore.leaks import LeakWatch
from gatewright.keystore.settings import LeakSettings

SETTINGS = LeakSettings(networks=3, window=60.0)


def networks(count: int, first: int = 0) -> list[str]:
    return [f"192.0.{number}.0" for number in range(first, first + count)]


def test_one_network_more_than_allowed_raises_one_alert(caplog: pytest.LogCaptureFixture) -> None:
    watch = LeakWatch(SETTINGS)
    assert not watch.look("k1", networks(3), now=0)
    assert watch.look("k1", networks(1, 3), now=10)
    assert not watch.look("k1", networks(5, 10), now=20)
    assert watch.alerts == 1
    (told,) = caplog.records
    assert (told.name, vars(told)["alert"]) == ("gatewright.alerts", "api_key_leak_suspected")
    assert (vars(told)["key"], vars(told)["networks"]) == ("k1", 4)


def test_an_alert_is_raised_again_after_the_window(caplog: pytest.LogCaptureFixture) -> None:
    watch = LeakWatch(SETTINGS)
    assert watch.look("k1", networks(4), now=0)
    assert not watch.look("k1", networks(4), now=59)
    assert watch.look("k1", networks(4), now=60)
    assert watch.alerts == 2


def test_networks_are_forgotten_after_the_window() -> None:
    watch = LeakWatch(SETTINGS)
    for hour in range(20):
        assert not watch.look("k1", networks(2, 2 * hour), now=61.0 * hour)


def test_keys_are_told_apart_and_all_may_be_off() -> None:
    watch = LeakWatch(SETTINGS)
    assert not any(watch.look(f"k{number}", networks(3, number), now=0) for number in range(10))
    assert not LeakWatch(None).look("k1", networks(100), now=0)


def test_memory_is_bounded_by_keys_and_by_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "MOST_KEYS", 100)
    watch = LeakWatch(SETTINGS)
    for number in range(200):
        watch.look(f"k{number}", networks(200), now=0)
    assert len(watch._seen) == 100
    assert len(watch._alerted) <= 100
    assert all(len(seen) <= SETTINGS.networks + 1 for seen in watch._seen.values())
