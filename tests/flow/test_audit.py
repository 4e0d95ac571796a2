"""The audit log of a node that runs: who did what, whom it refused, and that nothing of it can be changed."""

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Origin, RunningGateway, get
from gateway.ports import unused_ports
from gatewright.cli import run

KEY = "a key for the hashes of the log"
TOKEN = "a token for the admin listener"
HASH = "0" * 64
DEADLINE = 30.0
CONFIGURATION = f"""
services: [{{name: users, instances: ["{{origin}}"]}}]
identities: [{{name: partners, kind: api_key, keys: {{keys: [{{id: k1, partner: acme, hash: "{HASH}"}}]}}}}]
routes: [{{name: users, match: /*, service: users, auth: {{accept: [partners]}}, rate_limit: none}}]
audit: {{key: "{KEY}", file_size: 64KiB, max_size: 2MiB, retention: 30d, required: true,
        decisions: true, max_decisions_per_second: 50}}
"""


class Gateway(RunningGateway):
    """A node whose configuration is read again when it is told to."""

    def reload(self, text: str) -> None:
        self.file.write_text(text)
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)


def started(directory: Path, origin: Origin) -> Gateway:
    ports = unused_ports()
    text = CONFIGURATION.replace("{origin}", str(origin.address))
    made = Gateway(directory, (next(ports), next(ports)), text)
    made.file.write_text(made.file.read_text().replace("admin: {", f'admin: {{token: "{TOKEN}", ', 1))
    made.start()
    return made


@pytest.fixture
def gateway(tmp_path: Path, origin: Origin) -> Iterator[Gateway]:
    """A node that a test may end."""
    made = started(tmp_path, origin)
    yield made
    made.end()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A node for tests that leave it as it was."""
    with Origin() as origin:
        made = started(tmp_path_factory.mktemp("shared"), origin)
        yield made
        made.end()


def post(gateway: RunningGateway, path: str, token: str = TOKEN, **asked: str) -> int:
    headers = {"authorization": f"Bearer {token}", "x-gatewright-by": "ann@laptop"}
    return httpx2.post(
        gateway.url + path, params=asked, headers=headers, timeout=DEADLINE, trust_env=False
    ).status_code


def entries(gateway: RunningGateway, **asked: str) -> list[dict[str, Any]]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = httpx2.get(
        f"{gateway.url}/api/v1/audit", params=asked, headers=headers, timeout=DEADLINE, trust_env=False
    )
    return answer.json()["entries"]


def awaited(gateway: RunningGateway, **asked: str) -> list[dict[str, Any]]:
    """Entries that come a moment later, since records do."""
    end = time.monotonic() + DEADLINE
    while not (found := entries(gateway, **asked)):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def verify(gateway: RunningGateway, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = run(["audit", "verify", "--config", str(gateway.file), *more])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_who_does_what_is_written_before_the_answer(
    shared: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert post(shared, "/gateway/circuit-breakers/users/open", why="maintenance") == 200
    opened = entries(shared, what="breaker.*")[0]
    assert opened["who"] == {"principal": "token", "address": "127.0.0.1", "says": "ann@laptop"}
    assert (opened["kind"], opened["outcome"], opened["fields"]["breaker"]) == ("act", "done", "users")
    assert opened["fields"]["why"] == "maintenance"
    assert post(shared, "/gateway/circuit-breakers/nobody/open") == 404
    assert entries(shared, outcome="refused", kind="act")[0]["fields"]["breaker"] == "nobody"
    assert post(shared, "/api/v1/drain", "a token that is not the right one") == 401
    denied = entries(shared, what="refused.admin")[0]
    assert (denied["kind"], denied["who"]["principal"]) == ("decision", "unknown")
    assert denied["fields"]["path"] == "/api/v1/drain"
    assert verify(shared, capsys)[0] == 0
    text = "".join(file.read_text() for file in (shared.directory / ".gatewright/audit").glob("audit-*"))
    assert (TOKEN in text, KEY in text, "the right one" in text) == (False, False, False)


def test_a_refused_caller_is_written_with_the_id_of_its_request(shared: RunningGateway) -> None:
    answer = get(("127.0.0.1", shared.public), "/", ("X-API-Key", "no key"))
    assert answer.status == 401
    refused = awaited(shared, what="refused.invalid_api_key")[0]
    assert refused["fields"]["request_id"] == answer.get("x-request-id")
    assert (refused["fields"]["stage"], refused["fields"]["rule"]) == ("authenticate", "partners")
    assert refused["who"] == {"principal": "caller", "address": "127.0.0.1"}


def test_every_configuration_is_written_whether_it_was_taken_or_not(shared: Gateway) -> None:
    good = shared.file.read_text()
    shared.reload(good.replace("service: users", "service: nobody"))
    refused = awaited(shared, what="configuration.apply", outcome="refused")[0]
    assert "unknown service `nobody`" in refused["fields"]["errors"][0]
    assert refused["who"] == {"principal": "gateway"}
    shared.reload(good + "\n# again\n")
    end = time.monotonic() + DEADLINE
    while len(taken := entries(shared, what="configuration.apply", outcome="done")) < 2:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert [one["fields"]["version"] for one in taken] == [2, 1]


def test_nothing_is_done_where_it_cannot_be_written(shared: Gateway) -> None:
    assert post(shared, "/gateway/circuit-breakers/reset") == 200
    directory = shared.directory / ".gatewright/audit"
    directory.rename(directory.with_name("aside"))
    directory.touch()
    headers = {"authorization": f"Bearer {TOKEN}"}
    path = f"{shared.url}/gateway/circuit-breakers/users/open"
    refused = httpx2.post(path, headers=headers, timeout=DEADLINE, trust_env=False)
    assert (refused.status_code, refused.json()["error"]) == (503, "audit_unavailable")
    listed = httpx2.get(
        f"{shared.url}/gateway/circuit-breakers", headers=headers, timeout=DEADLINE, trust_env=False
    ).json()
    assert [one["state"] for one in listed["circuit_breakers"]] == ["closed"]
    directory.unlink()
    directory.with_name("aside").rename(directory)
    assert httpx2.post(path, headers=headers, timeout=DEADLINE, trust_env=False).status_code == 200


def test_the_chain_goes_on_over_an_end_and_a_kill(
    gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    for how in ("terminate", "kill"):
        gateway.end(how)
        assert verify(gateway, capsys)[0] == 0
        gateway.start()
    starts = [one["what"] for one in entries(gateway) if one["what"].startswith("node.")]
    assert starts == ["node.start", "node.start", "node.stop", "node.start"]
    code, told = verify(gateway, capsys, "--json")
    report = json.loads(told)
    assert (code, report["good"], report["unsealed"]) == (0, True, 0)
    assert report["seals"][0].startswith("hmac-sha256:")


def test_the_command_names_the_first_entry_that_was_changed(
    gateway: RunningGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    assert post(gateway, "/gateway/rate-limits/reset") == 200
    gateway.end()
    checkpoints = [json.loads(line) for line in gateway.lines if "audit checkpoint" in line]
    mark = f"{checkpoints[-1]['seq']}:{checkpoints[-1]['hash']}"
    assert verify(gateway, capsys, "--checkpoint", mark)[0] == 0
    file = next((gateway.directory / ".gatewright/audit").glob("audit-*"))
    whole = file.read_text()
    number = next(i for i, line in enumerate(whole.splitlines(), 1) if '"limits.reset"' in line)
    file.write_text(whole.replace('"limits.reset"', '"limits.preset"'))
    code, told = verify(gateway, capsys)
    assert (code, f"{file.name}:{number}: entry {number}: its hash" in told) == (1, True)
    file.write_text(whole)
    key = gateway.directory / "other.key"
    key.write_text("another key, that did not seal it")
    directory = str(file.parent)
    assert run(["audit", "verify", directory, "--key", str(key)]) == 1
    assert "give its key with --key" in capsys.readouterr().err
    key.write_text(KEY + "\n")
    assert run(["audit", "verify", directory, "--key", str(key)]) == 0
    assert run(["audit", "verify", directory, "--checkpoint", "nonsense"]) == 2
    capsys.readouterr()
    assert run(["audit", "list", "--directory", directory, "--what", "node.*", "--tail", "1"]) == 0
    assert re.search(r"node\.stop +done +why=SIGTERM", capsys.readouterr().out)
