"""How `gatewright keys` gets at the key store: through a running node, or the database where none runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from gatewright.audit.entries import ACT, Draft
from gatewright.audit.files import AuditError
from gatewright.audit.log import AuditLog
from gatewright.cli.admin import NoNodeError, ask, who
from gatewright.keystore import operations
from gatewright.keystore.database import KeyStoreError
from gatewright.keystore.operations import Wish
from gatewright.keystore.settings import KeyStoreSettings
from gatewright.keystore.store import KeyStore

if TYPE_CHECKING:
    # Models cost start-up time that a running node makes unnecessary.
    from gatewright.control.configuration import Configuration

Document = dict[str, Any]
Result = TypeVar("Result")

HERE = Path("gateway.yaml")
SECONDS = 20.0
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Where:
    """The store of a configuration, or that of a node."""

    config: Path | None
    admin: str | None


def create(where: Where, wish: Document) -> Document:
    return either(
        where,
        lambda: ask("POST", "/api/v1/keys", where.admin, {"by": who()}, wish),
        lambda store, settings: operations.create(store, Wish(**wish), settings.tiers, who()),
        "key.create",
    )


def listed(where: Where, partner: str | None) -> list[Document]:
    """Every key, page by page."""
    found: list[Document] = []
    after: str | None = ""
    while after is not None:
        page = page_of(where, partner, after)
        found += page["keys"]
        after = page["next"]
    return found


def page_of(where: Where, partner: str | None, after: str) -> Document:
    asked = {"after": after, "limit": PAGE} | ({"partner": partner} if partner else {})
    return either(
        where,
        lambda: ask("GET", "/api/v1/keys", where.admin, asked),
        lambda store, _: operations.listed(store, partner, after, PAGE),
    )


def show(where: Where, key: str) -> Document:
    return either(
        where,
        lambda: ask("GET", path_of(key), where.admin),
        lambda store, _: operations.show(store, key),
    )


def change(where: Where, key: str, wished: Document) -> Document:
    return either(
        where,
        lambda: ask("PATCH", path_of(key), where.admin, {"by": who()}, wished),
        lambda store, settings: operations.change(store, key, wished, settings.tiers, who()),
        "key.change",
    )


def rotate(where: Where, key: str, overlap: int) -> Document:
    return either(
        where,
        lambda: ask("POST", f"{path_of(key)}/rotate", where.admin, {"by": who(), "overlap": overlap}),
        lambda store, _: operations.rotate(store, key, overlap),
        "key.rotate",
    )


def revoke(where: Where, key: str, why: str | None) -> Document:
    said = {"by": who()} | ({"why": why} if why else {})
    return either(
        where,
        lambda: ask("POST", f"{path_of(key)}/revoke", where.admin, said),
        lambda store, _: operations.revoke(store, key, who(), why),
        "key.revoke",
    )


def usage(where: Where, key: str, seconds: int) -> Document:
    return either(
        where,
        lambda: ask("GET", f"{path_of(key)}/usage", where.admin, {"seconds": seconds}),
        lambda store, _: operations.usage(store, key, seconds),
    )


def path_of(key: str) -> str:
    return f"/api/v1/keys/{quote(key, safe='')}"


def either(
    where: Where,
    of_node: Callable[[], Result],
    of_store: Callable[[KeyStore, KeyStoreSettings], Awaitable[Result]],
    act: str | None = None,
) -> Result:
    """Ask the node; where none answers and none was named, work on the store of `gateway.yaml` here. There
    is no node then to write the audit log, so what is called `act` is written here. Raises `GatewrightError`.
    """
    if where.config is not None:
        return asyncio.run(directly(where.config, of_store, act))
    try:
        return of_node()
    except NoNodeError:
        if where.admin or os.environ.get("GATEWRIGHT_ADMIN") or not HERE.exists():
            raise
    print(f"no node answers; working on the key store of {HERE} itself", file=sys.stderr)
    return asyncio.run(directly(HERE, of_store, act))


async def directly(
    config: Path, of_store: Callable[[KeyStore, KeyStoreSettings], Awaitable[Result]], act: str | None
) -> Result:
    # Models cost start-up time that a running node makes unnecessary.
    from gatewright.control.configuration import read  # noqa: PLC0415

    configuration = read([config])
    settings = configuration.key_store
    if settings is None:
        raise KeyStoreError(f"`{config}` has no `key_store`; name a key file, or add one")
    store = settings.store()
    try:
        async with asyncio.timeout(SECONDS):
            await store.open()
            done = await of_store(store, settings)
            if act is not None:
                audit(configuration, act, done)
            return done
    except TimeoutError as error:
        raise KeyStoreError(f"the key store did not answer within {SECONDS:g} s") from error
    finally:
        await store.close()


def audit(configuration: Configuration, act: str, done: object) -> None:
    """Write what was done to which key, in the log of the node whose configuration it is."""
    key = done if isinstance(done, dict) else {}
    fields = {"key": key.get("id"), "partner": key.get("partner")}
    try:
        log = AuditLog(configuration.state.audit, configuration.audit)
        log.append([Draft(ACT, {"principal": "cli", "says": who()}, act, fields=fields)])
        log.close()
    except AuditError as error:
        print(f"done, but the audit log does not have it: {error}", file=sys.stderr)
