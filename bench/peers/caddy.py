"""Caddy of Debian: a JSON access log and metrics; token check and limits need a build of one's own."""

import shutil
from pathlib import Path

from certificates import CERTIFICATE_FILE, KEY_FILE
from peers.base import place
from processes import PATH, Command, version_line
from scenario import Scenario
from tokens import Credentials


class Caddy:
    name = "caddy"
    port = 18082
    policy = "JSON log and metrics only; no token check, no limit"
    checks_tokens = False
    limits = False

    def runs(self, scenario: Scenario) -> bool:
        return scenario.check is None

    def missing(self) -> str | None:
        return None if shutil.which("caddy", path=PATH) else "caddy"

    def version(self) -> str:
        return f"caddy {version_line('caddy', 'version')}"

    def log_file(self) -> Path:
        return place(self.name) / "access.log"

    def prepare(self, scenario: Scenario, credentials: Credentials) -> Command:
        directory = place(self.name)
        log = f"log {{\n output file {self.log_file()} {{\n roll_disabled\n }}\n format json\n }}"
        certificate = f"tls {CERTIFICATE_FILE} {KEY_FILE} {{\n protocols tls1.3\n }}"
        versions = "versions h2c" if scenario.grpc else ""
        handlers = "\n".join(
            f"handle {prefix}/* {{\n reverse_proxy 127.0.0.1:{scenario.origin_port} {{\n"
            f" transport http {{\n keepalive_idle_conns_per_host 256\n {versions}\n }}\n }}\n }}"
            for prefix in scenario.prefixes
        )
        config = directory / "Caddyfile"
        config.write_text(f"""
{{
    admin off
    auto_https off
    servers {{
        protocols {"h1 h2c" if scenario.http2 else "h1"}
        {"metrics" if scenario.policy else ""}
    }}
}}
{"https" if scenario.tls else "http"}://:{self.port} {{
    bind 127.0.0.1
    {certificate if scenario.tls else ""}
    {log if scenario.is_logged else ""}
    {handlers}
}}
""")
        environment = {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        command = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
        return Command(command, self.port, environment)
