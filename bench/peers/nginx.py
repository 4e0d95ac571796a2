"""Nginx of Debian: `limit_req` and a JSON access log; no token check (a module of the paid build)."""

import shutil
from pathlib import Path

from certificates import CERTIFICATE_FILE, KEY_FILE
from peers.base import place
from processes import PATH, Command, version_line
from scenario import MOST_FORMATTED, UNREACHED_LIMIT, Scenario
from tokens import Credentials

LOG_FORMAT = (
    '{"time":"$time_iso8601","request_id":"$request_id","client":"$remote_addr","method":"$request_method",'
    '"path":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,'
    '"service":"$upstream_addr","service_seconds":"$upstream_response_time"}'
)


class Nginx:
    name = "nginx"
    port = 18080
    policy = "limit_req per address (limit-*: per header; limit_conn), JSON log; no token check"
    checks_tokens = False
    limits = True

    def runs(self, scenario: Scenario) -> bool:
        check = scenario.check
        # A million callers are about memory, by whatever algorithm.
        has_many = check is not None and check.callers > MOST_FORMATTED
        return check is None or has_many or check.limiter in ("leaky_bucket", "concurrency")

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
events {{ worker_connections {max(4096, 2 * scenario.idle)}; }}
http {{
    {temporary}
    {self.policy_of_server(scenario)}
    keepalive_requests 1000000000;
    # Room for the largest response of the bench, which otherwise goes through a file.
    proxy_buffer_size 16k;
    proxy_buffers 8 32k;
    proxy_busy_buffers_size 64k;
    client_body_buffer_size 128k;
    # And nothing larger waits in a file.
    proxy_max_temp_file_size 0;
    upstream origin {{
        server 127.0.0.1:{scenario.origin_port};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        {self.listen(scenario)}
        {locations}
    }}
}}
""")
        return Command(["nginx", "-e", f"{directory}/error.log", "-c", str(config)], self.port)

    def listen(self, scenario: Scenario) -> str:
        kind = "ssl" if scenario.tls else "http2" if scenario.http2 else ""
        listen = f"listen 127.0.0.1:{self.port} {kind} backlog=4096;"
        if not scenario.tls:
            return listen
        return (
            f"{listen} ssl_certificate {CERTIFICATE_FILE}; ssl_certificate_key {KEY_FILE}; "
            "ssl_protocols TLSv1.3;"
        )

    def policy_of_server(self, scenario: Scenario) -> str:
        log = f"""
    log_format record escape=json '{LOG_FORMAT}';
    access_log {self.log_file()} record buffer=64k flush=1s;
"""
        return (log if scenario.is_logged else "access_log off;") + self.zone(scenario)

    def zone(self, scenario: Scenario) -> str:
        """Where it counts callers."""
        if not scenario.is_limited:
            return ""
        if scenario.check is not None and scenario.check.limiter == "concurrency":
            return "limit_conn_zone $http_x_caller zone=callers:10m; limit_conn_status 429;"
        # It counts by the second; a limit that nobody reaches is the same in both.
        rate = "1000000r/s" if scenario.limit == UNREACHED_LIMIT else "1r/s"
        caller = "$binary_remote_addr" if scenario.check is None else "$http_x_caller"
        size = "10m" if scenario.check is None or scenario.check.callers <= MOST_FORMATTED else "512m"
        return f"limit_req_zone {caller} zone=callers:{size} rate={rate}; limit_req_status 429;"

    def limit(self, scenario: Scenario) -> str:
        if not scenario.is_limited:
            return ""
        if scenario.check is not None and scenario.check.limiter == "concurrency":
            return f"limit_conn callers {min(scenario.callers_limit, 65535)};"
        reached = scenario.limit != UNREACHED_LIMIT
        return "limit_req zone=callers;" if reached else "limit_req zone=callers burst=1000 nodelay;"

    def location(self, prefix: str, scenario: Scenario) -> str:
        limit = self.limit(scenario)
        if scenario.grpc:
            return f"location {prefix}/ {{ grpc_pass grpc://origin; }}"
        if scenario.websocket:
            return (
                f"location {prefix}/ {{ proxy_pass http://origin; proxy_http_version 1.1; "
                f'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }}'
            )
        identifier = "proxy_set_header X-Request-ID $request_id;" if scenario.policy else ""
        return (
            f"location {prefix}/ {{ proxy_pass http://origin; proxy_http_version 1.1; "
            f'proxy_set_header Connection ""; proxy_set_header Host $host; {identifier} {limit} }}'
        )
