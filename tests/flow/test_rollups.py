"""A whole node counts its requests, and tells what decided them when its files say something else by now."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.clock import MINUTE, before_the_end_of
from gateway.running import RunningGateway
from gatewright.insight.rollup_queries import count_rollups
from gatewright.records.summary import SummaryQuestion

SECONDS = 60.0
# A client for all: to make one takes a hundred times as long as to ask. A connection for each request.
ASKING = httpx2.Client(trust_env=False, timeout=SECONDS, limits=httpx2.Limits(max_keepalive_connections=0))
ROUTES = """\
routes:
  - {name: home, match: /, respond: {status: 204}}
  - {name: broken, match: /broken, respond: {status: 500}}
defaults: {rate_limit: none, unauthenticated_tier: none}
"""
QUICK = "rollups: {interval: 100ms}\n"


@pytest.fixture
def gateway(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[str], RunningGateway]]:
    """Makes nodes that store their records in SQLite."""
    ports, made = (free_port(), free_port()), []

    def make(text: str) -> RunningGateway:
        node = RunningGateway(tmp_path, ports, text)
        node.file.write_text(node.file.read_text().replace("records: {sinks: []}\n", ""))
        made.append(node)
        return node

    yield make
    for node in made:
        node.end("kill")


def ask(node: RunningGateway, path: str, **headers: str) -> None:
    ASKING.get(f"http://127.0.0.1:{node.public}{path}", headers=headers)


def summary(node: RunningGateway, *group: str, **parameters: Any) -> dict[str, Any]:
    asked = {"group": list(group), "source": "rollups"} | parameters
    return ASKING.get(f"{node.url}/api/v1/records/summary", params=asked).json()


def counts(node: RunningGateway, *group: str, **parameters: Any) -> dict[tuple[object, ...], int]:
    groups = summary(node, *group, **parameters).get("groups", [])
    return {tuple(one[name] for name in group): one["count"] for one in groups}


def until(wanted: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not wanted():
        assert time.monotonic() < deadline, f"not within {SECONDS:g} s"
        time.sleep(0.05)


def test_requests_are_counted_over_a_restart_and_told_by_route_and_status(gateway) -> None:
    node = gateway(QUICK + ROUTES)
    node.start()
    for path in ("/", "/", "/broken", "/nowhere"):
        ask(node, path)
    until(lambda: sum(counts(node).values()) == 4)
    node.end()
    node.start()
    ask(node, "/broken")
    expected = {("home", 204): 2, ("broken", 500): 2, (None, 404): 1}
    until(lambda: counts(node, "route_id", "status") == expected)
    broken = summary(node, where="status>=500")["groups"][0]
    assert (broken["count"], broken["errors"], broken["error_share"]) == (2, 2, 1.0)
    # The same of records, by the same words, to the last bucket of each latency.
    until(lambda: sum(counts(node, source="records").values()) == 5)
    for latency in ("total_latency_ms", "gateway_overhead_ms", "upstream_latency_ms"):
        rolled, stored = (told(node, latency, source) for source in ("rollups", "records"))
        assert len(rolled) == 3
        assert rolled == stored


def told(node: RunningGateway, latency: str, source: str) -> dict[object, dict[str, Any]]:
    """All that is said of each route, beside how fast requests came."""
    groups = summary(node, "route_id", "status", source=source, of=latency, histograms=True)["groups"]
    return {one["route_id"]: one | {"rate_per_s": None} for one in groups}


def test_requests_without_records_are_counted_and_budgets_go_on_over_a_restart(
    gateway, tmp_path: Path
) -> None:
    node = gateway(
        "rollups: {enabled: true, interval: 100ms}\nalerts: {interval: 100ms}\n"
        "objectives: [{name: up, target: 90%, routes: broken}, {name: home, target: 90%, routes: home}]\n"
        + ROUTES
    )
    node.file.write_text(node.file.read_text() + "records: {sinks: []}\n")
    node.start()
    for path in ("/broken", "/", "/"):
        ask(node, path)
    until(lambda: left(node) == {"up": -9.0, "home": 1.0})
    assert "\ngateway_records_total 0\n" in ASKING.get(node.url + "/metrics").text
    node.end()
    assert written(tmp_path) == {("broken",): 1, ("home",): 2}
    node.file.write_text(node.file.read_text().replace("routes: home}]", "services: []}]"))
    node.start()
    # What is new counts on from roll-ups, too.
    until(lambda: left(node) == {"up": -9.0, "home": round(-7 / 3, 3)})


def left(node: RunningGateway) -> dict[str, float]:
    """What is left of the budget of each objective."""
    objectives = ASKING.get(f"{node.url}/api/v1/alerts").json()["objectives"]
    return {one["name"]: round(one["budget_left"] or 0.0, 3) for one in objectives}


def written(directory: Path) -> dict[tuple[object, ...], int]:
    """What roll-ups of a node that has ended say of each route."""
    now = datetime.now(UTC)
    question = SummaryQuestion(now - timedelta(hours=1), now + timedelta(minutes=1), group=("route_id",))
    found = count_rollups(directory / ".gatewright" / "rollups", question)
    assert found is not None
    return {group: one.count for group, one in found.groups.items()}


def test_names_beyond_the_bound_are_counted_as_other(gateway) -> None:
    routes = "".join(f"  - {{name: r{number}, match: /r{number}, respond: {{}}}}\n" for number in range(170))
    node = gateway(
        "rollups: {interval: 100ms, max_keys: 100}\n" + ROUTES.replace("defaults", routes + "defaults")
    )
    node.start()
    # The bound is that of each minute.
    before_the_end_of(MINUTE, 10)
    for number in range(170):
        ask(node, f"/r{number}")
    until(lambda: sum(counts(node).values()) == 170)
    found = counts(node, "route_id")
    assert found["other",] >= 20
    assert found["r0",] == 1
    page = ASKING.get(node.url + "/metrics").text
    coarsened = next(line for line in page.splitlines() if line.startswith("gateway_rollup_coarsened_total"))
    assert float(coarsened.split()[1]) >= 20


def test_old_and_large_roll_ups_are_deleted(gateway, tmp_path: Path) -> None:
    directory = tmp_path / ".gatewright" / "rollups"
    directory.mkdir(parents=True)
    today = datetime.now(UTC)
    old, large = ((today - timedelta(days=days)).strftime("rollups-%Y%m%d.sqlite") for days in (9, 1))
    (directory / old).touch()
    with (directory / large).open("wb") as file:
        file.truncate(17 << 20)
    node = gateway("rollups: {interval: 100ms, retention: 7d, max_size: 16MiB}\n" + ROUTES)
    node.start()
    until(lambda: not (directory / old).exists() and not (directory / large).exists())
    assert (directory / "minutes-from").read_text() == f"{today:%Y%m%d}\n"


def test_nothing_is_counted_where_that_is_off(gateway, tmp_path: Path) -> None:
    node = gateway("rollups: {enabled: false}\n" + ROUTES)
    node.start()
    ask(node, "/")
    until(lambda: counts(node, "route_id", source="auto") == {("home",): 1})
    assert "there are no roll-ups" in summary(node)["message"]
    assert not (tmp_path / ".gatewright" / "rollups").exists()


def test_a_request_is_explained_by_the_configuration_that_was_live(gateway) -> None:
    node = gateway(ROUTES)
    node.start()
    ask(node, "/broken", **{"x-request-id": "before"})
    changed = node.file.read_text().replace("{name: broken, match: /broken", "{name: later, match: /later")

    def is_live() -> bool:
        # Again and again, because watching begins at some moment after the node is ready.
        new = node.file.with_suffix(".new")
        new.write_text(changed)
        new.replace(node.file)
        return ASKING.get(node.url + "/api/v1/config").json()["version"] == 2

    until(is_live)
    found: dict[str, Any] = {}

    def is_found() -> bool:
        found.update(ASKING.get(node.url + "/api/v1/records/before").json())
        return "explanation" in found

    until(is_found)
    step = found["explanation"]["steps"][0]
    assert step["lines"] == ["- {name: broken, match: /broken, respond: {status: 500}}"]
    assert step["changed_since"]
    assert found["explanation"]["configuration"]["newest_version"] == 2
