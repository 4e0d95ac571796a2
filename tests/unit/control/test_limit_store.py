"""The Redis of shared limits as people see it: when it is lost, when it is back, and names of counters."""

import hashlib
import logging
from typing import Any

import pytest

from gatewright.control.limit_store import LimitStore, LimitStoreSettings, texts_of
from gatewright.control.shared_store import StoreError
from gatewright.redis_clients import RedisTarget

WELL = {"workers": 2, "connected_workers": 2, "open_workers": 0, "nodes": 3, "error": None}


class Engine:
    def limit_store(self) -> bytes:
        return b"null"


def test_one_alert_is_raised_when_redis_is_lost_and_one_word_said_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gatewright.alerts")
    store = LimitStore(Engine())
    lost: dict[str, Any] = {**WELL, "open_workers": 1, "error": "no answer within 5 ms"}
    for state in (None, WELL, lost, lost, WELL, WELL):
        store.look(state)
    assert store.alerts == 1
    assert [(record.levelname, getattr(record, "alert", None)) for record in caplog.records] == [
        ("ERROR", "limit_store_unavailable"),
        ("INFO", None),
    ]
    assert getattr(caplog.records[0], "error", None) == "no answer within 5 ms"
    store.look({**WELL, "connected_workers": 0, "error": "connection refused"})
    assert not store.is_well


def test_a_node_that_has_not_asked_yet_is_no_alert() -> None:
    store = LimitStore(Engine())
    store.look({**WELL, "connected_workers": 0})
    assert store.is_well


@pytest.mark.parametrize(
    "place",
    [
        RedisTarget(("redis://127.0.0.1:1",)),
        RedisTarget(("redis://127.0.0.1:1",), cluster=True),
        RedisTarget(("redis://127.0.0.1:1/7",), cluster=True),
    ],
    ids=["server", "cluster", "no-cluster"],
)
async def test_counters_of_a_redis_that_is_not_there_are_not_forgotten_and_that_is_told(
    place: RedisTarget,
) -> None:
    store = LimitStore(Engine())
    await store.use(LimitStoreSettings(place, 0.2, {"t": 64}))
    with pytest.raises(StoreError, match=r"\w"):
        await store.reset(None, None)
    await store.use(None)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("caller", "texts"),
    [
        ("user:ann", ["user:ann"]),
        ("global", ["global"]),
        ("ip:192.0.2.1", ["ip:192.0.2.1"]),
        ("ip:2001:db8::7", ["ip:2001:db8::/64"]),
        ("ip:2001:db8::/64", ["ip:2001:db8::/64"]),
        ("api_key:k1", [f"apikey:{digest('k1')}"]),
        ("user:a b", [f"user#{digest('user:a b')}"]),
        ("user:ann+global", [f"user#{digest('user:ann+global')}", "user:ann+global"]),
    ],
)
def test_names_of_counters_are_those_that_the_data_plane_writes(caller: str, texts: list[str]) -> None:
    assert list(texts_of(caller, 64)) == texts
