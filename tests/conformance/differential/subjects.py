"""The gateways: the same routes before the same service, each as its manual advises at the edge.

Every one of them routes and forwards one normalised path, and gives up a client that says nothing for two
seconds, which is how a case ends whose bytes are no complete request.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import Node
from gateway.nginx import PATH, START_SECONDS, Nginx, wait_until_open
from gateway.ports import unused_ports

ROOT = Path(__file__).resolve().parents[3]
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
    port = next(unused_ports())
    with Nginx(directory, port, NGINX.format(service=service, port=port)):
        yield port


@contextmanager
def haproxy(service: int, directory: Path) -> Iterator[int]:
    port, file = next(unused_ports()), directory / "haproxy.cfg"
    file.write_text(HAPROXY.format(service=service, port=port))
    with running(["haproxy", "-db", "-f", str(file)], port):
        yield port


@contextmanager
def envoy(service: int, directory: Path) -> Iterator[int]:
    port, file, program = next(unused_ports()), directory / "envoy.json", envoy_program()
    if program is None:
        raise FileNotFoundError("no envoy in .venv-bench: run `make conformance-differential`")
    file.write_text(json.dumps({"static_resources": resources(port, service)}))
    command = [str(program), "-c", str(file), "--concurrency", "1", "--disable-hot-restart"]
    with running([*command, "--log-level", "error"], port):
        yield port


SUBJECTS = {"gatewright": gatewright, "nginx": nginx, "haproxy": haproxy, "envoy": envoy}


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
