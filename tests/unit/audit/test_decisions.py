"""Which records are decisions about safety, and how many of them are written."""

import json
from typing import Any

import pytest

from gatewright.audit.budget import Budget
from gatewright.audit.decisions import drafts_of
from gatewright.audit.entries import DECISION, Draft


def record(*steps: dict[str, Any], **changes: object) -> bytes:
    fields = {
        "timestamp": "2026-11-21T10:00:00.000Z",
        "request_id": "one",
        "method": "GET",
        "path": "/a",
        "status": 200,
        "client_ip": "203.0.113.9",
        "user_id": None,
        "error_type": None,
    }
    whole = [{"rule": None, "at": None, "inputs": {}} | step for step in steps]
    return json.dumps(fields | {"decisions": whole} | changes, separators=(",", ":")).encode() + b"\n"


def step(stage: str, verdict: str, **more: object) -> dict[str, Any]:
    return {"stage": stage, "verdict": verdict} | more


@pytest.mark.parametrize(
    ("steps", "error", "what", "outcome"),
    [
        (
            [step("authenticate", "refused", rule="mobile")],
            "invalid_token",
            "refused.invalid_token",
            "refused",
        ),
        ([step("authorize", "refused")], "csrf_failed", "refused.csrf_failed", "refused"),
        ([step("authorize", "refused")], "challenge_required", "refused.challenge_required", "refused"),
        ([step("limit", "refused")], "banned", "refused.banned", "refused"),
        ([step("listener", "redirected")], "https_required", "redirected.https_required", "redirected"),
        (
            [step("authenticate", "anonymous", inputs={"grace_period": "x"})],
            None,
            "passed.grace_period",
            "passed",
        ),
        ([step("authenticate", "logged_in", rule="sso")], None, "login.logged_in", "done"),
    ],
)
def test_decisions_about_safety_are_found(
    steps: list[dict[str, Any]], error: str | None, what: str, outcome: str
) -> None:
    draft, *others = drafts_of(record(step("route", "matched"), *steps, error_type=error))
    assert (draft.kind, draft.what, draft.outcome, others) == (DECISION, what, outcome, [])
    assert draft.who == {"principal": "caller", "address": "203.0.113.9"}
    assert (draft.fields["request_id"], draft.fields["stage"]) == ("one", steps[0]["stage"])


@pytest.mark.parametrize(
    "steps",
    [
        [step("route", "matched"), step("authenticate", "user"), step("limit", "admitted")],
        [step("route", "refused")],
        [step("balance", "refused")],
        [step("limit", "would_refuse")],
    ],
)
def test_what_is_not_about_safety_is_left_out(steps: list[dict[str, Any]]) -> None:
    assert drafts_of(record(*steps, error_type="x")) == []


def test_what_is_no_record_is_left_out_and_the_rest_is_found() -> None:
    good = record(step("limit", "refused"), error_type="banned", user_id="ann", config_version=7)
    broken = good[:-20] + b"\n"
    admitted = record(step("limit", "admitted"))
    first, second = drafts_of(good + broken + admitted + good)
    assert first.fields == second.fields
    assert (first.who["user"], first.fields["config_version"]) == ("ann", 7)


def test_a_path_cannot_look_like_a_decision() -> None:
    path = '/"verdict":"refused","stage":"limit"'
    assert drafts_of(record(step("route", "matched"), path=path)) == []


def decision(what: str) -> Draft:
    return Draft(DECISION, {"principal": "caller"}, what)


def test_decisions_above_the_bound_are_counted_in_one_entry() -> None:
    now = [10.0]
    budget = Budget(2, lambda: now[0])
    first = budget.admitted([decision("refused.banned")] * 5 + [decision("refused.invalid_token")])
    assert [draft.what for draft in first] == ["refused.banned"] * 2
    assert (budget.admitted([decision("refused.banned")]), budget.omitted) == ([], 5)
    now[0] = 11.0
    counted, written = budget.admitted([decision("refused.banned")])
    assert (counted.what, written.what) == ("decisions.omitted", "refused.banned")
    assert counted.fields == {
        "counts": {"refused.banned": 4, "refused.invalid_token": 1},
        "total": 5,
    }


def test_what_was_counted_last_is_told_at_the_end() -> None:
    budget = Budget(1, lambda: 10.0)
    budget.admitted([decision("refused.banned")] * 3)
    budget.end()
    assert [draft.fields["total"] for draft in budget.admitted([])] == [2]
