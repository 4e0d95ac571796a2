"""Networks that are blocked by hand, for a time: kept over restarts, told to other nodes.

What is known of a network is one `Block`, be it one that was lifted: of two the later is right, whoever tells
it. So nodes that could not talk to each other agree when they can, and a store that has forgotten everything
lifts nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from gatewright.control.durable import write_durably
from gatewright.errors import GatewrightError

log = logging.getLogger("gatewright.control")

REMEMBERED_SECONDS = 86_400.0
"""How long it is remembered that a network was unblocked: for nodes that hear of it late."""

LONGEST_WHY = 200


class BlockError(GatewrightError):
    """A network cannot be blocked."""


@dataclass(frozen=True, slots=True)
class Block:
    """What was last decided of a network. Times are seconds since the epoch."""

    network: str
    since: float
    until: float | None
    why: str | None = None
    lifted: bool = False

    def holds(self, now: float) -> bool:
        """Whether the network is blocked."""
        return not self.lifted and (self.until is None or now < self.until)

    def matters(self, now: float) -> bool:
        """Whether anybody has to know of it still."""
        return self.holds(now) or (self.lifted and now < self.since + REMEMBERED_SECONDS)

    def text(self) -> str:
        """As files and other nodes have it."""
        return json.dumps(asdict(self))


def read_block(text: str) -> Block:
    """Give what `text` of a block says. Raises `ValueError`: others may write what they like."""
    document = json.loads(text)
    if not isinstance(document, dict):
        message = "not a block"
        raise ValueError(message)
    until, why = document.get("until"), document.get("why")
    return Block(
        network=canonical(str(document.get("network"))),
        since=float(document.get("since", "nan")),
        until=None if until is None else float(until),
        why=None if why is None else str(why)[:LONGEST_WHY],
        lifted=document.get("lifted") is True,
    )


def canonical(text: str) -> str:
    """Give a network as everybody writes it. Raises `ValueError` with what would work."""
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError as error:
        message = f"`{text}` is no network; write `10.0.0.0/8`, `10.1.2.3` or `fd00::/8`"
        raise ValueError(message) from error
    mapped = network.network_address.ipv4_mapped if network.version == 6 else None
    if mapped is not None and network.prefixlen >= 96:
        return f"{mapped}/{network.prefixlen - 96}"
    return str(network)


class Blocking(Protocol):
    """What this needs of the data plane."""

    def set_blocks(self, blocks: bytes) -> int: ...


class Blocks:
    """The blocks of one node. Belongs to one event loop."""

    def __init__(self, engine: Blocking, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._path = path
        self._clock = clock
        self._known: dict[str, Block] | None = None
        self._most = 1
        self._changing = asyncio.Lock()
        self.refused = 0
        """Blocks of other nodes that were not taken, because there were as many as may be."""
        self.changed: Callable[[], None] = lambda: None
        """Called when something was decided here, for whoever tells other nodes."""

    async def use(self, most: int) -> None:
        """Have at most so many from now on; those of an earlier process hold from the first time."""
        async with self._changing:
            self._most = most
            if self._known is None:
                self._known = await asyncio.to_thread(self._load)
                await self._hold()

    def known(self) -> Mapping[str, Block]:
        """Everything that anybody has to know, what was lifted too."""
        now = self._clock()
        return {name: block for name, block in (self._known or {}).items() if block.matters(now)}

    def active(self) -> list[Block]:
        """The networks that are blocked now."""
        now = self._clock()
        return sorted(
            (block for block in self.known().values() if block.holds(now)), key=lambda block: block.network
        )

    async def block(self, network: str, seconds: float | None, why: str | None = None) -> Block:
        """Block a network, for some time or until it is lifted. It holds when this returns. Raises
        `ValueError` for what is no network and `BlockError` where there is no room.
        """
        now = self._clock()
        until = None if seconds is None else now + seconds
        block = Block(canonical(network), now, until, why and why[:LONGEST_WHY])
        async with self._changing:
            others = [one for one in self.active() if one.network != block.network]
            if len(others) >= self._most:
                message = f"{self._most} networks are blocked, which is `screening.max_blocks`"
                raise BlockError(message)
            await self._keep([block])
        self.changed()
        return block

    async def unblock(self, network: str) -> bool:
        """End a block; give whether there was one of just this network. Raises `ValueError`."""
        name, now = canonical(network), self._clock()
        async with self._changing:
            block = self.known().get(name)
            if block is None or not block.holds(now):
                return False
            # Later than what it ends, whatever clock that was decided by.
            since = max(now, block.since + 0.001)
            await self._keep([Block(name, since, block.until, block.why, lifted=True)])
        self.changed()
        return True

    async def learn(self, blocks: Iterable[Block]) -> int:
        """Take what others have decided later; give how much that was."""
        now = self._clock()
        async with self._changing:
            known = self.known()
            news = [one for one in blocks if one.matters(now) and is_news(one, known.get(one.network))]
            room = self._most - len(self.active())
            fitting = news if len(news) <= room else [*self._fit(news, room)]
            self.refused += len(news) - len(fitting)
            if fitting:
                await self._keep(fitting)
        return len(fitting)

    def _fit(self, news: list[Block], room: int) -> Iterable[Block]:
        held = {block.network for block in self.active()}
        for block in news:
            is_new = not block.lifted and block.network not in held
            if not is_new or room > 0:
                room -= is_new
                yield block

    async def _keep(self, blocks: Iterable[Block]) -> None:
        self._known = {**self.known(), **{block.network: block for block in blocks}}
        await self._hold()
        lines = "".join(block.text() + "\n" for block in self._known.values())
        try:
            await asyncio.to_thread(write_durably, self._path, lines.encode())
        except OSError as error:
            # It holds already; only a restart would forget it.
            log.error("blocked networks cannot be stored", extra={"error": str(error)})

    async def _hold(self) -> None:
        holding = [
            {"network": block.network, "until_ms": None if block.until is None else int(block.until * 1000)}
            for block in self.active()
        ]
        await asyncio.to_thread(self._engine.set_blocks, json.dumps(holding).encode())

    def _load(self) -> dict[str, Block]:
        try:
            blocks = [read_block(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.error("stored blocks of networks cannot be read", extra={"error": str(error)})
            return {}
        return {block.network: block for block in blocks}


def is_news(block: Block, known: Block | None) -> bool:
    """Whether it was decided later than what is known. NaN never is."""
    return block.since >= 0 if known is None else block.since > known.since


def document(block: Block, now: float) -> dict[str, Any]:
    """For the admin API."""
    left = None if block.until is None else max(0.0, round(block.until - now, 3))
    return {"network": block.network, "since": block.since, "remaining_seconds": left, "why": block.why}
