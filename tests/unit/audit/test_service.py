"""The audit of a node where its log cannot be written, and what its own log is told."""

import logging
from pathlib import Path

import pytest

from gatewright.audit.entries import DECISION, Draft
from gatewright.audit.files import AuditError
from gatewright.audit.log import AuditSettings
from gatewright.audit.reading import Wanted
from gatewright.audit.service import MOST_WAITING, Audit
from gatewright.audit.verify import verify

ANN = {"principal": "token", "says": "ann"}


@pytest.fixture
def broken(tmp_path: Path) -> Audit:
    """Its directory cannot be made, since a file is there."""
    (tmp_path / "audit").touch()
    return Audit(tmp_path / "audit")


async def test_an_act_is_on_disk_once_it_was_said(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit")
    await audit.act(ANN, "breaker.reset", {"breaker": "users"})
    page = await audit.read(Wanted(kind="act"))
    assert [(one["what"], one["fields"]) for one in page.entries] == [("breaker.reset", {"breaker": "users"})]


async def test_what_cannot_be_written_waits_and_is_written_later(broken: Audit) -> None:
    await broken.act(ANN, "first")
    assert (broken.waiting, broken.failures, broken.lost) == (1, 1, 0)
    broken.log.directory.unlink()
    await broken.act(ANN, "second")
    page = await broken.read(Wanted(kind="act"))
    assert [one["what"] for one in page.entries] == ["second", "first"]
    assert (broken.waiting, broken.error) == (0, None)
    assert verify(broken.log.directory).fault is None


async def test_what_waits_is_bounded_and_acts_go_before_decisions(broken: Audit) -> None:
    broken.use(AuditSettings(decisions_per_second=10_000))
    broken.decided([Draft(DECISION, ANN, "refused.banned")] * (MOST_WAITING + 10))
    await broken.act(ANN, "breaker.reset")
    assert (broken.waiting, broken.lost) == (MOST_WAITING, 11)
    broken.log.directory.unlink()
    broken.check()
    assert [one["what"] for one in (await broken.read(Wanted(kind="act"))).entries] == ["breaker.reset"]


async def test_where_it_is_required_a_log_that_cannot_be_written_is_an_error(broken: Audit) -> None:
    await broken.ready()
    broken.use(AuditSettings(required=True))
    with pytest.raises(AuditError, match="cannot be written"):
        await broken.ready()
    broken.log.directory.unlink()
    await broken.ready()


async def test_a_checkpoint_is_said_once_for_each_new_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audit = Audit(tmp_path / "audit")
    await audit.act(ANN, "breaker.reset")
    with caplog.at_level(logging.INFO, "gatewright.audit"):
        audit.check()
        audit.check()
    told = [vars(record) for record in caplog.records if record.message == "audit checkpoint"]
    marks = {one["seq"]: one["hash"] for one in told}
    assert (len(told), list(marks.items())) == (1, [audit.log.head])
    assert verify(tmp_path / "audit", (), marks).fault is None


async def test_decisions_can_be_left_out(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit")
    audit.use(AuditSettings(decisions=False))
    audit.decided([Draft(DECISION, ANN, "refused.banned")])
    assert not (tmp_path / "audit").exists()


async def test_pages_go_on_where_the_one_before_ended(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    audit.use(AuditSettings(file_bytes=1500))
    for number in range(12):
        await audit.act(ANN, "limit.set", {"number": number})
    found, before = [], None
    while True:
        page = await audit.read(Wanted(what="limit.*", before=before, limit=5))
        found += [one["fields"]["number"] for one in page.entries]
        if page.next is None:
            break
        before = page.next
    assert found == list(range(11, -1, -1))
