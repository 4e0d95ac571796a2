"""What is measured: the scenarios, and the requests that each sends."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from checks import CALLER_HEADER, KEY_HEADER, RULE, Check, Limiter, SigningAlgorithm
from tokens import Credentials

WORK = Path(__file__).resolve().parent / "work"
ORIGIN_PORT = 18000
GRPC_ORIGIN_PORT = 18001
WEBSOCKET_ORIGIN_PORT = 18002
REDIS_PORT = 18003
SMALL_BODY = "x" * 128
BODY_BYTES = {"body-1k": 1024, "body-64k": 64 * 1024, "body-1m": 1024 * 1024}
GRPC_MESSAGE = SMALL_BODY.encode()
# Below 126 bytes, so that its length stands in the first two.
WEBSOCKET_MESSAGE = b"x" * 100

# High enough that nobody is refused; every peer still counts.
UNREACHED_LIMIT = 100_000_000
WINDOW_SECONDS = 60
# More requests are put together while they are sent.
MOST_FORMATTED = 10_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of work for all peers. `limit` is per caller and minute, where `policy` is on."""

    name: str
    what: str
    routes: int = 1
    policy: bool = False
    # With `policy`: each request is written down.
    logs: bool = True
    file: str = "users/42"
    upload_bytes: int = 0
    new_connections: bool = False
    limit: int = UNREACHED_LIMIT
    # TLS 1.3 alone, with one certificate and one cipher for all.
    tls: bool = False
    # A handshake for each request: with a session to resume, or without.
    handshakes: Literal["full", "resumed"] | None = None
    # Between client and gateway. Where the calls are gRPC, between gateway and origin as well.
    http2: bool = False
    grpc: bool = False
    # A request is a message there and back.
    websocket: bool = False
    # Connections that are held open and send nothing. What is measured then is memory.
    idle: int = 0
    check: Check | None = None
    # Below this it would not have seen all of its callers.
    least_seconds: float = 0

    @property
    def prefixes(self) -> list[str]:
        return [f"/r{number}" for number in range(self.routes)]

    @property
    def paths(self) -> list[str]:
        return [f"{prefix}/{self.file}" for prefix in self.prefixes]

    @property
    def origin_port(self) -> int:
        if self.websocket:
            return WEBSOCKET_ORIGIN_PORT
        return GRPC_ORIGIN_PORT if self.grpc else ORIGIN_PORT

    @property
    def expected_bytes(self) -> int:
        return len(WEBSOCKET_MESSAGE) if self.websocket else BODY_BYTES.get(self.file, len(SMALL_BODY))

    @property
    def is_logged(self) -> bool:
        return self.policy and self.logs

    @property
    def proves(self) -> bool:
        """Whether requests carry a credential that is checked."""
        return self.policy or (self.check is not None and self.check.proves)

    @property
    def is_limited(self) -> bool:
        return self.policy or (self.check is not None and self.check.limiter is not None)

    @property
    def shared(self) -> Literal["exact", "leased"] | None:
        """How nodes share the counters of the limit, where they do."""
        return None if self.check is None else self.check.shared

    @property
    def callers_limit(self) -> int:
        """Requests that a caller may send in a minute."""
        if self.check is None or self.limit != UNREACHED_LIMIT:
            return self.limit
        return self.check.unreached_limit

    def with_limit(self, limit: int) -> "Scenario":
        return replace(self, name=f"{self.name}-limit", limit=limit)

    def headers(self, credentials: Credentials) -> list[dict[str, str]]:
        """The headers that tell callers apart, one set for each."""
        if self.policy:
            return [bearer(token) for token in credentials.tokens["RS256"]]
        if self.check is None:
            return [{}]
        if self.check.signed is not None:
            return [bearer(token) for token in credentials.tokens[self.check.signed]]
        if self.check.api_key:
            return [{KEY_HEADER: key} for key in credentials.api_keys]
        return [caller(number) for number in range(min(self.check.callers, MOST_FORMATTED))]

    def forged(self, credentials: Credentials) -> dict[str, str]:
        """A credential that is right in form and wrong in fact."""
        if self.check is not None and self.check.api_key:
            first, second, *_ = credentials.api_keys
            return {KEY_HEADER: first[:-4] + second[-4:]}
        algorithm = (self.check.signed if self.check is not None else None) or "RS256"
        return bearer(credentials.forged(algorithm))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def caller(number: int) -> dict[str, str]:
    return {CALLER_HEADER: f"caller-{number}"}


SCENARIOS = [
    Scenario("plain", "one route, no policy, small response, kept-alive connections"),
    Scenario("policy", "RS256 token of 256 users, limit per user, JSON access log, metrics", policy=True),
    Scenario("caller", "policy without its log: the price of caller and limit", policy=True, logs=False),
    Scenario("routes-50", "plain with 50 routes, requests over all of them", routes=50),
    Scenario("routes-600", "plain with 600 routes, requests over all of them", routes=600),
    Scenario("body-1k", "plain with a response of 1 KiB", file="body-1k"),
    Scenario("body-64k", "plain with a response of 64 KiB", file="body-64k"),
    Scenario("upload-64k", "plain with a request body of 64 KiB", upload_bytes=64 * 1024),
    Scenario("connections", "plain with a new connection for each request", new_connections=True),
    Scenario("stream-1m", "plain with a response of 1 MiB", file="body-1m"),
    Scenario("tls", "plain over TLS 1.3, kept-alive connections", tls=True),
    Scenario("tls-full", "a TLS 1.3 handshake (P-256) for each request", tls=True, handshakes="full"),
    Scenario("tls-resumed", "a resumed TLS 1.3 session for each request", tls=True, handshakes="resumed"),
    Scenario(
        "http2", "plain over HTTP/2 without TLS, 8 streams a connection; HTTP/1.1 to the origin", http2=True
    ),
    Scenario(
        "grpc", "unary gRPC of 128 bytes, HTTP/2 to the origin too", http2=True, grpc=True, file="Unary"
    ),
    Scenario("websocket", "WebSocket messages of 100 bytes, each sent back by the origin", websocket=True),
    Scenario("idle-10000", "memory of 10,000 connections that wait after one request each", idle=10_000),
    *(
        Scenario(
            f"limit-{limiter.replace('_', '-')}",
            f"plain with a limit by header: {limiter}, 256 callers",
            check=Check(limiter),
        )
        for limiter in get_args(Limiter)
    ),
    Scenario(
        "limit-redis-exact",
        "plain with a limit by header that nodes share in Redis, asked by each request",
        check=Check("fixed_window", shared="exact"),
    ),
    Scenario(
        "limit-redis-leased",
        "plain with a limit by header that nodes share in Redis, asked for several requests at once",
        check=Check("fixed_window", shared="leased"),
    ),
    Scenario(
        "callers-1m",
        "plain with a limit by header, for a million callers in turn",
        check=Check("sliding_window", callers=1_000_000),
        least_seconds=30,
    ),
    *(
        Scenario(
            f"token-{algorithm.lower()}{'' if remembered else '-first'}",
            f"plain with {algorithm} tokens of 256 users, {'remembered' if remembered else 'each verified'}",
            check=Check(signed=algorithm, remembered=remembered),
        )
        for algorithm in get_args(SigningAlgorithm)
        for remembered in (True, False)
    ),
    Scenario("rule", "plain with a rule in CEL over header, method and address", check=Check(rule=RULE)),
    Scenario("key-hit", "plain with API keys of the key store, known", check=Check(api_key=True)),
    Scenario(
        "key-miss",
        "plain with API keys of the key store, each looked up in SQLite",
        check=Check(api_key=True, remembered=False),
    ),
]


def empty_work() -> None:
    """Make the directory of what a run writes anew."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    # Nginx drops root for its worker, which then reads the origin's files here.
    WORK.chmod(0o755)


def write_script(scenario: Scenario, credentials: Credentials) -> Path:
    """The requests of a scenario as a script for wrk, formatted before the run begins where they are few."""
    headers: dict[str, str] = {}
    if scenario.new_connections:
        headers["Connection"] = "close"
    callers = scenario.headers(credentials)
    lines = [f"wrk.headers[{lua(name)}] = {lua(value)}" for name, value in headers.items()]
    if scenario.upload_bytes:
        lines.append(f'wrk.method = "POST"\nwrk.body = string.rep("x", {scenario.upload_bytes})')
    if scenario.check is not None and scenario.check.callers > MOST_FORMATTED:
        lines.append(numbered_requests(scenario.paths[0], scenario.check.callers))
    # One request alone needs no call into Lua: wrk formats it once and sends it again and again.
    elif len(scenario.paths) * len(callers) == 1:
        lines.append(f"wrk.path = {lua(scenario.paths[0])}")
    else:
        lines.append(many_requests(scenario.paths, callers))
    path = WORK / f"requests-{scenario.name}.lua"
    path.write_text("\n".join(lines) + "\n")
    return path


def many_requests(paths: list[str], callers: list[dict[str, str]]) -> str:
    tables = [", ".join(f"[{lua(name)}] = {lua(value)}" for name, value in one.items()) for one in callers]
    return "\n".join([
        f"local paths = {{{', '.join(map(lua, paths))}}}",
        f"local callers = {{{', '.join(f'{{{table}}}' for table in tables)}}}",
        MANY_REQUESTS,
    ])


def numbered_requests(path: str, callers: int) -> str:
    return "\n".join([f"local path, callers = {lua(path)}, {callers}", NUMBERED_REQUESTS])


MANY_REQUESTS = """
local requests, next_one = {}, 0
function init(args)
    for _, path in ipairs(paths) do
        for _, headers in ipairs(callers) do
            for name, value in pairs(headers) do wrk.headers[name] = value end
            requests[#requests + 1] = wrk.format(nil, path)
        end
    end
end
function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
"""

NUMBERED_REQUESTS = f"""
local before, after, next_one = "", "", 0
function init(args)
    wrk.headers["{CALLER_HEADER}"] = "caller-#"
    local text = wrk.format(nil, path)
    local at = text:find("#", 1, true)
    before, after = text:sub(1, at - 1), text:sub(at + 1)
end
function request()
    next_one = (next_one + 1) % callers
    return before .. next_one .. after
end
"""


def lua(text: str) -> str:
    """A Lua string; JSON's form is the same for the visible ASCII that is used here."""
    return json.dumps(text)
