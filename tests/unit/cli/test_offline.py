"""Commands that need no node."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gatewright.cli import run
from gatewright.cli.durations import seconds_of
from gatewright.cli.printing import cell
from gatewright.records.batch import Batch
from gatewright.records.reader import text_of
from gatewright.records.sinks.sqlite import SqliteSink


@pytest.fixture
def stored(tmp_path: Path, record_line) -> str:
    sink = SqliteSink(tmp_path)
    now = datetime.now(UTC)
    before = now - timedelta(hours=2)
    first = record_line(timestamp=text_of(before))
    sink.write(Batch.of(first + record_line(request_id="two", status=502, timestamp=text_of(now))))
    sink.close()
    return str(tmp_path)


def test_a_signing_key_a_token_and_no_second_key_in_its_place(tmp_path: Path, capsys) -> None:
    private = str(tmp_path / "dev.jwk")
    assert run(["keys", "generate-jwk", private, "--algorithm", "ES256"]) == 0
    capsys.readouterr()
    words = [
        "--issuer",
        "me",
        "--audience",
        "api",
        "--subject",
        "u",
        "--scope",
        "a",
        "--scope",
        "b",
        "--expires",
        "5m",
    ]
    assert run(["token", "--key", private, *words]) == 0
    assert capsys.readouterr().out.count(".") == 2
    assert run(["keys", "generate-jwk", private]) == 1
    assert "exists" in capsys.readouterr().err


def test_an_api_key_is_shown_once_and_listed_without_its_hash(tmp_path: Path, capsys) -> None:
    file = str(tmp_path / "partners.json")
    assert (
        run(["keys", "create", file, "--partner", "acme", "--scope", "orders:read", "--expires", "90d"]) == 0
    )
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("pk_live_")
    assert run(["keys", "list", file, "--json"]) == 0
    listed = capsys.readouterr().out
    assert json.loads(listed)[0]["partner"] == "acme"
    assert "hash" not in listed
    assert secret not in listed
    assert run(["keys", "list", file]) == 0
    assert "orders:read" in capsys.readouterr().out


def test_records_are_filtered_and_printed_oldest_first(stored: str, capsys) -> None:
    assert run(["records", "--directory", stored, "--json"]) == 0
    ids = [json.loads(line)["request_id"] for line in capsys.readouterr().out.splitlines()]
    assert ids == ["one", "two"]
    assert (
        run([
            "records",
            "--directory",
            stored,
            "--json",
            "--status",
            "5xx",
            "--route",
            "users",
            "--since",
            "1h",
        ])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["request_id"] == "two"
    assert run(["records", "--directory", stored, "--json", "--since", "1h", "--where", "status=200"]) == 0
    assert capsys.readouterr().out == ""


def test_a_wrong_filter_says_what_would_work(stored: str, capsys) -> None:
    assert run(["records", "--directory", stored, "--status", "blue"]) == 1
    assert "write `404` or `5xx`" in capsys.readouterr().err


def test_explain_prints_each_stage_with_rule_and_place(stored: str, capsys) -> None:
    assert run(["explain", "one", "--directory", stored]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("route", "matched", "users", "gateway.yaml:9:5", "200"))
    assert "\x1b" not in printed


def test_explain_of_an_unknown_request_exits_with_1(
    stored: str, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewright.cli.explain.WAIT_SECONDS", 0)
    assert run(["explain", "nobody", "--directory", stored]) == 1
    assert "no record" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["explain"], ["explain", "a", "b", "c"], ["explain", "--config", "x.py", "GET"]]
)
def test_explain_with_the_wrong_number_of_words_is_wrong_use(words: list[str], capsys) -> None:
    assert run(words) == 2
    assert "REQUEST_ID" in capsys.readouterr().err


class Decider:
    """Stands for the module of the data plane."""

    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def decide(self, snapshot: bytes, keys: bytes, requests: bytes) -> bytes:
        self.asked = json.loads(requests)
        at = json.loads(snapshot)["routes"][0]["at"]
        steps = [
            {
                "stage": "route",
                "verdict": "matched",
                "rule": "everything",
                "at": at,
                "inputs": {"path": "/api"},
            }
        ]
        answer = {
            "action": "proxy",
            "status": None,
            "error": None,
            "service": "users",
            "instance": "127.0.0.1:9001",
        }
        return json.dumps([answer | {"forward_path": "/api/x", "decisions": steps}]).encode()


def test_explain_of_a_configuration_asks_the_data_plane(
    write_configuration, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    decider = Decider()
    monkeypatch.setitem(sys.modules, "gatewright._engine", decider)
    path = str(write_configuration())
    words = ["-H", "Authorization: Bearer x", "-H", "host: api.example.com", "-H", "Content-Length: 3"]
    assert run(["explain", "--config", path, "POST", "/api/x?q=1", *words, "--client-ip", "192.0.2.1"]) == 0
    printed = capsys.readouterr().out
    assert "forwarded to users at 127.0.0.1:9001 as /api/x" in printed
    assert "gateway.py:" in printed
    asked = decider.asked[0]
    assert asked.pop("now_ms")
    assert asked == {
        "method": "POST",
        "target": "/api/x?q=1",
        "host": "api.example.com",
        "headers": [["Authorization", "Bearer x"]],
        "peer": "192.0.2.1",
        "listener": None,
        "content_length": 3,
    }


def test_explain_assumes_the_state_of_a_node_that_it_is_told(
    write_configuration, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    decider = Decider()
    monkeypatch.setitem(sys.modules, "gatewright._engine", decider)
    asking = ["explain", "--config", str(write_configuration()), "GET", "/api/x"]
    assert run([*asking, "--assume", "cpu=76", "--assume", "in_flight=9"]) == 0
    assert decider.asked[0]["cpu_percent"] == 76
    assert decider.asked[0]["in_flight"] == 9
    assert "memory_percent" not in decider.asked[0]
    for wrong in ("cpu", "cpu=-1", "cpu=x", "cpu=70000", "disk=1", "in_flight=4294967296"):
        assert run([*asking, "--assume", wrong]) == 1
        assert "nothing to assume; write `cpu=76`" in capsys.readouterr().err


def test_explain_names_what_is_wrong_with_a_configuration(tmp_path: Path, capsys) -> None:
    path = tmp_path / "gateway.py"
    path.write_text("gateway = 3\n", encoding="utf-8")
    assert run(["explain", "--config", str(path), "GET", "/"]) == 1
    assert "gateway.py:1:1" in capsys.readouterr().err


def test_lengths_of_time_have_a_unit() -> None:
    assert [seconds_of(text) for text in ("90s", "15m", "1h", "7d")] == [90, 900, 3600, 604_800]
    for text in ("", "1", "s", "-1s", "0s", "1w", "٣s"):
        with pytest.raises(ValueError, match="no length of time"):
            seconds_of(text)


def test_recorded_text_cannot_steer_the_terminal() -> None:
    assert cell("/a\x1b[31m\r\n[bold]").plain == r"/a\x1b[31m\x0d\x0a[bold]"
