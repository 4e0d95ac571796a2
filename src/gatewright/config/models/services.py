"""Models of the services behind the gateway."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import Name, OneOrMany, Section, Text
from gatewright.config.models.breakers import CircuitBreaker
from gatewright.config.models.tls import ServiceTls
from gatewright.config.quantities import Duration, Size, Timeout, duration, size


def _address_alone(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


def _switch(value: object) -> object:
    """Read `off` and `on`, which YAML 1.2 takes for text."""
    if value is False or value == "off":
        return {"enabled": False}
    if value is True or value == "on":
        return {}
    return value


def _tls_switch(value: object) -> object:
    if value is False or value == "off":
        return None
    return {} if value is True or value == "on" else value


class Instance(Section):
    """One address of a service. The address alone may stand for it."""

    address: Text = Field(
        description="Host and port, such as `127.0.0.1:9001`, `users.internal:80`, `[::1]:9001`, or the "
        "absolute path of a socket, such as `unix:/run/users.sock`. A host name is looked up when the "
        "configuration is loaded and again while it is live.",
    )
    weight: int = Field(
        1, ge=1, le=1000, description="Share of the requests, relative to the other instances."
    )


class HealthCheck(Section):
    """Regular requests that find out which instances can answer."""

    kind: Literal["http", "grpc"] = Field(
        "http",
        description="What is asked: `http` is a GET in the service's `protocol`, `grpc` is "
        "`grpc.health.v1.Health/Check`, for which the service must speak HTTP/2.",
    )
    path: Annotated[str, Field(pattern=r"^/[^\s#]*$")] = Field(
        "/healthz", description="Path that is asked for with GET; any 2xx is a success. For `kind: http`."
    )
    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]*$", max_length=127)] = Field(
        "",
        description="gRPC service that is asked about; `SERVING` is a success. The whole server by default. "
        "For `kind: grpc`.",
    )
    interval: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("10s"), description="Between two checks of one instance."
    )
    timeout: Timeout = Field(Duration.of("5s"), description="For a whole check; then it counts as a failure.")
    unhealthy_after: int = Field(3, ge=1, le=100, description="Failures in a row that take an instance out.")
    healthy_after: int = Field(2, ge=1, le=100, description="Successes in a row that bring an instance back.")


class Pool(Section):
    """Connections to the instances of a service."""

    max_connections: int = Field(
        100, ge=1, le=100_000, description="Connections to one instance; above it requests wait for one."
    )
    max_pending: int = Field(
        1024,
        ge=0,
        le=1_000_000,
        description="Requests of one worker that wait for a connection; above it 503.",
    )
    connect_timeout: Timeout = Field(Duration.of("2s"), description="For a connection to open; then 502.")
    idle_timeout: Timeout = Field(Duration.of("60s"), description="After which an unused connection closes.")
    max_lifetime: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("5m"), description="Age after which a connection takes no further request."
    )


class ServiceHttp2(Section):
    """How a service is spoken to over HTTP/2."""

    max_streams: int = Field(
        100,
        ge=1,
        le=100_000,
        description="Requests on one connection at once, where the service allows as many; above it another "
        "connection opens, up to `pool.max_connections`.",
    )
    window: Annotated[Size, size("16KiB", "16MiB")] = Field(
        Size.of("256KiB"),
        description="Bytes of one response that may wait for a client that reads slowly; above it the "
        "service has to wait.",
    )
    ping_interval: Annotated[Duration, duration("1s", "1d")] = Field(
        Duration.of("6m"),
        description="How often a connection with requests under way is asked whether it lives. gRPC servers "
        "may refuse to be asked more than once in 5 minutes.",
    )
    ping_timeout: Timeout = Field(
        Duration.of("20s"), description="For the answer to that; then the connection is closed."
    )


class Service(Section):
    """A service that requests are forwarded to."""

    name: Name = Field(
        description="Name that routes refer to; `self` is the gateway's own and cannot be taken."
    )
    instances: Annotated[list[Annotated[Instance, BeforeValidator(_address_alone)]], OneOrMany] = Field(
        min_length=1,
        max_length=10_000,
        description="Where the service answers: addresses, or maps with a weight.",
    )
    balance: Literal["round_robin"] = Field(
        "round_robin", description="How an instance is picked: `round_robin` is in turn, by weight."
    )
    health_check: HealthCheck | None = Field(
        None,
        description="Regular checks of every instance; none by default: every instance counts as healthy.",
    )
    circuit_breaker: Annotated[CircuitBreaker, BeforeValidator(_switch)] = Field(
        default_factory=CircuitBreaker,
        description="The breaker of this service, on by default; `off` for none.",
    )
    pool: Pool = Field(default_factory=Pool, description="Connections to the instances.")
    tls: Annotated[ServiceTls | None, BeforeValidator(_tls_switch)] = Field(
        None, description="Speak TLS to the instances, health checks included; `on` for all defaults."
    )
    protocol: Literal["http1", "http2"] = Field(
        "http1",
        description="What the instances speak: HTTP/1.1, or HTTP/2 without asking first (prior knowledge), "
        "as gRPC does. Clients may speak either to both.",
    )
    http2: ServiceHttp2 = Field(
        default_factory=ServiceHttp2, description="How HTTP/2 is spoken; for `protocol: http2`."
    )
