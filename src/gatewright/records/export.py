"""Records in a file for other programs: JSON lines, CSV for spreadsheets, Parquet or a DuckDB database for
analysis. DuckDB is an extra, imported where it is used.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

from gatewright.errors import GatewrightError

Form = Literal["json", "csv", "parquet", "duckdb"]
FORMS: dict[str, Form] = {
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".duckdb": "duckdb",
}
"""What a file holds by the end of its name."""

# Fixed, so that files of different hours have the same columns even where a field was null in all of one.
# Other fields of a record become columns of JSON.
COLUMNS: dict[str, str] = {
    "timestamp": "TIMESTAMP",
    "request_id": "VARCHAR",
    "method": "VARCHAR",
    "path": "VARCHAR",
    "query_string": "VARCHAR",
    "status": "USMALLINT",
    "client_ip": "VARCHAR",
    "user_agent": "VARCHAR",
    "user_id": "VARCHAR",
    "partner_id": "VARCHAR",
    "tenant_id": "VARCHAR",
    "backend_service": "VARCHAR",
    "backend_instance": "VARCHAR",
    "route_id": "VARCHAR",
    "total_latency_ms": "DOUBLE",
    "gateway_overhead_ms": "DOUBLE",
    "upstream_latency_ms": "DOUBLE",
    "rate_limit_remaining": "UBIGINT",
    "rate_limited": "BOOLEAN",
    "request_bytes": "UBIGINT",
    "response_bytes": "UBIGINT",
    "error_type": "VARCHAR",
    "error_message": "VARCHAR",
    "gateway_instance": "VARCHAR",
    "gateway_version": "VARCHAR",
    "config_version": "UBIGINT",
    "protocol": "VARCHAR",
    "scheme": "VARCHAR",
    "host": "VARCHAR",
    "listener": "VARCHAR",
    "attempts": "UINTEGER",
    "queue_latency_ms": "DOUBLE",
    "connect_latency_ms": "DOUBLE",
    "first_byte_latency_ms": "DOUBLE",
    "trace_id": "VARCHAR",
    "span_id": "VARCHAR",
    "parent_span_id": "VARCHAR",
    "trace_sampled": "BOOLEAN",
    "upstream_offset_ms": "DOUBLE",
    "tls_version": "VARCHAR",
    "tls_cipher": "VARCHAR",
    "sampling_weight": "DOUBLE",
    "country": "VARCHAR",
    "request_headers": "JSON",
    "response_headers": "JSON",
    "decisions": "JSON",
}
MEMORY = "512MB"
PROGRESS_EVERY = 10_000
# A spreadsheet runs a text that begins so as a formula, and clients choose texts of records.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ExportError(GatewrightError):
    """Records cannot be exported."""


@dataclass(frozen=True, slots=True)
class Exported:
    """How many records a file holds, and how many lines were left out since they are no records."""

    records: int
    malformed: int


class Export:
    """Reads lines, parses each once, counts. `told` hears every so often how many were read."""

    def __init__(self, lines: Iterable[str], told: Callable[[int], None] | None = None) -> None:
        self._lines = lines
        self._told = told
        self._records = self._malformed = 0

    @property
    def exported(self) -> Exported:
        return Exported(self._records, self._malformed)

    def records(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each record as its line and parsed."""
        for line in self._lines:
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict):
                self._malformed += 1
                continue
            self._records += 1
            yield line.rstrip("\n"), record
            if self._told is not None and self._records % PROGRESS_EVERY == 0:
                self._told(self._records)


def form_of(path: Path) -> Form:
    """What the name of a file asks for. Raises `ExportError`."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise ExportError(f"`{path}`: no format has this ending; known: {', '.join(FORMS)}")
    return form


def export(
    lines: Iterable[str], path: Path, form: Form, told: Callable[[int], None] | None = None
) -> Exported:
    """Write records (lines of JSON) to a file that only its owner may read. The file is there when it is
    whole, and replaces one that was there before. Raises `ExportError`.
    """
    run = Export(lines, told)
    try:
        with replacing(path) as partial:
            write(run, partial, form)
    except OSError as error:
        raise ExportError(f"`{path}` cannot be written: {error.strerror or error}") from error
    return run.exported


def write(run: Export, partial: Path, form: Form) -> None:
    if form in ("parquet", "duckdb"):
        return write_with_duckdb(run, partial, form)
    with partial.open("w", encoding="utf-8", newline="") as file:
        return (write_json if form == "json" else write_csv)(run, file)


def write_json(run: Export, file: TextIO) -> None:
    """Records as they are, one a line."""
    for line, _ in run.records():
        file.write(line + "\n")


def write_csv(run: Export, file: TextIO) -> None:
    """One row a record, decisions as JSON. A text that a spreadsheet would run has a `'` in front."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for _, record in run.records():
        writer.writerow([cell(record.get(name)) for name in COLUMNS])


def cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return value


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place at the end, or is gone where something failed."""
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=f".{path.name}-") as place:
        partial = Path(place) / path.name
        yield partial
        partial.chmod(0o600)
        partial.replace(path)


def write_with_duckdb(run: Export, partial: Path, form: Form) -> None:
    """Parquet, or a database with the table `records`. Lines lie in a file for so long, so that memory
    stays within `MEMORY` however many there are.
    """
    duckdb = imported_duckdb()
    spool = partial.with_name("lines")
    others = spooled(run, spool)
    columns = COLUMNS | dict.fromkeys(others, "JSON")
    # What is asked is a constant but for names of fields, which are quoted.
    listed = ", ".join(f"{quoted(name)}: {kind!r}" for name, kind in columns.items())
    source = f"SELECT * FROM read_json(?, format='newline_delimited', columns={{{listed}}})"  # noqa: S608
    try:
        with duckdb.connect(str(partial) if form == "duckdb" else ":memory:") as connection:
            configure(connection, partial.parent)
            if form == "duckdb":
                connection.execute(f"CREATE TABLE records AS {source}", [str(spool)])
            else:
                target = f"{quoted(str(partial))} (FORMAT parquet, COMPRESSION zstd)"
                connection.execute(f"COPY ({source}) TO {target}", [str(spool)])
    except duckdb.Error as error:
        raise ExportError(f"DuckDB cannot write `{partial.name}`: {error}") from error


def configure(connection: Any, place: Path) -> None:
    """Bound what DuckDB takes, and let it fetch nothing from the network."""
    for name, value in (
        ("memory_limit", MEMORY),
        ("temp_directory", str(place)),
        ("autoinstall_known_extensions", "false"),
    ):
        connection.execute(f"SET {name} = {quoted(value)}")


def spooled(run: Export, spool: Path) -> list[str]:
    """Write lines to a file that DuckDB reads. Gives the names of fields that are no known column."""
    others: set[str] = set()
    descriptor = os.open(spool, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        for line, record in run.records():
            if not record.keys() <= COLUMNS.keys():
                others.update(record.keys() - COLUMNS.keys())
            file.write(line + "\n")
    return sorted(others)


def quoted(text: str) -> str:
    """A text of SQL."""
    return "'" + text.replace("'", "''") + "'"


def imported_duckdb() -> Any:
    """Raises `ExportError` with what to install."""
    with suppress(ImportError):
        import duckdb  # noqa: PLC0415 - an extra.

        return duckdb
    raise ExportError("Parquet and DuckDB need DuckDB: `pip install 'gatewright[duckdb]'`")
