"""Models of the checks that find out which instances can answer."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gatewright.config.models.base import Headers, OneOrMany, Section
from gatewright.config.quantities import Duration, Timeout, duration


def _kind_is_http(value: Any) -> Any:
    """Let a check that does not say its kind be one over HTTP."""
    return {"kind": "http", **value} if isinstance(value, dict) and "kind" not in value else value


def _status(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _in_order(text: str) -> str:
    first, last = bounds_of(text)
    if first > last:
        message = f"`{text}` ends before it begins"
        raise ValueError(message)
    return text


def bounds_of(text: str) -> tuple[int, int]:
    """Give the first and the last status that `204`, `2xx` or `200-399` speaks of."""
    if text.endswith("xx"):
        return int(text[0]) * 100, int(text[0]) * 100 + 99
    first, _, last = text.partition("-")
    return int(first), int(last or first)


Expected = Annotated[
    str,
    BeforeValidator(_status),
    Field(pattern=r"^[1-5](xx|[0-9]{2}(-[1-5][0-9]{2})?)$"),
    AfterValidator(_in_order),
]


class Check(Section):
    """What every kind of check has."""

    port: int | None = Field(
        None, ge=1, le=65535, description="Port that is asked in place of the instance's own."
    )
    interval: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("10s"), description="Between two checks of one instance."
    )
    unhealthy_interval: Annotated[Duration, duration("100ms", "1h")] | None = Field(
        None, description="The same while the instance is out; as `interval` by default."
    )
    jitter: int = Field(
        10, ge=0, le=100, description="Per cent by which an interval is shorter or longer, at random."
    )
    timeout: Timeout = Field(Duration.of("5s"), description="For a whole check; then it counts as a failure.")
    unhealthy_after: int = Field(3, ge=1, le=100, description="Failures in a row that take an instance out.")
    healthy_after: int = Field(2, ge=1, le=100, description="Successes in a row that bring an instance back.")
    initial: Literal["healthy", "unhealthy"] = Field(
        "healthy",
        description="What a new instance counts as: `unhealthy` ones get nothing before their first success.",
    )


class HealthCheck(Check):
    """Regular requests that find out which instances can answer. A check without `kind` is one of these."""

    kind: Literal["http"] = Field(
        "http",
        description="`http`: a GET in the service's `protocol`; the kind of a check that names none.",
    )
    path: Annotated[str, Field(pattern=r"^/[^\s#]*$")] = Field(
        "/healthz", description="Path that is asked for."
    )
    host: Annotated[str, Field(pattern=r"^[!-~]+$")] | None = Field(
        None, description="The `Host` header (`:authority` in HTTP/2); the instance's address by default."
    )
    headers: Headers = Field(default_factory=dict, description="Further headers.")
    expect: Annotated[list[Expected], OneOrMany] = Field(
        default_factory=lambda: ["2xx"],
        min_length=1,
        max_length=20,
        description="Statuses that are a success, such as `204`, `2xx` or `200-399`; `2xx` by default.",
    )


class TcpHealthCheck(Check):
    """Regular connections: that one opens is enough."""

    kind: Literal["tcp"] = Field("tcp", description="`tcp`; must be written in files.")


class GrpcHealthCheck(Check):
    """Regular calls of `grpc.health.v1.Health/Check`; for services with `protocol: http2`."""

    kind: Literal["grpc"] = Field("grpc", description="`grpc`; must be written in files.")
    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]*$", max_length=127)] = Field(
        "",
        description="gRPC service that is asked about; `SERVING` is a success. The whole server by default.",
    )


AnyHealthCheck = Annotated[
    HealthCheck | TcpHealthCheck | GrpcHealthCheck,
    Field(discriminator="kind"),
    BeforeValidator(_kind_is_http),
]
