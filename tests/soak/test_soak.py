"""A quarter of a minute of `make soak`, and that it finds what it looks for."""

from pathlib import Path

import pytest

from soak.loads import Clients, H2load
from soak.run import DESCRIPTOR_GROWTH, MEBIBYTE, RESIDENT_GROWTH, Outcome, Row, soak
from soak.world import Sample

SECONDS = 15


@pytest.mark.slow
@pytest.mark.needs("nginx", "h2load")
async def test_reloads_every_second_and_changing_instances_fail_no_request_and_leak_nothing(
    tmp_path: Path,
) -> None:
    outcome = Outcome()
    await soak(outcome, SECONDS, tmp_path, share=0.25)
    # All of so short a run warms up; only what grows with every request or connection shows in it.
    outcome.resident_growth = 32 * MEBIBYTE
    assert outcome.faults() == [], outcome.table()
    assert outcome.replaced >= SECONDS // 6
    assert outcome.rows[-1].sample.version >= SECONDS // 2
    assert len(outcome.rows) >= SECONDS // 2


def outcome_of(resident: int = 0, descriptors: int = 0, dropped: int = 0) -> Outcome:
    """A run in whose last third these were added."""
    outcome = Outcome(1, loads=[Clients("clients", 1, 1.0)])
    outcome.loads[0].tally.requests = 1
    for number in range(30):
        late = number >= 20
        held = Sample(resident * late, descriptors * late, 1, 1, number, dropped * late)
        outcome.rows.append(Row(number, 1, 0, 0.0, held))
    return outcome


def test_growth_lost_records_and_failures_are_faults() -> None:
    assert outcome_of().faults() == []
    assert outcome_of(RESIDENT_GROWTH, DESCRIPTOR_GROWTH).faults() == []
    assert outcome_of(resident=RESIDENT_GROWTH + 1).faults() == ["resident memory grew by 8.0 MiB"]
    assert outcome_of(descriptors=DESCRIPTOR_GROWTH + 1).faults() == ["31 more descriptors"]
    assert outcome_of(dropped=3).faults() == ["3 records were dropped"]
    failed = outcome_of()
    failed.loads[0].tally.fail("no answer")
    assert failed.faults() == ["no answer"]


@pytest.mark.parametrize(
    ("told", "requests", "failed"),
    [
        ("requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout", 9, 0),
        ("requests: 9 total, 9 started, 9 done, 7 succeeded, 1 failed, 1 errored, 0 timeout", 7, 2),
        ("could not connect", 0, 1),
    ],
)
def test_report_of_h2load_is_read(told: str, requests: int, failed: int) -> None:
    load = H2load("bulk", 1, 1)
    load.count(told + "\nstatus codes: 9 2xx, 0 3xx, 0 4xx, 0 5xx")
    assert (load.tally.requests, load.tally.failed) == (requests, failed)
