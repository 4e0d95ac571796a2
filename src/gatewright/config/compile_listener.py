"""A listener of a checked configuration to its part of the snapshot."""

import ipaddress
from typing import Any

from gatewright.config.addresses import read_address, socket_address
from gatewright.config.loading import Loaded
from gatewright.config.models import ListenerTls


def compile_listener(loaded: Loaded, number: int) -> dict[str, Any]:
    """Give one listener as a member of the snapshot."""
    listener = loaded.gateway.listeners[number]
    address = read_address(listener.address)
    return {
        "name": listener.name,
        "at": str(loaded.at("listeners", number)),
        "address": socket_address(address.host, address.port),
        "max_connections": listener.max_connections,
        "header_timeout_ms": int(listener.header_timeout),
        "idle_timeout_ms": int(listener.idle_timeout),
        "body_timeout_ms": int(listener.body_timeout),
        "write_timeout_ms": int(listener.write_timeout),
        "max_header_bytes": int(listener.max_header_bytes),
        "max_uri_bytes": int(listener.max_uri_bytes),
        "trusted_proxies": [str(ipaddress.ip_network(network)) for network in listener.trusted_proxies],
        "path_parameters": listener.path_parameters,
        "tls": None if listener.tls is None else _tls(loaded, listener.name, listener.tls),
    }


def _tls(loaded: Loaded, name: str, tls: ListenerTls) -> dict[str, Any]:
    return {
        "certificates": [pair.document() for pair in loaded.certificates[name]],
        "min_version": tls.min_version,
        "handshake_timeout_ms": int(tls.handshake_timeout),
        "max_handshakes": tls.max_handshakes,
    }
