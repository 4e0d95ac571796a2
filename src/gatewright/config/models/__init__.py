"""The models of a configuration: what each option is, what it may be, and what it is when left out."""

from gatewright.config.models.addresses import (
    AddressList,
    AddressRule,
    Challenge,
    CountryRule,
    Geography,
    Reputation,
    ReputationRule,
    Screening,
)
from gatewright.config.models.alerts import (
    AlertRule,
    Alerts,
    AppriseChannel,
    Objective,
    WebhookChannel,
)
from gatewright.config.models.answers import Compression, ErrorPage, ErrorPages, Static
from gatewright.config.models.audit import AuditTrail
from gatewright.config.models.authorization import AuthRule, Demand, Permissions
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
from gatewright.config.models.csrf import Csrf
from gatewright.config.models.delivery import SinkBatch, SinkRetry, Spill
from gatewright.config.models.gateway import SECTION_LISTS, Defaults, Gateway
from gatewright.config.models.health import GrpcHealthCheck, HealthCheck, TcpHealthCheck
from gatewright.config.models.health_checks import Health, SelfCheck
from gatewright.config.models.identities import (
    ApiKeyEntry,
    ApiKeyIdentity,
    ApiKeys,
    MtlsIdentity,
)
from gatewright.config.models.introspection import IntrospectionIdentity
from gatewright.config.models.key_sets import Jwks, PublicKey
from gatewright.config.models.key_store import KeyStore, Leaks
from gatewright.config.models.listeners import Http2, Listener
from gatewright.config.models.metrics import Metrics, Otlp
from gatewright.config.models.node import Admin, Node, Reload
from gatewright.config.models.oidc import Endpoints, OidcIdentity, Session
from gatewright.config.models.overload import Concurrency, CpuShedding, MemoryShedding, Overload
from gatewright.config.models.passwords import BasicIdentity, Passwords, PasswordUser, Users
from gatewright.config.models.records import (
    FileSink,
    PostgresqlSink,
    Records,
    Rotation,
    SqliteSink,
    StdoutSink,
)
from gatewright.config.models.retries import Backoff, Budget, Hedge, Retry
from gatewright.config.models.revocations import Revocations
from gatewright.config.models.rollups import Rollups
from gatewright.config.models.routes import (
    Auth,
    Cors,
    HeaderChanges,
    Match,
    Redirect,
    Respond,
    Rewrite,
    Route,
    ValueTest,
)
from gatewright.config.models.services import Instance, Pool, Service, ServiceHttp2
from gatewright.config.models.sharing import (
    CircuitBreakers,
    Redis,
    RedisSentinel,
    RedisTls,
    SharedLimits,
)
from gatewright.config.models.signatures import SignatureIdentity, Signer
from gatewright.config.models.sinks import (
    ClickHouseSink,
    ElasticsearchSink,
    KafkaLogin,
    KafkaSink,
    LokiSink,
    OtlpSink,
    SinkCertificate,
    SinkTls,
    WebhookSink,
)
from gatewright.config.models.tenants import Tenant, Tenants
from gatewright.config.models.tiers import BUILT_IN_TIERS, Adaptive, Ban, RateLimit, Tier
from gatewright.config.models.tls import Certificate, ClientCertificates, ListenerTls, ServiceTls
from gatewright.config.models.tokens import ClaimTest, Dpop, JwtIdentity
from gatewright.config.models.tracing import SpanExport, Tracing
from gatewright.config.models.websocket import WebSocket

__all__ = [
    "BUILT_IN_TIERS",
    "SECTION_LISTS",
    "Adaptive",
    "AddressList",
    "AddressRule",
    "Admin",
    "AlertRule",
    "Alerts",
    "ApiKeyEntry",
    "ApiKeyIdentity",
    "ApiKeys",
    "AppriseChannel",
    "AuditTrail",
    "Auth",
    "AuthRule",
    "Backoff",
    "Ban",
    "BasicIdentity",
    "Budget",
    "Certificate",
    "Challenge",
    "CircuitBreaker",
    "CircuitBreakers",
    "ClaimTest",
    "ClickHouseSink",
    "ClientCertificates",
    "Compression",
    "Concurrency",
    "Cors",
    "CountryRule",
    "CpuShedding",
    "Csrf",
    "Defaults",
    "Demand",
    "Dpop",
    "Ejection",
    "ElasticsearchSink",
    "Endpoints",
    "ErrorPage",
    "ErrorPages",
    "FileSink",
    "Gateway",
    "Geography",
    "GrpcHealthCheck",
    "Hash",
    "HeaderChanges",
    "Health",
    "HealthCheck",
    "Hedge",
    "Http2",
    "Instance",
    "IntrospectionIdentity",
    "Jwks",
    "JwtIdentity",
    "KafkaLogin",
    "KafkaSink",
    "KeyStore",
    "Leaks",
    "LeastRequests",
    "Listener",
    "ListenerTls",
    "LokiSink",
    "Match",
    "MemoryShedding",
    "Metrics",
    "MtlsIdentity",
    "Node",
    "Objective",
    "OidcIdentity",
    "Otlp",
    "OtlpSink",
    "Overload",
    "PasswordUser",
    "Passwords",
    "PeakEwma",
    "Permissions",
    "Pool",
    "PostgresqlSink",
    "PublicKey",
    "Random",
    "RateLimit",
    "Records",
    "Redirect",
    "Redis",
    "RedisSentinel",
    "RedisTls",
    "Reload",
    "Reputation",
    "ReputationRule",
    "Respond",
    "Retry",
    "Revocations",
    "Rewrite",
    "Rollups",
    "Rotation",
    "RoundRobin",
    "Route",
    "Screening",
    "SelfCheck",
    "Service",
    "ServiceHttp2",
    "ServiceTls",
    "Session",
    "SharedLimits",
    "SignatureIdentity",
    "Signer",
    "SinkBatch",
    "SinkCertificate",
    "SinkRetry",
    "SinkTls",
    "SpanExport",
    "Spill",
    "SqliteSink",
    "Static",
    "StdoutSink",
    "Sticky",
    "TcpHealthCheck",
    "Tenant",
    "Tenants",
    "Tier",
    "Tracing",
    "Users",
    "ValueTest",
    "WebSocket",
    "WebhookChannel",
    "WebhookSink",
]
