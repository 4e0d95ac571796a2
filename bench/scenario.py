"""What is measured: the scenarios, and the requests that each sends."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from tokens import Credentials

WORK = Path(__file__).resolve().parent / "work"
ORIGIN_PORT = 18000
SMALL_BODY = "x" * 128
BODY_BYTES = {"body-1k": 1024, "body-64k": 64 * 1024}

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

    @property
    def prefixes(self) -> list[str]:
        return [f"/r{number}" for number in range(self.routes)]

    @property
    def paths(self) -> list[str]:
        return [f"{prefix}/{self.file}" for prefix in self.prefixes]

    @property
    def expected_bytes(self) -> int:
        return BODY_BYTES.get(self.file, len(SMALL_BODY))

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
