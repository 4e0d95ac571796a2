"""A listener of a checked configuration to its part of the snapshot."""

import base64
import ipaddress
from collections.abc import Sequence
from typing import Any

from gatewright.config.addresses import UNIX, UnixPath, read_endpoint, socket_address
from gatewright.config.certificates import CertificatePair
from gatewright.config.loading import Loaded
from gatewright.config.models import ClientCertificates, ListenerTls
from gatewright.config.models.listeners import Http2, Listener


def compile_listener(loaded: Loaded, number: int) -> dict[str, Any]:
    """Give one listener as a member of the snapshot."""
    listener = loaded.gateway.listeners[number]
    address = read_endpoint(listener.address)
    is_path = isinstance(address, UnixPath)
    return {
        "name": listener.name,
        "at": str(loaded.at("listeners", number)),
        "protocols": listener.protocols,
        "address": UNIX + address.path if is_path else socket_address(address.host, address.port),
        "socket_mode": int(listener.socket_mode, 8),
        "proxy_protocol": _proxy_protocol(listener),
        "max_connections": listener.max_connections,
        "max_connections_per_client": listener.max_connections_per_client,
        "header_timeout_ms": int(listener.header_timeout),
        "idle_timeout_ms": int(listener.idle_timeout),
        "body_timeout_ms": int(listener.body_timeout),
        "min_body_rate": int(listener.min_body_rate),
        "write_timeout_ms": int(listener.write_timeout),
        "max_header_bytes": int(listener.max_header_bytes),
        "max_uri_bytes": int(listener.max_uri_bytes),
        "trusted_proxies": _networks(listener.trusted_proxies),
        "path_parameters": listener.path_parameters,
        "redirect_to_https": listener.redirect_to_https,
        "tls": None if listener.tls is None else _tls(loaded, listener.name, listener.tls),
        "http2": _compile_http2(listener.http2),
    }


def _proxy_protocol(listener: Listener) -> dict[str, Any] | None:
    settings = listener.proxy_protocol
    if settings is None:
        return None
    return {"from": _networks(settings.from_), "required": settings.required}


def _networks(texts: Sequence[str]) -> list[str]:
    return [str(ipaddress.ip_network(text)) for text in texts]


def _compile_http2(http2: Http2) -> dict[str, int]:
    return {
        "max_streams": http2.max_streams,
        "max_resets": http2.max_resets,
        "max_stream_errors": http2.max_stream_errors,
        "max_overhead_frames": http2.max_overhead_frames,
        "max_continuations": http2.max_continuations,
        "max_pending_resets": http2.max_pending_resets,
        "stream_window_bytes": int(http2.stream_window),
        "connection_window_bytes": int(http2.connection_window),
    }


def _tls(loaded: Loaded, name: str, tls: ListenerTls) -> dict[str, Any]:
    return {
        "certificates": [_certificate(pair) for pair in loaded.tls.listener_pairs[name]],
        "min_version": tls.min_version,
        "handshake_timeout_ms": int(tls.handshake_timeout),
        "max_handshakes": tls.max_handshakes,
        "client_certificates": None
        if tls.client_certificates is None
        else _clients(loaded, tls.client_certificates),
    }


def _clients(loaded: Loaded, clients: ClientCertificates) -> dict[str, Any]:
    lists = () if clients.crl_file is None else loaded.tls.revocations[clients.crl_file]
    return {
        "required": clients.mode == "require",
        "authorities": clients.ca_file,
        "revocations": [base64.b64encode(der).decode() for der in lists],
        "headers": clients.headers,
    }


def _certificate(pair: CertificatePair) -> dict[str, Any]:
    return {"at": str(pair.position), "pair": pair.document(), "names": list(pair.names)}
