"""What clients do during a soak. A load counts its requests and keeps what went wrong.

HTTP/2 needs no more than another `H2load` with other arguments; for WebSocket a class of this shape keeps
its connections over the reloads and counts what does not come back.
"""

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass, field
from typing import Protocol

from faults.traffic import closed, read_answer
from soak.instance import pattern

STEP_SECONDS = 30.0
SEGMENT_SECONDS = 10
KEPT_FAILURES = 50


@dataclass
class Tally:
    """What a load has done so far."""

    requests: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)
    # Seconds of single requests since they were last looked at, where the load knows them.
    seconds: list[float] = field(default_factory=list)

    def fail(self, what: str, count: int = 1) -> None:
        self.failed += count
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(what)


class Load(Protocol):
    """Asks until `stopping` is set; ends in its own time then, so that no request is cut."""

    name: str
    tally: Tally

    async def run(self, port: int, stopping: asyncio.Event) -> None: ...


@dataclass
class H2load:
    """Many requests on kept connections at a fixed rate, by nghttp2's h2load."""

    name: str
    clients: int
    # Requests per second of all clients together; 0 for as many as possible.
    rate: int
    arguments: tuple[str, ...] = ("--h1",)
    target: str = "/bulk/"
    segment_seconds: int = SEGMENT_SECONDS
    tally: Tally = field(default_factory=Tally)

    async def run(self, port: int, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            await self.segment(port, self.segment_seconds)

    async def segment(self, port: int, seconds: int) -> int:
        """One run of the program; gives the requests that succeeded."""
        rate = [f"--rps={max(1, self.rate // self.clients)}"] if self.rate else []
        command = ["h2load", *self.arguments, *rate, f"-c{self.clients}", "-t1", f"-D{seconds}"]
        child = await asyncio.create_subprocess_exec(
            *command,
            f"http://127.0.0.1:{port}{self.target}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(seconds + STEP_SECONDS):
            told = (await child.communicate())[0].decode()
        return self.count(told)

    def count(self, told: str) -> int:
        """Reads its report. Requests that it had no time to end are neither successes nor failures."""
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", told)
        codes = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", told)
        if found is None or codes is None:
            self.tally.fail(f"h2load: {told[-500:]}")
            return 0
        wrong = sum(map(int, found.groups()[1:])) + sum(map(int, codes.groups()[1:]))
        self.tally.requests += int(found[1])
        if wrong:
            self.tally.fail(f"{self.name}: {found[0]}; {codes[0]}", wrong)
        return int(found[1])


@dataclass
class Clients:
    """Clients of this process, each at a pace, which look at every byte of an answer."""

    name: str
    clients: int
    # Seconds between two requests of one client.
    pace: float
    tally: Tally = field(default_factory=Tally)

    async def run(self, port: int, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(self.clients):
                tasks.create_task(self.client(port, number, stopping))

    async def client(self, port: int, number: int, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            start = time.monotonic()
            self.tally.requests += 1
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    wrong = await self.ask(port, number)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                wrong = f"{error!r} of the gateway on 127.0.0.1:{port}"
            if wrong:
                self.tally.fail(f"{self.name}: {wrong}")
            self.tally.seconds.append(time.monotonic() - start)
            await asyncio.sleep(max(0.0, self.pace - (time.monotonic() - start)))

    async def ask(self, port: int, number: int) -> str:
        """One request on a connection of its own; says what is wrong with the answer, if anything."""
        target, body, wanted = self.request(number)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            told = f"Content-Length: {len(body)}\r\n" if body else ""
            method = "POST" if body else "GET"
            head = f"{method} {target} HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n{told}\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            status, _, answer = await read_answer(reader)
            # Close only: what comes after the answer would be a mistake.
            rest = await reader.read()
        finally:
            await closed(writer)
        if (status, answer, rest) == (200, wanted, b""):
            return ""
        told = answer[:300] if status != 200 else b""
        return f"{target}: {status}, {len(answer)} bytes of {len(wanted)}, then {rest[:100]!r} {told!r}"

    def request(self, number: int) -> tuple[str, bytes, bytes]:
        """Target, body, and the answer that is right."""
        target = f"/checked/{number}/{self.tally.requests}"
        return target, b"", target.encode()


class Uploads(Clients):
    """Bodies of up to a mebibyte, whose digest the instance answers."""

    def request(self, number: int) -> tuple[str, bytes, bytes]:
        body = pattern(1 + self.tally.requests * 65_537 % (1 << 20))
        return "/checked/up", body, hashlib.sha256(body).hexdigest().encode()


class Downloads(Clients):
    """Answers of up to a mebibyte."""

    def request(self, number: int) -> tuple[str, bytes, bytes]:
        count = 1 + self.tally.requests * 65_537 % (1 << 20)
        return f"/checked/down/{count}", b"", pattern(count)
