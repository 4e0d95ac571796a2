"""The gateways: the same routes before the same service, each as its manual advises at the edge.

Every one of them routes and forwards one normalised path, and gives up a client that says nothing for two
seconds, which is how a case ends whose bytes are no complete request.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import Node

ROOT = Path(__file__).resolve().parents[3]
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
START_SECONDS = 30.0
TYPES = "type.googleapis.com/envoy.extensions.filters"

GATEWRIGHT = """
version: 1
listeners:
  - {{name: public, address: "127.0.0.1:1", header_timeout: 2s, body_timeout: 2s, idle_timeout: 2s}}
services: [{{name: strict, instances: ["127.0.0.1:{service}"], circuit_breaker: off}}]
routes:
  - {{name: all, match: /*, service: strict}}
  - {{name: strip, match: /strip/*, service: strict, strip_prefix: /strip}}
  - {{name: early, match: /early/*, respond: {{status: 401, body: early}}}}
  - {{name: secret, match: /admin/*, respond: {{status: 403, body: secret}}}}
"""
NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    access_log off;
    client_header_timeout 2s;
    client_body_timeout 2s;
    keepalive_timeout 2s;
    proxy_next_upstream off;
    upstream strict {{ server 127.0.0.1:{service}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        location = /admin {{ return 403; }}
        location /admin/ {{ return 403; }}
        location /early/ {{ return 401; }}
        location /strip/ {{ proxy_pass http://strict/; }}
        location / {{ proxy_pass http://strict/; }}
    }}
}}
"""
HAPROXY = """
global
    nbthread 1
    maxconn 4096
    expose-experimental-directives
defaults
    mode http
    timeout client 2s
    timeout http-request 2s
    timeout http-keep-alive 2s
    timeout server 10s
    timeout connect 2s
    http-reuse always
    option forwardfor
frontend public
    bind 127.0.0.1:{port} backlog 1024
    http-request normalize-uri percent-to-uppercase strict
    http-request normalize-uri percent-decode-unreserved strict
    http-request normalize-uri path-merge-slashes
    http-request normalize-uri path-strip-dot
    http-request normalize-uri path-strip-dotdot
    http-request deny deny_status 403 if {{ path /admin }} || {{ path_beg /admin/ }}
    http-request return status 401 if {{ path_beg /early/ }}
    http-request replace-path ^/strip/(.*)$ /\\1
    default_backend strict
backend strict
    server strict 127.0.0.1:{service} pool-max-conn 64
"""


def haproxy_is_there() -> bool:
    return shutil.which("haproxy", path=PATH) is not None


def envoy_program() -> Path | None:
    """That of `make conformance-differential`, which installs it from PyPI."""
    found = sorted((ROOT / ".venv-bench").glob("lib/python3*/site-packages/envoy/_bin/envoy"))
    return found[-1] if found else None


@contextmanager
def gatewright(service: int, directory: Path) -> Iterator[int]:
    with Node(GATEWRIGHT.format(service=service), workers=1) as node:
        yield node.address[1]
        assert node.metric("gateway_panics_total") == 0


@contextmanager
def nginx(service: int, directory: Path) -> Iterator[int]:
    port, file = unused_port(), directory / "nginx.conf"
    file.write_text(NGINX.format(directory=directory, service=service, port=port))
    with running(["nginx", "-e", f"{directory}/error.log", "-c", str(file)], port):
        yield port


@contextmanager
def haproxy(service: int, directory: Path) -> Iterator[int]:
    port, file = unused_port(), directory / "haproxy.cfg"
    file.write_text(HAPROXY.format(service=service, port=port))
    with running(["haproxy", "-db", "-f", str(file)], port):
        yield port


@contextmanager
def envoy(service: int, directory: Path) -> Iterator[int]:
    port, file, program = unused_port(), directory / "envoy.json", envoy_program()
    if program is None:
        raise FileNotFoundError("no envoy in .venv-bench: run `make conformance-differential`")
    file.write_text(json.dumps({"static_resources": resources(port, service)}))
    command = [str(program), "-c", str(file), "--concurrency", "1", "--disable-hot-restart"]
    with running([*command, "--log-level", "error"], port):
        yield port


SUBJECTS = {"gatewright": gatewright, "nginx": nginx, "haproxy": haproxy, "envoy": envoy}


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], port: int) -> Iterator[None]:
    """A program that listens; ended on leaving. Raises `TimeoutError` where it does not come to listen."""
    quiet = subprocess.DEVNULL
    child = subprocess.Popen(
        command, stdin=quiet, stdout=quiet, stderr=quiet, env={**os.environ, "PATH": PATH}
    )
    try:
        wait_until_open(child, port)
        yield
    finally:
        child.kill()
        child.wait(START_SECONDS)


def wait_until_open(child: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{child.args!r} does not listen; its exit code is {child.poll()}")


def resources(port: int, service: int) -> dict[str, Any]:
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "public",
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "http_protocol_options": {"accept_http_10": True},
        "common_http_protocol_options": {"idle_timeout": "2s"},
        "request_headers_timeout": "2s",
        "stream_idle_timeout": "2s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes()}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPES}.http.router.v3.Router"},
            }
        ],
    }
    connections = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    listener = {"name": "public", "address": address(port), "filter_chains": [{"filters": [connections]}]}
    endpoint = {"endpoint": {"address": address(service)}}
    assignment = {"cluster_name": "strict", "endpoints": [{"lb_endpoints": [endpoint]}]}
    cluster = {"name": "strict", "connect_timeout": "2s", "load_assignment": assignment}
    return {"listeners": [listener], "clusters": [cluster]}


def routes() -> list[dict[str, Any]]:
    def answered(match: dict[str, str], status: int) -> dict[str, Any]:
        return {"match": match, "direct_response": {"status": status}}

    return [
        answered({"path": "/admin"}, 403),
        answered({"prefix": "/admin/"}, 403),
        answered({"prefix": "/early/"}, 401),
        {"match": {"prefix": "/strip/"}, "route": {"cluster": "strict", "prefix_rewrite": "/"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "strict"}},
    ]


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
