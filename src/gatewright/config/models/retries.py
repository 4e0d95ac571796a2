"""The models of retries and of hedging."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import Method, OneOrMany, Section
from gatewright.config.quantities import Duration, Size, Timeout, duration, size

CAUSES = ("connect_failure", "reset", "timeout")
# By the number that a service says.
GRPC_FAILURES = {
    "grpc_unknown": 2,
    "grpc_deadline_exceeded": 4,
    "grpc_resource_exhausted": 8,
    "grpc_aborted": 10,
    "grpc_internal": 13,
    "grpc_unavailable": 14,
}
_NAMES = (*CAUSES, *GRPC_FAILURES)


def _failure(value: object) -> object:
    # Told by hand, since the union would name both of its members in the error.
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599
    if is_status or value in _NAMES:
        return value
    message = f"expected `{'`, `'.join(_NAMES)}` or a status from 400 to 599"
    raise ValueError(message)


def _idempotent_or_list(value: object) -> object:
    if value is None or value == "idempotent":
        return None
    return value if isinstance(value, list | tuple) else [value]


Failure = Annotated[
    Literal[
        "connect_failure",
        "reset",
        "timeout",
        "grpc_unknown",
        "grpc_deadline_exceeded",
        "grpc_resource_exhausted",
        "grpc_aborted",
        "grpc_internal",
        "grpc_unavailable",
    ]
    | Annotated[int, Field(ge=400, le=599)],
    BeforeValidator(_failure),
]


class Backoff(Section):
    """The wait before another attempt: any time from 0 to a bound."""

    base: Annotated[Duration, duration("0ms", "10s")] = Field(
        Duration.of("25ms"), description="The bound before the first further attempt; it doubles with each."
    )
    max: Annotated[Duration, duration("0ms", "1m")] = Field(
        Duration.of("250ms"), description="The bound never becomes longer."
    )


class Budget(Section):
    """How many further attempts there may be. One for a service on this node, whichever routes use it."""

    ratio: float = Field(
        0.2, ge=0, le=1, description="Retries that each request of the route brings: 0.2 is one for five."
    )
    minimum_per_second: int = Field(
        10,
        ge=0,
        le=1_000,
        description="Retries that each second brings besides. At most those of one second are saved up, or "
        "10. Without one left, no further attempt is made; `gateway_retry_budget_exhausted_total` counts it.",
    )


class Retry(Section):
    """When a request is sent once more. `true` or `on` stands for the defaults."""

    attempts: int = Field(2, ge=1, le=10, description="How often a request is sent again, at most.")
    on: Annotated[list[Failure], OneOrMany] = Field(
        default_factory=lambda: ["connect_failure", "reset", "timeout", 502, 503, 504],
        min_length=1,
        max_length=50,
        description="Failures that are answered so; `[connect_failure, reset, timeout, 502, 503, 504]` by "
        "default. `connect_failure`: nothing was sent, so it is for every method. `reset`: the connection "
        "broke before the head of an answer, or what came was none. `timeout`: that of `per_try_timeout`. A "
        "number: the service answered with this status. `grpc_unavailable` and its like: the service ended a "
        "gRPC call with this status and sent nothing else; the methods must then have POST.",
    )
    methods: Annotated[list[Method] | None, BeforeValidator(_idempotent_or_list)] = Field(
        None,
        min_length=1,
        max_length=50,
        description="Methods whose requests may arrive twice: `idempotent`, the default, for GET, HEAD, PUT, "
        "DELETE, OPTIONS and TRACE, or a list.",
    )
    per_try_timeout: Timeout | None = Field(
        None,
        description="How long the service may be silent in one attempt. The route's `timeout` by default, "
        "and that ends all attempts together.",
    )
    backoff: Backoff = Field(default_factory=Backoff, description="The wait before another attempt.")
    budget: Budget = Field(default_factory=Budget, description="How many requests may be sent again.")
    max_body: Annotated[Size, size("0B", "1MiB")] = Field(
        Size.of("64KiB"),
        description="Bodies up to this size are kept for another attempt, in memory for each request under "
        "way; a request with a longer one is sent once.",
    )


class Hedge(Section):
    """When another instance is asked for a read, too, because the first is slow to answer.

    For GET and HEAD without a body. The first answer wins, and the other attempts are given up.
    """

    delay: Annotated[Duration, duration("1ms", "1m")] = Field(
        description="How long the head of an answer is waited for before another instance is asked, too; as "
        "long again before the next. Best a little above the time in which nearly all answers come."
    )
    attempts: int = Field(
        1, ge=1, le=5, description="Further instances that are asked; none twice, and none that is out."
    )
    budget: Budget | None = Field(
        None,
        description="How many further attempts there may be, by default as for `retry`. On a route with "
        "`retry` its budget is for both.",
    )
