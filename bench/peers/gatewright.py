"""Gatewright, as `make setup` leaves it: one worker, and its Python on the same core."""

import json
import shutil
from pathlib import Path
from typing import Any

from certificates import CERTIFICATE_FILE, KEY_FILE
from peers.base import place
from processes import Command, version_line
from scenario import WINDOW_SECONDS, Scenario
from tokens import AUDIENCE, ISSUER, Credentials

ROOT = Path(__file__).resolve().parent.parent.parent


class Gatewright:
    name = "gatewright"
    port = 18084
    admin_port = 18085
    policy = "RS256 token, limit per user, JSON records in a file, metrics"
    checks_tokens = True
    limits = True

    def runs(self, scenario: Scenario) -> bool:
        return True

    def missing(self) -> str | None:
        return None if self.binary().exists() else "gatewright (make setup)"

    def binary(self) -> Path:
        return ROOT / ".venv" / "bin" / "gatewright"

    def version(self) -> str:
        python = shutil.which("python", path=str(ROOT / ".venv" / "bin")) or "python3"
        text = version_line(python, "-c", "import importlib.metadata as m; print(m.version('gatewright'))")
        return f"gatewright {text}"

    def log_file(self) -> Path:
        return place(self.name) / "records.jsonl"

    def prepare(self, scenario: Scenario, credentials: Credentials) -> Command:
        config = self.write(scenario, credentials)
        # Versions that rise and the last good configuration must not come from another run.
        shutil.rmtree(place(self.name) / ".gatewright", ignore_errors=True)
        return Command([str(self.binary()), "run", str(config), "--workers", "1"], self.port)

    def write(self, scenario: Scenario, credentials: Credentials) -> Path:
        """The configuration: JSON, which is YAML too."""
        config = place(self.name) / f"gateway-{scenario.name}.yaml"
        config.write_text(json.dumps(self.document(scenario, credentials), indent=1))
        return config

    def document(self, scenario: Scenario, credentials: Credentials) -> dict[str, Any]:
        document: dict[str, Any] = {
            "version": 1,
            "listeners": [self.listener(scenario)],
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "services": [
                {
                    "name": "origin",
                    "instances": [f"127.0.0.1:{scenario.origin_port}"],
                    "pool": {"max_connections": 256},
                    "protocol": "http2" if scenario.grpc else "http1",
                }
            ],
            "routes": [self.route(prefix, scenario) for prefix in scenario.prefixes],
            "records": {"sinks": []},
        }
        if scenario.policy:
            keys = {"file": str(credentials.key_set_file)}
            identity = {"name": "users", "kind": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": keys}
            limit = {"name": "bench", "limit": scenario.limit, "window": f"{WINDOW_SECONDS}s", "per": "user"}
            document["identities"] = [identity]
            document["tiers"] = [limit]
            document["records"] = {"sinks": [{"kind": "file", "path": str(self.log_file())}]}
        return document

    def listener(self, scenario: Scenario) -> dict[str, Any]:
        listener = {"name": "public", "address": f"127.0.0.1:{self.port}", "max_connections": 20_000}
        if not scenario.tls:
            return listener
        certificate = {"file": str(CERTIFICATE_FILE), "key_file": str(KEY_FILE)}
        return {**listener, "tls": {"certificates": [certificate], "min_version": "1.3"}}

    def route(self, prefix: str, scenario: Scenario) -> dict[str, Any]:
        route: dict[str, Any] = {"name": prefix[1:], "match": {"path": f"{prefix}/*"}, "service": "origin"}
        # A whole core is offered here, at which every other priority would be shed.
        route["priority"] = "P0"
        if scenario.websocket:
            route["websocket"] = True
        if scenario.policy:
            return {**route, "auth": {"accept": ["users"]}, "rate_limit": {"tier": "bench"}}
        return {**route, "auth": "none", "rate_limit": "none"}
