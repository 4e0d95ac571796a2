"""More than the node can do: what matters loses nothing, and what matters least is refused first."""

import os
import re
import subprocess
from dataclasses import dataclass

import pytest

from faults.conftest import Setting
from faults.process import DEADLINE, wait_until
from gateway import Issuer

PRIORITIES = ("P0", "P1", "P2", "P3")
# Each token is verified each time, so that serving costs several times what refusing does. The thresholds
# are low because a busy machine may give the gateway a small part of its processor.
TEXT = """
version: 1
node: {{token_cache: 0}}
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
records: {{sinks: []}}
overload: {{cpu: {{p3: 6, p2: 9, p1: 12, window: 3s}}, margin: 3}}
identities: [{identity}]
defaults: {{rate_limit: none, unauthenticated_tier: none}}
routes:
"""
ROUTE = (
    "  - {{name: {0}, match: /{0}, priority: {0}, auth: {{accept: [mobile]}}, respond: {{body: served}}}}\n"
)
ON_ONE_PROCESSOR = """
import os, runpy
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
runpy.run_module('gatewright', run_name='__main__', alter_sys=True)
"""
SECONDS = 5


@dataclass(frozen=True)
class Outcome:
    """What became of the requests of one load."""

    good: int
    refused: int
    lost: int


class Load:
    """Clients that ask again as soon as they have an answer, on the last processor."""

    def __init__(self, port: int, priority: str, connections: int, header: tuple[str, str]) -> None:
        pinned = ["taskset", "-c", str(max(os.sched_getaffinity(0)))]
        asking = ["h2load", "--h1", "-t1", f"-c{connections}", f"-D{SECONDS}", "-H", ": ".join(header)]
        command = [*pinned, *asking, f"http://127.0.0.1:{port}/{priority}"]
        self.child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def is_over(self) -> bool:
        return self.child.poll() is not None

    def outcome(self) -> Outcome:
        said, _ = self.child.communicate(timeout=DEADLINE)
        statuses = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
        broken = re.search(r"(\d+) errored, (\d+) timeout", said)
        assert statuses, said
        assert broken, said
        good, moved, wrong, refused = map(int, statuses.groups())
        return Outcome(good, refused, moved + wrong + sum(map(int, broken.groups())))


@pytest.mark.needs("h2load")
def test_under_several_times_its_load_a_node_serves_what_matters(setting: Setting) -> None:
    issuer = Issuer("RS256")
    text = TEXT.format(port=setting.port, admin=setting.admin, identity=issuer.identity)
    setting.write(text + "".join(ROUTE.format(priority) for priority in PRIORITIES))
    process = setting.run(program=("-c", ON_ONE_PROCESSOR))
    header = issuer.bearer()
    loads = {
        priority: Load(setting.port, priority, 4 if priority == "P0" else 32, header)
        for priority in PRIORITIES
    }
    levels: list[float] = []

    def is_over() -> bool:
        levels.append(process.metric("gateway_shed_priorities"))
        return all(load.is_over() for load in loads.values())

    wait_until("the loads are over", is_over)
    outcomes = {priority: load.outcome() for priority, load in loads.items()}
    assert outcomes["P0"].good > 0
    assert outcomes["P0"].refused == 0
    assert [outcome.lost for outcome in outcomes.values()] == [0] * 4
    assert outcomes["P3"].refused > 0
    assert outcomes["P3"].refused + outcomes["P2"].refused > outcomes["P1"].refused
    assert max(levels) <= 3, "P0 is never refused for want of processor time"
    assert process.metric("gateway_requests_shed_total") >= outcomes["P3"].refused
    assert not process.said("panicked")
