"""Names that share the series of `other` are told of once, until they do so again."""

import logging

import pytest

from gatewright.metrics.names import NamesWatch


class NoEngine:
    def metrics(self) -> str:
        raise NotImplementedError


def page(instances: int, routes: int = 0) -> str:
    return (
        "# TYPE gateway_metric_names_shared gauge\n"
        f'gateway_metric_names_shared{{kind="instance"}} {instances}\n'
        f'gateway_metric_names_shared{{kind="route"}} {routes}\n'
    )


def test_each_kind_is_told_of_once_until_it_shares_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    watch = NamesWatch(NoEngine())
    for seen in (page(0), page(3), page(4), page(4, routes=1), page(0, routes=1), page(2, routes=1)):
        watch.look(seen)
    told = [(record.__dict__["kind"], record.__dict__["names"]) for record in caplog.records]
    assert told == [("instance", 3), ("route", 1), ("instance", 2)]
