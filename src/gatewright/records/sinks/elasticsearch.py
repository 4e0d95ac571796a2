"""Records for Elasticsearch or OpenSearch, by their bulk interface: a document each, in an index a day.

A document has an id that stays the same when it is sent again, and is only ever created: one that is there
already was stored by an earlier attempt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from gatewright.outgoing.posting import Answer, Message
from gatewright.records.batch import Batch, decoded
from gatewright.records.sink import SinkError
from gatewright.records.sinks.http_sink import REFUSED, Verdict

CONFLICT = 409
FIRST_ERROR = 400
# A document is at fault for every other error below 500; these are about the login, the index, the load.
PASSING = frozenset({401, 403, 404, 429})
# What is said of each document, and no more: answers stay small.
FILTER = "errors,items.*.status,items.*.error.type,items.*.error.reason"


class Fields(msgspec.Struct):
    """What of a record decides where it goes."""

    timestamp: str


class Document(NamedTuple):
    """A record with its action line."""

    action: bytes
    line: bytes


class ItemError(msgspec.Struct):
    type: str = ""
    reason: str = ""


class Item(msgspec.Struct):
    status: int
    error: ItemError | None = None


class BulkAnswer(msgspec.Struct):
    items: list[dict[str, Item]] = []
    errors: bool = True


FIELDS = msgspec.json.Decoder(Fields)
BULK_ANSWER = msgspec.json.Decoder(BulkAnswer)


@dataclass(frozen=True, slots=True)
class ElasticsearchEncoder:
    """Documents go to `INDEX-YYYY.MM.DD`, by the day of the request in UTC."""

    index: str = "gatewright"
    path: str = "/_bulk"
    refused: frozenset[int] = REFUSED

    def entries(self, batch: Batch) -> list[Document]:
        return list(documents(batch, self.index))

    def size(self, entry: Document) -> int:
        return len(entry.action) + len(entry.line) + 2

    def message(self, entries: Sequence[Document]) -> Message:
        body = b"".join(part + b"\n" for entry in entries for part in entry)
        return Message(body, {"Content-Type": "application/x-ndjson"}, {"filter_path": FILTER})

    def verdict(self, answer: Answer, entries: Sequence[Document]) -> Verdict[Document] | None:
        """A bulk request may fail by document within a 200."""
        if not answer.is_success:
            return None
        try:
            bulk = BULK_ANSWER.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SinkError(f"not the answer to a bulk request: {answer.text}") from error
        if not bulk.errors:
            return Verdict()
        if len(bulk.items) != len(entries):
            raise SinkError(f"{len(entries)} documents sent, {len(bulk.items)} answered for")
        return judged(bulk, entries)


def documents(batch: Batch, index: str) -> Iterator[Document]:
    """Each record with the action that creates it under an id of its own: its chunk's and its place there."""
    for chunk in batch.chunks:
        name = chunk.id.hex()
        for place, (fields, line) in enumerate(decoded(chunk.lines, FIELDS)):
            day = fields.timestamp[:10].replace("-", ".")
            where = {"_index": f"{index}-{day}", "_id": f"{name}-{place}"}
            yield Document(msgspec.json.encode({"create": where}), line)


def judged(bulk: BulkAnswer, entries: Sequence[Document]) -> Verdict[Document]:
    """What is no fault of a document is tried again. A conflict is the same document, stored before."""
    again, rejected, why = [], 0, ItemError()
    for entry, item in zip(entries, bulk.items, strict=True):
        [outcome] = item.values()
        if outcome.status < FIRST_ERROR or outcome.status == CONFLICT:
            continue
        why = outcome.error or why
        if outcome.status in PASSING or outcome.status >= 500:
            again.append(entry)
        else:
            rejected += 1
    return Verdict(rejected, again, f"documents failed: {why.type}: {why.reason[:300]}")
