"""The examples are valid, and the same configuration in all three formats."""

import json
from pathlib import Path
from typing import Any

import pytest

from gatewright.config import compile, load

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.parametrize("name", ["gateway.yaml", "gateway.kdl", "gateway.py"])
def test_example_is_valid_without_warnings(name: str) -> None:
    assert load([EXAMPLES / name]).warnings == ()


@pytest.mark.parametrize("name", ["gateway.kdl", "gateway.py"])
def test_examples_compile_to_the_same_snapshot(name: str) -> None:
    assert _snapshot(name) == _snapshot("gateway.yaml")


@pytest.mark.parametrize("name", ["gateway.kdl", "gateway.py"])
def test_examples_have_the_same_settings_outside_the_snapshot(name: str) -> None:
    expected = load([EXAMPLES / "gateway.yaml"]).gateway
    found = load([EXAMPLES / name]).gateway
    for section in ("admin", "records", "reload", "node"):
        assert getattr(found, section).model_dump() == getattr(expected, section).model_dump()


def test_compiling_twice_gives_the_same_bytes() -> None:
    loaded = load([EXAMPLES / "gateway.yaml"])
    assert compile(loaded, 3) == compile(load([EXAMPLES / "gateway.yaml"]), 3)


def _snapshot(name: str) -> Any:
    return _without_positions(json.loads(compile(load([EXAMPLES / name]), 1)))


def _without_positions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_positions(item) for key, item in value.items() if key != "at"}
    if isinstance(value, list):
        return [_without_positions(item) for item in value]
    return value
