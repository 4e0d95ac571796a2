"""The published schema of records."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.schema import problems_of
from gatewright.cli import run
from gatewright.records.fields import FIELDS as ASKED
from gatewright.records.schema import FIELDS, record_schema


def test_the_published_schema_is_what_the_command_prints(capsys: Any, repository: Path) -> None:
    assert run(["schema", "--records"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((repository / "docs/reference/record.schema.json").read_text())
    assert printed == record_schema()


def test_every_field_is_explained_in_the_reference_and_can_be_asked_for(repository: Path) -> None:
    page = (repository / "docs/reference/records.md").read_text()
    assert [name for name in FIELDS if f"`{name}`" not in page.partition("## Decisions")[0]] == []
    not_asked = {"decisions", "request_headers", "response_headers"}
    assert set(FIELDS) - not_asked <= set(ASKED)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"status": "200"}, "record.status"),
        ({"status": 20}, "record.status"),
        ({"sampling_weight": True}, "record.sampling_weight"),
        ({"timestamp": "today"}, "record.timestamp"),
        ({"decisions": [{"stage": "guess"}]}, "record.decisions[0]"),
        ({"decisions": [{"waited_ms": "4"}]}, "record.decisions[0].waited_ms"),
        ({"surprise": 1}, "surprise is unknown"),
    ],
)
def test_what_is_not_as_promised_is_found(changed: dict[str, Any], told: str) -> None:
    strict = record_schema() | {"additionalProperties": False, "required": []}
    assert any(told in problem for problem in problems_of(changed, strict, "record"))
