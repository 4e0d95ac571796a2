"""Conditions and times as they are written."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gatewright.records.conditions import Condition, parse_condition, status_condition
from gatewright.records.fields import FIELDS, RecordQueryError
from gatewright.records.moments import moment_of

NOW = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("total_latency_ms>=10", Condition("total_latency_ms", ">=", "10")),
        ("path=/a=b", Condition("path", "=", "/a=b")),
        ("path~=x", Condition("path", "~", "=x")),
        ("status != 200", Condition("status", "!=", "200")),
        ("user_id=null", Condition("user_id", "=", None)),
        ('user_id="null"', Condition("user_id", "=", "null")),
        ("decision.limit.verdict=refused", Condition("verdict", "=", "refused", "limit")),
        ("decision.*.waited_ms>=100", Condition("waited_ms", ">=", "100", "*")),
        ("decision.*.rule!~x", Condition("rule", "!~", "x", "*")),
    ],
)
def test_conditions_are_read_from_text(text: str, condition: Condition) -> None:
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nothing", "write `field=value`"),
        ("=x", "write `field=value`"),
        ("a b=c", "write `field=value`"),
        ("1=1 OR status=2", "write `field=value`"),
        ("sqlite_version()=1", "write `field=value`"),
        ("routeid=users", "did you mean `route_id`?"),
        ("record=1", "records have no field `record`"),
        ("status=many", "`status` is compared with a number, not `many`"),
        ("status>=5xx", "`status` is compared with a number"),
        ("rate_limited=1", "is `true` or `false`, not `1`"),
        ("decision.limits.verdict=refused", "did you mean `limit`?"),
        ("decision.limit.x'y=1", "write `field=value`"),
        ("user_id>null", "`null` can only be compared by `=` and `!=`"),
        ("decision.limit.limit>many", "is compared with a number"),
    ],
)
def test_what_is_no_condition_is_told_what_would_work(text: str, told: str) -> None:
    with pytest.raises(RecordQueryError, match=re.escape(told)):
        parse_condition(text)


def test_a_status_is_a_number_or_a_class() -> None:
    assert status_condition("5xx") == "status=5xx"
    for text in ("6xx", "40", "abc", "4ax"):
        with pytest.raises(RecordQueryError, match="no status"):
            status_condition(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("15m", datetime(2026, 11, 27, 14, 15, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
        ("9:05", datetime(2026, 11, 27, 9, 5, tzinfo=UTC)),
        ("2026-11-26", datetime(2026, 11, 26, tzinfo=UTC)),
        ("2026-11-26 10:00", datetime(2026, 11, 26, 10, tzinfo=UTC)),
        ("2026-11-26T10:00:00+02:00", datetime(2026, 11, 26, 8, tzinfo=UTC)),
    ],
)
def test_times_are_read_from_text(text: str, moment: datetime) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "15", "25:00", "999999d", "-1h"])
def test_what_is_no_time_is_told_what_would_work(text: str) -> None:
    with pytest.raises(RecordQueryError, match="write `15m`"):
        moment_of(text, NOW)


def test_every_field_of_the_reference_can_be_asked_for(repository: Path) -> None:
    page = (repository / "docs/reference/records.md").read_text(encoding="utf-8").partition("## Decisions")[0]
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named - {"decisions", "request_headers", "response_headers"} - set(FIELDS) == set()
