"""Formats: what readers of logfmt and of the combined log expect, and nothing that a client could forge."""

import json
import re

import pytest

from gatewright.config.models import FileSink
from gatewright.records.batch import Batch
from gatewright.records.sinks.formats import combined, format_of, logfmt_value

# As log analysers read it.
COMBINED = re.compile(
    r'(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\S+) (\S+) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)
NASTY = 'a"b\\c\nd\re\u2028f\x1b[31m\u0085 g=h 日本'


def written(batch: Batch, **settings: object) -> bytes:
    return format_of(FileSink.model_validate({"kind": "file", "path": "x"} | settings))(batch)


def test_json_is_written_as_it_came(record_line) -> None:
    batch = Batch.of(record_line())
    assert written(batch) is batch.lines


def test_json_has_the_chosen_fields_in_their_order(record_line) -> None:
    batch = Batch.of(record_line(user_id="ü") + record_line(status=404))
    lines = written(batch, fields=["status", "user_id", "path"]).splitlines()
    assert lines == [
        '{"status":200,"user_id":"ü","path":"/api/users"}'.encode(),
        b'{"status":404,"user_id":null,"path":"/api/users"}',
    ]


def test_logfmt_has_pairs_without_what_is_null(record_line) -> None:
    line = record_line(user_id=None, rate_limited=True, error_message="", path="/a b", total_latency_ms=1.25)
    names = ["status", "user_id", "rate_limited", "error_message", "path", "total_latency_ms", "decisions"]
    assert written(Batch.of(line), format="logfmt", fields=names) == (
        b'status=200 rate_limited=true error_message="" path="/a b" total_latency_ms=1.25 decisions="[{'
        b'\\"stage\\":\\"route\\",\\"verdict\\":\\"matched\\",\\"rule\\":\\"users\\",'
        b'\\"at\\":\\"gateway.yaml:9:5\\",\\"inputs\\":{}}]"\n'
    )
    assert written(Batch.of(line), format="logfmt").startswith(b"timestamp=2026-11-21T10:00:00.000Z ")


def test_a_nasty_value_of_logfmt_is_one_field_of_one_line(record_line) -> None:
    text = written(Batch.of(record_line(path=NASTY)), format="logfmt", fields=["path", "status"]).decode()
    assert len(text.splitlines()) == 1
    value, _, rest = text.removeprefix("path=").rpartition(" status=")
    assert json.loads(value) == NASTY
    assert rest == "200\n"
    assert logfmt_value("grün") == '"grün"'


def test_the_combined_log_is_that_of_apache(record_line) -> None:
    line = record_line(
        timestamp="2026-11-21T10:45:08.199Z",
        query_string="q=1",
        protocol="HTTP/1.1",
        response_bytes=512,
        user_agent="curl/8",
        user_id="ann",
    )
    assert written(Batch.of(line), format="combined") == (
        b'203.0.113.9 - ann [21/Nov/2026:10:45:08 +0000] "GET /api/users?q=1 HTTP/1.1" 200 512 "-" "curl/8"\n'
    )
    empty = record_line(status=None, method=None, path=None, client_ip=None)
    assert combined(Batch.of(empty)).endswith(b'] "- - -" - - "-" "-"\n')


@pytest.mark.parametrize("name", ["path", "query_string", "user_agent", "user_id", "partner_id", "protocol"])
def test_no_value_forges_a_field_or_a_line_of_the_combined_log(record_line, name: str) -> None:
    text = combined(Batch.of(record_line(**{"user_agent": "x", name: NASTY}))).decode("ascii")
    assert text.count("\n") == 1
    found = COMBINED.fullmatch(text.rstrip("\n"))
    assert found is not None
    assert found[6] == "200"
    assert "\\x0a" in text
    assert "\\xe6\\x97\\xa5" in text
