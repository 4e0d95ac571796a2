"""Whatever is done to the files of the audit log, `verify` finds it."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewright.audit.entries import ACT, Draft, Seal
from gatewright.audit.files import AuditError, Head, files_in, read_head, write_head
from gatewright.audit.log import AuditLog, AuditSettings
from gatewright.audit.verify import verify

KEY = b"a key of the audit log"
LINES = list[bytes]


def lines_of(path: Path) -> LINES:
    return path.read_bytes().splitlines(keepends=True)


@pytest.fixture(scope="module", params=[None, KEY], ids=["without-key", "with-key"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good log of four files, the last one with some lines."""
    log = AuditLog(tmp_path_factory.mktemp("log"), AuditSettings(key=request.param, file_bytes=2500))
    while len(files_in(log.directory)) < 4 or len(lines_of(files_in(log.directory)[-1])) < 5:
        log.append([Draft(ACT, {"principal": "token"}, "limit.set", fields={"limit": 1})])
    log.close()
    assert verify(log.directory, [request.param] if request.param else []).fault is None
    return log.directory


@pytest.fixture
def log(original: Path, tmp_path: Path) -> Path:
    """A copy of it, to be tampered with."""
    return Path(shutil.copytree(original, tmp_path / "audit"))


def keys_of(directory: Path) -> list[bytes]:
    return [KEY] if b"hmac" in files_in(directory)[0].read_bytes() else []


def fault(directory: Path) -> str:
    found = verify(directory, keys_of(directory)).fault
    assert found is not None
    return str(found)


def change(lines: LINES) -> None:
    lines[3] = lines[3].replace(b'"done"', b'"refused"')


def delete(lines: LINES) -> None:
    del lines[3]


def swap(lines: LINES) -> None:
    lines[3], lines[4] = lines[4], lines[3]


def repeat(lines: LINES) -> None:
    lines.insert(3, lines[2])


def insert(lines: LINES) -> None:
    forged = json.loads(lines[3])
    lines.insert(3, json.dumps(forged | {"what": "nothing"}, separators=(",", ":")).encode() + b"\n")


def empty_line(lines: LINES) -> None:
    lines.insert(3, b"\n")


def half(lines: LINES) -> None:
    lines[3] = lines[3][:40] + b"\n"


@pytest.mark.parametrize("file", [0, 1, -1], ids=["first-file", "middle-file", "last-file"])
@pytest.mark.parametrize("tamper", [change, delete, swap, repeat, insert, empty_line, half])
def test_what_is_done_to_a_line_is_found_there(log: Path, tamper: Callable[[LINES], None], file: int) -> None:
    path = files_in(log)[file]
    lines = lines_of(path)
    wanted = json.loads(lines[3])["seq"]
    tamper(lines)
    path.write_bytes(b"".join(lines))
    found = verify(log, keys_of(log)).fault
    assert found is not None
    assert (found.seq, found.file, found.line) == (wanted, path.name, 4)


def test_every_changed_byte_of_an_entry_is_found(log: Path) -> None:
    path = files_in(log)[1]
    whole = path.read_bytes()
    for at in random.Random(7).sample(range(len(whole)), 60):  # noqa: S311 - which bytes is no secret.
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert verify(log, keys_of(log)).fault is not None, at


@pytest.mark.parametrize("count", [1, 3])
def test_a_cut_end_is_found(log: Path, count: int) -> None:
    path = files_in(log)[-1]
    last = json.loads(lines_of(path)[-1])["seq"]
    path.write_bytes(b"".join(lines_of(path)[:-count]))
    assert f"entries {last - count + 1} to {last} are missing, as `head` says" in fault(log)


def test_half_a_last_line_is_found(log: Path) -> None:
    path = files_in(log)[-1]
    path.write_bytes(path.read_bytes()[:-9])
    assert "the line is not whole" in fault(log)


def test_a_last_file_that_is_gone_is_found(log: Path) -> None:
    files_in(log)[-1].unlink()
    assert "are missing, as `head` says" in fault(log)


def test_a_file_that_is_gone_in_the_middle_is_found(log: Path) -> None:
    files_in(log)[1].unlink()
    assert "stands in its place" in fault(log)


def test_first_files_that_are_gone_are_found(log: Path) -> None:
    files_in(log)[0].unlink()
    assert "are missing, and no entry says that they were old" in fault(log)


def test_swapped_files_are_found(log: Path) -> None:
    first, second = files_in(log)[1:3]
    aside = first.with_name("aside")
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    assert "it is not the entry that" in fault(log)


def test_files_of_another_log_are_found(log: Path, tmp_path: Path) -> None:
    other = AuditLog(tmp_path / "other", AuditSettings(key=KEY if keys_of(log) else None, file_bytes=2500))
    for number in range(30):
        other.append([Draft(ACT, {"principal": "token"}, "limit.set", fields={"limit": number})])
    shutil.copy(tmp_path / "other" / files_in(log)[1].name, files_in(log)[1])
    assert "does not follow entry" in fault(log)


def test_without_the_word_of_its_end_a_log_is_not_good(log: Path) -> None:
    (log / "head").unlink()
    assert "`head` is missing" in fault(log)


def test_a_chain_made_anew_is_found_by_a_checkpoint_kept_elsewhere(log: Path) -> None:
    report = verify(log, keys_of(log))
    marks = {report.last: report.hash}
    assert verify(log, keys_of(log), marks).fault is None
    assert "its hash is not that of the checkpoint" in str(
        verify(log, keys_of(log), {report.last: "0" * 64}).fault
    )
    assert "as a checkpoint says" in str(verify(log, keys_of(log), {report.last + 5: report.hash}).fault)


def forge(directory: Path) -> None:
    """What somebody can do who may write the files and has no key: make the whole chain anew."""
    forged = AuditLog(directory.with_name("forged"))
    for number in range(30):
        forged.append([Draft(ACT, {"principal": "token"}, "limit.set", fields={"limit": number + 1})])
    shutil.rmtree(directory)
    forged.directory.rename(directory)


def test_a_log_without_key_can_be_forged_whole_and_only_a_checkpoint_tells(log: Path) -> None:
    before = verify(log, keys_of(log))
    forge(log)
    assert verify(log).fault is None
    assert verify(log, (), {before.last: before.hash}).fault is not None


def test_a_log_with_a_key_cannot_be_forged(log: Path) -> None:
    forge(log)
    assert "sealed with no key" in str(verify(log, [KEY]).fault)


def test_an_end_without_key_after_one_with_it_is_found(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditSettings(key=KEY))
    log.append([Draft(ACT, {"principal": "token"}, "x")])
    log.close()
    AuditLog(tmp_path).append([Draft(ACT, {"principal": "token"}, "y")])
    assert "sealed with no key, and entries before it were" in str(verify(tmp_path, [KEY]).fault)


def test_entries_from_before_the_key_are_told(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    log.append([Draft(ACT, {"principal": "token"}, "x")])
    log.use(AuditSettings(key=KEY))
    log.append([Draft(ACT, {"principal": "token"}, "y")])
    report = verify(tmp_path, [KEY])
    assert (report.fault, report.unsealed, report.entries) == (None, 2, 4)


def test_a_head_that_nobody_with_the_key_wrote_is_found(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, AuditSettings(key=KEY))
    log.append([Draft(ACT, {"principal": "token"}, "x"), Draft(ACT, {"principal": "token"}, "y")])
    log.close()
    path = files_in(tmp_path)[0]
    path.write_bytes(b"".join(lines_of(path)[:-1]))
    last = json.loads(lines_of(path)[-1])
    write_head(tmp_path, Head.sealed(last["seq"], last["hash"], Seal()))
    assert "`head` is not as it was written" in str(verify(tmp_path, [KEY]).fault)
    assert read_head(tmp_path) is not None


def test_a_place_without_a_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no audit log is here"):
        verify(tmp_path / "nowhere")
