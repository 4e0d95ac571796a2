"""What every store that is thinned has in common."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.config.models.records import Keep
from gatewright.config.quantities import Duration
from gatewright.records import segments
from gatewright.records.reader import Question, page
from gatewright.records.sinks.sqlite_thinning import Due, copied
from gatewright.records.sinks.thinning import Judge, Retention

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
DECISIONS = [
    {"stage": "limit", "verdict": "refused", "rule": "slow", "inputs": {"limit": 5, "algorithm": "12x"}},
    {"stage": "authorize", "verdict": "granted", "inputs": {"is_admin": True}},
]
RECORDS = (
    {},
    {"status": 503, "error_type": "Ünlücky", "path": "/a%_\\'\""},
    {"status": 499, "rate_limited": True, "decisions": []},
    {"status": None, "user_id": "", "total_latency_ms": 1e-7},
    {"user_id": "alice", "total_latency_ms": 10, "request_bytes": 2**40, "decisions": DECISIONS},
    {"user_id": "null", "total_latency_ms": 1000.0, "country": "DE", "decisions": DECISIONS[:1]},
)
CONDITIONS = (
    "status>=500",
    "status!=200",
    "status=4xx",
    "status!=5xx",
    "status=null",
    "user_id=null",
    'user_id="null"',
    "user_id!=alice",
    "user_id<b",
    "user_id~l",
    "user_id!~l",
    "error_type~Ü",
    "error_type>a",
    "path~%_\\'\"",
    "timestamp>=2026-11-10T12:00:03",
    "total_latency_ms<1.5",
    "total_latency_ms=1000",
    "request_bytes>1e12",
    "rate_limited=true",
    "rate_limited!=true",
    "country=DE",
    "decision.limit.verdict=refused",
    "decision.limit.verdict!=refused",
    "decision.*.rule=null",
    "decision.limit.limit=5",
    "decision.limit.algorithm>11",
    "decision.*.is_admin=true",
    "decision.route.at~gateway",
)


@pytest.fixture
def stored(tmp_path: Path, record_line, store_records) -> list[bytes]:
    """Records of an hour that is closed, each known by its place."""
    lines = []
    for number, fields in enumerate(RECORDS):
        at = (NOON + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        lines.append(record_line(**({"timestamp": at, "request_id": str(number)} | fields)))
    store_records(tmp_path, b"".join(lines))
    return lines


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_means_the_same_in_every_store(
    stored: list[bytes], tmp_path: Path, condition: str
) -> None:
    rules = Retention.of(Duration.of("7d"), [Keep(where=[condition], retention=Duration.of("30d"))]).rules
    kept = Judge(rules).kept(f"[{','.join(line.decode() for line in stored)}]")
    due = Due("2026111012", timedelta(days=7), {segments.path_of(tmp_path, "2026111012"): None})
    kept_path = segments.kept_path_of(tmp_path / "kept", "2026111012")
    kept_path.parent.mkdir()
    assert copied(due, rules, kept_path, lambda: False) == len(kept)
    found = page(kept_path.parent, Question()).records
    assert sorted(int(one["request_id"]) for one in found) == kept
    # It tells some records from others.
    assert 0 < len(kept) < len(stored)


def test_rules_are_as_they_are_configured() -> None:
    keep = [Keep(where=["status>=500", "rate_limited=true"], retention=Duration.of("30d"))]
    retention = Retention.of(Duration.of("36h"), keep)
    assert retention.limits == [timedelta(hours=36), timedelta(days=30)]
    assert len(retention.rules[0].conditions) == 2
    assert Judge(retention.rules).kept('[{"status":503,"rate_limited":true},{"status":503}]') == [0]
