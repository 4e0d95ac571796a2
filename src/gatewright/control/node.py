"""One node: the data plane and everything that feeds it. `apply` is the only way in which a configuration
gets live.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol

from gatewright.audit.decisions import DecisionLane
from gatewright.audit.log import GATEWAY
from gatewright.audit.service import Audit
from gatewright.config import Loaded
from gatewright.control.address_files import AddressFiles, stamps_of
from gatewright.control.bans import BanKeeper, BanSettings
from gatewright.control.block_sharing import BlockSharing
from gatewright.control.blocks import Blocks
from gatewright.control.configuration import Configuration
from gatewright.control.expiry import ExpiryWatch, utc_now
from gatewright.control.fleet import Fleet
from gatewright.control.grace import GraceWatch
from gatewright.control.kept_texts import keep_texts
from gatewright.control.limit_store import LimitStore
from gatewright.control.quotas import QuotaKeeper, QuotaSettings
from gatewright.control.sharing import BreakerSharing
from gatewright.control.state import StateDirectory
from gatewright.control.status import FROM_LAST_GOOD, ConfigStatus
from gatewright.control.watching import Watching
from gatewright.discovery.dns import DnsDiscovery
from gatewright.errors import EngineError
from gatewright.health.service import Checks
from gatewright.identity.fetch import KeySetSource, fetch_key_set
from gatewright.identity.introspection import Introspections
from gatewright.identity.kept_keys import KeptKeys
from gatewright.identity.key_sets import KeySets
from gatewright.identity.oidc.logins import Logins
from gatewright.identity.passwords import PasswordChecker, PasswordSettings
from gatewright.identity.questions import Answer, QuestionWorker
from gatewright.insight.alerting import Alerting
from gatewright.insight.counting import Counting
from gatewright.insight.rollups import RollupSettings
from gatewright.keystore.service import StoredKeys
from gatewright.metrics.health import PushHealth
from gatewright.outgoing.asking import asking
from gatewright.records.asking import Queries
from gatewright.records.build import Place, SinkSettings, default_sinks, use_sinks
from gatewright.records.worker import RecordWorker
from gatewright.revocation.service import RevocationSettings, RevokedTokens

log = logging.getLogger("gatewright.control")

FIRST_KEYS_SECONDS = 3.0
DRAIN_SECONDS = 30.0
FLUSH_SECONDS = 10.0
QUOTA_SECONDS = 2.0
BAN_SECONDS = 1.0
LAST_GOOD_BLOCKS = 10_000


class DataPlane(Protocol):
    """What a node needs of `gatewright._engine.Engine`."""

    def start(self) -> None: ...
    def apply(self, snapshot: bytes) -> int: ...
    def adopt(self, path: str) -> int: ...
    def listening(self) -> bytes: ...
    def self_check(self) -> str: ...
    def set_instances(self, service: str, instances: bytes) -> None: ...
    def set_keys(self, identity: str, keys: bytes) -> None: ...
    def drain_instance(self, service: str, instance: str, wanted: bool) -> int | None: ...
    def set_breaker(self, name: str | None, change: bytes) -> int: ...
    def reset_limits(self, tier: str | None, caller: str | None) -> int: ...
    def set_limit(self, tier: str, limit: int | None, lasts_ms: int) -> None: ...
    def bans(self) -> bytes: ...
    def lift_bans(self, tier: str | None, caller: str | None) -> int: ...
    def limit_store(self) -> bytes: ...
    def bypass_limits(self, for_ms: int, counts: bool) -> None: ...
    def take_quotas(self, maximum: int) -> bytes | None: ...
    def restore_quotas(self, quotas: bytes) -> int: ...
    def take_bans(self, maximum: int) -> bytes | None: ...
    def restore_bans(self, bans: bytes) -> int: ...
    def reload_addresses(self, kind: str, name: str) -> bytes: ...
    def set_blocks(self, blocks: bytes) -> int: ...
    def forget_keys(self, ids: bytes) -> int: ...
    def key_uses(self) -> bytes: ...
    def revoke(self, entries: bytes, replace: bool) -> int: ...
    def restore(self, entries: bytes) -> int: ...
    def next_records(self, maximum_bytes: int, wait_seconds: float) -> bytes | None: ...
    def count_requests(self, most: int) -> None: ...
    def take_counts(self) -> list[tuple[Any, ...]]: ...
    def next_questions(self, wait_seconds: float) -> bytes | None: ...
    def answer(self, question: int, result: bytes) -> None: ...
    def metrics(self) -> str: ...
    def exposition(self, format: str, families: bytes) -> bytes: ...
    def state(self) -> bytes: ...
    def drain(self, deadline_seconds: float) -> bool: ...
    def stop(self) -> None: ...


def kept_in(snapshot: dict[str, Any]) -> QuotaSettings:
    """Which counts of a snapshot outlive the process."""
    algorithms = {tier["name"]: tier.get("algorithm", "") for tier in snapshot["tiers"]}
    return QuotaSettings(tuple(name for name, one in algorithms.items() if "calendar" in one), QUOTA_SECONDS)


def banning_in(snapshot: dict[str, Any]) -> BanSettings:
    """Which bans of a snapshot outlive the process."""
    return BanSettings(tuple(tier["name"] for tier in snapshot["tiers"] if tier.get("ban")), BAN_SECONDS)


def fetched_in(snapshot: dict[str, Any]) -> list[str]:
    """The identities of a snapshot whose keys come from an issuer."""
    kinds = [(identity["name"], identity["kind"].get("jwt")) for identity in snapshot["identities"]]
    return [name for name, jwt in kinds if jwt is not None and jwt.get("keys") is None]


class Node:
    """The operating half of one gateway process. Belongs to one event loop."""

    def __init__(self, engine: DataPlane, state: StateDirectory) -> None:
        self.engine = engine
        self.state = state
        self.status = ConfigStatus()
        self.audit = Audit(state.audit)
        self.decisions = DecisionLane(self.audit)
        self.health = Checks(self)
        self.configuration: Configuration | None = None
        self.is_draining = False
        # Asked for by the admin API; answered by whoever runs the node.
        self.drain_wanted = asyncio.Event()
        self.key_sets = KeySets(self._fetch, engine.set_keys, KeptKeys(state.key_sets))
        self.grace = GraceWatch(engine, self.loaded)
        self.discovery = DnsDiscovery(engine.set_instances)
        self.sharing = BreakerSharing(engine)
        self.quotas = QuotaKeeper(engine, state.quotas)
        self.bans = BanKeeper(engine, state.bans)
        self.limit_store = LimitStore(engine)
        self.address_files = AddressFiles(engine)
        self.blocks = Blocks(engine, state.blocks)
        self.block_sharing = BlockSharing(self.blocks)
        self.fleet = Fleet(lambda: self.configuration.digest if self.configuration else None)
        self.records = RecordWorker(engine)
        self.queries = Queries()
        self.counting = Counting(engine)
        self.expiry = ExpiryWatch(self.loaded)
        self.pushes = PushHealth()
        self.stored_keys = StoredKeys(engine)
        self.revocations = RevokedTokens(engine, state.revocations)
        self.logins = Logins(engine.set_keys, self.revocations.revoke)
        self.introspections = Introspections()
        self.passwords = PasswordChecker()
        self.questions = QuestionWorker(engine, self._answers() | self.logins.answers)
        self._client = asking(20)
        # Held while a configuration gets live; whoever holds it knows that none does.
        self.applying = asyncio.Lock()
        self._sinks: tuple[SinkSettings, ...] | None = None

    def _answers(self) -> dict[str, Answer]:
        """Who answers which question of the data plane."""
        return {
            "refresh_keys": self.key_sets.answer,
            "look_up_key": self.stored_keys.look_up,
            "check_password": self.passwords.check,
            "introspect": self.introspections.answer,
        }

    @property
    def sinks(self) -> tuple[SinkSettings, ...]:
        """Where records go now."""
        return self._sinks or ()

    @cached_property
    def watching(self) -> Watching:
        """Joins alerting with what it watches."""
        return Watching(self)

    @property
    def alerting(self) -> Alerting:
        """What is watched, and what fires."""
        return self.watching.alerting

    @property
    def is_ready(self) -> bool:
        """Some configuration is live and the node is not draining (D39)."""
        return self.status.is_applied and not self.is_draining

    def start(self) -> None:
        """Start the data plane's threads and those that serve it. Raises `EngineError`."""
        self.engine.start()
        self.counting.counts.begin()
        self.records.start()
        self.questions.start(asyncio.get_running_loop())

    async def apply(self, configuration: Configuration) -> int:
        """Make a configuration live and give its version. Raises `EngineError`; the old one then stays
        live.
        """
        async with self.applying:
            await self.discovery.look_up(configuration.services)
            snapshot = await asyncio.to_thread(self._compile, configuration)
            await self.key_sets.use(configuration.key_sets, FIRST_KEYS_SECONDS)
            await self.stored_keys.use(configuration.key_store)
            await self.revocations.use(configuration.revocations)
            await self.logins.use(configuration.logins, FIRST_KEYS_SECONDS)
            await self.blocks.use(configuration.gateway.screening.max_blocks)
            stamps = await asyncio.to_thread(stamps_of, configuration.address_files)
            self.passwords.use(configuration.passwords)
            self.introspections.use(configuration.introspections)
            try:
                version = await asyncio.to_thread(self.engine.apply, snapshot)
            except EngineError:
                await self._take_back(self.configuration)
                raise
            self.status.applied(
                version, [*configuration.warnings, *self._not_live_before_restart(configuration)]
            )
            self.configuration = configuration
            await asyncio.to_thread(self._remember, snapshot)
            await asyncio.to_thread(keep_texts, self.state, version, configuration.loaded.texts)
            await self._follow(configuration)
            self.address_files.use(configuration.address_files, stamps)
        await self.audit.applied(version, configuration.files)
        self.health.use(configuration.health)
        await self.discovery.check()
        self.expiry.look(utc_now())
        log.info("configuration applied", extra={"version": version, "files": len(configuration.files)})
        return version

    async def _follow(self, configuration: Configuration) -> None:
        """Let everything beside the data plane go by a configuration that is live."""
        self.audit.use(configuration.audit)
        await self._use_sinks(configuration.sinks)
        await asyncio.to_thread(self.counting.use, configuration.rollups)
        self.discovery.use(configuration.services)
        await self.sharing.use(configuration.sharing)
        await self.quotas.use(configuration.quotas)
        await self.bans.use(configuration.bans)
        await self.limit_store.use(configuration.limit_store)
        await self.block_sharing.use(configuration.block_sharing)
        await self.fleet.use(configuration.health.redis)
        await self.watching.use(configuration.alerts)

    def loaded(self) -> Loaded | None:
        """What the live configuration was made of; `None` before one is live, and for the last good one."""
        return self.configuration.loaded if self.configuration is not None else None

    async def _take_back(self, before: Configuration | None) -> None:
        """Use for credentials again what the configuration said that is still live."""
        await self.key_sets.use(before.key_sets if before else (), FIRST_KEYS_SECONDS)
        await self.stored_keys.use(before.key_store if before else None)
        await self.revocations.use(before.revocations if before else RevocationSettings())
        await self.logins.use(before.logins if before else (), FIRST_KEYS_SECONDS)
        self.passwords.use(before.passwords if before else PasswordSettings())
        self.introspections.use(before.introspections if before else ())

    async def apply_last_good(self, snapshot: bytes) -> int:
        """Make the snapshot live that was live when the node last ran. Raises `EngineError`."""
        async with self.applying:
            document = json.loads(snapshot)
            document["version"] = self.state.next_version()
            await self.revocations.use(RevocationSettings(document["node"].get("max_revocations", 100_000)))
            await self.key_sets.use_remembered(fetched_in(document), FIRST_KEYS_SECONDS)
            await self.blocks.use(LAST_GOOD_BLOCKS)
            version = await asyncio.to_thread(self.engine.apply, json.dumps(document).encode())
            self.status.applied(version, source=FROM_LAST_GOOD)
            await asyncio.to_thread(keep_texts, self.state, version, json.loads(snapshot)["version"])
            state = self.state
            await self._use_sinks(default_sinks(Place(state.path, state.records, state.spills)))
            await asyncio.to_thread(self.counting.use, RollupSettings(state.rollups))
            await self.quotas.use(kept_in(document))
            await self.bans.use(banning_in(document))
        await self.audit.act(GATEWAY, "configuration.apply_last_good", {"version": version})
        log.warning("last good configuration applied", extra={"version": version})
        return version

    async def drain(self, seconds: float = DRAIN_SECONDS, delay: float = 0.0) -> bool:
        """Be no longer ready; after `delay` seconds accept nothing more and let requests finish.

        Gives whether all did in time.
        """
        self.is_draining = True
        await asyncio.sleep(delay)
        finished = await asyncio.to_thread(self.engine.drain, seconds)
        log.info("drained", extra={"all_finished": finished})
        return finished

    async def close(self) -> None:
        """End the data plane, store its last records and counts, give everything back."""
        await self.health.close()
        await asyncio.to_thread(self.engine.stop)
        await self.queries.close()
        await self.quotas.close()
        await self.bans.close()
        await self.alerting.close()
        await asyncio.to_thread(self.records.close, FLUSH_SECONDS)
        await asyncio.to_thread(self.counting.close)
        await asyncio.to_thread(self.questions.close)
        self.discovery.close()
        await self.sharing.use(None)
        await self.limit_store.use(None)
        await self.block_sharing.use(None)
        await self.fleet.use(None)
        await self.stored_keys.use(None)
        await self.revocations.close()
        await self.logins.close()
        self.passwords.close()
        await self.introspections.close()
        await self._client.aclose()
        await self.audit.close()

    def _not_live_before_restart(self, configuration: Configuration) -> list[str]:
        before = self.configuration
        if before is None or before.admin.url == configuration.admin.url:
            return []
        return [f"`admin.address` changed; {before.admin.url} answers until the node is started again"]

    def _compile(self, configuration: Configuration) -> bytes:
        # Known addresses, not a look-up: while DNS is down a reload must not lose instances (DS-2).
        return configuration.snapshot(self.state.next_version(), self.discovery.known)

    def _remember(self, snapshot: bytes) -> None:
        try:
            self.state.save_snapshot(snapshot)
        except OSError as error:
            # It is live already; only a restart with a broken configuration would miss it.
            log.error("last good snapshot cannot be saved", extra={"error": str(error)})

    async def _use_sinks(self, settings: Sequence[SinkSettings]) -> None:
        self._sinks = tuple(settings)
        await asyncio.to_thread(use_sinks, self.records, settings)
        await asyncio.to_thread(self.decisions.use, self.records)

    async def _fetch(self, source: KeySetSource) -> bytes:
        return await fetch_key_set(self._client, source)
