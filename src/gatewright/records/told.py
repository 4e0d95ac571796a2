"""A record told for people: stage by stage, with the lines of the configuration as they were in the version
that decided.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatewright.control.kept_texts import KeptTexts
from gatewright.control.state import StateDirectory
from gatewright.records.explain import Step, recorded_outcome, steps_of

MOST_LINES = 12
_PLACE = re.compile(r"(?P<path>.+):(?P<line>\d+):(?P<column>\d+)")


def told(record: Mapping[str, Any], state: Path | None) -> dict[str, Any]:
    """The record with its `explanation`. Without the state directory that has the texts, lines are `null`."""
    version = record.get("config_version")
    texts = KeptTexts(StateDirectory(state).configurations) if state is not None else None
    applied_at, newest = applied(texts, version)
    explanation = {
        "answer": recorded_outcome(record),
        "steps": [step_of(step, texts, version) for step in steps_of(record)],
        "configuration": {"version": version, "applied_at": applied_at, "newest_version": newest},
    }
    return {**record, "explanation": explanation}


def applied(texts: KeptTexts | None, version: object) -> tuple[str | None, int | None]:
    if texts is None or not isinstance(version, int):
        return None, None
    try:
        return texts.applied_at(version)
    except sqlite3.Error:
        return None, None


def step_of(step: Step, texts: KeptTexts | None, version: object) -> dict[str, Any]:
    lines, changed = lines_at(step.at, texts, version)
    return {
        "stage": step.stage,
        "verdict": step.verdict,
        "rule": step.rule or None,
        "inputs": step.inputs,
        "waited_ms": step.waited_ms,
        "waited_for": step.waited_for,
        "at": step.at or None,
        "lines": lines,
        "changed_since": changed,
    }


def lines_at(at: str, texts: KeptTexts | None, version: object) -> tuple[list[str] | None, bool | None]:
    """The lines of the element that starts at a place, and whether the file was changed since."""
    place = _PLACE.fullmatch(at)
    if place is None or texts is None or not isinstance(version, int):
        return None, None
    try:
        kept = texts.text(version, place["path"])
    except sqlite3.Error:
        kept = None
    if kept is None:
        return None, None
    return element_at(kept.lines, int(place["line"])), not kept.is_newest


def element_at(lines: tuple[str, ...], number: int) -> list[str]:
    """A line and those that belong to it, since they stand further right, at most `MOST_LINES`."""
    if not 0 < number <= len(lines):
        return []
    first = lines[number - 1]
    indent = len(first) - len(first.lstrip())
    found = [first]
    for line in lines[number : number - 1 + MOST_LINES]:
        if not line.strip() or len(line) - len(line.lstrip()) <= indent:
            break
        found.append(line)
    return [line[indent:] for line in found]
