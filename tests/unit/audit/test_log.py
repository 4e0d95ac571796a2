"""How the audit log is written: the chain goes on over files, restarts, crashes and processes."""

import fcntl
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from gatewright.audit.entries import ACT, DECISION, HIDDEN, NOTHING, Draft, Seal, line_of, read_line
from gatewright.audit.files import AuditError, files_in, locked
from gatewright.audit.log import AuditLog, AuditSettings
from gatewright.audit.verify import verify

ANN = {"principal": "token", "says": "ann"}


def act(what: str = "breaker.reset", **fields: object) -> Draft:
    return Draft(ACT, ANN, what, fields=fields)


def entries(directory: Path) -> list[dict]:
    return [json.loads(line) for path in files_in(directory) for line in path.read_bytes().splitlines()]


def whats(directory: Path) -> list[str]:
    return [entry["what"] for entry in entries(directory)]


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit")


def test_an_entry_says_who_did_what_and_is_chained_to_the_one_before(log: AuditLog) -> None:
    log.append([act(breaker="users"), act("key.revoke", key="k1")])
    opened, first, second = entries(log.directory)
    assert (opened["seq"], opened["what"], opened["previous"]) == (1, "log.opened", NOTHING)
    assert (first["seq"], first["who"], first["what"], first["outcome"]) == (2, ANN, "breaker.reset", "done")
    assert (first["fields"], first["pid"]) == ({"breaker": "users"}, os.getpid())
    assert [first["previous"], second["previous"]] == [opened["hash"], first["hash"]]
    assert verify(log.directory).document() | {"hash": ""} == {
        "good": True,
        "entries": 3,
        "first": 1,
        "last": 3,
        "hash": "",
        "seals": ["sha256"],
        "unsealed": 3,
        "notes": [],
        "fault": None,
    }


def test_only_its_owner_may_look_at_it(log: AuditLog) -> None:
    log.append([act()])
    assert stat.S_IMODE(log.directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in log.directory.iterdir()} == {0o600}


def test_the_chain_goes_on_after_a_restart(log: AuditLog) -> None:
    log.append([act()])
    log.close()
    AuditLog(log.directory).append([act("key.create")])
    assert whats(log.directory) == ["log.opened", "breaker.reset", "key.create"]
    assert verify(log.directory).fault is None


def test_the_chain_goes_on_in_the_next_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditSettings(file_bytes=2000))
    for number in range(30):
        log.append([act(number=number)])
    report = verify(tmp_path)
    assert (report.fault, len(files_in(tmp_path)) > 3) == (None, True)
    assert [entry["seq"] for entry in entries(tmp_path)] == list(range(1, report.entries + 1))
    assert [one["fields"]["number"] for one in entries(tmp_path) if one["kind"] == ACT] == list(range(30))


def test_two_processes_write_in_turns_and_make_one_chain(tmp_path: Path) -> None:
    """As while one process takes over from another."""
    program = (
        "import sys; from pathlib import Path\n"
        "from gatewright.audit.entries import ACT, Draft\n"
        "from gatewright.audit.log import AuditLog, AuditSettings\n"
        "log = AuditLog(Path(sys.argv[1]), AuditSettings(file_bytes=4000))\n"
        "for number in range(40): log.append([Draft(ACT, {'principal': sys.argv[2]}, 'x')])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    both = [subprocess.Popen([*command, name]) for name in ("old", "new")]
    assert [one.wait(60) for one in both] == [0, 0]
    report = verify(tmp_path)
    assert report.fault is None
    who = [entry["who"]["principal"] for entry in entries(tmp_path) if entry["kind"] == ACT]
    assert (who.count("old"), who.count("new")) == (40, 40)


def test_nobody_writes_while_another_holds_the_lock(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append([act()])
    before = entries(log.directory)
    monkeypatch.setattr("gatewright.audit.log.locked", partial(locked, seconds=0.05))
    with (log.directory / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(AuditError, match="another process has held the lock"):
            log.append([act()])
    assert entries(log.directory) == before
    log.append([act()])
    assert verify(log.directory).fault is None


def test_half_a_line_of_a_crash_is_kept_apart_and_noted(log: AuditLog) -> None:
    log.append([act(), act()])
    log.close()
    path = files_in(log.directory)[-1]
    whole = path.read_bytes()
    half = b'{"seq":4,"time":"2026'
    path.write_bytes(whole + half)
    AuditLog(log.directory).append([act("after.crash")])
    assert whats(log.directory)[-2:] == ["log.torn", "after.crash"]
    note = entries(log.directory)[-2]["fields"]
    assert (log.directory / note["kept_in"]).read_bytes() == half
    report = verify(log.directory)
    assert (report.fault, len(report.notes)) == (None, 1)


def test_a_file_that_a_crash_left_empty_is_no_gap(log: AuditLog) -> None:
    log.append([act()])
    log.close()
    (log.directory / "audit-000000000003.jsonl").write_bytes(b'{"se')
    AuditLog(log.directory).append([act()])
    assert whats(log.directory) == ["log.opened", "breaker.reset", "log.torn", "breaker.reset"]
    assert verify(log.directory).fault is None


def test_a_log_that_was_cut_while_no_node_ran_says_so(log: AuditLog) -> None:
    log.append([act(), act("key.create"), act()])
    log.close()
    path = files_in(log.directory)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    AuditLog(log.directory).append([act()])
    damaged = entries(log.directory)[-2]
    assert (damaged["what"], damaged["fields"]) == ("log.damaged", {"damage": "entries 3 to 4 are missing"})
    assert "entries 3 to 4 are missing" in str(verify(log.directory).fault)


def test_a_log_whose_files_are_gone_does_not_begin_anew_as_if_nothing_had_been(log: AuditLog) -> None:
    log.append([act(), act()])
    log.close()
    files_in(log.directory)[0].unlink()
    AuditLog(log.directory).append([act()])
    assert [entry["seq"] for entry in entries(log.directory)] == [4, 5, 6]
    assert verify(log.directory).fault is not None


def test_a_line_that_is_none_is_left_where_it_is(log: AuditLog) -> None:
    log.append([act()])
    log.close()
    path = files_in(log.directory)[-1]
    path.write_bytes(path.read_bytes() + b"garbage\n")
    AuditLog(log.directory).append([act()])
    assert b"garbage\n" in path.read_bytes()
    assert whats_of_last(log.directory) == ["log.opened", "log.damaged", "breaker.reset"]
    assert verify(log.directory).fault is not None


def whats_of_last(directory: Path) -> list[str]:
    return [json.loads(line)["what"] for line in files_in(directory)[-1].read_bytes().splitlines()]


def test_old_files_are_deleted_and_an_entry_says_where_the_log_begins(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditSettings(file_bytes=1500))
    for _ in range(20):
        log.append([act()])
    before = len(files_in(tmp_path))
    assert log.expire(datetime.now(UTC) + timedelta(days=400)) == before - 1
    assert len(files_in(tmp_path)) == 1
    report = verify(tmp_path)
    assert (report.fault, report.first > 1) == (None, True)
    assert f"entries 1 to {report.first - 1} were deleted" in report.notes[0]


def test_files_beyond_the_bound_are_deleted(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditSettings(file_bytes=1500, total_bytes=6000))
    for _ in range(60):
        log.append([act()])
        assert sum(path.stat().st_size for path in files_in(tmp_path)) < 7500
    assert verify(tmp_path).fault is None


def test_a_disk_that_is_full_leaves_no_half_line(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append([act()])
    real, calls = os.write, []

    def write(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 1:
            return real(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gatewright.audit.resuming.os.write", write)
    with pytest.raises(AuditError, match="No space left"):
        log.append([act("lost")])
    monkeypatch.undo()
    log.append([act("found")])
    assert whats(log.directory) == ["log.opened", "breaker.reset", "found"]
    assert verify(log.directory).fault is None


def test_another_key_begins_a_new_file(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditSettings(key=b"the first key of all"))
    log.append([act()])
    log.use(AuditSettings(key=b"the second key of all"))
    log.append([act()])
    assert len(files_in(tmp_path)) == 2
    both = (b"the first key of all", b"the second key of all")
    assert verify(tmp_path, both).fault is None
    assert "give its key" in str(verify(tmp_path, both[:1]).fault)


def test_no_secret_and_no_line_end_gets_into_an_entry() -> None:
    fields = {"token": "t0p", "nested": {"Client-Secret": "t0p"}, "text": 'a"\n\x1b[2J', "long": "x" * 9000}
    line, _ = line_of(Draft(ACT, ANN, "x", fields=fields), 1, NOTHING, Seal(), 1)
    assert (b"t0p" in line, line.count(b"\n"), b"\x1b" in line, len(line) < 2000) == (False, 1, False, True)
    assert read_line(line[:-1]).document["fields"]["token"] == HIDDEN


def test_an_entry_has_a_bound_whatever_it_is_told() -> None:
    fields = {f"name{number}": ["é" * 500] * 200 for number in range(200)}
    line, _ = line_of(Draft(DECISION, ANN, "x", fields=fields), 1, NOTHING, Seal(), 1)
    assert len(line) < 16_800
    assert read_line(line[:-1]).document["fields"]["too_long"] is True
