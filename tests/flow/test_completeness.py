"""Nothing is left out: every refusal, every malformed request and every option has a test that names it."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway import Node
from gatewright.config.models import Gateway

TESTS = Path(__file__).parent.parent

UNREACHABLE = {"internal_error"}
"""What only a fault of the gateway itself would bring out."""

OF_THE_PROCESS = {
    # tests/unit and tests/flow/test_life.py: what Python does with them, not the data plane.
    *("include", "version", "workers", "state_directory", "drain_timeout", "drain_delay", "admin"),
    *("token", "sinks", "kind"),
    *("path", "retention", "reload", "watch", "debounce", "file", "url", "allow_http", "refresh"),
    *("minimum_refresh", "lifetime", "timeout", "balance", "name"),
    # tests/faults/test_key_sets.py: where keys are, and for how long.
    *("discovery", "extension"),
    # tests/unit/control/test_quotas.py and tests/faults/test_quotas.py: by Python, and by processes that end.
    "quota_save_interval",
    # tests/unit/keystore/test_store.py: what the store does once an hour.
    "usage_retention",
    # tests/flow/test_shared_breakers.py: by nodes of its own.
    *("redis", "circuit_breakers"),
}


@pytest.fixture(scope="module")
def tests() -> str:
    """The text of every other test of this folder and the border, and of what they share."""
    files = [file for name in ("flow", "border", "gateway") for file in (TESTS / name).glob("*.py")]
    return "\n".join(file.read_text() for file in files if file != Path(__file__))


def labels(page: str, metric: str) -> list[str]:
    return re.findall(rf'^{metric}\{{[a-z]+="([^"]+)"\}}', page, re.MULTILINE)


def test_every_refusal_code_is_tested(tests: str) -> None:
    with Node("routes: [{name: self, match: '/*', service: self}]\n") as node:
        codes = labels(node.engine.metrics(), "gateway_refusals_total")
    assert len(codes) >= 18
    assert [code for code in codes if f'"{code}"' not in tests and code not in UNREACHABLE] == []


def test_every_reason_for_a_malformed_request_is_tested(tests: str, repository: Path) -> None:
    source = (repository / "crates/dataplane/src/refusal.rs").read_text()
    source = source[source.index("impl Malformed") : source.index("pub enum Refusal")]
    reasons = re.findall(r'"([^"\n]+)"', source)
    assert len(reasons) >= 29
    missing = [reason for reason in reasons if reason not in tests]
    assert missing == []


def options(model: type[BaseModel], seen: set[str]) -> set[str]:
    """The names of all options of a model and of those inside it."""
    found = set()
    for name, field in model.model_fields.items():
        found.add(field.alias or name)
        for inner in models_in(field.annotation):
            if inner.__name__ not in seen:
                found |= options(inner, seen | {inner.__name__})
    return found


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    parts = [*getattr(annotation, "__args__", ()), getattr(annotation, "__origin__", None)]
    return [model for part in parts if part is not annotation and part for model in models_in(part)]


def test_every_option_is_tested(tests: str) -> None:
    names = options(Gateway, set())
    assert len(names) > 80
    tested = set(re.findall(r"""\b(\w+)["']?: """, tests))
    assert sorted(names - tested - OF_THE_PROCESS) == []
