"""The requests to try: each a line for the shell, and what it promises."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gatewright.demo.setting import Ports

SECONDS = 20.0
STATUS = re.compile(r"^HTTP/1\.[01] (\d{3})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line to paste; `status` is that of its last response, `shows` are texts that its output has."""

    title: str
    command: str
    status: int | None = None
    shows: tuple[str, ...] = ()


def gatewright_command() -> str:
    """How to call this very installation from the working directory."""
    script = Path(sys.executable).parent / "gatewright"
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m gatewright"
    inside = script.is_relative_to(Path.cwd())
    return shlex.quote(str(script.relative_to(Path.cwd()) if inside else script))


def lines(directory: Path, ports: Ports) -> list[Line]:
    """Every line, in the order in which they are best tried."""
    base = f"http://127.0.0.1:{ports.public}/api/v2"
    token = f'-H "Authorization: Bearer $(cat {shlex.quote(str(directory / "token"))})"'
    key = f'-H "X-API-Key: $(cat {shlex.quote(str(directory / "api-key"))})"'
    admin = f"http://127.0.0.1:{ports.admin}"
    return [
        Line("a public route", f"curl -si {base}/products/1", 200, ('"service": "users"',)),
        Line(
            "a route for a token, with a request id of ours",
            f"curl -si -H 'X-Request-ID: demo-1' {token} {base}/users/me",
            200,
            ("user_789", "demo-1", "X-RateLimit-Remaining"),
        ),
        Line(
            "why it got that answer",
            f"{gatewright_command()} explain demo-1 --admin {admin}",
            None,
            ("authenticate",),
        ),
        Line("a route for an API key", f"curl -si {key} {base}/partners/orders/7", 200, ("acme",)),
        *refused(base, token),
        Line(
            "metrics",
            f"curl -s {admin}/metrics | grep ^gateway_requests_total",
            None,
            ("gateway_requests_total{",),
        ),
        Line(
            "what the node says of itself",
            f"{gatewright_command()} status --admin {admin} --json",
            None,
            ("config",),
        ),
    ]


def refused(base: str, token: str) -> list[Line]:
    """Lines that the gateway answers itself."""
    few = f"for i in 1 2 3 4 5; do curl -si {base}/few/1; done"
    fail = (
        f"for i in $(seq 10); do curl -so /dev/null {base}/payments/fail; done; curl -si {base}/payments/fail"
    )
    return [
        Line("401: no token", f"curl -si {base}/users/me", 401, ("invalid_token",)),
        Line(
            "403: the token lacks the scope",
            f"curl -si {token} {base}/admin/users",
            403,
            ("insufficient_scope",),
        ),
        Line("404: no route", f"curl -si {base}/nowhere", 404, ("no_route",)),
        Line(
            "405: no such method",
            f"curl -si -X DELETE {base}/products/1",
            405,
            ("method_not_allowed", "Allow:"),
        ),
        Line("429: three a minute", few, 429, ("rate_limit_exceeded", "Retry-After:")),
        Line("504: a service that is too slow", f"curl -si {base}/orders/slow", 504, ("upstream_timeout",)),
        Line(
            "503: a service that fails opens its breaker", fail, 503, ("service_unavailable", "Retry-After:")
        ),
    ]


def printed(found: Sequence[Line]) -> str:
    """The lines as a person reads and pastes them."""
    return "\n".join(f"# {line.title}\n{line.command}\n" for line in found)


async def check(line: Line) -> str | None:
    """Run a line as printed; say what is wrong with its output, or give `None`."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", line.command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(os.environ),
    )
    try:
        async with asyncio.timeout(SECONDS):
            output = (await process.communicate())[0].decode("utf-8", "replace")
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"no end within {SECONDS:g} s"
    return fault(line, output)


def fault(line: Line, output: str) -> str | None:
    """What the output lacks of what the line promises; header names count in any case."""
    statuses = [int(found) for found in STATUS.findall(output)]
    if line.status is not None and statuses[-1:] != [line.status]:
        return f"expected {line.status}, got {statuses or 'no response'}:\n{output}"
    missing = [text for text in line.shows if text.lower() not in output.lower()]
    return f"{missing} not in the output:\n{output}" if missing else None
