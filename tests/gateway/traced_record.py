"""The record of a request whose trace was sampled."""

from typing import Any

TRACE, SPAN, PARENT = "0af7651916cd43dd8448eb211c80319c", "00000000000000a0", "b7ad6b7169203331"


def record(**changes: Any) -> dict[str, Any]:
    return {
        "timestamp": "2026-11-21T10:45:08.199Z",
        "request_id": "r-1",
        "method": "GET",
        "path": "/a",
        "query_string": "",
        "status": 200,
        "client_ip": "192.0.2.7",
        "user_agent": None,
        "tenant_id": None,
        "backend_service": "users",
        "backend_instance": "127.0.0.1:9001",
        "route_id": "users-v2",
        "total_latency_ms": 10.5,
        "upstream_latency_ms": 8.25,
        "rate_limited": False,
        "error_type": None,
        "error_message": None,
        "gateway_instance": "node-1",
        "gateway_version": "0.1.0",
        "config_version": 7,
        "protocol": "HTTP/1.1",
        "scheme": "https",
        "host": "api.example.com",
        "listener": "public",
        "attempts": 1,
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": PARENT,
        "trace_sampled": True,
        "upstream_offset_ms": 1.5,
        "decisions": [
            {"stage": "route", "verdict": "matched", "rule": "users-v2", "at": None, "inputs": {}},
            {"stage": "limit", "verdict": "admitted", "rule": "standard", "at": None, "inputs": {}},
        ],
    } | changes
