"""The stores, files and threads that an answer depends on fail in every way: nobody is let in by that."""

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import (
    KeyedNode,
    Node,
    Origin,
    PasswordNode,
    Refused,
    basic,
    get,
    listener,
    one_route,
    quick_hash,
    steps,
    with_store,
)
from gateway.broken import PLAIN_FAULTS, REDIS_FAULTS, Broken
from gateway.key_store import SECRET
from gateway.mmdb import write_countries
from gatewright.errors import EngineError
from gatewright.identity.questions import QuestionWorker
from gatewright.keystore.credentials import new_credential

BELIEVED = listener("trusted_proxies: [127.0.0.1]")
UNAVAILABLE = (503, "authentication_unavailable")


def invented() -> str:
    """A key that is well formed, and that nobody has made."""
    return new_credential(SECRET).text


def outcome(response: Any) -> tuple[int, str]:
    return response.status, response.json()["error"]


async def check_unknown_is_out(node: KeyedNode, origin: Origin, expected: set[int]) -> None:
    """A key that nobody has made, twice, since the first answer may be remembered."""
    before = len(origin.requests)
    for _ in range(2):
        response = await node.get(invented())
        assert response.status in expected
        record = node.node.record()
        assert (record["status"], record["user_id"], record["partner_id"]) == (response.status, None, None)
        assert ("authenticate", "refused") in steps(record)
    assert len(origin.requests) == before


@pytest.mark.parametrize("fault", PLAIN_FAULTS)
async def test_a_key_store_in_postgresql_that_fails_lets_nobody_in(
    origin: Origin, tmp_path: Path, fault: str
) -> None:
    pytest.importorskip("asyncpg")
    with Broken(PLAIN_FAULTS[fault], speaks_http=False) as broken:
        url = f"url: 'postgresql://gateway:secret@127.0.0.1:{broken.port}/keys', timeout: 200ms"
        node = KeyedNode(with_store(origin, url), tmp_path)
        # Opening it may take seconds where it hangs; requests come meanwhile.
        opening = asyncio.create_task(node.__aenter__())
        await asyncio.wait([opening], timeout=0.5)
        if fault != "hung":
            await opening
            await check_unknown_is_out(node, origin, {503})
        else:
            opening.cancel()
            await asyncio.wait([opening])
            assert outcome(await node.get(invented())) == UNAVAILABLE
        await node.__aexit__(None, None, None)
        assert origin.connections == 0


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


def become_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def lose_tables(path: Path) -> None:
    with sqlite3.connect(path, timeout=30) as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if not name.startswith("sqlite_"):
                database.execute(f"DROP TABLE {name}")
    database.close()


FILE_FAULTS: dict[str, Callable[[Path], None]] = {
    "garbage": overwrite,
    "cut": truncate,
    "empty": empty,
    "absent": remove,
    "directory": become_directory,
    "without-tables": lose_tables,
}


@pytest.mark.parametrize("fault", FILE_FAULTS)
async def test_a_key_store_in_a_file_that_breaks_lets_nobody_in(
    origin: Origin, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "keys.db"
    async with KeyedNode(with_store(origin, f"path: '{path}'"), tmp_path) as node:
        _, known = await node.create()
        assert await node.status(known) == 200
        node.node.record()
        FILE_FAULTS[fault](path)
        await check_unknown_is_out(node, origin, {401, 503})


@pytest.mark.parametrize("fault", ["garbage", "directory"])
async def test_a_node_that_starts_with_a_broken_file_of_keys_lets_nobody_in(
    origin: Origin, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "keys.db"
    path.touch()
    FILE_FAULTS[fault](path)
    async with KeyedNode(with_store(origin, f"path: '{path}', timeout: 500ms"), tmp_path) as node:
        await check_unknown_is_out(node, origin, {503})


@pytest.mark.parametrize("fault", REDIS_FAULTS)
async def test_what_nodes_remember_in_a_redis_that_lies_makes_no_key_good(
    origin: Origin, tmp_path: Path, fault: str
) -> None:
    """The database is asked then, which says that there is no such key."""
    with Broken(REDIS_FAULTS[fault], speaks_http=False) as broken:
        redis = f"redis: {{url: 'redis://127.0.0.1:{broken.port}/0', timeout: 100ms}}\n"
        async with KeyedNode(with_store(origin, "share: redis") + redis, tmp_path) as node:
            await check_unknown_is_out(node, origin, {401})
            _, known = await node.create()
            assert await node.status(known) == 200


@pytest.mark.parametrize("fault", REDIS_FAULTS)
def test_limits_that_fail_closed_are_closed_however_redis_fails(origin: Origin, fault: str) -> None:
    tier = "tiers: [{name: t, limit: 9, window: 1h, per: client_ip, share: exact}]"
    shared = "shared_limits: {deadline: 100ms, failures: 2, open_for: 100ms}"
    with Broken(REDIS_FAULTS[fault], speaks_http=False) as broken:
        redis = f"redis: {{url: 'redis://127.0.0.1:{broken.port}/0', timeout: 100ms}}"
        text = one_route(origin, "rate_limit: {tier: t, on_failure: closed}", tier, redis, shared)
        with Node(text) as node:
            for _ in range(3):
                response = get(node.address, "/")
                refused = Refused(503, "limiter_unavailable", "limit", ("routes", 0), retry_after=5)
                refused.check(node, response)
            assert node.metric("gateway_worker_panics_total") == 0
        assert origin.connections == 0


Answers = Callable[[dict[str, Any]], Any]
GRANTED = {"user": "ann", "subject": "ann", "scopes": [], "roles": [], "claims": {}, "provider_session": None}


async def raises(_: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("as bugs do")


def gives(answer: Any) -> Answers:
    async def answered(_: dict[str, Any]) -> Any:
        return answer

    return answered


async def never(_: dict[str, Any]) -> dict[str, Any]:
    return await asyncio.get_running_loop().create_future()


ODD_ANSWERS: dict[str, Answers | None] = {
    "nobody": None,
    "raises": raises,
    "never": never,
    "no": gives({"ok": False}),
    "nothing": gives({}),
    "null": gives(None),
    "list": gives([]),
    "true": gives(True),
    "ok alone": gives({"ok": True}),
    "ok as a text": gives({"ok": "true", "password": True, "active": True, "claims": '{"sub": "a"}'}),
    "of a login": gives({"ok": True, "granted": {"named": GRANTED}}),
    "of keys": gives({"ok": True, "keys": []}),
    "as a text": gives({"ok": True, "password": "true", "active": "true", "key": "true"}),
    "as a number": gives({"ok": True, "password": 1, "active": 1, "key": 1}),
    "of an empty key": gives({"ok": True, "key": {}, "ttl_ms": None}),
    "with more": gives({"ok": True, "password": True, "active": True, "claims": "{}", "odd": 1}),
    "without claims": gives({"ok": True, "active": True}),
    "with claims that are none": gives({"ok": True, "active": True, "claims": "no JSON"}),
}


def all_kinds(origin: Origin) -> str:
    """A route for each credential that Python is asked about."""
    return "\n".join([
        f'services: [{{name: users, instances: ["{origin.address}"]}}]',
        f"key_store: {{secret: '{SECRET}', timeout: 200ms}}",
        "passwords: {timeout: 200ms}",
        "identities:",
        "  - {name: partners, kind: api_key, keys: {store: true}}",
        f"  - {{name: people, kind: basic, users: [{{user: ann, hash: '{quick_hash('right')}'}}]}}",
        "  - {name: opaque, kind: introspection, url: 'http://127.0.0.1:1/', bearer_token: x, timeout: 1s}",
        "routes:",
        "  - {name: keys, match: /keys, service: users, auth: {accept: [partners]}}",
        "  - {name: people, match: /people, service: users, auth: {accept: [people]}}",
        "  - {name: opaque, match: /opaque, service: users, auth: {accept: [opaque]}}",
        "",
    ])


@pytest.mark.parametrize("name", ODD_ANSWERS)
async def test_who_answers_the_data_plane_cannot_let_anybody_in_by_mistake(origin: Origin, name: str) -> None:
    """Also with the right password: nobody has said that it is."""
    answer = ODD_ANSWERS[name]
    with Node(all_kinds(origin), identity_timeout_ms=200) as node:
        kinds = (
            {} if answer is None else dict.fromkeys(("look_up_key", "check_password", "introspect"), answer)
        )
        worker = QuestionWorker(node.engine, kinds)
        worker.start(asyncio.get_running_loop())
        credentials = {
            "/keys": ("X-API-Key", invented()),
            "/people": basic("ann", "right"),
            "/opaque": ("Authorization", "Bearer opaque"),
        }
        for path, header in credentials.items():
            response = await asyncio.to_thread(get, node.address, path, header)
            assert outcome(response) == UNAVAILABLE, path
            assert node.record()["error_type"] == "authentication_unavailable"
        assert origin.connections == 0
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(worker.close)


async def test_without_anybody_who_takes_questions_nobody_is_let_in(origin: Origin) -> None:
    with Node(all_kinds(origin), identity_timeout_ms=200) as node:
        for path, header in (("/people", basic("ann", "right")), ("/keys", ("X-API-Key", invented()))):
            assert outcome(await asyncio.to_thread(get, node.address, path, header)) == UNAVAILABLE
        assert origin.connections == 0


async def test_passwords_whose_checks_fail_are_not_right(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatewright.identity import passwords

    text = one_route(
        origin,
        "auth: {accept: [people]}",
        f"identities: [{{name: people, kind: basic, users: [{{user: ann, hash: '{quick_hash('right')}'}}]}}]",
    )

    def broken(*_: object) -> bool:
        raise MemoryError

    async with PasswordNode(text) as node:
        monkeypatch.setattr(passwords, "is_of", broken)
        assert outcome(await node.get("ann", "right")) == UNAVAILABLE
        assert outcome(await node.get("ann", "wrong")) == UNAVAILABLE
        assert origin.connections == 0


def huge_list(path: Path) -> None:
    path.write_text("".join(f"10.{i >> 8 & 255}.{i & 255}.0/24\n" for i in range(3000)))


def a_pipe(path: Path) -> None:
    """Whoever opens it waits for one who writes."""
    path.unlink()
    os.mkfifo(path)


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


ADDRESS_FAULTS: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(os.urandom(4000)),
    "absent": remove,
    "directory": become_directory,
    "huge": huge_list,
    "page": lambda path: path.write_text("<html>Log in to this network</html>"),
    "one-bad-line": lambda path: path.write_text("198.51.100.0/24\nall of them\n"),
    "pipe": a_pipe,
    "loop": a_loop,
}


@pytest.fixture
def allowed(origin: Origin, tmp_path: Path) -> Iterator[tuple[Node, Path]]:
    """A gateway that lets in whom its file names, and a file."""
    path = tmp_path / "allowed.txt"
    path.write_text("203.0.113.0/24\n")
    lists = f"address_lists: [{{name: ours, file: '{path}', max_entries: 1000}}]"
    with Node(one_route(origin, "addresses: {allow: [ours]}", lists, BELIEVED)) as node:
        yield node, path


def reloaded(node: Node, kind: str, name: str) -> bool:
    """Whether a file is taken; one that hangs is none that is."""
    taken: list[bool] = []

    def read() -> None:
        try:
            node.engine.reload_addresses(kind, name)
        except EngineError:
            taken.append(False)
        else:
            taken.append(True)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "reading the file does not end"
    return taken[0]


@pytest.mark.parametrize("fault", ADDRESS_FAULTS)
def test_a_list_of_addresses_that_breaks_lets_no_stranger_in(
    allowed: tuple[Node, Path], origin: Origin, fault: str
) -> None:
    node, path = allowed
    ADDRESS_FAULTS[fault](path)
    assert not reloaded(node, "addresses", "ours")
    response = get(node.address, "/", ("X-Forwarded-For", "198.51.100.7"))
    assert outcome(response) == (403, "address_not_allowed")
    assert node.record()["error_type"] == "address_not_allowed"
    assert origin.connections == 0
    # And whoever was let in, is.
    assert get(node.address, "/", ("X-Forwarded-For", "203.0.113.7")).status == 200


@pytest.mark.parametrize("fault", [name for name in ADDRESS_FAULTS if name not in {"huge", "one-bad-line"}])
def test_a_database_of_countries_that_breaks_lets_no_stranger_in(
    origin: Origin, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "countries.mmdb"
    write_countries(path, {"203.0.113.0/24": "DE", "198.51.100.0/24": "US"})
    settings = f"geography: {{file: '{path}'}}"
    with Node(one_route(origin, "countries: {allow: DE}", settings, BELIEVED)) as node:
        ADDRESS_FAULTS[fault](path)
        assert not reloaded(node, "geography", "")
        for address in ("198.51.100.7", "192.0.2.1"):
            assert get(node.address, "/", ("X-Forwarded-For", address)).status == 403
            assert node.record()["status"] == 403
        assert origin.connections == 0
        assert get(node.address, "/", ("X-Forwarded-For", "203.0.113.7")).status == 200
