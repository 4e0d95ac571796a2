"""Records as lines: JSON, logfmt and the combined log of Apache. No value can begin a line or a field of its
own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gatewright.config.models.records import LineSink
from gatewright.records.batch import Batch, Record

Format = Callable[[Batch], bytes]
"""From a batch to what is written: whole lines."""

# What logfmt can have without quotes: printable ASCII other than these.
PLAIN = re.compile(r'[^\x00-\x20"=\\\x7f-\U0010ffff]+')
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_of(model: LineSink) -> Format:
    """What makes the lines of a sink."""
    if model.format == "combined":
        return combined
    if model.format == "logfmt":
        return lambda batch: logfmt(batch, model.fields)
    fields = model.fields
    return as_it_is if fields is None else lambda batch: chosen(batch, fields)


def as_it_is(batch: Batch) -> bytes:
    """JSON as the data plane wrote it; nothing is parsed or copied."""
    return batch.lines


def chosen(batch: Batch, fields: Sequence[str]) -> bytes:
    """JSON with these fields alone, in this order; what a record does not have is `null`."""
    return msgspec.json.Encoder().encode_lines([
        {name: one.get(name) for name in fields} for one in batch.records
    ])


def logfmt(batch: Batch, fields: Sequence[str] | None) -> bytes:
    """`name=value`, without the fields that are null."""
    return "".join(logfmt_line(one, fields or one) for one in batch.records).encode("utf-8", "replace")


def logfmt_line(record: Record, fields: Any) -> str:
    values = ((name, record.get(name)) for name in fields)
    return " ".join(f"{name}={logfmt_value(value)}" for name, value in values if value is not None) + "\n"


def logfmt_value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if PLAIN.fullmatch(text):
        return text
    # Printable text stays as it is; what could end a line for some reader is escaped.
    return json.dumps(text, ensure_ascii=not text.isprintable())


class Access(msgspec.Struct):
    """What the combined log tells of a request."""

    timestamp: str
    client_ip: str | None = None
    user_id: str | None = None
    partner_id: str | None = None
    method: str | None = None
    path: str | None = None
    query_string: str | None = None
    protocol: str | None = None
    status: int | None = None
    response_bytes: int | None = None
    user_agent: str | None = None


ACCESS = msgspec.json.Decoder(Access)


def combined(batch: Batch) -> bytes:
    """`address - user [time] "request" status bytes "-" "agent"`; records hold no referer."""
    return "".join(combined_line(one) for one in batch.read(ACCESS)).encode("ascii")


def combined_line(one: Access) -> str:
    query = f"?{one.query_string}" if one.query_string else ""
    request = f"{one.method or '-'} {one.path or '-'}{query} {one.protocol or '-'}"
    agent = quoted(one.user_agent) if one.user_agent is not None else "-"
    user = quoted(one.user_id or one.partner_id or "-").replace(" ", "\\x20")
    status, size = ("-" if value is None else value for value in (one.status, one.response_bytes))
    head = f"{one.client_ip or '-'} - {user} [{apache_time(one.timestamp)}]"
    return f'{head} "{quoted(request)}" {status} {size} "-" "{agent}"\n'


def apache_time(timestamp: str) -> str:
    """`2026-11-21T10:45:08.199Z` gives `21/Nov/2026:10:45:08 +0000`."""
    month = MONTHS[int(timestamp[5:7]) - 1]
    return f"{timestamp[8:10]}/{month}/{timestamp[0:4]}:{timestamp[11:19]} +0000"


def quoted(text: str) -> str:
    """As Apache escapes: quotes and backslashes by a backslash, what is no printable ASCII as `\\xhh`."""
    if text.isascii() and text.isprintable() and not ('"' in text or "\\" in text):
        return text
    return "".join(ESCAPES[byte] for byte in text.encode("utf-8", "replace"))


ESCAPES = [chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in range(256)]
ESCAPES[ord('"')], ESCAPES[ord("\\")] = '\\"', "\\\\"
