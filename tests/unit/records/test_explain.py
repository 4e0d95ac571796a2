"""The words of `explain`."""

from gatewright.records.explain import expected_outcome, inputs_of, recorded_outcome, steps_of


def test_decisions_keep_their_order_rule_and_place() -> None:
    steps = steps_of({
        "decisions": [
            {
                "stage": "route",
                "verdict": "matched",
                "rule": "users",
                "at": "g.yaml:3:5",
                "inputs": {"path": "/a"},
            },
            {
                "stage": "limit",
                "verdict": "refused",
                "rule": None,
                "at": None,
                "inputs": {"limit": 3, "left": 0},
            },
        ]
    })
    assert [(step.stage, step.rule, step.at, step.inputs) for step in steps] == [
        ("route", "users", "g.yaml:3:5", "path=/a"),
        ("limit", "", "", "limit=3 left=0"),
    ]
    assert [step.refuses for step in steps] == [False, True]


def test_inputs_with_spaces_are_quoted() -> None:
    assert (
        inputs_of({"fault": "the key is not known", "n": 1, "none": None})
        == 'fault="the key is not known" n=1 none=-'
    )
    assert inputs_of([["a", 1], ["b", "x"]]) == "a=1 b=x"
    assert inputs_of(None) == ""


def test_a_recorded_refusal_names_its_error() -> None:
    record = {
        "status": 502,
        "error_type": "connection_refused",
        "error_message": "no",
        "total_latency_ms": 2.0,
    }
    assert recorded_outcome(record) == "502, connection_refused: no, in 2.0 ms"


def test_a_recorded_success_names_who_answered_and_who_took_how_long() -> None:
    record = {
        "status": 200,
        "backend_service": "users",
        "backend_instance": "u:1",
        "total_latency_ms": 5.0,
        "gateway_overhead_ms": 1.0,
        "upstream_latency_ms": 4.0,
    }
    assert recorded_outcome(record) == "200, from users at u:1, in 5.0 ms (gateway 1.0 ms, service 4.0 ms)"


def test_what_was_waited_for_is_told_by_the_step_and_in_the_answer() -> None:
    decisions = [
        {"stage": "authenticate", "verdict": "partner", "waited_ms": 30.25, "waited_for": "key_store"},
        {"stage": "limit", "verdict": "admitted", "waited_ms": 4.0, "waited_for": "redis"},
        {"stage": "balance", "verdict": "picked"},
    ]
    record = {"status": 200, "total_latency_ms": 40.0, "decisions": decisions}
    told = ["30.25 ms for key_store", "4.0 ms for redis", ""]
    assert [step.waited for step in steps_of(record)] == told
    answer = "200, from the gateway itself, in 40.0 ms, waited 30.25 ms for key_store and 4.0 ms for redis"
    assert recorded_outcome(record) == answer


def test_an_expected_answer_is_a_refusal_a_target_or_the_gateways_own() -> None:
    assert expected_outcome({"status": 401, "error": "invalid_token"}) == "401 invalid_token"
    forwarded = {"action": "proxy", "service": "users", "instance": "u:1", "forward_path": "/me"}
    assert expected_outcome(forwarded) == "forwarded to users at u:1 as /me"
    assert expected_outcome({"action": "file"}) == "answered with a file, if there is one"
    assert expected_outcome({"action": "health", "status": 200}) == "200 from the gateway itself (health)"
