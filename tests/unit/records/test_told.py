"""Records told with the lines of their configuration."""

import json
from pathlib import Path

from gatewright.control.kept_texts import KeptTexts
from gatewright.control.state import StateDirectory
from gatewright.records.told import element_at, told

TEXT = b"""\
routes:
  - name: users
    match: /users
    service: users
  - name: orders
    match: /orders
"""


def test_a_decision_shows_the_line_of_the_version_that_was_live(tmp_path: Path, record_line) -> None:
    texts = KeptTexts(StateDirectory(tmp_path).configurations)
    texts.keep(1, {"g.yaml": TEXT}, "2026-11-27T14:30:00.000+00:00")
    texts.keep(2, {"g.yaml": b"routes: []\n"}, "2026-11-27T15:30:00.000+00:00")
    decisions = [
        {"stage": "route", "verdict": "matched", "rule": "users", "at": "g.yaml:2:5", "inputs": {}},
        {"stage": "balance", "verdict": "refused", "rule": "x", "at": "other.yaml:1:1", "inputs": {}},
        {"stage": "respond", "verdict": "file", "rule": None, "at": None, "inputs": {}},
    ]
    record = json.loads(record_line(config_version=1, decisions=decisions))
    explanation = told(record, tmp_path)["explanation"]
    assert explanation["steps"][0]["lines"] == ["- name: users", "  match: /users", "  service: users"]
    assert [step["changed_since"] for step in explanation["steps"]] == [True, None, None]
    assert [step["lines"] for step in explanation["steps"][1:]] == [None, None]
    assert explanation["configuration"] == {
        "version": 1,
        "applied_at": "2026-11-27T14:30:00.000+00:00",
        "newest_version": 2,
    }


def test_without_kept_texts_a_record_is_told_all_the_same(tmp_path: Path, record_line) -> None:
    record = json.loads(record_line(config_version=1))
    for state in (None, tmp_path):
        explanation = told(record, state)["explanation"]
        assert explanation["answer"].startswith("200")
        assert [(step["at"], step["lines"]) for step in explanation["steps"]] == [("gateway.yaml:9:5", None)]


def test_a_broken_file_of_texts_is_as_none(tmp_path: Path, record_line) -> None:
    StateDirectory(tmp_path).configurations.write_bytes(b"no database" * 100)
    record = json.loads(record_line(config_version=1))
    assert told(record, tmp_path)["explanation"]["steps"][0]["lines"] is None


def test_an_element_ends_where_the_next_begins() -> None:
    assert element_at(("a:", "  b", "", "c"), 1) == ["a:", "  b"]
    assert element_at(("a", "b"), 9) == []
    assert len(element_at(("a:", *["  b"] * 50), 1)) == 12
