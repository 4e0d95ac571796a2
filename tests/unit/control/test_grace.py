"""Who still comes without a credential is told once for many."""

import logging

import pytest

from gatewright.control.grace import GraceWatch


class Counters:
    def metrics(self) -> str:
        return ""


def page(**routes: int) -> str:
    lines = [
        f'gateway_authentication_grace_total{{route="{name}"}} {count}' for name, count in routes.items()
    ]
    return "\n".join(["# TYPE gateway_authentication_grace_total counter", *lines, 'other{route="a"} 9'])


def test_each_route_is_warned_of_once_for_all_that_came_since(caplog: pytest.LogCaptureFixture) -> None:
    watch = GraceWatch(Counters(), lambda: None)
    told = []
    for metrics in (page(), page(a=3), page(a=3, b=1), page(a=5, b=1), page(a=1)):
        with caplog.at_level(logging.WARNING, "gatewright.control"):
            caplog.clear()
            watch.look(metrics)
            told.append([(one.__dict__["route"], one.__dict__["requests"]) for one in caplog.records])
    # Counted from nothing again, the last one is new.
    assert told == [[], [("a", 3)], [("b", 1)], [("a", 2)], [("a", 1)]]


def test_nothing_is_looked_at_without_a_grace_period() -> None:
    assert not GraceWatch(Counters(), lambda: None).is_needed()
