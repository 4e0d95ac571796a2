"""Alerts: channels as they are configured. What they are told: `tests/faults/test_alert_drills.py`."""

import importlib.util
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from gateway import Node, Origin, one_route
from gatewright.control.alert_settings import alert_settings
from gatewright.errors import ConfigError

CHANNEL = "{name: pager, kind: apprise, urls: ['json://127.0.0.1/'], severities: critical, timeout: 3s}"
ALERTS = f"alerts: {{channels: [{CHANNEL}], off: [memory, panics]}}"
OBJECTIVES = "objectives: [{name: up, target: 99.5%, services: users, window: 7d}]"


def finding(monkeypatch: pytest.MonkeyPatch, spec: ModuleSpec | None) -> None:
    """Let a library be there or not, whatever is installed."""
    find: Any = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> Any:
        return spec if name == "apprise" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)


def test_a_channel_whose_library_is_missing_is_refused_and_says_what_to_install(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(monkeypatch, None)
    with (
        pytest.raises(ConfigError, match=r"pip install 'gatewright\[alerts\]'"),
        Node(one_route(origin, "", ALERTS)),
    ):
        pass


def test_channels_rules_and_objectives_are_as_they_are_written(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding(monkeypatch, ModuleSpec("apprise", None))
    with Node(one_route(origin, "", ALERTS, OBJECTIVES)) as node:
        assert node.loaded is not None
        settings = alert_settings(node.loaded.gateway)
    [channel], [goal] = settings.channels, settings.goals
    assert (channel.urls, channel.severities, channel.timeout) == (("json://127.0.0.1/",), {"critical"}, 3.0)
    assert (goal.target, goal.services, goal.window) == (0.995, {"users"}, 7 * 86_400)
    names = {rule.name for rule in settings.rules}
    assert "error_rate" in names
    assert not names & {"memory", "panics"}
