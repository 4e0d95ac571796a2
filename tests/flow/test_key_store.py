"""API keys of a store: looked up once, refused when they are none, gone everywhere when they are revoked."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from gateway import KeyedNode, Node, Origin, Refused, get, steps, until, with_store
from gateway.key_store import SECRET
from gatewright.keystore.credentials import new_credential
from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.keys import Found, KeyChange
from gatewright.keystore.keys import Refused as RefusedKey
from gatewright.keystore.store import KeyStore


@pytest.fixture
async def keyed(origin: Origin, tmp_path: Path) -> AsyncIterator[KeyedNode]:
    async with KeyedNode(with_store(origin), tmp_path) as keyed:
        yield keyed


def refused(reason: str) -> Refused:
    return Refused(401, "invalid_api_key", "authenticate", ("identities", 0), {"reason": reason})


def unavailable(reason: str) -> Refused:
    at = ("identities", 0)
    return Refused(503, "authentication_unavailable", "authenticate", at, {"reason": reason}, retry_after=5)


async def test_a_key_of_the_store_proves_its_partner_and_is_looked_up_once(
    keyed: KeyedNode, origin: Origin
) -> None:
    key, text = await keyed.create(scopes=("orders:read",), tier="premium")
    for _ in range(3):
        response = await keyed.get(text, ("X-Partner-ID", "somebody else"))
        assert response.status == 200
        received = origin.next_request()
        assert received.all("x-partner-id") == ["acme"]
        assert received.get("x-api-key") is None
        record = keyed.node.record()
        assert ("authenticate", "partner") in steps(record)
        assert {"key": key.id} in [decision["inputs"] for decision in record["decisions"]]
        assert text not in str(record)
    assert keyed.lookups() == 1


async def test_a_key_is_found_in_the_file_only_as_a_hash(keyed: KeyedNode, tmp_path: Path) -> None:
    _, text = await keyed.create()
    assert await keyed.status(text) == 200
    files = await asyncio.to_thread(lambda: list(tmp_path.glob("keys.db*")))
    assert files
    for file in files:
        assert file.stat().st_mode & 0o077 == 0
        assert text[20:52].encode() not in file.read_bytes()


async def test_an_invented_key_is_refused_and_nobody_is_asked(keyed: KeyedNode, origin: Origin) -> None:
    _, text = await keyed.create()
    other = KeyStore(keyed.keys.store._database, "another secret, as long as the first one was")
    foreign = new_credential(other._secret).text
    for wrong in (foreign, text[:-1] + ("a" if text[-1] != "a" else "b"), text[:-1], "pk_live_", "x" * 60):
        refused("the key is not known").check(keyed.node, await keyed.get(wrong))
    assert keyed.lookups() == 0
    assert origin.connections == 0


async def test_a_key_that_was_never_stored_is_asked_for_once(keyed: KeyedNode) -> None:
    text = new_credential(SECRET).text
    for _ in range(3):
        refused("the key is not known").check(keyed.node, await keyed.get(text))
    assert keyed.lookups() == 1
    assert keyed.node.metric("gateway_key_cache_keys", state="refused") == 1


async def test_a_key_is_asked_for_again_when_the_time_of_what_is_known_is_over(
    origin: Origin, tmp_path: Path
) -> None:
    async with KeyedNode(with_store(origin, "cache_ttl: 1s, refused_ttl: 1s"), tmp_path) as keyed:
        _, good = await keyed.create()

        async def is_asked_again(text: str, status: int) -> bool:
            before = keyed.lookups()
            assert await keyed.status(text) == status
            return keyed.lookups() > before

        for text, status in ((good, 200), (new_credential(SECRET).text, 401)):
            assert await keyed.status(text) == status
            await until(partial(is_asked_again, text, status))


async def test_so_many_keys_are_remembered_and_no_more(origin: Origin, tmp_path: Path) -> None:
    text = with_store(origin, "cache_keys: 100, cache_refused: 100, lookups_per_address: 1000")
    async with KeyedNode(text + "defaults: {unauthenticated_tier: none}\n", tmp_path) as keyed:
        for _ in range(110):
            _, good = await keyed.create()
            assert await keyed.status(good) == 200
            assert await keyed.status(new_credential(SECRET).text) == 401
        for state in ("known", "refused"):
            assert 50 <= keyed.node.metric("gateway_key_cache_keys", state=state) <= 100


async def test_many_who_come_with_one_new_key_cause_one_look_up(keyed: KeyedNode) -> None:
    _, text = await keyed.create()
    asked = 0
    find = keyed.keys.store.find

    async def slow(prefix: str, digest: str) -> Found | RefusedKey:
        nonlocal asked
        asked += 1

        # Until all of them wait: their answers come out of this one.
        await until(lambda: keyed.node.metric("gateway_in_flight_requests") == 5)
        return await find(prefix, digest)

    keyed.keys.store.find = slow
    statuses = await asyncio.gather(*(keyed.status(text) for _ in range(5)))
    assert statuses == [200] * 5
    assert asked == 1


async def test_a_revoked_key_is_refused_by_the_next_request_of_every_node(
    origin: Origin, tmp_path: Path
) -> None:
    text = with_store(origin)
    async with KeyedNode(text, tmp_path) as one, KeyedNode(text, tmp_path) as other:
        key, secret = await one.create()
        assert await one.status(secret) == await other.status(secret) == 200
        await one.keys.store.revoke(key.id, "ann", "leaked")
        await one.keys.tell([key.id])
        assert await one.status(secret) == 401
        await until(lambda: status_is(other, secret, 401))
        one.node.records(2)
        refused("the credential was revoked").check(one.node, await one.get(secret))


async def status_is(keyed: KeyedNode, secret: str, status: int) -> bool:
    return await keyed.status(secret) == status


async def test_what_is_revoked_while_it_is_looked_up_is_not_believed(keyed: KeyedNode) -> None:
    key, text = await keyed.create()
    store, find = keyed.keys.store, keyed.keys.store.find

    async def overtaken(prefix: str, digest: str) -> Found | RefusedKey:
        found = await find(prefix, digest)
        if isinstance(found, Found):
            await store.revoke(key.id)
            await keyed.keys.tell([key.id])
        return found

    store.find = overtaken
    refused("the credential was revoked").check(keyed.node, await keyed.get(text))


async def test_both_secrets_of_a_rotated_key_are_valid_until_the_old_one_ends(keyed: KeyedNode) -> None:
    key, old = await keyed.create(tier="premium")
    assert await keyed.status(old) == 200
    rotated, new = await keyed.keys.store.rotate(key.id)
    await keyed.keys.tell([key.id])
    assert rotated.id == key.id
    assert await keyed.status(new) == await keyed.status(old) == 200
    week = 7 * 86_400_000
    assert [secret.expires_at_ms for secret in rotated.secrets] == [
        pytest.approx(keyed.keys.store.now_ms() + week, abs=60_000),
        None,
    ]
    await keyed.keys.store.rotate(key.id, 0)
    await keyed.keys.tell([key.id])
    keyed.node.records(3)
    for ended in (old, new):
        refused("the credential has expired").check(keyed.node, await keyed.get(ended))


async def test_a_key_changed_on_one_node_is_another_on_every_node(origin: Origin, tmp_path: Path) -> None:
    text = with_store(origin, route="scopes: [b]")
    async with KeyedNode(text, tmp_path) as one, KeyedNode(text, tmp_path) as other:
        key, secret = await one.create(scopes=("a",))
        assert await one.status(secret) == await other.status(secret) == 403
        await one.keys.store.change(key.id, KeyChange({"scopes": ("b",)}))
        await one.keys.tell([key.id])
        assert await one.status(secret) == 200
        await until(lambda: status_is(other, secret, 200))


async def test_keys_of_the_secret_before_are_valid_while_it_is_named(origin: Origin, tmp_path: Path) -> None:
    async with KeyedNode(with_store(origin), tmp_path) as before:
        key, old = await before.create()
        assert await before.status(old) == 200
    new = "the next secret of the store, at least 32 characters"
    with_both = with_store(origin, f"previous_secret: '{SECRET}'").replace(
        f"secret: '{SECRET}'", f"secret: '{new}'", 1
    )
    async with KeyedNode(with_both, tmp_path) as both:
        assert await both.status(old) == 200
        _, made = await both.create()
        _, rotated = await both.keys.store.rotate(key.id)
    alone = with_store(origin).replace(SECRET, new)
    async with KeyedNode(alone, tmp_path) as after:
        assert [await after.status(one) for one in (made, rotated)] == [200, 200]
        after.node.records(2)
        refused("the key is not known").check(after.node, await after.get(old))


async def test_without_its_store_a_known_key_goes_on_and_another_gets_503(
    keyed: KeyedNode, origin: Origin
) -> None:
    _, known = await keyed.create()
    _, other = await keyed.create("globex")
    assert await keyed.status(known) == 200

    async def broken(*_: object) -> Found:
        raise KeyStoreError("the disk is gone")

    keyed.keys.store.find = broken  # pyrefly: ignore[bad-assignment]
    keyed.node.records(1)
    unavailable("the key store cannot answer").check(keyed.node, await keyed.get(other))
    assert await keyed.status(known) == 200
    assert keyed.keys.health.failures >= 1
    assert keyed.lookups("failed") == 1
    # And it is back with the store.
    del keyed.keys.store.find
    assert await keyed.status(other) == 200


async def test_a_store_that_hangs_is_given_up_in_time(origin: Origin, tmp_path: Path) -> None:
    async with KeyedNode(with_store(origin, "timeout: 50ms"), tmp_path) as keyed:
        _, text = await keyed.create()

        async def hanging(*_: object) -> Found:
            await asyncio.Event().wait()
            raise AssertionError

        keyed.keys.store.find = hanging  # pyrefly: ignore[bad-assignment]
        response = await keyed.get(text)
        assert response.status == 503
        record = keyed.node.record()
        assert record["decisions"][-1]["inputs"]["reason"] in {
            "the key store did not answer in time",
            "the key store cannot answer",
        }
        assert keyed.lookups("failed") + keyed.lookups("late") == 1


async def test_look_ups_at_once_and_by_address_are_bounded(origin: Origin, tmp_path: Path) -> None:
    text = with_store(origin, "max_lookups: 1, lookups_per_address: 2")
    async with KeyedNode(text, tmp_path) as keyed:
        keys = [(await keyed.create())[1] for _ in range(3)]
        find, held = keyed.keys.store.find, asyncio.Event()

        async def slow(prefix: str, digest: str) -> Found | RefusedKey:
            await held.wait()
            return await find(prefix, digest)

        keyed.keys.store.find = slow
        first = asyncio.create_task(keyed.status(keys[0]))
        await until(lambda: keyed.node.metric("gateway_in_flight_requests") == 1)
        statuses = [await keyed.status(key) for key in keys[1:]]
        held.set()
        assert await first == 200
        assert statuses == [503, 503]
        reasons = {record["decisions"][-1]["inputs"].get("reason") for record in keyed.node.records(3)}
        assert "too many keys are being looked up" in reasons
        assert keyed.lookups("full") >= 1
        assert keyed.lookups("full") + keyed.lookups("per_address") == 2


async def test_a_key_of_some_networks_is_refused_elsewhere(origin: Origin, tmp_path: Path) -> None:
    text = with_store(origin, listener="trusted_proxies: [127.0.0.1]")
    async with KeyedNode(text, tmp_path) as keyed:
        _, key = await keyed.create(networks=("203.0.113.0/24", "2001:db8::/32"))
        for inside in ("203.0.113.9", "2001:db8::1"):
            assert (await keyed.get(key, ("X-Forwarded-For", inside))).status == 200
        keyed.node.records(2)
        elsewhere = Refused(403, "address_not_allowed", "authorize", ("routes", 0))
        for outside in ("198.51.100.1", "203.0.113.9, 198.51.100.1", "2001:db9::1"):
            record = elsewhere.check(keyed.node, await keyed.get(key, ("X-Forwarded-For", outside)))
            assert record["client_ip"] == outside.split(", ")[-1]


async def test_uses_are_written_in_batches_with_the_last_of_them(keyed: KeyedNode) -> None:
    key, text = await keyed.create()
    for _ in range(5):
        assert await keyed.status(text) == 200

    async def counted() -> bool:
        hours = await keyed.keys.store.usage(key.id, 0)
        return sum(requests for _, requests in hours) == 5

    await until(counted)
    shown = await keyed.keys.store.show(key.id)
    assert shown.last_used_ms == pytest.approx(keyed.keys.store.now_ms(), abs=60_000)


async def test_a_key_that_is_used_from_too_many_networks_raises_one_alert(
    origin: Origin, tmp_path: Path
) -> None:
    text = with_store(origin, "leaks: {networks: 2}", listener="trusted_proxies: 127.0.0.1")
    async with KeyedNode(text, tmp_path) as keyed:
        _, secret = await keyed.create()
        for network in ("192.0.2", "198.51.100", "203.0.113", "203.0.114"):
            response = await keyed.get(secret, ("X-Forwarded-For", f"{network}.9"))
            assert response.status == 200
        await until(lambda: keyed.keys.usage.leaks.alerts)
        await keyed.keys.write_uses()
        assert keyed.keys.usage.leaks.alerts == 1


async def test_a_damaged_file_refuses_its_keys_until_it_is_whole(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"no database at all" * 100)
    async with KeyedNode(with_store(origin), tmp_path) as keyed:
        assert not keyed.keys.health.connected
        assert await keyed.status(new_credential(SECRET).text) == 503
        (tmp_path / "keys.db").unlink()
        await until(lambda: keyed.keys.health.connected)
        _, text = await keyed.create()
        assert await keyed.status(text) == 200
    assert sqlite3.connect(tmp_path / "keys.db").execute("SELECT COUNT(*) FROM api_keys").fetchone() == (1,)


def test_what_is_forgotten_before_the_request_could_use_it_is_asked_once_more(origin: Origin) -> None:
    key, refused = ("X-API-Key", new_credential(SECRET).text), b'{"ok": true, "refused": "revoked"}'
    with (
        Node(with_store(origin, "refused_ttl: 10m, lookups_per_address: 1000000")) as node,
        ThreadPoolExecutor(1) as clients,
    ):

        def answer_all(seconds: float) -> None:
            for question in json.loads(node.engine.next_questions(seconds) or b"[]"):
                node.engine.answer(question["id"], refused)

        # Who is first, the request or what forgets, is chance: of so many, some are late.
        for _ in range(100):
            response = clients.submit(get, node.address, "/", key)
            answer_all(30)
            node.engine.forget_keys(b"null")
            while not response.done():
                answer_all(0.01)
            assert response.result().status == 401
            node.engine.forget_keys(b"null")
