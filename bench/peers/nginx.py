"""Nginx of Debian: `limit_req` and a JSON access log; no token check (a module of the paid build)."""

import shutil
from pathlib import Path

from peers.base import place
from processes import PATH, Command, version_line
from scenario import ORIGIN_PORT, UNREACHED_LIMIT, Scenario
from tokens import Credentials

LOG_FORMAT = (
    '{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr","method":"$request_method",'
    '"path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,'
    '"service":"$upstream_addr","service_seconds":"$upstream_response_time"}'
)


class Nginx:
    name = "nginx"
    port = 18080
    policy = "limit_req per address, JSON log; no token check"
    checks_tokens = False
    limits = True

    def runs(self, scenario: Scenario) -> bool:
        return True

    def missing(self) -> str | None:
        return None if shutil.which("nginx", path=PATH) else "nginx"

    def version(self) -> str:
        return version_line("nginx", "-v")

    def log_file(self) -> Path:
        return place(self.name) / "access.log"

    def prepare(self, scenario: Scenario, credentials: Credentials) -> Command:
        directory = place(self.name)
        locations = "\n".join(self.location(prefix, scenario) for prefix in scenario.prefixes)
        temporary = "\n".join(
            f"{kind}_temp_path {directory}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = directory / "nginx.conf"
        config.write_text(f"""
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    {temporary}
    {self.policy_of_server(scenario)}
    keepalive_requests 1000000000;
    # Room for the largest response of the bench, which otherwise goes through a file.
    proxy_buffer_size 16k;
    proxy_buffers 8 32k;
    proxy_busy_buffers_size 64k;
    client_body_buffer_size 128k;
    upstream origin {{
        server 127.0.0.1:{ORIGIN_PORT};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        {locations}
    }}
}}
""")
        return Command(["nginx", "-e", f"{directory}/error.log", "-c", str(config)], self.port)

    def policy_of_server(self, scenario: Scenario) -> str:
        if not scenario.policy:
            return "access_log off;"
        # It counts by the second; a limit that nobody reaches is the same in both.
        rate = "1000000r/s" if scenario.limit == UNREACHED_LIMIT else "1r/s"
        return f"""
    log_format record escape=json '{LOG_FORMAT}';
    access_log {self.log_file()} record buffer=64k flush=1s;
    limit_req_zone $binary_remote_addr zone=callers:10m rate={rate};
    limit_req_status 429;
"""

    def location(self, prefix: str, scenario: Scenario) -> str:
        limit = "limit_req zone=callers burst=1000 nodelay;" if scenario.policy else ""
        if scenario.limit != UNREACHED_LIMIT:
            limit = "limit_req zone=callers;"
        identifier = "proxy_set_header X-Request-ID $request_id;" if scenario.policy else ""
        return (
            f"location {prefix}/ {{ proxy_pass http://origin; proxy_http_version 1.1; "
            f'proxy_set_header Connection ""; proxy_set_header Host $host; {identifier} {limit} }}'
        )
