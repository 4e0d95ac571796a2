"""Networks blocked by hand, with the time passed in."""

import json
from pathlib import Path

import pytest

from gatewright.control.blocks import REMEMBERED_SECONDS, Block, BlockError, Blocks, canonical, read_block


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Engine:
    def __init__(self) -> None:
        self.blocks: list[dict[str, object]] = []

    def set_blocks(self, blocks: bytes) -> int:
        self.blocks = json.loads(blocks)
        return len(self.blocks)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def made(engine: Engine, path: Path, clock: Clock, most: int = 3) -> Blocks:
    blocks = Blocks(engine, path / "state" / "blocks", clock)
    await blocks.use(most)
    return blocks


async def test_a_block_holds_at_once_for_its_time_and_over_a_restart(
    engine: Engine, clock: Clock, tmp_path: Path
) -> None:
    blocks = await made(engine, tmp_path, clock)
    await blocks.block("192.0.2.0/24", 60, "scraper")
    await blocks.block("::ffff:10.0.0.1", None)
    held = [
        {"network": "10.0.0.1/32", "until_ms": None},
        {"network": "192.0.2.0/24", "until_ms": 1_060_000},
    ]
    assert engine.blocks == held
    engine.blocks = []
    again = await made(engine, tmp_path, clock)
    assert engine.blocks == held
    assert [block.why for block in again.active()] == [None, "scraper"]
    clock.now += 60
    assert [block.network for block in again.active()] == ["10.0.0.1/32"]


async def test_only_the_very_network_is_unblocked(engine: Engine, clock: Clock, tmp_path: Path) -> None:
    blocks = await made(engine, tmp_path, clock)
    await blocks.block("192.0.2.0/24", None)
    assert not await blocks.unblock("192.0.2.1")
    assert await blocks.unblock("192.0.2.0/24")
    assert engine.blocks == []
    assert not await blocks.unblock("192.0.2.0/24")
    assert (await made(engine, tmp_path, clock)).active() == []


async def test_no_more_are_blocked_than_may_be(engine: Engine, clock: Clock, tmp_path: Path) -> None:
    blocks = await made(engine, tmp_path, clock, most=2)
    await blocks.block("192.0.2.1", None)
    await blocks.block("192.0.2.2", 10)
    with pytest.raises(BlockError, match="max_blocks"):
        await blocks.block("192.0.2.3", None)
    await blocks.block("192.0.2.2", 20)
    others = [Block(f"192.0.2.{number}/32", 2000.0, None) for number in (1, 7, 8)]
    assert await blocks.learn(others) == 1
    assert blocks.refused == 2
    clock.now += 20
    await blocks.block("192.0.2.3", None)


async def test_of_two_decisions_the_later_is_right(engine: Engine, clock: Clock, tmp_path: Path) -> None:
    blocks = await made(engine, tmp_path, clock)
    network = "192.0.2.0/24"
    await blocks.block(network, None)
    assert await blocks.learn([Block(network, 999.0, None, lifted=True)]) == 0
    assert await blocks.learn([Block(network, 1001.0, None, lifted=True)]) == 1
    assert engine.blocks == []
    assert await blocks.learn([Block(network, 1000.5, None)]) == 0
    assert await blocks.learn([Block("10.0.0.0/8", float("nan"), None)]) == 0
    # Whatever the clock of the node that blocked.
    await blocks.learn([Block(network, 5000.0, None)])
    assert await blocks.unblock(network)
    assert engine.blocks == []


async def test_what_was_lifted_is_remembered_for_a_day(engine: Engine, clock: Clock, tmp_path: Path) -> None:
    blocks = await made(engine, tmp_path, clock)
    await blocks.block("192.0.2.0/24", None)
    await blocks.unblock("192.0.2.0/24")
    assert list(blocks.known()) == ["192.0.2.0/24"]
    clock.now += REMEMBERED_SECONDS + 1
    assert blocks.known() == {}


async def test_a_file_that_is_none_blocks_nobody(engine: Engine, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "blocks").write_text("{}\n")
    assert (await made(engine, tmp_path, clock)).active() == []


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "example.com", "10.0.0.0/33", "10.0.0", "1.2.3.4:80"])
def test_what_is_no_network_is_not_blocked(text: str) -> None:
    with pytest.raises(ValueError, match="is no network"):
        canonical(text)


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"network": "x", "since": 1}', '{"network": "::1", "since": []}', "x"]
)
def test_what_no_node_wrote_is_not_understood(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_block(text)
