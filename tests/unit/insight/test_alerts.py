"""Rules over a clock that tests set: what fires, when, and when it is over."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.counted import cell
from gatewright.insight.reading import Finding, burns, findings
from gatewright.insight.rollup_keys import OTHER
from gatewright.insight.samples import Samples, read_page
from gatewright.insight.shipped import METRICS, SHIPPED, Rule
from gatewright.insight.silences import SilenceError, Silences
from gatewright.insight.states import States
from gatewright.insight.traffic import MOST_KEYS, Traffic

START = 1_800_000_000.0


class Clock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Watched:
    """Traffic, metrics and alerts of one node, evaluated every ten seconds."""

    def __init__(self, *rules: Rule, resolve_after: float = 0.0) -> None:
        self.clock = Clock()
        self.traffic = Traffic(10.0, self.clock)
        self.samples = Samples()
        self.states = States(resolve_after=resolve_after)
        self.rules = rules

    def come(self, count: int, latency: float = 1.0, **fields: object) -> None:
        """So many requests, since counts were last taken."""
        minute = int(self.clock.now) // 60 * 60
        self.traffic.add([cell(minute, ([latency] * count, [1.0] * count, ()), **fields)])

    def evaluate(self, page: str = "", seconds: float = 10.0) -> list[tuple[str, str, str]]:
        """What is told when this time has passed."""
        self.clock.now += seconds
        self.samples.add(self.clock.now, read_page(page))
        found: Iterable[Finding] = [
            one for rule in self.rules for one in findings(rule, self.traffic, self.samples, self.clock.now)
        ]
        found = [*found, *burns(self.traffic.budgets.all(), self.clock.now)]
        return [
            (message.happening, message.alert.name, message.alert.subject)
            for message in self.states.update(found, self.clock.now)
        ]


def test_a_share_above_its_bound_fires_once_and_is_over_below_it() -> None:
    watched = Watched(SHIPPED["error_rate"])
    watched.come(95)
    watched.come(5, status=503)
    assert watched.evaluate() == []
    watched.come(10, status=500)
    assert watched.evaluate() == [("firing", "error_rate", "gateway")]
    assert watched.evaluate() == []
    watched.clock.now += 120
    watched.come(100)
    assert watched.evaluate() == [("resolved", "error_rate", "gateway")]


def test_at_its_edge_an_alert_neither_ends_nor_begins_anew() -> None:
    watched = Watched(replace(SHIPPED["error_rate"], window=10.0))
    watched.come(90)
    watched.come(10, status=500)
    assert watched.evaluate() == [("firing", "error_rate", "gateway")]
    for _ in range(5):
        # 4.8 %: below the bound, and not well below it.
        watched.clock.now += 20
        watched.come(119)
        watched.come(6, status=500)
        assert watched.evaluate() == []


def test_few_requests_prove_nothing() -> None:
    watched = Watched(SHIPPED["error_rate"])
    watched.come(19, status=500)
    assert watched.evaluate() == []


def test_what_has_to_last_is_told_after_its_time_and_forgotten_before() -> None:
    watched = Watched(SHIPPED["error_rate_critical"])
    told = []
    for _ in range(10):
        watched.come(20, status=500)
        told += watched.evaluate()
    assert told == []
    watched.clock.now += 300
    watched.come(100)
    watched.evaluate()
    assert watched.states.alerts == {}
    for _ in range(20):
        watched.clock.now += 10
        watched.come(20, status=500)
        told += watched.evaluate(seconds=0)
    assert told == [("firing", "error_rate_critical", "gateway")]


def test_five_times_as_many_failures_are_told_although_they_are_few() -> None:
    watched = Watched(SHIPPED["error_rate_rises"])
    for _ in range(35):
        watched.come(200)
        watched.come(1, status=500)
        assert watched.evaluate() == []
    told = []
    for _ in range(30):
        watched.come(190)
        watched.come(10, status=500)
        told += watched.evaluate()
    assert told == [("firing", "error_rate_rises", "gateway")]


def test_a_service_that_is_asked_no_more_is_told_and_one_that_never_was_is_not() -> None:
    watched = Watched(SHIPPED["service_silent"])
    for _ in range(6):
        watched.come(10, backend_service="orders")
        watched.come(10, backend_service="users")
        assert watched.evaluate() == []
    told = []
    for _ in range(20):
        watched.come(10, backend_service="users")
        told += watched.evaluate()
    assert told == [("firing", "service_silent", "orders")]
    watched.come(1, backend_service="orders")
    assert watched.evaluate() == [("resolved", "service_silent", "orders")]


def test_a_tail_behind_a_good_median_is_told_of_its_service_alone() -> None:
    watched = Watched(SHIPPED["slow_tail"])
    watched.come(990, latency=50.0)
    watched.come(10, latency=8000.0)
    watched.come(1000, latency=50.0, backend_service="orders")
    assert watched.evaluate() == [("firing", "slow_tail", "users")]


def test_programs_are_told_by_what_they_say_of_themselves() -> None:
    watched = Watched(SHIPPED["bot_traffic"])
    watched.come(40)
    watched.come(200, programs=161)
    assert watched.evaluate() == [("firing", "bot_traffic", "gateway")]


def test_programs_that_come_are_told_and_those_that_were_always_there_are_not() -> None:
    watched = Watched(SHIPPED["bot_traffic_rises"])
    for _ in range(70):
        watched.come(10, programs=10)
        assert watched.evaluate() == []
    watched = Watched(SHIPPED["bot_traffic_rises"])
    told = []
    for _ in range(35):
        watched.come(10)
        watched.come(1, programs=1)
        told += watched.evaluate()
    assert told == []
    for _ in range(30):
        watched.come(10)
        watched.come(40, programs=40)
        told += watched.evaluate()
    assert told == [("firing", "bot_traffic_rises", "gateway")]


def test_answers_that_have_become_empty_are_told_although_they_are_200() -> None:
    watched = Watched(SHIPPED["responses_shrink"])
    for _ in range(35):
        watched.come(10, response_bytes=90_000)
        assert watched.evaluate() == []
    told = []
    for _ in range(32):
        watched.come(10, response_bytes=3000)
        told += watched.evaluate()
    assert told == [("firing", "responses_shrink", "users")]


GAUGE = 'gateway_limit_store_workers{state="open"} %d\ngateway_limit_store_workers{state="connected"} 2\n'


def test_a_gauge_is_told_for_as_long_as_it_is_wrong() -> None:
    watched = Watched(SHIPPED["limit_store_unavailable"], resolve_after=25.0)
    assert watched.evaluate(GAUGE % 0) == []
    assert watched.evaluate(GAUGE % 2) == [("firing", "limit_store_unavailable", "gateway")]
    # Well for a moment is not well.
    assert watched.evaluate(GAUGE % 0) == []
    assert watched.evaluate(GAUGE % 1) == []
    assert [watched.evaluate(GAUGE % 0) for _ in range(4)] == [
        [],
        [],
        [],
        [("resolved", "limit_store_unavailable", "gateway")],
    ]


def test_all_instances_have_to_be_bad_before_a_service_is() -> None:
    watched = Watched(SHIPPED["service_unhealthy"])
    page = 'gateway_instance_healthy{{service="users",instance="{}"}} {}\n'
    assert watched.evaluate(page.format("a", 0) + page.format("b", 1)) == []
    assert watched.evaluate(page.format("a", 0) + page.format("b", 0)) == [
        ("firing", "service_unhealthy", "users")
    ]
    assert watched.evaluate(page.format("a", 0) + page.format("b", 1)) == [
        ("resolved", "service_unhealthy", "users")
    ]


def test_counters_are_told_by_what_they_rose_also_where_they_began_anew() -> None:
    watched = Watched(SHIPPED["records_lost"])
    page = 'gateway_sink_dropped_total{{sink="sqlite",reason="full"}} {}\n'
    assert watched.evaluate(page.format(70)) == []
    assert watched.evaluate(page.format(70)) == []
    assert watched.evaluate(page.format(71)) == [("firing", "records_lost", "sqlite")]
    for _ in range(40):
        watched.evaluate(page.format(71))
    assert watched.states.alerts == {}
    assert watched.evaluate(page.format(1)) == [("firing", "records_lost", "sqlite")]


@pytest.mark.parametrize(
    ("days", "names"), [(40, set()), (20, {"30d"}), (10, {"30d", "14d"}), (3, {"30d", "14d", "7d"})]
)
def test_the_end_of_a_certificate_is_told_three_times(days: int, names: set[str]) -> None:
    rules = [SHIPPED[f"certificate_expires_{name}"] for name in ("30d", "14d", "7d")]
    watched = Watched(*rules)
    ends = START + days * 86_400 + 60
    told = watched.evaluate(
        f'gateway_certificate_expiry_timestamp_seconds{{listener="a",name="x.test"}} {ends}\n'
    )
    assert told == [
        ("firing", rule.name, "x.test") for rule in rules if rule.name.rpartition("_")[2] in names
    ]


def test_an_alert_that_goes_on_is_told_again_after_a_while() -> None:
    watched = Watched(SHIPPED["limit_store_unavailable"])
    watched.states.repeat = 100.0
    told = [watched.evaluate(GAUGE % 1) for _ in range(22)]
    assert [bool(one) for one in told].count(True) == 3


def test_subjects_of_one_rule_are_bounded() -> None:
    watched = Watched(replace(SHIPPED["route_client_errors"], minimum=1))
    watched.states.most = 3
    for number in range(10):
        watched.come(1, status=404, route_id=f"r{number}")
    assert len(watched.evaluate()) == 3
    assert watched.states.left_out == 7


def test_routes_and_services_in_a_slot_are_bounded() -> None:
    watched = Watched()
    for number in range(MOST_KEYS + 50):
        watched.come(2, route_id=f"r{number}")
    totals = watched.traffic.totals(0, START + 100, "route")
    assert (len(totals), totals[OTHER].requests) == (MOST_KEYS + 1, 100)
    assert watched.traffic.totals(0, START + 100, "gateway")["gateway"].requests == 2 * (MOST_KEYS + 50)


def test_what_is_old_becomes_minutes_and_then_nothing() -> None:
    watched = Watched()
    watched.come(30)
    watched.clock.now += 1800
    watched.come(1)
    assert watched.traffic.totals(START - 60, START + 1900, "gateway")["gateway"].requests == 31
    watched.clock.now += 4000
    watched.come(1)
    watched.clock.now += 1800
    watched.come(1)
    assert watched.traffic.totals(0, START + 10_000, "gateway")["gateway"].requests == 2


def test_a_silence_covers_its_names_until_it_ends(tmp_path: Path) -> None:
    clock = Clock()
    silences = Silences(tmp_path / "silences.json", clock)
    made = silences.add("service_*", "users", 60, ("ann", "we know"))
    assert silences.is_silent("service_silent", "users")
    assert not silences.is_silent("service_silent", "orders")
    assert not silences.is_silent("error_rate", "users")
    again = Silences(tmp_path / "silences.json", clock)
    again.load()
    assert again.active() == [made]
    clock.now += 61
    assert not silences.is_silent("service_silent", "users")
    assert silences.active() == []
    assert silences.end(made.id)
    assert not silences.end(made.id)


def test_silences_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatewright.insight.silences.MOST", 2)
    silences = Silences(tmp_path / "silences.json", Clock())
    for _ in range(2):
        silences.add("a", "*", 60, ("ann", ""))
    with pytest.raises(SilenceError, match="there are 2 silences"):
        silences.add("a", "*", 60, ("ann", ""))


def test_rules_read_metrics_that_there_are(repository: Path) -> None:
    reference = (repository / "docs" / "reference" / "metrics.md").read_text()
    for metric in METRICS:
        assert f"`{metric.removesuffix('_sum').removesuffix('_count')}`" in reference, metric
