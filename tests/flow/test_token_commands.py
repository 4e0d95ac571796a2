"""`gatewright tokens` and the admin API on a node that runs, is killed, and runs again."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Issuer, Origin, RunningGateway, get
from gatewright.cli import run

OLD = {"iat": 1_700_000_000}


class Gateway(RunningGateway):
    """A node that takes tokens of one issuer."""

    def __init__(self, directory: Path, origin: Origin, ports: tuple[int, int]) -> None:
        self.issuer = Issuer()
        super().__init__(
            directory,
            ports,
            f"""
services: [{{name: users, instances: ["{origin.address}"]}}]
identities: [{self.issuer.identity}]
revocations: {{max_entries: 3}}
routes: [{{name: users, match: /*, service: users, auth: {{accept: [mobile]}}, rate_limit: none}}]
""",
        )

    def status(self, **claims: Any) -> int:
        return get(("127.0.0.1", self.public), "/", self.issuer.bearer(**claims)).status

    def ask(self, body: Any) -> httpx2.Response:
        return httpx2.post(f"{self.url}/api/v1/tokens/revoke", json=body, timeout=60.0, trust_env=False)

    def audit(self) -> list[dict[str, Any]]:
        events = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [event for event in events if event["event"].startswith("tokens.")]


@pytest.fixture
def gateway(tmp_path: Path, origin: Origin, free_port: Callable[[], int]) -> Iterator[Gateway]:
    made = Gateway(tmp_path, origin, (free_port(), free_port()))
    made.start()
    yield made
    made.end()


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> Command:
    """One `gatewright tokens` in this process: exit code, output, what it said beside."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["tokens", *arguments, "--admin", gateway.url])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_tokens_are_revoked_listed_and_restored_and_a_killed_node_remembers(
    gateway: Gateway, command: Command
) -> None:
    assert gateway.status(jti="t1") == gateway.status(sub="ann", **OLD) == 200
    code, text, _ = command("revoke", "t1", "--subject", "ann", "--identity", "mobile", "--why", "it leaked")
    assert code == 0
    assert "revoked token t1" in text
    assert "revoked subject ann" in text
    assert gateway.status(jti="t1") == gateway.status(sub="ann", **OLD) == 401
    listed = {one["value"]: one for one in json.loads(command("list", "--json")[1])}
    assert (listed["t1"]["kind"], listed["ann"]["why"]) == ("token", "it leaked")
    assert "ann" in command("list")[1]
    gateway.end("kill")
    gateway.start()
    assert gateway.status(jti="t1") == gateway.status(sub="ann", **OLD) == 401
    assert command("restore", listed["t1"]["id"])[0] == 0
    assert command("restore", listed["t1"]["id"])[0] == 1
    assert gateway.status(jti="t1") == 200
    gateway.end()
    audit = gateway.audit()
    told = [("tokens.revoke", "done"), ("tokens.restore", "done"), ("tokens.restore", "refused")]
    assert [(event["event"], event["outcome"]) for event in audit] == told
    assert sorted(audit[0]["fields"]["revocations"]) == sorted(one["id"] for one in listed.values())
    assert all("@" in event["fields"]["by"] for event in audit)
    # Who they were is no business of the log.
    assert '"ann"' not in json.dumps(audit)


def test_a_token_in_a_file_names_itself(gateway: Gateway, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "token"
    claims = gateway.issuer.claims(jti="t1")
    file.write_text(f"Bearer {gateway.issuer.token(jti='t1')}\n")
    code, text, _ = command("revoke", "--token", str(file), "--json")
    assert code == 0
    (made,) = json.loads(text)["revocations"]
    assert made["value"] == "t1"
    assert gateway.status(jti="t1") == 401
    url = f"{gateway.url}/api/v1/tokens/revocations"
    until = httpx2.get(url, timeout=60.0, trust_env=False).json()["revocations"]
    assert until[0]["until"] < "2100"
    assert claims["exp"] > 0
    for wrong, why in (
        (gateway.issuer.token(), "has no `jti`"),
        ("nonsense", "no token"),
        ("a.e30", "`jti`"),
    ):
        file.write_text(wrong)
        code, _, said = command("revoke", "--token", str(file))
        assert code == 1
        assert why in said


def test_a_wish_that_means_nothing_is_refused(gateway: Gateway, command: Command) -> None:
    for wish, status in (
        ({}, 400),
        ({"identity": "mobile", "everyone": True}, 400),
        ({"token_ids": ["t1"], "everyone": True}, 400),
        ({"token_ids": ["x" * 1025]}, 400),
        ({"subjects": [""]}, 400),
        ({"identity": "nobody"}, 404),
        ({"token_ids": ["a", "b", "c", "d"]}, 409),
    ):
        assert gateway.ask(wish).status_code == status, wish
    assert gateway.status(**OLD) == 200
    assert "known: mobile" in gateway.ask({"identity": "nobody"}).json()["message"]
    assert "max_entries" in command("revoke", "a", "b", "c", "d")[2]
    # All older ones of an identity need no room.
    assert gateway.ask({"everyone": True, "issued_before": "2030-01-01T00:00:00Z"}).status_code == 201
    assert gateway.status() == 401
    assert command("revoke", "--expires", "soon", "t1")[0] == 1
