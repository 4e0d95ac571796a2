"""The store of keys, in each of its databases."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway import Postgres
from gateway.ports import unused_ports
from gatewright.keystore.credentials import ALPHABET, checksum, digest_of, new_credential
from gatewright.keystore.database import Database, KeyStoreError
from gatewright.keystore.keys import Found, KeyChange, NewKey, Refused
from gatewright.keystore.postgresql import PostgresDatabase
from gatewright.keystore.schema import MIGRATIONS
from gatewright.keystore.sqlite import SqliteDatabase
from gatewright.keystore.store import HOUR_MS, OVERLAP_MS, KeyStore, UnknownKeyError, Use

SECRET = "a secret of the store, not less than 32 characters"
DAY_MS = 86_400_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeDatabase = Callable[[], Database]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """One PostgreSQL for all tests; each empties it."""
    running = Postgres(next(unused_ports()))
    yield running
    running.close()


async def emptied(server: Postgres) -> MakeDatabase:
    connection = await asyncpg.connect(server.url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    return lambda: PostgresDatabase(server.url, connections=2)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> MakeDatabase:
    """Makes connections to one empty database of each kind."""
    if request.param == "postgresql":
        return await emptied(request.getfixturevalue("server"))
    return lambda: SqliteDatabase(tmp_path / "keys.db")


@pytest.fixture
async def store(database: MakeDatabase, clock: Clock) -> AsyncIterator[KeyStore]:
    made = KeyStore(database(), SECRET, clock)
    await made.open()
    yield made
    await made.close()


def asked(text: str) -> tuple[str, str]:
    """What the data plane says of a key: its prefix and its hash."""
    return text[8:20], digest_of(text[:-8], SECRET).hex()


def test_a_key_has_its_mark_and_a_checksum_of_the_secret() -> None:
    one, other = new_credential(SECRET), new_credential(SECRET)
    assert one.text != other.text
    assert one.text.startswith("pk_live_" + one.prefix)
    assert len(one.text) == 60
    assert set(one.text[8:]) <= set(ALPHABET)
    assert checksum(bytes.fromhex(one.hash)) == one.text[-8:]
    assert checksum(digest_of(one.text[:-8], "another secret")) != one.text[-8:]


async def test_everything_that_was_wished_is_found_again(store: KeyStore, clock: Clock) -> None:
    wish = NewKey(
        "acme", "billing", "premium", ("a", "b"), ("10.0.0.0/8",), {"team": "x"}, clock.now + DAY_MS, "ann"
    )
    key, text = await store.create(wish)
    assert (key.partner, key.consumer, key.tier, key.scopes) == ("acme", "billing", "premium", ("a", "b"))
    assert (key.networks, key.metadata, key.created_by) == (("10.0.0.0/8",), {"team": "x"}, "ann")
    found = await store.find(*asked(text))
    assert found == Found(key.id, found.entry if isinstance(found, Found) else {})
    assert isinstance(found, Found)
    assert found.entry["hash"] == asked(text)[1]
    assert found.entry["expires_at_ms"] == clock.now + DAY_MS


async def test_a_wrong_hash_or_prefix_is_unknown(store: KeyStore) -> None:
    _, text = await store.create(NewKey("acme"))
    prefix, digest = asked(text)
    other = ("1" if digest.startswith("0") else "0") + digest[1:]
    assert await store.find(prefix, other) == Refused("unknown")
    assert await store.find("another00000", digest) == Refused("unknown")
    assert await store.find(prefix, "") == Refused("unknown")


async def test_a_key_ends_at_its_expiry_and_with_its_revocation(store: KeyStore, clock: Clock) -> None:
    _, text = await store.create(NewKey("acme", expires_at_ms=clock.now + 10))
    clock.now += 10
    assert await store.find(*asked(text)) == Refused("expired", (await store.keys())[0].id)
    key, other = await store.create(NewKey("acme"))
    await store.revoke(key.id, "ann", "left")
    assert await store.find(*asked(other)) == Refused("revoked", key.id)
    shown = await store.show(key.id)
    assert (shown.state(clock.now), shown.revoked_by, shown.revoked_why) == ("revoked", "ann", "left")
    with pytest.raises(UnknownKeyError):
        await store.revoke(key.id)
    with pytest.raises(UnknownKeyError):
        await store.rotate(key.id)


async def test_a_changed_key_is_what_it_was_but_for_what_was_named(store: KeyStore, clock: Clock) -> None:
    wish = NewKey("acme", "billing", "premium", ("a",), ("10.0.0.0/8",), {"team": "x", "room": "1"})
    key, text = await store.create(wish)
    clock.now += 5
    columns = {"scopes": ("b", "c"), "consumer": None, "expires_at_ms": clock.now + DAY_MS}
    changed = await store.change(key.id, KeyChange(columns, {"team": "y", "room": None}, "ann"))
    assert changed == await store.show(key.id)
    assert (changed.scopes, changed.consumer, changed.metadata) == (("b", "c"), None, {"team": "y"})
    assert (changed.partner, changed.tier, changed.networks) == ("acme", "premium", ("10.0.0.0/8",))
    assert (changed.changed_at_ms, changed.changed_by, changed.created_at_ms) == (
        clock.now,
        "ann",
        clock.now - 5,
    )
    found = await store.find(*asked(text))
    assert isinstance(found, Found)
    assert (found.entry["scopes"], found.entry["expires_at_ms"]) == (["b", "c"], clock.now + DAY_MS)
    assert await store.changes(0) == (1, [key.id])


async def test_what_a_change_may_not_touch_stays(store: KeyStore) -> None:
    key, _ = await store.create(NewKey("acme"))
    await store.change(key.id, KeyChange({"partner": "globex", "id": "key_0", "revoked_at_ms": 1}))
    shown = await store.show(key.id)
    assert (shown.partner, shown.revoked_at_ms) == ("globex", None)


async def test_an_expired_key_may_be_given_more_time_and_a_revoked_one_nothing(
    store: KeyStore, clock: Clock
) -> None:
    key, text = await store.create(NewKey("acme", expires_at_ms=clock.now + 1))
    clock.now += 1
    assert await store.find(*asked(text)) == Refused("expired", key.id)
    await store.change(key.id, KeyChange({"expires_at_ms": None}))
    assert isinstance(await store.find(*asked(text)), Found)
    await store.revoke(key.id)
    for gone in (key.id, "key_0"):
        with pytest.raises(UnknownKeyError):
            await store.change(gone, KeyChange({"tier": "premium"}))
    assert await store.find(*asked(text)) == Refused("revoked", key.id)


async def test_no_change_of_metadata_is_lost_to_another_at_the_same_time(
    database: MakeDatabase, store: KeyStore
) -> None:
    other = KeyStore(database(), SECRET)
    await other.open()
    key, _ = await store.create(NewKey("acme"))
    await asyncio.gather(
        store.change(key.id, KeyChange(metadata={"one": "1"})),
        other.change(key.id, KeyChange(metadata={"two": "2"})),
    )
    assert (await store.show(key.id)).metadata == {"one": "1", "two": "2"}
    await other.close()


async def test_tables_of_an_older_release_get_what_is_new(database: MakeDatabase) -> None:
    old = database()
    await old.open(MIGRATIONS[:1])
    columns = "id, partner, scopes, networks, metadata, created_at_ms"
    await old.change([(f"INSERT INTO api_keys ({columns}) VALUES ('key_1', 'a', '[]', '[]', '{{}}', 1)", [])])  # noqa: S608
    await old.close()
    store = KeyStore(database(), SECRET)
    await store.open()
    changed = await store.change("key_1", KeyChange({"tier": "premium"}, by="ann"))
    assert (changed.tier, changed.changed_by) == ("premium", "ann")
    await store.close()


async def test_an_old_secret_is_valid_for_seven_days_and_no_longer(store: KeyStore, clock: Clock) -> None:
    key, old = await store.create(NewKey("acme"))
    _, new = await store.rotate(key.id)
    clock.now += OVERLAP_MS - 1
    assert isinstance(await store.find(*asked(old)), Found)
    clock.now += 1
    assert await store.find(*asked(old)) == Refused("expired", key.id)
    assert isinstance(await store.find(*asked(new)), Found)


async def test_rotating_again_never_prolongs_an_older_secret(store: KeyStore, clock: Clock) -> None:
    key, old = await store.create(NewKey("acme"))
    await store.rotate(key.id, DAY_MS)
    clock.now += DAY_MS // 2
    await store.rotate(key.id)
    clock.now += DAY_MS // 2
    assert await store.find(*asked(old)) == Refused("expired", key.id)


async def test_secrets_that_ended_long_ago_are_deleted(store: KeyStore, clock: Clock) -> None:
    key, old = await store.create(NewKey("acme"))
    await store.rotate(key.id, 0)
    clock.now += 31 * DAY_MS
    rotated, _ = await store.rotate(key.id)
    assert len(rotated.secrets) == 2
    assert await store.find(*asked(old)) == Refused("unknown")


async def test_nothing_is_made_for_a_key_that_is_not_there(store: KeyStore) -> None:
    for work in (store.rotate("key_0"), store.revoke("key_0"), store.show("key_0"), store.usage("key_0", 0)):
        with pytest.raises(UnknownKeyError):
            await work
    assert await store.keys() == []


async def test_keys_are_given_by_id_and_page_by_page(store: KeyStore) -> None:
    made = sorted([(await store.create(NewKey(partner)))[0].id for partner in ("a", "b", "a")])
    assert [key.id for key in await store.keys()] == made
    assert [key.id for key in await store.keys(limit=2)] == made[:2]
    assert [key.id for key in await store.keys(after=made[1])] == made[2:]
    assert len(await store.keys("a")) == 2


async def test_changes_are_told_once_and_in_order(store: KeyStore, clock: Clock) -> None:
    assert await store.last_change() == 0
    key, _ = await store.create(NewKey("acme"))
    other, _ = await store.create(NewKey("acme"))
    await store.rotate(key.id)
    await store.revoke(other.id)
    last = await store.last_change()
    assert await store.changes(0) == (last, [key.id, other.id])
    assert await store.changes(last) == (last, [])
    clock.now += 2 * DAY_MS
    await store.revoke(key.id)
    # Old changes are deleted, and their numbers never used again.
    assert await store.changes(0) == (last + 1, [key.id])


async def test_uses_of_an_hour_are_added_up(store: KeyStore, clock: Clock) -> None:
    key, _ = await store.create(NewKey("acme"))
    hour = clock.now - clock.now % HOUR_MS
    await store.used([Use(key.id, hour, 3, clock.now), Use("key_gone", hour, 1, clock.now)])
    await store.used([Use(key.id, hour, 4, clock.now - 5), Use(key.id, hour + HOUR_MS, 1, clock.now - 9)])
    assert await store.usage(key.id, 0) == [(hour, 7), (hour + HOUR_MS, 1)]
    assert await store.usage(key.id, hour + HOUR_MS) == [(hour + HOUR_MS, 1)]
    assert (await store.show(key.id)).last_used_ms == clock.now
    await store.forget_usage(hour + 1)
    assert await store.usage(key.id, 0) == [(hour + HOUR_MS, 1)]


async def test_what_was_stored_is_there_after_a_restart(database: MakeDatabase, store: KeyStore) -> None:
    key, text = await store.create(NewKey("acme"))
    await store.close()
    again = KeyStore(database(), SECRET)
    await again.open()
    found = await again.find(*asked(text))
    assert isinstance(found, Found)
    assert found.id == key.id
    await again.close()


async def test_two_processes_may_make_the_tables_at_once(database: MakeDatabase) -> None:
    stores = [KeyStore(database(), SECRET) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    made = await asyncio.gather(*(store.create(NewKey("acme")) for store in stores))
    assert len(await stores[0].keys()) == len(made) == 4
    for store in stores:
        await store.close()


async def test_tables_of_a_newer_release_are_left_alone(database: MakeDatabase) -> None:
    newer = database()
    await newer.open([[]] * 99)
    await newer.close()
    store = KeyStore(database(), SECRET)
    with pytest.raises(KeyStoreError, match="version 99, and this release knows"):
        await store.open()
    await store.close()


async def test_a_migration_that_fails_changes_nothing(database: MakeDatabase) -> None:
    opened = database()
    await opened.open([["CREATE TABLE a (b TEXT)"]])
    with pytest.raises(KeyStoreError):
        await opened.open([["CREATE TABLE a (b TEXT)"], ["CREATE TABLE c (d TEXT)", "no SQL"]])
    with pytest.raises(KeyStoreError):
        await opened.rows("SELECT d FROM c")
    await opened.open([["CREATE TABLE a (b TEXT)"], ["CREATE TABLE c (d TEXT)"]])
    assert await opened.rows("SELECT MAX(version) FROM api_key_schema") == [(2,)]
    await opened.close()


async def test_changes_of_many_at_once_are_numbered_in_the_order_in_which_they_are_seen(
    database: MakeDatabase,
) -> None:
    """Whoever looks while others write never misses what has a lower number than what it has seen."""
    writers = [KeyStore(database(), SECRET) for _ in range(3)]
    reader = KeyStore(database(), SECRET)
    for opened in (*writers, reader):
        await opened.open()
    made = [(await writers[0].create(NewKey("acme")))[0].id for _ in range(30)]

    async def revoke(writer: KeyStore, keys: list[str]) -> None:
        for key in keys:
            await writer.revoke(key)

    work = asyncio.gather(*(revoke(writer, made[n::3]) for n, writer in enumerate(writers)))
    seen: list[str] = []
    last = 0
    while not work.done() or last < await reader.last_change():
        last, ids = await reader.changes(last)
        seen += ids
    await work
    assert sorted(seen) == sorted(made)
    for opened in (*writers, reader):
        await opened.close()


async def test_a_directory_in_place_of_the_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    store = KeyStore(SqliteDatabase(tmp_path), SECRET)
    with pytest.raises(KeyStoreError, match=str(tmp_path)):
        await store.open()
    await store.close()
