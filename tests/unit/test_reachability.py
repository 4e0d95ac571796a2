"""A server that is asked again and again: the log tells when it ceases to answer, and when it is back."""

import logging

import pytest

from gatewright.reachability import Reachability

log = logging.getLogger("gatewright.test")


def test_a_change_is_logged_and_a_repetition_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server = Reachability()
    for error in (OSError("refused"), OSError("refused again")):
        server.failed(error, log, "it is away")
    for _ in range(2):
        server.answered(log, "it is there")
    server.failed(TimeoutError(), log, "it is away")
    said = [(record.levelname, record.message, getattr(record, "error", None)) for record in caplog.records]
    assert said == [
        ("WARNING", "it is away", "refused"),
        ("INFO", "it is there", None),
        ("WARNING", "it is away", "TimeoutError"),
    ]


def test_what_is_wrong_is_told_as_long_as_it_is() -> None:
    server = Reachability()
    server.failed(OSError("refused"), log, "it is away")
    assert server.state() == {"connected": False, "failures": 1, "error": "refused"}
    server.answered(log, "it is there")
    assert server.state() == {"connected": True, "failures": 1, "error": None}
