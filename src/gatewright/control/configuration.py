"""What the operating half takes from a configuration, as plain data. The only file here that knows its
models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gatewright.audit.log import AuditSettings
from gatewright.config import Loaded, load
from gatewright.config import compile as compile_snapshot
from gatewright.config.addresses import Resolver, read_address
from gatewright.config.crosschecks.tracing import SINK_NAME
from gatewright.config.models import (
    BUILT_IN_TIERS,
    Gateway,
    IntrospectionIdentity,
    Jwks,
    JwtIdentity,
    OidcIdentity,
    Redis,
)
from gatewright.control.address_files import AddressFile
from gatewright.control.alert_settings import alert_settings
from gatewright.control.bans import BanSettings
from gatewright.control.block_sharing import BlockSharingSettings
from gatewright.control.limit_store import LimitStoreSettings
from gatewright.control.quotas import QuotaSettings
from gatewright.control.sharing import SharingSettings
from gatewright.control.state import StateDirectory, choose_directory
from gatewright.discovery.dns import NamedInstance
from gatewright.health.settings import HealthSettings, health_settings
from gatewright.identity.discovery import document_address
from gatewright.identity.fetch import KeySetSource, KeySetTimes
from gatewright.identity.introspection import IntrospectionSource
from gatewright.identity.oidc.settings import ClaimSettings, Endpoints, OidcSettings
from gatewright.identity.passwords import PasswordSettings
from gatewright.insight.alerting import AlertSettings
from gatewright.insight.rollups import RollupSettings
from gatewright.keystore.settings import KeyStoreSettings, LeakSettings
from gatewright.keystore.sharing import SharingSettings as KeySharingSettings
from gatewright.records.build import Place, SinkSettings, key_of, settings_of
from gatewright.redis_clients import RedisSettings, RedisTarget, SentinelLogin
from gatewright.revocation.service import RevocationSettings
from gatewright.revocation.sharing import SharingSettings as RevocationSharingSettings


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Where the admin listener is and what it demands."""

    host: str
    port: int
    token: str | None = None

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration that passed every check of the Python half."""

    loaded: Loaded
    files: tuple[Path, ...]
    # Listed as a whole: a file that appears in one of them changes the configuration.
    directories: tuple[Path, ...]
    warnings: tuple[str, ...]
    state: StateDirectory
    admin: AdminSettings
    sinks: tuple[SinkSettings, ...]
    key_sets: tuple[KeySetSource, ...]
    services: tuple[tuple[str, tuple[NamedInstance, ...]], ...]
    sharing: SharingSettings | None
    quotas: QuotaSettings
    bans: BanSettings
    limit_store: LimitStoreSettings | None
    key_store: KeyStoreSettings | None
    revocations: RevocationSettings
    address_files: tuple[AddressFile, ...]
    block_sharing: BlockSharingSettings | None
    rollups: RollupSettings | None
    introspections: tuple[IntrospectionSource, ...]
    logins: tuple[OidcSettings, ...]
    passwords: PasswordSettings
    # What tells nodes with different configurations apart, whatever is different.
    digest: str
    audit: AuditSettings
    alerts: AlertSettings
    health: HealthSettings

    @property
    def gateway(self) -> Gateway:
        return self.loaded.gateway

    @property
    def token_identities(self) -> tuple[str, ...]:
        """The identities whose tokens can be revoked."""
        kinds = JwtIdentity | IntrospectionIdentity
        return tuple(one.name for one in self.gateway.identities if isinstance(one, kinds))

    def snapshot(self, version: int, resolver: Resolver) -> bytes:
        """The document that the data plane compiles; instances that `resolver` does not know are left out."""
        return compile_snapshot(self.loaded, version, resolver)


def digest_of(loaded: Loaded) -> str:
    """Eight digits that are the same on every node with this configuration; too few to guess a secret by."""
    everything = loaded.root.plain()
    sections = everything.items() if isinstance(everything, dict) else ()
    told = {name: section for name, section in sections if name not in {"node", "admin"}}
    text = json.dumps(told, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def read(paths: Sequence[Path]) -> Configuration:
    """Read and check a configuration. Blocks. Raises `ConfigError` with everything that is wrong."""
    loaded = load(paths)
    gateway = loaded.gateway
    first = Path(paths[0])
    base = first if first.is_dir() else first.parent
    state = StateDirectory(choose_directory(first, gateway.node.state_directory))
    health = health_settings(loaded, base, redis_of(loaded.gateway))
    return Configuration(
        loaded=loaded,
        files=(*loaded.files, *health.files),
        digest=digest_of(loaded),
        directories=tuple(loaded.directories),
        warnings=tuple(str(warning) for warning in loaded.warnings),
        state=state,
        admin=admin_settings(gateway),
        sinks=sink_settings(gateway, state, base),
        key_sets=key_set_sources(gateway),
        services=named_instances(gateway),
        sharing=sharing_settings(gateway),
        quotas=quota_settings(gateway),
        bans=ban_settings(gateway),
        limit_store=limit_store_settings(gateway),
        key_store=key_store_settings(gateway, state, base),
        revocations=revocation_settings(gateway),
        address_files=address_files(gateway),
        block_sharing=block_sharing_settings(gateway),
        rollups=rollup_settings(gateway, state),
        introspections=introspection_sources(gateway),
        logins=login_settings(gateway),
        passwords=password_settings(loaded),
        audit=audit_settings(gateway),
        alerts=alert_settings(gateway),
        health=health,
    )


def admin_settings(gateway: Gateway) -> AdminSettings:
    address = read_address(gateway.admin.address)
    return AdminSettings(address.host, address.port, gateway.admin.token)


def sink_settings(gateway: Gateway, state: StateDirectory, base: Path) -> tuple[SinkSettings, ...]:
    """The sinks with what their paths are relative to; spans go the same way as records."""
    place = Place(base, state.records, state.spills)
    sinks = settings_of(gateway.records.sinks, place)
    export = gateway.tracing.export if gateway.tracing is not None else None
    if export is None:
        return sinks
    return (*sinks, SinkSettings("spans", export.name or SINK_NAME, place, key_of(export, place), export))


def rollup_settings(gateway: Gateway, state: StateDirectory) -> RollupSettings | None:
    """How requests are rolled up, if they are."""
    rollups = gateway.rollups
    if not gateway.rolls_up:
        return None
    return RollupSettings(
        directory=state.rollups,
        retention=timedelta(milliseconds=rollups.retention),
        max_bytes=int(rollups.max_size),
        max_keys=rollups.max_keys,
        interval=rollups.interval / 1000,
    )


def key_set_sources(gateway: Gateway) -> tuple[KeySetSource, ...]:
    """The key sets that have to be fetched."""
    tokens = [one for one in gateway.identities if isinstance(one, JwtIdentity)]
    return tuple(key_set_source(one, one.jwks) for one in tokens if one.jwks and one.jwks.is_fetched)


def key_set_source(identity: JwtIdentity, jwks: Jwks) -> KeySetSource:
    times = KeySetTimes(
        refresh=jwks.refresh / 1000,
        minimum_refresh=jwks.minimum_refresh / 1000,
        lifetime=jwks.lifetime / 1000,
        extension=jwks.extension / 1000,
        timeout=jwks.timeout / 1000,
    )
    url, issuer = jwks.url or "", None
    if jwks.discovery is not None:
        issuer = identity.issuer[0]
        url = document_address(issuer if jwks.discovery is True else jwks.discovery)
    return KeySetSource(identity.name, url, jwks.allow_http, times, issuer)


def target_of(redis: Redis) -> RedisTarget:
    """Where the Redis is that nodes share."""
    sentinel, tls = redis.sentinel, redis.tls
    certificate = tls.certificate if tls is not None else None
    return RedisTarget(
        urls=tuple(redis.url),
        sentinel=(
            None if sentinel is None else SentinelLogin(sentinel.master, sentinel.username, sentinel.password)
        ),
        cluster=redis.cluster,
        ca_file=tls.ca_file if tls is not None else None,
        certificate=None if certificate is None else (certificate.file, certificate.key_file),
    )


def redis_of(gateway: Gateway) -> RedisSettings | None:
    redis = gateway.redis
    return None if redis is None else RedisSettings(target_of(redis), redis.timeout / 1000)


def login_settings(gateway: Gateway) -> tuple[OidcSettings, ...]:
    """The providers that browsers log in with."""
    identities = [identity for identity in gateway.identities if isinstance(identity, OidcIdentity)]
    return tuple(_login(identity) for identity in identities)


def _login(identity: OidcIdentity) -> OidcSettings:
    endpoints = identity.endpoints
    return OidcSettings(
        identity=identity.name,
        issuer=identity.issuer,
        client_id=identity.client_id,
        client_secret=identity.client_secret,
        endpoints=None if endpoints is None else Endpoints(**endpoints.model_dump()),
        allow_http=identity.allow_http,
        timeout=identity.timeout / 1000,
        leeway=identity.leeway / 1000,
        claims=ClaimSettings(
            user=identity.user_claim,
            scopes=tuple(identity.scope_claims),
            roles=tuple(identity.role_claims),
            kept=tuple(identity.claims),
        ),
    )


def sharing_settings(gateway: Gateway) -> SharingSettings | None:
    """With whom breakers are shared, if with anybody. Those of instances and routes stay on their node."""
    if gateway.redis is None or gateway.circuit_breakers.share == "none":
        return None
    return SharingSettings(
        url=target_of(gateway.redis),
        timeout=gateway.redis.timeout / 1000,
        interval=gateway.circuit_breakers.interval / 1000,
        open_for={
            service.name: service.circuit_breaker.open_for / 1000
            for service in gateway.services
            if service.circuit_breaker.enabled and service.circuit_breaker.scope == "service"
        },
    )


def introspection_sources(gateway: Gateway) -> tuple[IntrospectionSource, ...]:
    """The issuers that are asked about tokens."""
    return tuple(
        IntrospectionSource(
            identity=one.name,
            url=one.url,
            allow_http=one.allow_http,
            client=(one.client_id, one.client_secret) if one.client_id and one.client_secret else None,
            bearer=one.bearer_token,
            timeout=one.timeout / 1000,
        )
        for one in gateway.identities
        if isinstance(one, IntrospectionIdentity)
    )


def revocation_settings(gateway: Gateway) -> RevocationSettings:
    """How many tokens may be revoked, for how long, and with whom that is shared."""
    settings, redis = gateway.revocations, gateway.redis
    sharing = None
    if redis is not None and gateway.shares_revocations:
        interval = settings.interval / 1000
        sharing = RevocationSharingSettings(target_of(redis), redis.timeout / 1000, interval)
    return RevocationSettings(settings.max_entries, settings.lifetime / 1000, sharing)


def limit_store_settings(gateway: Gateway) -> LimitStoreSettings | None:
    """Where limits are counted together, if any are."""
    shared = {tier.name: tier.ipv6_prefix for tier in gateway.tiers if tier.share != "none"}
    if gateway.redis is None or not shared:
        return None
    return LimitStoreSettings(target_of(gateway.redis), gateway.redis.timeout / 1000, shared)


def quota_settings(gateway: Gateway) -> QuotaSettings:
    """Which counts outlive the process."""
    kept = tuple(tier.name for tier in gateway.tiers if tier.calendar is not None)
    return QuotaSettings(kept, gateway.node.quota_save_interval / 1000)


def ban_settings(gateway: Gateway) -> BanSettings:
    """Which bans outlive the process, and with whom they are shared."""
    interval = gateway.node.ban_interval / 1000
    tiers = tuple(tier.name for tier in gateway.tiers if tier.ban is not None)
    redis = gateway.redis
    if redis is None or not redis.share_bans:
        return BanSettings(tiers, interval)
    return BanSettings(tiers, interval, target_of(redis), redis.timeout / 1000)


def address_files(gateway: Gateway) -> tuple[AddressFile, ...]:
    """The files of addresses, countries and reputations that are to be watched."""
    lists = [
        AddressFile("addresses", one.name, Path(one.file), one.max_entries)
        for one in gateway.address_lists
        if one.file is not None
    ]
    geography, reputation = gateway.geography, gateway.reputation
    if geography is not None:
        lists.append(AddressFile("geography", "", Path(geography.file), int(geography.max_size)))
    if reputation is not None:
        lists.append(AddressFile("reputation", "", Path(reputation.file), reputation.max_entries))
    return tuple(lists)


def block_sharing_settings(gateway: Gateway) -> BlockSharingSettings | None:
    """With whom networks that are blocked by hand are shared, if with anybody."""
    redis = gateway.redis
    if redis is None or redis.cluster or not redis.share_blocks:
        return None
    return BlockSharingSettings(target_of(redis), redis.timeout / 1000)


def key_store_settings(gateway: Gateway, state: StateDirectory, base: Path) -> KeyStoreSettings | None:
    """The store of API keys, if there is one; its file is in the state directory unless it is named."""
    store = gateway.key_store
    if store is None:
        return None
    leaks = None if store.leaks is None else LeakSettings(store.leaks.networks, store.leaks.window / 1000)
    tiers = {tier.name for tier in (*BUILT_IN_TIERS, *gateway.tiers)}
    sharing = None
    if gateway.redis is not None and store.share == "redis":
        redis = gateway.redis
        sharing = KeySharingSettings(target_of(redis), redis.timeout / 1000, store.cache_ttl / 1000)
    return KeyStoreSettings(
        secret=store.secret,
        path=base / store.path if store.path else state.path / "keys.db",
        url=store.url,
        timeout=store.timeout / 1000,
        watch_interval=store.watch_interval / 1000,
        usage_interval=store.usage_interval / 1000,
        usage_retention=store.usage_retention / 1000,
        leaks=leaks,
        sharing=sharing,
        tiers=tuple(sorted(tiers)),
    )


def password_settings(loaded: Loaded) -> PasswordSettings:
    """The hashes of all users, and how passwords are checked against them."""
    passwords = loaded.gateway.passwords
    return PasswordSettings(loaded.password_hashes, passwords.threads, passwords.timeout / 1000)


def audit_settings(gateway: Gateway) -> AuditSettings:
    """How the audit log is kept."""
    settings = gateway.audit
    return AuditSettings(
        key=settings.key.encode() if settings.key is not None else None,
        retention=settings.retention / 1000,
        file_bytes=int(settings.file_size),
        total_bytes=int(settings.max_size),
        decisions=gateway.audits_decisions,
        decisions_per_second=settings.max_decisions_per_second,
        required=settings.required,
    )


def named_instances(gateway: Gateway) -> tuple[tuple[str, tuple[NamedInstance, ...]], ...]:
    """Every service with its instances as the user wrote them."""
    return tuple(
        (
            service.name,
            tuple(NamedInstance(instance.address, instance.weight) for instance in service.instances),
        )
        for service in gateway.services
    )
