"""What the configuration says of health, as plain data; times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gatewright.config import Loaded
from gatewright.config.addresses import Network, read_address, read_network
from gatewright.config.models import Listener
from gatewright.errors import ConfigError, Problem
from gatewright.health.custom import Check, CheckError, find
from gatewright.health.standing import Patience
from gatewright.redis_clients import RedisSettings


@dataclass(frozen=True, slots=True)
class SelfCheckSettings:
    """`listener` is the one that is asked; `tls_name` a name of its certificate; `introduced` who tells it
    first whose connections they are.
    """

    interval: float
    within: float
    patience: Patience
    listener: str
    path: str | None = None
    host: str = "localhost"
    tls_name: str | None = None
    http2: bool = False
    introduced: tuple[Network, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Everything about the health of a node."""

    interval: float = 10.0
    checks: tuple[Check, ...] = ()
    patience: Patience = field(default_factory=lambda: Patience(2, 1))
    readiness: frozenset[str] = frozenset()
    healthz: str = "alive"
    self_check: SelfCheckSettings | None = None
    deep_interval: float = 5.0
    min_free_disk: int = 0
    critical_services: frozenset[str] = frozenset()
    redis: RedisSettings | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of checks, whose change is one of the configuration."""
        return tuple(dict.fromkeys(check.file for check in self.checks if check.file is not None))


def health_settings(loaded: Loaded, base: Path, redis: RedisSettings | None = None) -> HealthSettings:
    """Read the section, and run the files of its checks. `redis` is asked, too. Raises `ConfigError`."""
    health = loaded.gateway.health
    return HealthSettings(
        interval=health.interval / 1000,
        checks=checks_of(loaded, base),
        patience=Patience(health.unhealthy_after, health.healthy_after),
        readiness=frozenset(health.readiness),
        healthz=health.healthz,
        self_check=self_check_of(loaded),
        deep_interval=health.deep_interval / 1000,
        min_free_disk=int(health.min_free_disk),
        critical_services=frozenset(one.name for one in loaded.gateway.services if one.critical),
        redis=redis,
    )


def checks_of(loaded: Loaded, base: Path) -> tuple[Check, ...]:
    found: dict[str, Check] = {}
    problems = []
    for number, text in enumerate(loaded.gateway.health.checks):
        at = loaded.at("health", "checks", number)
        try:
            check = find(text, base)
        except CheckError as error:
            problems.append(Problem(at.path, at.line, at.column, str(error)))
            continue
        if check.name in found:
            problems.append(Problem(at.path, at.line, at.column, f"two checks are called `{check.name}`"))
        found[check.name] = check
    if problems:
        raise ConfigError(problems)
    return tuple(found.values())


def self_check_of(loaded: Loaded) -> SelfCheckSettings | None:
    """Which listener is asked and how; `None` where it is off, or none can be asked."""
    wanted = loaded.gateway.health.self_check
    if wanted is None:
        return None
    can = [one for one in loaded.gateway.listeners if can_be_asked(one, wanted.path)]
    named = [one for one in can if wanted.listener in (None, one.name)]
    if not named:
        return None
    listener = named[0]
    pairs = loaded.tls.listener_pairs.get(listener.name, ())
    names = [name for pair in pairs for name in pair.names]
    return SelfCheckSettings(
        interval=wanted.interval / 1000,
        within=wanted.within / 1000,
        patience=Patience(wanted.unhealthy_after, 1),
        listener=listener.name,
        path=wanted.path,
        host=wanted.host,
        tls_name=(names[0].replace("*", "www") if names else "localhost") if pairs else None,
        http2="http1" not in listener.protocols,
        introduced=introduced_by(listener),
    )


def can_be_asked(listener: Listener, path: str | None) -> bool:
    """Without a certificate of one's own, and a path of the user by HTTP/1.1."""
    clients = listener.tls.client_certificates if listener.tls is not None else None
    demands = clients is not None and clients.mode == "require"
    return not demands and (path is None or "http1" in listener.protocols)


def introduced_by(listener: Listener) -> tuple[Network, ...]:
    fronted = listener.proxy_protocol
    return tuple(read_network(text) for text in fronted.from_) if fronted is not None else ()


def address_of(text: str) -> tuple[str, int] | str:
    """Where a listener that says it is at `text` is reached from the same machine."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:")
    address = read_address(text)
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound.
    return everywhere.get(address.host, address.host), address.port
