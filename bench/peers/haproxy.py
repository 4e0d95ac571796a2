"""HAProxy of Debian: `jwt_verify`, a stick-table for each user, a JSON log."""

import shutil
from pathlib import Path

from certificates import BOTH_FILE
from checks import CALLER_HEADER, SigningAlgorithm
from peers.base import place
from processes import PATH, Command, version_line
from scenario import MOST_FORMATTED, WINDOW_SECONDS, Scenario
from tokens import AUDIENCE, ISSUER, Credentials

LOG_FORMAT = (
    '\'{"time":"%t","request_id":"%ID","client":"%ci","method":"%HM","path":"%[var(txn.path)]","status":%ST,'
    '"bytes":%B,"milliseconds":%Ta,"service":"%b","instance":"%s","user":"%[var(txn.user)]"}\''
)
LOG = f"""
    log global
    log-format {LOG_FORMAT}
    unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header X-Request-ID
    http-request set-var(txn.path) path"""


class HAProxy:
    name = "haproxy"
    port = 18081
    policy = "jwt_verify, issuer, audience, expiry; stick-table per user; JSON log on standard output"
    checks_tokens = True
    limits = True

    def runs(self, scenario: Scenario) -> bool:
        """It verifies each token anew, none of EdDSA, and counts requests by a sliding window of its own."""
        check = scenario.check
        if check is None:
            return True
        verifies = check.signed in ("RS256", "ES256") and not check.remembered
        return verifies or check.limiter in ("sliding_window", "concurrency")

    def missing(self) -> str | None:
        return None if shutil.which("haproxy", path=PATH) else "haproxy"

    def version(self) -> str:
        return version_line("haproxy", "-v")

    def log_file(self) -> Path:
        # Where the bench sends its standard output: HAProxy cannot write to a file.
        return place(self.name) / "output.log"

    def prepare(self, scenario: Scenario, credentials: Credentials) -> Command:
        directory = place(self.name)
        table = directory / "routes.map"
        table.write_text("".join(f"{prefix}/ origin\n" for prefix in scenario.prefixes))
        config = directory / "haproxy.cfg"
        config.write_text(f"""
global
    nbthread 1
    maxconn {max(4096, scenario.idle + 1000)}
    # It starts although there may not be a file for as many connections to the origin, which nobody opens.
    {"no strict-limits" if scenario.idle else ""}
    log stdout format raw local0
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 2s
    timeout http-keep-alive 60s
    timeout tunnel 60s
    http-reuse always
frontend public
    bind 127.0.0.1:{self.port} backlog 4096 {self.protocol(scenario)}
{self.policy_of_frontend(scenario, credentials)}
    use_backend %[path,map_beg({table})]
backend origin
    server origin 127.0.0.1:{scenario.origin_port} pool-max-conn 256 {"proto h2" if scenario.grpc else ""}
""")
        return Command(["haproxy", "-db", "-f", str(config)], self.port)

    def protocol(self, scenario: Scenario) -> str:
        if scenario.tls:
            return f"ssl crt {BOTH_FILE} ssl-min-ver TLSv1.3 alpn http/1.1"
        return "proto h2" if scenario.http2 else ""

    def policy_of_frontend(self, scenario: Scenario, credentials: Credentials) -> str:
        check = scenario.check
        parts = []
        if scenario.policy:
            log = [LOG] if scenario.is_logged else []
            parts += [*log, self.table(scenario), self.token("RS256", credentials)]
            parts.append(self.limit(scenario, "var(txn.user)"))
            parts.append("    http-request set-header X-User-ID %[var(txn.user)]")
        elif check is not None and check.signed is not None:
            parts.append(self.token(check.signed, credentials))
        elif check is not None:
            parts += [self.table(scenario), self.limit(scenario, f"req.hdr({CALLER_HEADER})")]
        return "\n".join(parts)

    def counter(self, scenario: Scenario) -> str:
        at_once = scenario.check is not None and scenario.check.limiter == "concurrency"
        return "conn_cur" if at_once else f"http_req_rate({WINDOW_SECONDS}s)"

    def table(self, scenario: Scenario) -> str:
        size = "100k" if scenario.check is None or scenario.check.callers <= MOST_FORMATTED else "1100k"
        kept = f"size {size} expire {WINDOW_SECONDS}s store {self.counter(scenario)}"
        return f"    stick-table type string len 64 {kept}"

    def limit(self, scenario: Scenario, caller: str) -> str:
        counted = f"sc_{self.counter(scenario).partition('(')[0]}(0)"
        return f"""
    http-request track-sc0 {caller}
    http-request deny deny_status 429 if {{ {counted} gt {scenario.callers_limit} }}"""

    def token(self, algorithm: SigningAlgorithm, credentials: Credentials) -> str:
        claim = "var(txn.bearer),jwt_payload_query"
        key = credentials.public_key_files[algorithm]
        verified = f'var(txn.bearer),jwt_verify(txn.algorithm,"{key}")'
        refuse = "http-request deny deny_status 401"
        return f"""
    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.algorithm) var(txn.bearer),jwt_header_query('$.alg')
    {refuse} unless {{ var(txn.algorithm) -m str {algorithm} }}
    {refuse} unless {{ {claim}('$.iss') -m str {ISSUER} }}
    {refuse} unless {{ {claim}('$.aud') -m str {AUDIENCE} }}
    {refuse} unless {{ {verified} -m int 1 }}
    http-request set-var(txn.expires) {claim}('$.exp','int')
    http-request set-var(txn.now) date()
    {refuse} if {{ var(txn.expires),sub(txn.now) -m int lt 0 }}
    http-request set-var(txn.user) {claim}('$.sub')
    http-request del-header Authorization"""
