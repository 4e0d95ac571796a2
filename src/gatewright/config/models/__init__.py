"""The models of a configuration: what each option is, what it may be, and what it is when left out."""

from gatewright.config.models.answers import Compression, ErrorPage, ErrorPages, Static
from gatewright.config.models.breakers import CircuitBreaker
from gatewright.config.models.gateway import SECTION_LISTS, Defaults, Gateway
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
from gatewright.config.models.listeners import Http2, Listener
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
from gatewright.config.models.services import HealthCheck, Instance, Pool, Service, ServiceHttp2

__all__ = [
    "BUILT_IN_TIERS",
    "SECTION_LISTS",
    "Admin",
    "ApiKeyEntry",
    "ApiKeyIdentity",
    "ApiKeys",
    "Auth",
    "CircuitBreaker",
    "Compression",
    "Cors",
    "Defaults",
    "ErrorPage",
    "ErrorPages",
    "FileSink",
    "Gateway",
    "HeaderChanges",
    "HealthCheck",
    "Http2",
    "Instance",
    "Jwks",
    "JwtIdentity",
    "Listener",
    "Match",
    "Node",
    "Pool",
    "PublicKey",
    "RateLimit",
    "Records",
    "Redirect",
    "Reload",
    "Respond",
    "Rewrite",
    "Route",
    "Service",
    "ServiceHttp2",
    "SqliteSink",
    "Static",
    "StdoutSink",
    "Tier",
    "ValueTest",
]
