"""The fields of a record that questions may name, in the order of the record, and what each holds."""

from __future__ import annotations

import difflib
from typing import Literal

from gatewright.errors import GatewrightError

Kind = Literal["text", "number", "truth"]


class RecordQueryError(GatewrightError):
    """A question about records makes no sense, or their store cannot be read."""


FIELDS: dict[str, Kind] = {
    "timestamp": "text",
    "request_id": "text",
    "method": "text",
    "path": "text",
    "query_string": "text",
    "status": "number",
    "client_ip": "text",
    "user_agent": "text",
    "user_id": "text",
    "partner_id": "text",
    "tenant_id": "text",
    "backend_service": "text",
    "backend_instance": "text",
    "route_id": "text",
    "total_latency_ms": "number",
    "gateway_overhead_ms": "number",
    "upstream_latency_ms": "number",
    "queue_latency_ms": "number",
    "connect_latency_ms": "number",
    "first_byte_latency_ms": "number",
    "rate_limit_remaining": "number",
    "rate_limited": "truth",
    "request_bytes": "number",
    "response_bytes": "number",
    "error_type": "text",
    "error_message": "text",
    "gateway_instance": "text",
    "gateway_version": "text",
    "config_version": "number",
    "protocol": "text",
    "scheme": "text",
    "host": "text",
    "listener": "text",
    "attempts": "number",
    "trace_id": "text",
    "span_id": "text",
    "parent_span_id": "text",
    "trace_sampled": "truth",
    "upstream_offset_ms": "number",
    "sampling_weight": "number",
    "tls_version": "text",
    "tls_cipher": "text",
    "country": "text",
}

LATENCIES = tuple(name for name in FIELDS if name.endswith("_latency_ms") or name == "gateway_overhead_ms")
"""What percentiles can be of."""


def known_field(name: str) -> str:
    """The name itself. Raises `RecordQueryError` with what was probably meant."""
    if name in FIELDS:
        return name
    close = difflib.get_close_matches(name, FIELDS, 1)
    meant = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(FIELDS)}"
    raise RecordQueryError(f"records have no field `{name}`; {meant}")
