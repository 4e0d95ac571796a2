"""Files of addresses: when they are read again."""

from pathlib import Path

import pytest

from gatewright.control.address_files import AddressFile, AddressFiles, stamps_of
from gatewright.errors import EngineError


@pytest.fixture
def file(tmp_path: Path) -> AddressFile:
    path = tmp_path / "list.txt"
    path.write_text("10.0.0.0/8\n")
    return AddressFile("addresses", "blocked", path, 10)


@pytest.fixture
def files(engine, file: AddressFile) -> AddressFiles:
    made = AddressFiles(engine)
    made.use([file], stamps_of([file]))
    return made


def reads(engine) -> int:
    return engine.calls.count(("reload_addresses", "addresses", "blocked"))


async def test_a_changed_file_is_read_when_it_has_come_to_rest(
    engine, file: AddressFile, files: AddressFiles
) -> None:
    await files.look()
    await files.look()
    assert reads(engine) == 0
    for length in (1, 2):
        file.path.write_text("10.0.0.0/8\n192.0.2.0/24\n" * length)
        await files.look()
        assert reads(engine) == 0, "it may be half of what is being written"
    await files.look()
    assert reads(engine) == 1
    await files.look()
    assert reads(engine) == 1


async def test_a_wrong_file_is_told_of_once_and_read_again_when_it_changes(
    engine, file: AddressFile, files: AddressFiles, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse = EngineError("list.txt:1: `x` is no network")
    file.path.write_text("x\n")
    for _ in range(4):
        await files.look()
    assert (reads(engine), len(caplog.records)) == (1, 1)
    [watched] = files.watched.values()
    assert (watched.failures, watched.error) == (1, "list.txt:1: `x` is no network")
    engine.refuse = None
    file.path.write_text("192.0.2.0/24\n10.0.0.0/8\n")
    await files.look()
    await files.look()
    assert (reads(engine), watched.error) == (2, None)


async def test_a_file_that_has_gone_is_a_change_like_any_other(
    engine, file: AddressFile, files: AddressFiles
) -> None:
    file.path.unlink()
    await files.look()
    await files.look()
    assert reads(engine) == 1


async def test_a_reload_of_the_configuration_forgets_nothing(
    engine, file: AddressFile, files: AddressFiles
) -> None:
    file.path.write_text("192.0.2.0/24\n10.0.0.0/8\n")
    # The data plane keeps what it has of the same file, so it has not read this.
    files.use([file], stamps_of([file]))
    await files.look()
    await files.look()
    assert reads(engine) == 1
    files.use([], {})
    file.path.write_text("\n")
    await files.look()
    await files.look()
    assert reads(engine) == 1
