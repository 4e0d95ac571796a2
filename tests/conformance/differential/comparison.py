"""The same bytes through two gateways: did the same requests come out, and if not, is it said why?"""

import asyncio
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conformance.differential.alike import ALIKE, spelled
from conformance.differential.corpus import Case
from conformance.differential.service import Seen, Service
from conformance.differential.subjects import SUBJECTS

EXPLAINED = Path(__file__).with_name("explained.toml")
AT_ONCE = 48
CASE_SECONDS = 20.0
QUIET_SECONDS = 0.3

SAME = "same"
REFUSES_MORE = "we refuse more"
ACCEPTS_MORE = "we accept more"
OTHER_BYTES = "other bytes"


@dataclass(frozen=True)
class Difference:
    """A case in which ours and a peer's service did not see the same."""

    case: Case
    peer: str
    verdict: str
    ours: list[Seen]
    theirs: list[Seen]

    def __str__(self) -> str:
        told = [f"{self.case.kind}, {self.peer}: {self.verdict}", f"  sent   {self.case.stream!r}"]
        told += [f"  ours   {seen}" for seen in self.ours] + [f"  theirs {seen}" for seen in self.theirs]
        return "\n".join(told)


@dataclass(frozen=True)
class Alike:
    """A spelling in which a peer's requests may differ from ours, and why that is right."""

    name: str
    peers: list[str]
    reason: str


@dataclass(frozen=True)
class Pattern:
    """Why some differences are right, and which ones these are: every expression has to be found."""

    reason: str
    peers: list[str]
    sent: str = ""
    ours: str = ""
    theirs: str = ""

    def fits(self, difference: Difference) -> bool:
        return (
            difference.peer in self.peers
            and re.search(self.sent, difference.case.stream.decode("latin-1"), re.DOTALL) is not None
            and re.search(self.ours, text(difference.ours), re.DOTALL | re.MULTILINE) is not None
            and re.search(self.theirs, text(difference.theirs), re.DOTALL | re.MULTILINE) is not None
        )


def text(seen: Sequence[Seen]) -> str:
    return "\n".join(map(str, seen))


class Explanations:
    """`explained.toml`. Raises `KeyError` for a spelling that nobody knows."""

    def __init__(self) -> None:
        told = tomllib.loads(EXPLAINED.read_text())
        self.alike = [Alike(**one) for one in told["alike"]]
        self.patterns = [Pattern(**one) for one in told["difference"]]
        if unknown := {one.name for one in self.alike} - ALIKE.keys():
            raise KeyError(unknown)

    @property
    def reasons(self) -> list[str]:
        return [one.reason for one in [*self.alike, *self.patterns]]

    def find(self, difference: Difference) -> list[str]:
        """Why the difference is right: every spelling it takes, or one pattern. Nothing where it is not."""
        allowed = [one for one in self.alike if difference.peer in one.peers]
        if is_alike(difference, [one.name for one in allowed]):
            # Where each of two would do, none is needed: the first one that says something is the reason.
            needed = [one.reason for one in allowed if is_needed(difference, one, allowed)]
            return needed or [one.reason for one in allowed if is_alike(difference, [one.name])][:1]
        return [one.reason for one in self.patterns if one.fits(difference)][:1]


def is_alike(difference: Difference, names: Sequence[str]) -> bool:
    """Whether these spellings are all that differs, in what both saw."""
    ours, theirs = spelled(difference.ours, names), spelled(difference.theirs, names)
    return verdict(ours, theirs) in {SAME, REFUSES_MORE}


def is_needed(difference: Difference, spelling: Alike, allowed: Sequence[Alike]) -> bool:
    return not is_alike(difference, [one.name for one in allowed if one != spelling])


@dataclass
class Comparison:
    """All cases against some peers."""

    explanations: Explanations = field(default_factory=Explanations)
    # By kind of case and peer: how many of each verdict.
    verdicts: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    unexplained: list[Difference] = field(default_factory=list)
    # How many differences each reason was needed for.
    used: Counter[str] = field(default_factory=Counter)
    # Requests that a service saw and no client sent as such, by gateway.
    strays: dict[str, list[Seen]] = field(default_factory=dict)

    def add(self, case: Case, peer: str, ours: list[Seen], theirs: list[Seen]) -> None:
        found = verdict(ours, theirs)
        self.verdicts.setdefault((case.kind, peer), Counter())[found] += 1
        # Where we refuse more, there is nothing to explain: what is ambiguous is refused.
        if found in {SAME, REFUSES_MORE}:
            return
        difference = Difference(case, peer, found, ours, theirs)
        reasons = self.explanations.find(difference)
        self.used.update(reasons)
        if not reasons:
            self.unexplained.append(difference)


def verdict(ours: list[Seen], theirs: list[Seen]) -> str:
    if ours == theirs:
        return SAME
    if theirs[: len(ours)] == ours:
        return REFUSES_MORE
    if ours[: len(theirs)] == theirs:
        return ACCEPTS_MORE
    return OTHER_BYTES


async def compare(cases: Sequence[Case], peers: Sequence[str], directory: Path) -> Comparison:
    """Every case through every gateway."""
    comparison = Comparison()
    seen = {name: await collect(name, cases, directory) for name in ("gatewright", *peers)}
    comparison.strays = {name: one[""] for name, one in seen.items() if one.get("")}
    for number, case in enumerate(cases):
        for peer in peers:
            ours, theirs = (seen[name].get(source(number), []) for name in ("gatewright", peer))
            comparison.add(case, peer, ours, theirs)
    return comparison


def source(number: int) -> str:
    """Each case comes from an address of its own; the gateways tell the service which."""
    return f"127.{number // 62_500 + 1}.{number // 250 % 250}.{number % 250 + 1}"


async def collect(name: str, cases: Sequence[Case], directory: Path) -> dict[str, list[Seen]]:
    """What a gateway's service sees of all cases, by client."""
    service = Service()
    await service.start()
    try:
        with SUBJECTS[name](service.port, directory) as port:
            await ask_all(port, cases)
            await settle(service)
    finally:
        await service.stop()
    return dict(service.seen)


async def ask_all(port: int, cases: Sequence[Case]) -> None:
    places = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as clients:
        for number, case in enumerate(cases):
            clients.create_task(ask(port, source(number), case.stream, places))


async def ask(port: int, address: str, stream: bytes, places: asyncio.Semaphore) -> None:
    """Send a case and read until the gateway has had enough."""
    async with places, asyncio.timeout(CASE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        try:
            writer.write(stream)
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()


async def settle(service: Service) -> None:
    """Return once nothing more arrives: a gateway may forward what it has after its client is gone."""
    before = -1
    while before != service.arrived:
        before = service.arrived
        await asyncio.sleep(QUIET_SECONDS)
