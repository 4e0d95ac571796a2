"""The models of a configuration: what each option is, what it may be, and what it is when left out."""

from gatewright.config.models.balance import (
    Ejection,
    Hash,
    LeastRequests,
    PeakEwma,
    Random,
    RoundRobin,
    Sticky,
)
from gatewright.config.models.breakers import CircuitBreaker
from gatewright.config.models.gateway import SECTION_LISTS, Defaults, Gateway
from gatewright.config.models.health import HealthCheck, TcpHealthCheck
from gatewright.config.models.identities import (
    BUILT_IN_TIERS,
    ApiKeyEntry,
    ApiKeyIdentity,
    ApiKeys,
    Jwks,
    JwtIdentity,
    PublicKey,
    Tier,
)
from gatewright.config.models.listeners import Listener
from gatewright.config.models.node import (
    Admin,
    FileSink,
    Node,
    Records,
    Reload,
    SqliteSink,
    StdoutSink,
)
from gatewright.config.models.routes import (
    Auth,
    Cors,
    HeaderChanges,
    Match,
    RateLimit,
    Redirect,
    Respond,
    Rewrite,
    Route,
    ValueTest,
)
from gatewright.config.models.services import Instance, Pool, Service

__all__ = [
    "BUILT_IN_TIERS",
    "SECTION_LISTS",
    "Admin",
    "ApiKeyEntry",
    "ApiKeyIdentity",
    "ApiKeys",
    "Auth",
    "CircuitBreaker",
    "Cors",
    "Defaults",
    "Ejection",
    "FileSink",
    "Gateway",
    "Hash",
    "HeaderChanges",
    "HealthCheck",
    "Instance",
    "Jwks",
    "JwtIdentity",
    "LeastRequests",
    "Listener",
    "Match",
    "Node",
    "PeakEwma",
    "Pool",
    "PublicKey",
    "Random",
    "RateLimit",
    "Records",
    "Redirect",
    "Reload",
    "Respond",
    "Rewrite",
    "RoundRobin",
    "Route",
    "Service",
    "SqliteSink",
    "StdoutSink",
    "Sticky",
    "TcpHealthCheck",
    "Tier",
    "ValueTest",
]
