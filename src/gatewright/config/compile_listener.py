"""A listener of a checked configuration to its part of the snapshot."""

import ipaddress
from typing import Any

from gatewright.config.addresses import read_address, socket_address
from gatewright.config.loading import Loaded


def compile_listener(loaded: Loaded, number: int) -> dict[str, Any]:
    """Give one listener as a member of the snapshot."""
    listener = loaded.gateway.listeners[number]
    address = read_address(listener.address)
    return {
        "name": listener.name,
        "at": str(loaded.at("listeners", number)),
        "protocols": listener.protocols,
        "address": socket_address(address.host, address.port),
        "max_connections": listener.max_connections,
        "max_connections_per_client": listener.max_connections_per_client,
        "header_timeout_ms": int(listener.header_timeout),
        "idle_timeout_ms": int(listener.idle_timeout),
        "body_timeout_ms": int(listener.body_timeout),
        "write_timeout_ms": int(listener.write_timeout),
        "max_header_bytes": int(listener.max_header_bytes),
        "max_uri_bytes": int(listener.max_uri_bytes),
        "trusted_proxies": [str(ipaddress.ip_network(network)) for network in listener.trusted_proxies],
        "path_parameters": listener.path_parameters,
    }
