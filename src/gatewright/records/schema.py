"""`python -m gatewright.records.schema`: the JSON Schema of a decision record, published and promised.

Fields are in the order in which records have them. Adding one is a change of this table; renaming one, taking
one away or giving one another type breaks the promise of docs/reference/records.md.
"""

import json
import sys
from pathlib import Path
from typing import Any

DEFAULT_PATH = Path("docs/reference/record.schema.json")

STAGES = (
    *("listener", "intake", "route", "shed", "authenticate", "authorize", "limit", "balance", "proxy"),
    "respond",
)

_TEXT: dict[str, Any] = {"type": "string"}
_OPTIONAL_TEXT: dict[str, Any] = {"type": ["string", "null"]}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_OPTIONAL_COUNT: dict[str, Any] = {"type": ["integer", "null"], "minimum": 0}
_TIME: dict[str, Any] = {"type": "number", "minimum": 0}
_OPTIONAL_TIME: dict[str, Any] = {"type": ["number", "null"], "minimum": 0}
_HEADERS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}

_DECISION: dict[str, Any] = {
    "type": "object",
    "properties": {
        "stage": {"type": "string", "enum": list(STAGES)},
        "verdict": {"type": "string", "pattern": "^[a-z_]+$"},
        "rule": _OPTIONAL_TEXT,
        "at": _OPTIONAL_TEXT,
        # These three only where something was waited for.
        "waited_ms": _TIME,
        "waited_for": {"type": "string", "pattern": "^[a-z_]+$"},
        "waited_at_ms": _TIME,
        "inputs": {"type": "object", "additionalProperties": {"type": ["string", "integer"]}},
    },
    "required": ["stage", "verdict", "rule", "at", "inputs"],
    "additionalProperties": True,
}

FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "timestamp": (
        {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"},
        "When the first byte of the request came, in UTC.",
    ),
    "request_id": (_OPTIONAL_TEXT, "The client's `X-Request-ID` where it was sane, else the gateway's."),
    "method": (_OPTIONAL_TEXT, "As matched; null where the request was too broken to have one."),
    "path": (_OPTIONAL_TEXT, "The canonical path, without the query."),
    "query_string": (_TEXT, "As sent, without secrets."),
    "status": (
        {"type": ["integer", "null"], "minimum": 100, "maximum": 599},
        "Of the answer; null where none began.",
    ),
    "client_ip": (_TEXT, "The client's address."),
    "user_agent": (_OPTIONAL_TEXT, "As sent."),
    "user_id": (_OPTIONAL_TEXT, "The user, or the hash of the user."),
    "partner_id": (_OPTIONAL_TEXT, "The partner of an API key."),
    "tenant_id": (_OPTIONAL_TEXT, "Whose the request was."),
    "backend_service": (_OPTIONAL_TEXT, "Name of the service."),
    "backend_instance": (_OPTIONAL_TEXT, "Name of the instance that was asked."),
    "route_id": (_OPTIONAL_TEXT, "Name of the route."),
    "total_latency_ms": (_TIME, "From the first byte of the request to the last of the answer."),
    "gateway_overhead_ms": (_TIME, "The gateway's own share, without what the client took to send its head."),
    "upstream_latency_ms": (_OPTIONAL_TIME, "The service's share; null where none was asked."),
    "rate_limit_remaining": (_OPTIONAL_COUNT, "Requests that the caller has left."),
    "rate_limited": ({"type": "boolean"}, "Whether a limit refused it."),
    "request_bytes": (_COUNT, "Of head and body."),
    "response_bytes": (_COUNT, "Of head and body."),
    "error_type": (_OPTIONAL_TEXT, "What went wrong, in one word; null where nothing did."),
    "error_message": (_OPTIONAL_TEXT, "The same for people."),
    "gateway_instance": (_TEXT, "Name of the node."),
    "gateway_version": (_TEXT, "Version of the software."),
    "config_version": ({"type": "integer", "minimum": 1}, "The configuration that decided the request."),
    "protocol": ({"type": "string", "enum": ["HTTP/1.0", "HTTP/1.1", "HTTP/2"]}, "What the client spoke."),
    "scheme": ({"type": "string", "enum": ["http", "https"]}, "By which the client came."),
    "host": (_OPTIONAL_TEXT, "The canonical host."),
    "listener": (_TEXT, "Name of the listener."),
    "attempts": (_COUNT, "How often a service was asked."),
    "queue_latency_ms": (
        _OPTIONAL_TIME,
        "Waiting for a place at the service, all attempts together; null where none was asked.",
    ),
    "connect_latency_ms": (
        _OPTIONAL_TIME,
        "Opening connections to the service, TLS included; null where there was one already.",
    ),
    "first_byte_latency_ms": (
        _OPTIONAL_TIME,
        "From turning to the service until the head of its answer was in; null where none came.",
    ),
    "trace_id": (
        {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"},
        "Trace that the service was given; null where none was asked and there is no `tracing`.",
    ),
    "span_id": (
        {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "The gateway's span in this trace; this and the next three only with `tracing`.",
    ),
    "parent_span_id": (
        {"type": ["string", "null"], "pattern": "^[0-9a-f]{16}$"},
        "The caller's span; null where the trace begins here.",
    ),
    "trace_sampled": ({"type": "boolean"}, "Whether the trace is sampled, as the service was told."),
    "upstream_offset_ms": (
        {"type": ["number", "null"], "minimum": 0},
        "From the first byte of the request to first turning to the service; null where none was asked.",
    ),
    "tls_version": (
        {"type": ["string", "null"], "enum": ["TLSv1.2", "TLSv1.3", "unknown", None]},
        "Of the client's connection; null where it was plain.",
    ),
    "tls_cipher": (_OPTIONAL_TEXT, "Cipher suite of that connection, by its name at IANA."),
    "sampling_weight": (
        {"type": "number", "minimum": 1},
        "How many requests this record stands for; 1 unless successes are sampled.",
    ),
    "country": (_OPTIONAL_TEXT, "Two letters; only with `geography` and its `record`."),
    "request_headers": (_HEADERS, "Headers that were sent, of those that `records.headers` names."),
    "response_headers": (_HEADERS, "Headers that the service answered with, likewise."),
    "decisions": ({"type": "array", "items": _DECISION}, "What each stage decided, in order."),
}
"""Every field with its schema and what it means."""

OPTIONAL = frozenset({
    *("country", "request_headers", "response_headers"),
    *("span_id", "parent_span_id", "trace_sampled", "upstream_offset_ms"),
})
"""Fields that are there only where the configuration asks for them."""


def record_schema() -> dict[str, Any]:
    """Give the schema (draft 2020-12). Later versions may have further fields."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Gatewright decision record",
        "type": "object",
        "properties": {name: schema | {"description": text} for name, (schema, text) in FIELDS.items()},
        "required": [name for name in FIELDS if name not in OPTIONAL],
        "additionalProperties": True,
    }


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH
    path.write_text(json.dumps(record_schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
