"""Models of the services behind the gateway."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gatewright.config.models.balance import Balance, Ejection, RoundRobin, Sticky, switched
from gatewright.config.models.base import Name, OneOrMany, Section, Text
from gatewright.config.models.breakers import CircuitBreaker
from gatewright.config.models.health import AnyHealthCheck
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


class Pool(Section):
    """Connections to the instances of a service."""

    max_connections: int = Field(
        100, ge=1, le=100_000, description="Connections to one instance; above it requests wait for one."
    )
    min_connections: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Connections that are kept open to each instance, also while nobody asks; what is "
        "missing is opened within a second.",
    )
    max_pending: int = Field(
        1024,
        ge=0,
        le=1_000_000,
        description="Requests to the service that wait for a connection, on the whole node; above it 503.",
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
    critical: bool = Field(
        False,
        description="Whether the gateway is good for nothing without it: then `/health` says unhealthy, and "
        "`/readyz` 503, while the service has no healthy instance.",
    )
    balance: Balance = Field(
        default_factory=RoundRobin,
        description="How an instance is chosen; `round_robin` by default. The name of a kind or a map.",
    )
    slow_start: Annotated[Duration, duration("0s", "1h")] = Field(
        Duration.of("30s"),
        description="Time over which an instance that is new, or back, comes from a tenth of its weight to "
        "the whole; `0s` for at once.",
    )
    panic_threshold: int = Field(
        0,
        ge=0,
        le=100,
        description="Per cent of the instances that must be available; below it all are asked again but "
        "those that drain. 0 for never: then 503 when none is left.",
    )
    ejection: Annotated[Ejection | None, BeforeValidator(switched)] = Field(
        None, description="Takes out instances whose requests fail in a row; `off` by default."
    )
    max_in_flight: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Requests under way to the service on this node; above it 503. No bound by default.",
    )
    max_requests_per_second: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Requests that the service gets of this node in a second, whoever calls; above it 503. "
        "No bound by default.",
    )
    burst: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Requests that may come at once within `max_requests_per_second`; a tenth of it by "
        "default.",
    )
    sticky: Sticky | None = Field(
        None, description="A cookie that brings a client back to its instance; none by default."
    )
    health_check: AnyHealthCheck | None = Field(
        None,
        description="Regular checks of every instance; none by default: every instance counts as healthy.",
    )
    circuit_breaker: Annotated[CircuitBreaker, BeforeValidator(_switch)] = Field(
        default_factory=CircuitBreaker,
        description="The breaker of this service, on by default; `off` for none.",
    )
    pool: Pool = Field(default_factory=Pool, description="Connections to the instances.")
    max_header_bytes: Annotated[Size, size("1KiB", "1MiB")] = Field(
        Size.of("16KiB"), description="Size of the head of an answer; above it 502 `bad_gateway`."
    )
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

    @model_validator(mode="after")
    def _burst_of_something(self) -> "Service":
        if self.burst is not None and self.max_requests_per_second is None:
            message = "`burst` does nothing without `max_requests_per_second`"
            raise ValueError(message)
        return self
