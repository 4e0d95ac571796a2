"""The sink of every store that takes records over HTTP. An encoder says how records look on the way and what
the answer means; everything else is alike.

A batch becomes one request or more. What was accepted is not sent again when the batch is tried again; what
is refused for good is told apart by halving, so that one bad record does not take a thousand with it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gatewright.outgoing.posting import Answer, BlockingPoster, Destination, Message, NoAnswerError
from gatewright.records.batch import Batch
from gatewright.records.sink import RejectedError, SinkError

E = TypeVar("E")

# Statuses that find fault with what was sent. Others are about the server, the login or the address: what was
# sent may pass once those are mended, so it is kept.
REFUSED = frozenset({400, 413, 422})
# Enough for what a server says of each record of a batch, and far from what would hurt.
ANSWER_BYTES = 4 << 20
MOST_REQUEST = 4 << 20
# Enough to find a handful of bad records among a thousand; a group that is refused after that goes whole.
HALVINGS = 64


@dataclass(frozen=True, slots=True)
class Verdict(Generic[E]):
    """What became of the entries of a request: `rejected` ones never pass, those in `again` may; all others
    are stored.
    """

    rejected: int = 0
    again: Sequence[E] = ()
    reason: str = ""


class Encoder(Protocol[E]):
    """How one kind of store wants records. `E` is a record on its way."""

    @property
    def path(self) -> str:
        """Goes behind the address of the server."""
        ...

    @property
    def refused(self) -> frozenset[int]:
        """Statuses after which the same request is never tried again."""
        ...

    def entries(self, batch: Batch) -> list[E]:
        """The records of a batch, alike each time the batch comes."""
        ...

    def size(self, entry: E) -> int:
        """Bytes that an entry takes of a request, roughly."""
        ...

    def message(self, entries: Sequence[E]) -> Message:
        """One request for these entries, before compression."""
        ...

    def verdict(self, answer: Answer, entries: Sequence[E]) -> Verdict[E] | None:
        """What became of the entries. `None` where the answer says only what its status says."""
        ...


class HttpSink(Generic[E]):
    """Sends batches to an HTTP server, in requests of `max_request` bytes before compression. One thread."""

    def __init__(
        self, name: str, destination: Destination, encoder: Encoder[E], max_request: int = MOST_REQUEST
    ) -> None:
        self.name = name
        self._encoder = encoder
        self._max_request = max_request
        self._poster = BlockingPoster(destination)
        self._batch: Batch | None = None
        self._left: deque[Sequence[E]] = deque()
        self._halvings = self._rejected = 0
        self._reason = ""

    def write(self, batch: Batch) -> None:
        """Store a batch, or what earlier attempts left of it."""
        if batch is not self._batch:
            self._begin(batch)
        while self._left:
            self._settle(self._left[0], self._post(self._left[0]))
        self._batch = None
        if self._rejected:
            raise RejectedError(self._reason, self._rejected)

    def reopen(self) -> None:
        """There is no file; nothing to do."""

    def close(self) -> None:
        self._poster.close()

    def _begin(self, batch: Batch) -> None:
        self._left = deque(grouped(self._encoder, self._encoder.entries(batch), self._max_request))
        self._halvings = HALVINGS
        self._rejected, self._reason = 0, ""
        self._batch = batch

    def _post(self, entries: Sequence[E]) -> Answer:
        try:
            return self._poster.post(self._encoder.message(entries))
        except NoAnswerError as error:
            raise SinkError(str(error)) from error

    def _settle(self, entries: Sequence[E], answer: Answer) -> None:
        """Note what became of the first group. Raises `SinkError` where it has to be sent again."""
        verdict = self._encoder.verdict(answer, entries)
        if verdict is None:
            verdict = self._by_status(entries, answer)
            if verdict is None:
                return
        self._left.popleft()
        if verdict.rejected:
            self._rejected += verdict.rejected
            self._reason = verdict.reason
        if verdict.again:
            self._left.appendleft(verdict.again)
            raise SinkError(verdict.reason, answer.wait)

    def _by_status(self, entries: Sequence[E], answer: Answer) -> Verdict[E] | None:
        """`None` where the group was halved."""
        if answer.is_success:
            return Verdict()
        reason = f"answered {answer.status}: {answer.text}"
        if answer.status not in self._encoder.refused:
            raise SinkError(reason, answer.wait)
        if len(entries) > 1 and self._halvings > 0:
            self._halvings -= 1
            middle = len(entries) // 2
            self._left[0] = entries[middle:]
            self._left.appendleft(entries[:middle])
            return None
        return Verdict(len(entries), reason=reason)


def fingerprint(body: bytes) -> str:
    """The same for the same body."""
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def grouped(encoder: Encoder[E], entries: Sequence[E], most: int) -> list[Sequence[E]]:
    """Entries in groups of at most `most` bytes; one that is larger is a group of its own."""
    groups: list[Sequence[E]] = []
    first = size = 0
    for position, entry in enumerate(entries):
        size += encoder.size(entry)
        if size > most and position > first:
            groups.append(entries[first:position])
            first, size = position, encoder.size(entry)
    if len(entries) > first:
        groups.append(entries[first:])
    return groups
