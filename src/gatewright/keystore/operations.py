"""What people do with keys, as documents: the same by the admin API and by commands on the store itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gatewright.config.addresses import read_network
from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.keys import KeyChange, NewKey, moment
from gatewright.keystore.store import OVERLAP_MS, KeyStore

Document = dict[str, Any]

LONGEST_TEXT = 256
MOST_SCOPES = 100
MOST_NETWORKS = 100
MOST_METADATA = 50
LONGEST_OVERLAP_MS = 90 * 86_400_000


class WrongKeyError(KeyStoreError):
    """A key cannot be as it is wished."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A key as people ask for it: times as RFC 3339 or in seconds from now."""

    partner: str
    consumer: str | None = None
    tier: str | None = None
    scopes: Sequence[str] = ()
    networks: Sequence[str] = ()
    metadata: Mapping[str, str] | None = None
    expires_at: str | None = None
    expires_in: int | None = None


async def create(store: KeyStore, wish: Wish, tiers: Sequence[str], by: str | None) -> Document:
    """A new key with its text in `key`, this once. Raises `KeyStoreError`."""
    key, text = await store.create(checked(wish, tiers, by, store.now_ms))
    return {"key": text} | key.document(store.now_ms())


async def listed(store: KeyStore, partner: str | None = None, after: str = "", limit: int = 100) -> Document:
    """Keys by id, and the id to go on behind where there are more. Raises `KeyStoreError`."""
    keys = await store.keys(partner, after, limit)
    more = keys[-1].id if len(keys) == limit else None
    return {"keys": [key.document(store.now_ms()) for key in keys], "next": more}


async def show(store: KeyStore, identifier: str) -> Document:
    return (await store.show(identifier)).document(store.now_ms())


async def rotate(store: KeyStore, identifier: str, overlap_seconds: int | None = None) -> Document:
    """The key with the text of its new secret in `key`, this once. Raises `KeyStoreError`."""
    overlap = OVERLAP_MS if overlap_seconds is None else overlap_seconds * 1000
    if not 0 <= overlap <= LONGEST_OVERLAP_MS:
        raise WrongKeyError("the old secret may stay valid for 0 to 90 days")
    key, text = await store.rotate(identifier, overlap)
    return {"key": text} | key.document(store.now_ms())


async def change(
    store: KeyStore, identifier: str, wished: Mapping[str, Any], tiers: Sequence[str], by: str | None
) -> Document:
    """The key with what is wished of it, by the names of `Wish`; what is not named stays, `None` takes away.
    Raises `KeyStoreError`.
    """
    wanted = changed(wished, tiers, by, store.now_ms())
    if wanted.metadata:
        together = {**(await store.show(identifier)).metadata, **wanted.metadata}
        metadata_of({name: value for name, value in together.items() if value is not None})
    key = await store.change(identifier, wanted)
    return key.document(store.now_ms())


async def revoke(store: KeyStore, identifier: str, by: str | None, why: str | None) -> Document:
    return (await store.revoke(identifier, by, why)).document(store.now_ms())


async def usage(store: KeyStore, identifier: str, seconds: int) -> Document:
    """Requests of a key, by hour. Raises `KeyStoreError`."""
    hours = await store.usage(identifier, store.now_ms() - seconds * 1000)
    return {
        "id": identifier,
        "requests": sum(requests for _, requests in hours),
        "hours": [{"hour": moment(hour), "requests": requests} for hour, requests in hours],
    }


def checked(wish: Wish, tiers: Sequence[str], by: str | None, now_ms: Callable[[], int]) -> NewKey:
    """The key as it is stored. Raises `WrongKeyError` with what would work."""
    return NewKey(
        partner=owner("partner", wish.partner),
        consumer=None if wish.consumer is None else owner("consumer", wish.consumer),
        tier=None if wish.tier is None else tier_of(wish.tier, tiers),
        scopes=scopes_of(wish.scopes),
        networks=networks_of(wish.networks),
        metadata=metadata_of(wish.metadata or {}),
        expires_at_ms=end_of(wish.expires_at, wish.expires_in, now_ms()),
        created_by=by,
    )


def changed(wished: Mapping[str, Any], tiers: Sequence[str], by: str | None, now_ms: int) -> KeyChange:
    """The change as it is stored. Raises `WrongKeyError` with what would work."""
    readers: dict[str, Callable[[Any], Any]] = {
        "partner": lambda value: owner("partner", value or ""),
        "consumer": lambda value: None if value is None else owner("consumer", value),
        "tier": lambda value: None if value is None else tier_of(value, tiers),
        "scopes": lambda value: scopes_of(value or ()),
        "networks": lambda value: networks_of(value or ()),
    }
    columns = {name: read(wished[name]) for name, read in readers.items() if name in wished}
    if "expires_at" in wished or "expires_in" in wished:
        columns["expires_at_ms"] = end_of(wished.get("expires_at"), wished.get("expires_in"), now_ms)
    metadata = wished.get("metadata") or {}
    metadata_of({name: value or "" for name, value in metadata.items()})
    if not columns and not metadata:
        raise WrongKeyError("say what shall be otherwise, such as `scopes` or `tier`")
    return KeyChange(columns, metadata, by)


def owner(name: str, text: str) -> str:
    if not is_header_safe(text):
        raise WrongKeyError(f"`{name}` must be 1 to 256 bytes that can be sent in a header")
    return text


def tier_of(name: str, tiers: Sequence[str]) -> str:
    if name not in tiers:
        raise WrongKeyError(f"unknown tier `{name}`; known: {', '.join(tiers)}")
    return name


def scopes_of(scopes: Sequence[str]) -> tuple[str, ...]:
    if len(scopes) > MOST_SCOPES:
        raise WrongKeyError(f"a key has {MOST_SCOPES} scopes at most")
    for scope in scopes:
        if not (scope and len(scope) <= LONGEST_TEXT and all("!" <= character <= "~" for character in scope)):
            raise WrongKeyError(f"the scope `{scope}` is not visible ASCII without spaces")
    return tuple(dict.fromkeys(scopes))


def networks_of(networks: Sequence[str]) -> tuple[str, ...]:
    if len(networks) > MOST_NETWORKS:
        raise WrongKeyError(f"a key has {MOST_NETWORKS} networks at most")
    return tuple(dict.fromkeys(map(network, networks)))


def is_header_safe(text: str) -> bool:
    is_clean = text == text.strip() and all(character.isprintable() for character in text)
    return bool(text) and is_clean and len(text.encode()) <= LONGEST_TEXT


def network(text: str) -> str:
    try:
        return str(read_network(text))
    except ValueError as error:
        raise WrongKeyError(str(error)) from error


def metadata_of(metadata: Mapping[str, str]) -> Mapping[str, str]:
    fits = all(
        0 < len(name) <= LONGEST_TEXT and len(value) <= 4 * LONGEST_TEXT for name, value in metadata.items()
    )
    if len(metadata) > MOST_METADATA or not fits:
        raise WrongKeyError(
            f"metadata has {MOST_METADATA} names at most, of 256 characters, with values of 1024"
        )
    return metadata


def end_of(expires_at: str | None, expires_in: int | None, now_ms: int) -> int | None:
    if expires_at is not None and expires_in is not None:
        raise WrongKeyError("give `expires_at` or `expires_in`, not both")
    if expires_in is not None:
        end = now_ms + expires_in * 1000
    elif expires_at is not None:
        try:
            given = datetime.fromisoformat(expires_at)
        except ValueError as error:
            raise WrongKeyError("`expires_at` is no moment; write it like `2027-01-31T00:00:00Z`") from error
        aware = given if given.tzinfo else given.replace(tzinfo=UTC)
        end = int(aware.timestamp() * 1000)
    else:
        return None
    if end <= now_ms:
        raise WrongKeyError("a key cannot end before it begins")
    return end
