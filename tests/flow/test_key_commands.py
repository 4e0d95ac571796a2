"""`gatewright keys` and the admin API on the store of a node that runs, and on the store alone."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway import Origin, RunningGateway, get
from gateway.ports import unused_ports
from gatewright.cli import run

SECRET = "a secret of the store, not less than 32 characters"


class Gateway(RunningGateway):
    """A node with a store of keys, where it is started."""

    def __init__(self, directory: Path, origin: Origin, ports: tuple[int, int]) -> None:
        super().__init__(
            directory,
            ports,
            f"""
services: [{{name: users, instances: ["{origin.address}"]}}]
key_store: {{secret: "{SECRET}", path: keys.db, timeout: 10s, watch_interval: 50ms, usage_interval: 100ms}}
identities: [{{name: partners, kind: api_key, keys: {{store: true}}}}]
routes: [{{name: users, match: /*, service: users, auth: {{accept: [partners]}}, rate_limit: none}}]
""",
        )

    def status(self, key: str) -> int:
        return get(("127.0.0.1", self.public), "/", ("X-API-Key", key)).status

    def ask(self, method: str, path: str, **given: Any) -> httpx2.Response:
        return httpx2.request(method, f"{self.url}/api/v1{path}", timeout=60.0, trust_env=False, **given)


@pytest.fixture
def gateway(tmp_path: Path, origin: Origin, free_port: Callable[[], int]) -> Iterator[Gateway]:
    made = Gateway(tmp_path, origin, (free_port(), free_port()))
    yield made
    made.end()


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """One `gatewright keys` in this process: exit code, output, what it said beside."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["keys", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_a_key_lives_from_its_making_to_its_end_through_a_running_node(
    gateway: Gateway, command: Command
) -> None:
    gateway.start()
    at = ("--admin", gateway.url)
    wishes = ("--partner", "acme", "--consumer", "billing", "--scope", "a", "--metadata", "team=x")
    code, key, said = command("create", *wishes, *at)
    key = key.strip()
    assert code == 0
    assert key not in said
    assert gateway.status(key) == 200
    (listed,) = json.loads(command("list", "--json", *at)[1])
    identifier = listed["id"]
    assert identifier in said
    assert (listed["consumer"], listed["metadata"], listed["state"]) == ("billing", {"team": "x"}, "active")
    code, rotated, _ = command("rotate", identifier, "--overlap", "1h", *at)
    new = rotated.strip()
    assert (gateway.status(new), gateway.status(key)) == (200, 200)
    used = json.loads(command("usage", identifier, "--json", *at)[1])
    # The first use of each secret was decided once it was known.
    assert used["requests"] == 3
    assert "3 requests" in command("usage", identifier, *at)[1]
    assert command("revoke", identifier, "--why", "it leaked", *at)[1] == f"revoked {identifier}\n"
    # At once on the node that was asked, though both were known there.
    assert (gateway.status(new), gateway.status(key)) == (401, 401)
    shown = json.loads(command("show", identifier, "--json", *at)[1])
    assert (shown["state"], shown["revoked_why"]) == ("revoked", "it leaked")
    assert shown["revoked_by"]
    assert command("revoke", identifier, *at)[0] == 1
    gateway.end()
    events = [json.loads(line) for line in gateway.lines if line.startswith("{")]
    audit = [event for event in events if event["event"].startswith("key.")]
    told = [f"{event['event']} {event['outcome']}" for event in audit]
    assert told == ["key.create done", "key.rotate done", "key.revoke done", "key.revoke refused"]
    assert {event["fields"]["key"] for event in audit} == {identifier}
    assert all(event["fields"]["by"] == event["who"]["says"] for event in audit)
    assert key[8:] not in "".join(gateway.lines)
    assert new[8:] not in "".join(gateway.lines)


ACTS = [
    (["metadata", "networks", "partner"], "done"),
    (["metadata", "networks", "scopes", "tier"], "done"),
    (["expires_in"], "done"),
    (["expires_at"], "done"),
    ([], "refused"),
    (["scopes"], "refused"),
]


def test_a_key_is_changed_through_a_node_at_once(gateway: Gateway, command: Command) -> None:
    gateway.start()
    at = ("--admin", gateway.url)
    key = command("create", "--partner", "acme", "--tier", "premium", "--metadata", "team=x", *at)[1].strip()
    assert gateway.status(key) == 200
    identifier = json.loads(command("list", "--json", *at)[1])[0]["id"]

    def change(*wishes: str) -> dict[str, Any]:
        code, told, said = command("change", identifier, *wishes, "--json", *at)
        assert code == 0, said
        return json.loads(told)

    changed = change("--network", "192.0.2.0/24", "--partner", "globex", "--metadata", "room=2")
    assert (changed["partner"], changed["tier"]) == ("globex", "premium")
    assert changed["metadata"] == {"team": "x", "room": "2"}
    assert changed["changed_by"]
    # It was known there, with all networks.
    assert gateway.status(key) == 403
    changed = change("--without", "networks", "--without", "tier", "--metadata", "team=", "--scope", "a")
    assert (changed["networks"], changed["tier"], changed["scopes"]) == ([], None, ["a"])
    assert changed["metadata"] == {"room": "2"}
    assert gateway.status(key) == 200
    change("--expires", "1s")
    end = time.monotonic() + 60
    while gateway.status(key) != 401:
        assert time.monotonic() < end
    # It was refused there, for `refused_ttl`.
    assert change("--without", "expiry")["expires_at"] is None
    assert gateway.status(key) == 200
    code, _, said = command("change", identifier, *at)
    assert (code, said) == (1, "say what shall be otherwise, such as `scopes` or `tier`\n")
    assert command("revoke", identifier, *at)[0] == 0
    assert command("change", identifier, "--scope", "a", *at)[0] == 1
    gateway.end()
    events = [json.loads(line) for line in gateway.lines if line.startswith("{")]
    acts = [
        (event["fields"]["changed"], event["outcome"]) for event in events if event["event"] == "key.change"
    ]
    assert acts == ACTS


def test_a_key_is_changed_in_the_database_itself(gateway: Gateway, command: Command) -> None:
    on = ("--config", str(gateway.file))
    command("create", "--partner", "acme", *on)
    identifier = json.loads(command("list", "--json", *on)[1])[0]["id"]
    changed = json.loads(command("change", identifier, "--tier", "premium", "--json", *on)[1])
    assert changed["tier"] == "premium"
    code, _, said = command("change", identifier, "--tier", "gold", *on)
    assert code == 1
    assert "unknown tier `gold`" in said


def test_the_store_can_be_worked_on_beside_a_node_and_without_one(
    gateway: Gateway, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(gateway.directory)
    monkeypatch.delenv("GATEWRIGHT_ADMIN", raising=False)
    # Nobody answers at the admin address of `gateway.yaml`.
    code, key, said = command("create", "--partner", "acme", "--expires", "1d")
    assert code == 0
    assert "working on the key store of gateway.yaml itself" in said
    gateway.start()
    assert gateway.status(key.strip()) == 200
    # The node takes notice of what is done to its database.
    (listed,) = json.loads(command("list", "--json", "--config", str(gateway.file))[1])
    assert command("revoke", listed["id"], "--config", str(gateway.file))[0] == 0
    end = time.monotonic() + 60
    while gateway.status(key.strip()) != 401:
        assert time.monotonic() < end


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"partner": "a\r\nX-Admin: 1"}, "`partner` must be"),
        ({"partner": " a"}, "`partner` must be"),
        ({"partner": "a", "consumer": ""}, "`consumer` must be"),
        ({"partner": "a", "scopes": ["a b"]}, "the scope `a b` is not"),
        ({"partner": "a", "networks": ["10.0.0.1/8"]}, "has bits set outside its prefix"),
        ({"partner": "a", "networks": ["here"]}, "is not a network"),
        ({"partner": "a", "tier": "gold"}, "unknown tier `gold`; known: premium, standard"),
        ({"partner": "a", "expires_at": "soon"}, "`expires_at` is no moment"),
        ({"partner": "a", "expires_at": "2001-01-01"}, "cannot end before it begins"),
        ({"partner": "a", "expires_at": "2101-01-01", "expires_in": 5}, "not both"),
        ({"partner": "a", "metadata": {"a": "x" * 2000}}, "metadata has"),
        ({"partner": "a", "secret": "mine"}, "Extra inputs"),
        ({}, "`partner`: Field required"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_with_what_would_work(
    wanted: Gateway, wish: dict[str, Any], message: str
) -> None:
    response = wanted.ask("POST", "/keys", json=wish)
    assert response.status_code == 400, response.text
    assert message in response.json()["message"]
    assert response.json()["request_id"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "say what shall be otherwise"),
        ({"partner": None}, "`partner` must be"),
        ({"scopes": ["a b"]}, "the scope `a b` is not"),
        ({"networks": ["here"]}, "is not a network"),
        ({"tier": "gold"}, "unknown tier `gold`"),
        ({"expires_at": "2101-01-01", "expires_in": 5}, "not both"),
        ({"expires_at": "2001-01-01"}, "cannot end before it begins"),
        ({"metadata": {"": "x"}}, "metadata has"),
        ({"revoked_at": None}, "Extra inputs"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_what_would_work(
    wanted: Gateway, change: dict[str, Any], message: str
) -> None:
    # Before anybody looks whether there is such a key.
    response = wanted.ask("PATCH", "/keys/key_0", json=change)
    assert response.status_code == 400, response.text
    assert message in response.json()["message"]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A node whose store is only talked about."""
    ports = unused_ports()
    with Origin() as origin:
        gateway = Gateway(tmp_path_factory.mktemp("wanted"), origin, (next(ports), next(ports)))
        gateway.start()
        yield gateway
        gateway.end()


def test_unknown_keys_are_404_and_bounds_of_questions_hold(wanted: Gateway) -> None:
    for method, path in (
        ("GET", "/keys/key_0"),
        ("GET", "/keys/key_0/usage"),
        ("POST", "/keys/key_0/rotate"),
        ("PATCH", "/keys/key_0"),
        ("POST", "/keys/key_0/revoke"),
    ):
        given = {"json": {"tier": None}} if method == "PATCH" else {}
        response = wanted.ask(method, path, **given)
        assert (response.status_code, response.json()["error"]) == (404, "unknown_key"), path
    for path in ("/keys?limit=0", "/keys?limit=100000", "/keys/key_0/usage?seconds=0"):
        assert wanted.ask("GET", path).status_code == 400, path
    assert wanted.ask("POST", "/keys/key_0/rotate?overlap=99999999").status_code == 400


def test_keys_are_listed_page_by_page_and_by_partner(wanted: Gateway) -> None:
    made = [
        wanted.ask("POST", "/keys", json={"partner": partner}).json()["id"]
        for partner in ("one", "two", "one", "one")
    ]
    first = wanted.ask("GET", "/keys?limit=3").json()
    rest = wanted.ask("GET", f"/keys?after={first['next']}").json()
    assert sorted(made) == [key["id"] for key in (*first["keys"], *rest["keys"])]
    assert rest["next"] is None
    assert len(wanted.ask("GET", "/keys?partner=one").json()["keys"]) == 3
    assert all("hash" not in key and "key" not in key for key in first["keys"])


def test_other_pages_of_the_same_browser_make_no_keys(wanted: Gateway) -> None:
    headers = {"origin": "https://evil.test"}
    response = wanted.ask("POST", "/keys", json={"partner": "a"}, headers=headers)
    assert (response.status_code, response.json()["error"]) == (403, "foreign_origin")


def test_the_answer_with_a_key_is_not_to_be_stored(wanted: Gateway) -> None:
    response = wanted.ask("POST", "/keys", json={"partner": "a"})
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["key"].startswith("pk_live_")
