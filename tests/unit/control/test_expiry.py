"""Warnings about certificates that end soon: when they begin, how loud they are, that each is said once."""

import datetime
import logging
from pathlib import Path

import pytest

from gateway import Authority
from gatewright.config import Loaded, load
from gatewright.control.expiry import ExpiryWatch, ending, expiries

DAY = datetime.timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


def loaded(authority: Authority, *days: int) -> Loaded:
    """A configuration with a certificate for each of these lifetimes."""
    pairs = [
        authority.issue(f"c{number}", f"c{number}.test", lifetime=lifetime * DAY)
        for number, lifetime in enumerate(days)
    ]
    file = authority.directory / "gateway.yaml"
    told = ", ".join(pair.yaml for pair in pairs)
    file.write_text(
        f"listeners: [{{name: public, address: '127.0.0.1:1', tls: {{certificates: [{told}]}}}}]\n"
        "routes: [{name: a, match: /a, service: self}]\n"
    )
    return load([file], {})


@pytest.mark.parametrize(
    ("days", "severity"), [(60, None), (30, None), (29, "warning"), (8, "warning"), (6, "high"), (-1, "high")]
)
def test_a_certificate_is_warned_about_from_30_days_on_and_loudly_from_7(
    authority: Authority, days: int, severity: str | None
) -> None:
    all_of_them = expiries(loaded(authority, days))
    # A moment more than whole days are left.
    now = all_of_them[0].at - days * DAY - datetime.timedelta(seconds=1)
    due = ending(all_of_them, now)
    assert [one.document(now)["severity"] for one in due] == ([severity] if severity else [])


def test_the_most_urgent_comes_first(authority: Authority) -> None:
    all_of_them = expiries(loaded(authority, 20, 3, 90))
    due = ending(all_of_them, datetime.datetime.now(datetime.UTC))
    assert [one.name for one in due] == ["c1.test", "c0.test"]


def test_each_step_is_said_once_and_again_after_a_renewal(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    live = loaded(authority, 100)
    watch = ExpiryWatch(lambda: live)
    end = expiries(live)[0].at
    levels = []
    for left in (40, 29, 28, 13, 12, 6, 5, -1):
        caplog.clear()
        watch.look(end - left * DAY)
        levels.append([record.levelno for record in caplog.records])
    assert levels == [[], [logging.WARNING], [], [logging.WARNING], [], [logging.ERROR], [], []]
    live = loaded(authority, 20)
    caplog.clear()
    watch.look(expiries(live)[0].at - 20 * DAY)
    assert len(caplog.records) == 1


def test_a_node_without_a_configuration_has_nothing_to_say() -> None:
    assert expiries(None) == []
