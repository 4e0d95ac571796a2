"""Gatewright, as `make setup` leaves it: one worker, and its Python on the same core."""

import json
import shutil
from pathlib import Path
from typing import Any

from certificates import CERTIFICATE_FILE, KEY_FILE
from checks import CALLER_HEADER, KEY_HEADER, Check
from peers.base import place
from processes import Command, version_line
from scenario import REDIS_PORT, WINDOW_SECONDS, Scenario
from tokens import AUDIENCE, ISSUER, STORE_SECRET, Credentials

ROOT = Path(__file__).resolve().parent.parent.parent
# Requests that a node takes from Redis at a time, where it takes several.
BLOCK = 100


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
        if scenario.is_logged:
            document["records"] = {"sinks": [{"kind": "file", "path": str(self.log_file())}]}
        if scenario.proves:
            document |= self.identity(scenario.check or Check(signed="RS256"), credentials)
        if scenario.is_limited:
            document["tiers"] = [self.tier(scenario)]
        if scenario.shared:
            document["redis"] = {"url": f"redis://127.0.0.1:{REDIS_PORT}"}
        return document

    def identity(self, check: Check, credentials: Credentials) -> dict[str, Any]:
        """Who the callers are, and how much of that is remembered."""
        if check.signed is not None:
            keys = {"file": str(credentials.key_set_file)}
            jwt = {"name": "users", "kind": "jwt", "issuer": ISSUER, "audience": AUDIENCE, "jwks": keys}
            return {"identities": [jwt], **({} if check.remembered else {"node": {"token_cache": 0}})}
        store: dict[str, Any] = {"secret": STORE_SECRET, "path": str(credentials.key_store_file)}
        # All callers have one address here, which would be taken for somebody who tries keys.
        store |= {"max_lookups": 10_000, "lookups_per_address": 1_000_000}
        if not check.remembered:
            store["cache_keys"] = 100
        keys_of_store = {"name": "users", "kind": "api_key", "header": KEY_HEADER, "keys": {"store": True}}
        return {"key_store": store, "identities": [keys_of_store]}

    def tier(self, scenario: Scenario) -> dict[str, Any]:
        tier: dict[str, Any] = {"name": scenario.name, "limit": scenario.callers_limit}
        if scenario.check is None:
            return {**tier, "window": f"{WINDOW_SECONDS}s", "per": "user"}
        tier |= {"per": f"header:{CALLER_HEADER}", "algorithm": scenario.check.limiter}
        if scenario.shared:
            tier["share"] = scenario.shared
        if scenario.shared == "leased":
            # No block may be more than the limit, which is tiny where it is to be reached.
            tier["block"] = min(BLOCK, scenario.callers_limit)
        # Requests under way have no window.
        at_once = scenario.check.limiter == "concurrency"
        return tier if at_once else {**tier, "window": f"{WINDOW_SECONDS}s"}

    def auth(self, scenario: Scenario) -> dict[str, Any] | str:
        if scenario.check is not None and scenario.check.rule is not None:
            return {"optional": True, "rules": [{"name": "bench", "allow": scenario.check.rule}]}
        return {"accept": ["users"]} if scenario.proves else "none"

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
        return {
            **route,
            "auth": self.auth(scenario),
            "rate_limit": {"tier": scenario.name} if scenario.is_limited else "none",
        }
