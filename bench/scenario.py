"""What is measured: the scenarios, and the requests that each sends."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tokens import Credentials

WORK = Path(__file__).resolve().parent / "work"
ORIGIN_PORT = 18000
GRPC_ORIGIN_PORT = 18001
WEBSOCKET_ORIGIN_PORT = 18002
SMALL_BODY = "x" * 128
BODY_BYTES = {"body-1k": 1024, "body-64k": 64 * 1024, "body-1m": 1024 * 1024}
GRPC_MESSAGE = SMALL_BODY.encode()
# Below 126 bytes, so that its length stands in the first two.
WEBSOCKET_MESSAGE = b"x" * 100

# High enough that nobody is refused; every peer still counts.
UNREACHED_LIMIT = 100_000_000
WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of work for all peers. `limit` is per caller and minute, where `policy` is on."""

    name: str
    what: str
    routes: int = 1
    policy: bool = False
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

    def with_limit(self, limit: int) -> "Scenario":
        return replace(self, name=f"{self.name}-limit", limit=limit)


SCENARIOS = [
    Scenario("plain", "one route, no policy, small response, kept-alive connections"),
    Scenario("policy", "RS256 token of 256 users, limit per user, JSON access log, metrics", policy=True),
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
]


def write_script(scenario: Scenario, credentials: Credentials) -> Path:
    """The requests of a scenario as a script for wrk, formatted before the run begins."""
    headers: dict[str, str] = {}
    if scenario.new_connections:
        headers["Connection"] = "close"
    tokens = credentials.tokens if scenario.policy else [""]
    lines = [f"wrk.headers[{lua(name)}] = {lua(value)}" for name, value in headers.items()]
    if scenario.upload_bytes:
        lines.append(f'wrk.method = "POST"\nwrk.body = string.rep("x", {scenario.upload_bytes})')
    # One request alone needs no call into Lua: wrk formats it once and sends it again and again.
    if len(scenario.paths) * len(tokens) == 1 and not scenario.policy:
        lines.append(f"wrk.path = {lua(scenario.paths[0])}")
    else:
        lines.append(many_requests(scenario.paths, tokens))
    path = WORK / f"requests-{scenario.name}.lua"
    path.write_text("\n".join(lines) + "\n")
    return path


def many_requests(paths: list[str], tokens: list[str]) -> str:
    return "\n".join([
        f"local paths = {{{', '.join(map(lua, paths))}}}",
        f"local tokens = {{{', '.join(map(lua, tokens))}}}",
        MANY_REQUESTS,
    ])


MANY_REQUESTS = """
local requests, next_one = {}, 0
function init(args)
    for _, path in ipairs(paths) do
        for _, token in ipairs(tokens) do
            if token ~= "" then wrk.headers["Authorization"] = "Bearer " .. token end
            requests[#requests + 1] = wrk.format(nil, path)
        end
    end
end
function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
"""


def lua(text: str) -> str:
    """A Lua string; JSON's form is the same for the visible ASCII that is used here."""
    return json.dumps(text)
