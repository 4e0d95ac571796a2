"""Export: every field is there with its type, in each format; no file is half written or open to others."""

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gatewright.records.export import COLUMNS, ExportError, export, form_of


def line(**fields: Any) -> str:
    known: dict[str, Any] = dict.fromkeys(COLUMNS)
    known |= {"timestamp": "2026-11-21T10:45:08.199Z", "status": 200, "rate_limited": False}
    return json.dumps(known | {"decisions": [{"stage": "route", "inputs": {}}]} | fields) + "\n"


def rows(path: Path) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_parquet_has_every_field_with_its_type(tmp_path: Path) -> None:
    path = tmp_path / "it's.parquet"
    lines = [line(total_latency_ms=0.5, user_agent="a\nb'☃"), line(status=None)]
    assert export(lines, path, "parquet").records == 2
    first, second = rows(path)
    assert list(first) == list(COLUMNS)
    assert first["timestamp"].isoformat() == "2026-11-21T10:45:08.199000"
    assert (first["status"], first["total_latency_ms"], first["rate_limited"]) == (200, 0.5, False)
    assert first["user_agent"] == "a\nb'☃"
    assert json.loads(first["decisions"]) == [{"stage": "route", "inputs": {}}]
    assert second["status"] is None


def test_fields_of_other_versions_become_columns_of_json(tmp_path: Path) -> None:
    path = tmp_path / "records.parquet"
    export([line(), line(**{"later's": [1, "x"]})], path, "parquet")
    assert [json.loads(row["later's"] or "null") for row in rows(path)] == [None, [1, "x"]]


def test_a_database_of_duckdb_holds_a_table_of_records(tmp_path: Path) -> None:
    path = tmp_path / "records.duckdb"
    export([line(status=503)] * 3, path, "duckdb")
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT status, count(*) FROM records GROUP BY 1").fetchall() == [(503, 3)]


def test_json_keeps_lines_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    lines = [line(user_agent="é"), line()]
    export(lines, path, "json")
    assert path.read_text() == "".join(lines)


def test_csv_has_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    export([line(user_agent='=cmd|"/c calc"!A1', total_latency_ms=-1.5, path="/a,b\n")], path, "csv")
    with path.open(newline="") as file:
        [row] = csv.DictReader(file)
    assert list(row) == list(COLUMNS)
    assert row["user_agent"] == '\'=cmd|"/c calc"!A1'
    assert (row["total_latency_ms"], row["path"], row["user_id"]) == ("-1.5", "/a,b\n", "")
    assert row["rate_limited"] == "false"


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "duckdb"])
def test_lines_that_are_no_records_are_left_out_and_counted(tmp_path: Path, form: Any) -> None:
    exported = export([line(), "torn {", "[]", line()], tmp_path / "file", form)
    assert (exported.records, exported.malformed) == (2, 2)


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "duckdb"])
def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path, form: Any) -> None:
    path = tmp_path / "file"
    export([line()], path, form)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_that_fails_leaves_the_file_of_before(tmp_path: Path) -> None:
    def failing() -> Any:
        yield line()
        raise ExportError("the segments are gone")

    path = tmp_path / "records.parquet"
    export([line(status=201)], path, "parquet")
    with pytest.raises(ExportError):
        export(failing(), path, "parquet")
    assert [row["status"] for row in rows(path)] == [201]
    assert list(tmp_path.iterdir()) == [path]


def test_a_value_of_another_type_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="high"):
        export([line(total_latency_ms="high")], tmp_path / "records.parquet", "parquet")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nowhere"):
        export([line()], tmp_path / "nowhere" / "records.csv", "csv")


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[int] = []
    export(["{}\n"] * 20_000, tmp_path / "records.csv", "csv", told.append)
    assert told == [10_000, 20_000]


def test_the_ending_of_a_name_decides() -> None:
    assert [form_of(Path(name)) for name in ("a.parquet", "a.CSV", "a.jsonl")] == ["parquet", "csv", "json"]
    with pytest.raises(ExportError, match=re.escape(".parquet")):
        form_of(Path("a.xlsx"))


def test_without_duckdb_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ExportError, match=re.escape("gatewright[duckdb]")):
        export([line()], tmp_path / "a.parquet", "parquet")


def test_every_field_of_the_reference_is_a_column(repository: Path) -> None:
    page = (repository / "docs/reference/records.md").read_text()
    table = page[page.index("| field |") : page.index("## Decisions")]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    fields = [name for one in cells for name in re.findall(r"`([a-z_]+)`", one)]
    assert sorted(fields) == sorted(COLUMNS)
