"""One look at each peer before it is measured: does it do the work that the table says it does?"""

from dataclasses import dataclass
from pathlib import Path

from ask import Answer, ask_grpc, ask_http1, ask_http2, ask_tls
from peers import Peer
from processes import BenchError, Running
from scenario import Scenario
from tokens import Credentials
from websocket import ask_websocket

TINY_LIMIT = 3
TRIES = 10


@dataclass(frozen=True, slots=True)
class Trial:
    """What a check needs: who, what, with which keys, on which core."""

    peer: Peer
    scenario: Scenario
    credentials: Credentials
    core: int

    def start(self, output: Path) -> Running:
        return Running(self.peer.prepare(self.scenario, self.credentials), self.core, output)

    def ask(self, headers: dict[str, str]) -> Answer:
        """Status and length of the answer to one request, in the protocols that the scenario names."""
        port, path = self.peer.port, self.scenario.paths[-1]
        if self.scenario.websocket:
            return ask_websocket(port, path)
        if self.scenario.grpc:
            return ask_grpc(port, path)
        if self.scenario.http2:
            return ask_http2(port, path)
        asked = ask_tls if self.scenario.tls else ask_http1
        return asked(port, path, b"x" * self.scenario.upload_bytes, headers)

    def expect(self, headers: dict[str, str], status: int, why: str) -> None:
        got, _ = self.ask(headers)
        if got != status:
            raise BenchError(f"{self.peer.name}, {self.scenario.name}: {why} should get {status}, got {got}")


def verify(trial: Trial) -> None:
    """Check a running peer: the good request passes whole, a forged or absent token does not pass.

    Raises `BenchError`.
    """
    peer, scenario, credentials = trial.peer, trial.scenario, trial.credentials
    status, size = trial.ask(scenario.headers(credentials)[0])
    if (status, size) != (200, scenario.expected_bytes):
        wanted = f"200 with {scenario.expected_bytes} bytes"
        raise BenchError(f"{peer.name}, {scenario.name}: should give {wanted}, gave {status} with {size}")
    if scenario.proves and peer.checks_tokens:
        trial.expect({}, 401, "a request without a credential")
        trial.expect(scenario.forged(credentials), 401, "a forged credential")
    if scenario.check is not None and scenario.check.rule is not None:
        trial.expect({}, 403, "a request that the rule is against")


def verify_limit(trial: Trial, output: Path) -> None:
    """Start the peer with a limit of three and see that it refuses. Raises `BenchError`.

    A limit of requests at once is reached by none that come one by one, so it is not tried.
    """
    check = trial.scenario.check
    counts_at_once = check is not None and check.limiter == "concurrency"
    if not (trial.scenario.is_limited and trial.peer.limits) or counts_at_once:
        return
    small = Trial(trial.peer, trial.scenario.with_limit(TINY_LIMIT), trial.credentials, trial.core)
    with small.start(output):
        headers = trial.scenario.headers(trial.credentials)[0]
        statuses = [small.ask(headers)[0] for _ in range(TRIES)]
    if 429 not in statuses or 200 not in statuses:
        raise BenchError(
            f"{trial.peer.name}: a limit of {TINY_LIMIT} should admit, then refuse; got {statuses}"
        )
