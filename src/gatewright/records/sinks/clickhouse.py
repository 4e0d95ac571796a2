"""Records for ClickHouse, over its HTTP interface: `INSERT ... FORMAT JSONEachRow`, lines unparsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gatewright.outgoing.posting import Answer, Message
from gatewright.records.batch import Batch, split
from gatewright.records.sink import SinkError
from gatewright.records.sinks.http_sink import REFUSED, Verdict, fingerprint

FAILED = "x-clickhouse-exception-code"
# A table need not have every field; times are RFC 3339; lists fit into a column of text; the status of the
# answer is right only when the insert is over.
SETTINGS = {
    "input_format_skip_unknown_fields": "1",
    "input_format_null_as_default": "1",
    "date_time_input_format": "best_effort",
    "input_format_json_read_arrays_as_strings": "1",
    "wait_end_of_query": "1",
}


@dataclass(frozen=True, slots=True)
class ClickHouseEncoder:
    """Each request carries a token by which a table that looks at tokens tells repetitions."""

    table: str = "gatewright_records"
    database: str = "default"
    path: str = "/"
    refused: frozenset[int] = REFUSED

    def entries(self, batch: Batch) -> list[bytes]:
        return split(batch.lines)

    def size(self, entry: bytes) -> int:
        return len(entry) + 1

    def message(self, entries: Sequence[bytes]) -> Message:
        body = b"\n".join(entries) + b"\n"
        # The model lets no back quote into the name of a table.
        query = f"INSERT INTO `{self.table}` FORMAT JSONEachRow"
        parameters = {
            "database": self.database,
            "query": query,
            "insert_deduplication_token": fingerprint(body),
        }
        return Message(body, {"Content-Type": "application/x-ndjson"}, parameters | SETTINGS)

    def verdict(self, answer: Answer, entries: Sequence[bytes]) -> Verdict[bytes] | None:
        if answer.is_success and FAILED in answer.headers:
            raise SinkError(f"exception {answer.headers[FAILED]}: {answer.text}")
        return None
