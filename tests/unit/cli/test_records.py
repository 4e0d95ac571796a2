"""`gatewright records` and `explain` on a directory."""

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.cli import records, run
from gatewright.config import load
from gatewright.control.kept_texts import KeptTexts
from gatewright.records.reader import text_of
from gatewright.records.user_ids import spellings

NOW = datetime.now(UTC)


@pytest.fixture
def stored(tmp_path: Path, record_line, store_records) -> str:
    """A state directory with three records."""
    directory = tmp_path / "records"
    lines = [
        record_line(timestamp=text_of(NOW - timedelta(hours=2)), config_version=1),
        record_line(request_id="two", status=502, timestamp=text_of(NOW - timedelta(seconds=2)), path="/a,b"),
        record_line(request_id="three", route_id="orders", timestamp=text_of(NOW), total_latency_ms=80),
    ]
    store_records(directory, b"".join(lines))
    return str(directory)


def test_columns_are_those_that_are_asked_for(stored: str, capsys) -> None:
    words = [
        "records",
        "--directory",
        stored,
        "--format",
        "csv",
        "--column",
        "request_id",
        "--column",
        "path",
    ]
    assert run(words) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [["request_id", "path"], ["one", "/api/users"], ["two", "/a,b"], ["three", "/api/users"]]


def test_a_user_is_found_under_every_name_that_records_have_for_one(
    tmp_path: Path, record_line, store_records, capsys
) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    config = tmp_path / "gateway.yaml"
    config.write_text(
        "listeners: [{name: public, address: '127.0.0.1:8080'}]\n"
        f"records: {{user_id: {{form: hashed, keys: {{id: k1, secret: {secret}}}}}}}\n"
    )
    hashed = spellings(load([config]).gateway.records.user_id, "alice", NOW, NOW)[1]
    users = {"plain": "alice", "hashed": hashed, "other": "bob", "nobody": None}
    lines = [
        record_line(request_id=name, user_id=user, timestamp=text_of(NOW)) for name, user in users.items()
    ]
    store_records(tmp_path / "records", b"".join(lines))
    words = ["records", "--directory", str(tmp_path / "records"), "--user", "alice", "--json"]

    def found(*more: str) -> set[str]:
        assert run([*words, *more]) == 0
        return {json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()}

    assert found() == {"plain"}
    assert found("--config", str(config)) == {"plain", "hashed"}


def test_records_are_counted_by_group_from_a_directory(stored: str, capsys) -> None:
    assert run(["records", "--directory", stored, "--group", "route_id", "--since", "1d", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["source"] == "records"
    assert [(one["route_id"], one["count"], one["errors"]) for one in summary["groups"]] == [
        ("users", 2, 1),
        ("orders", 1, 0),
    ]
    assert summary["groups"][1]["p99_ms"] == pytest.approx(80, rel=0.022)
    assert run(["records", "--directory", stored, "--group", "route_id", "--since", "1d"]) == 0
    printed = capsys.readouterr().out
    assert "error share" in printed
    assert "percentiles of total_latency_ms within 2.2 %" in printed
    assert (
        run(["records", "--directory", stored, "--group", "status", "--format", "csv", "--since", "1d"]) == 0
    )
    assert capsys.readouterr().out.startswith("status,count,rate_per_s,errors,error_share,mean_ms,p50_ms")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--where", "routeid=users"], "did you mean `route_id`?"),
        (["--column", "statuss"], "did you mean `status`?"),
        (["--group", "rout_id"], "did you mean `route_id`?"),
        (["--since", "yesterday"], "write `15m`"),
        (["--since", "1h", "--until", "2h"], "`since` must be before `until`"),
        (["--group", "route_id", "--of", "latency"], "percentiles are of one of"),
        (["--group", "method", "--source", "rollups"], "roll-ups do not know"),
        (["--output", "records.xml"], "no format has this ending"),
    ],
)
def test_what_cannot_be_asked_is_told_with_what_would_work(
    stored: str, capsys, words: list[str], told: str
) -> None:
    assert run(["records", "--directory", stored, *words]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("name", "count"), [("all.jsonl", 3), ("all.csv", 4)])
def test_records_are_written_to_a_file(stored: str, tmp_path: Path, capsys, name: str, count: int) -> None:
    output = tmp_path / name
    assert run(["records", "--directory", stored, "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"3 records in {output}\n"
    assert len(output.read_text().splitlines()) == count


def test_who_follows_sees_what_is_stored_afterwards(
    stored: str, capsys, monkeypatch: pytest.MonkeyPatch, record_line, store_records
) -> None:
    """Ended as by Ctrl-C, at the third look."""
    looks = []

    def look(_: float) -> None:
        looks.append(1)
        if len(looks) == 1:
            store_records(Path(stored), record_line(request_id="four", timestamp=text_of(NOW)))
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(records.time, "sleep", look)
    with pytest.raises(SystemExit):
        run(["records", "--directory", stored, "--follow", "--json", "--tail", "1"])
    ids = [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]
    assert ids == ["three", "four"]


def test_explain_shows_the_line_of_the_version_then_live(stored: str, capsys) -> None:
    texts = KeptTexts(Path(stored).parent / "configurations.sqlite")
    lines = b"\n" * 8 + b"  - name: users\n    match: /api/users\n"
    texts.keep(1, {"gateway.yaml": lines}, "2026-11-27T14:30:00.000+00:00")
    texts.keep(2, {"gateway.yaml": b"routes: []\n"}, "2026-11-27T15:30:00.000+00:00")
    assert run(["explain", "one", "--directory", stored]) == 0
    printed = capsys.readouterr().out
    assert (
        "configuration version 1, live since 2026-11-27T14:30:00.000+00:00; version 2 is live now" in printed
    )
    assert "gateway.yaml:9:5 (the file was changed since)\n    - name: users\n" in printed
    assert run(["explain", "one", "--directory", stored, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explanation"]["steps"][0]["changed_since"] is True


def test_explain_has_a_column_for_waits_where_there_was_one(
    tmp_path: Path, record_line, store_records, capsys
) -> None:
    step = {"stage": "limit", "verdict": "admitted", "rule": "t", "at": None, "inputs": {}}
    waited = step | {"waited_ms": 4.21, "waited_for": "redis", "waited_at_ms": 0.1}
    now = text_of(NOW)
    lines = record_line(request_id="slow", timestamp=now, decisions=[waited])
    store_records(tmp_path, lines + record_line(request_id="quick", timestamp=now, decisions=[step]))
    for name, is_told in (("slow", True), ("quick", False)):
        assert run(["explain", name, "--directory", str(tmp_path)]) == 0
        printed = capsys.readouterr().out
        assert ("waited" in printed, "4.21 ms for redis" in printed) == (is_told, is_told)
    assert run(["explain", "slow", "--directory", str(tmp_path), "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)["explanation"]["steps"]
    assert (told["waited_ms"], told["waited_for"]) == (4.21, "redis")


def test_a_bar_shows_how_far_a_scan_is_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from gatewright.cli import record_source
    from gatewright.cli.record_source import progress_bar

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        for seconds, is_long in ((0.0, True), (1000.0, False)):
            monkeypatch.setattr(record_source, "QUICK_SECONDS", seconds)
            stream.truncate(0)
            with progress_bar("reading") as progress:
                progress(3, 24)
            assert (" 3/24" in stream.getvalue()) == (shown and is_long)


def test_a_narrow_terminal_is_spared_what_is_needed_less() -> None:
    found = [
        {
            "timestamp": f"2026-11-27T14:00:0{number}.000Z",
            "status": 200,
            "method": "GET",
            "path": "/api/users",
        }
        | {"route_id": "users", "backend_instance": "127.0.0.1:9001", "request_id": "demo-1"}
        for number in range(3)
    ]
    columns, rows = records.fitted(found, 200)
    assert columns == records.COLUMNS
    assert rows[0]["timestamp"] == "14:00:00.000"
    assert "backend_instance" not in records.fitted(found, 90)[0]
    assert "request_id" in records.fitted(found, 20)[0]
    later = {**found[0], "timestamp": "2026-11-28T00:00:00.000Z"}
    assert records.fitted([*found, later], 200)[1][0]["timestamp"] == "11-27T14:00:00.000"
