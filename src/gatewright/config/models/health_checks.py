"""Models of what a node checks of itself."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gatewright.config.models.base import Name, OneOrMany, Section, Text, _switched
from gatewright.config.quantities import Duration, Size, duration, size


class SelfCheck(Section):
    """A node asks itself through one of its listeners, so that one that is slow takes itself out."""

    interval: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("5s"), description="How often."
    )
    within: Annotated[Duration, duration("1ms", "5s")] = Field(
        Duration.of("50ms"), description="How long the answer may take; slower is a failure."
    )
    unhealthy_after: int = Field(
        3, ge=1, le=100, description="Failures in a row that make it unhealthy; one success ends that."
    )
    listener: Name | None = Field(
        None, description="Which listener is asked; by default the first that needs no client certificate."
    )
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] | None = Field(
        None,
        description="What is asked for, by a GET of HTTP/1.1 that is routed, counted and recorded as any "
        "other; an answer of 500 and above is a failure. By default a path that only the node itself "
        "knows, of which there is no record and no count, and which is answered once every worker has had "
        "a turn.",
    )
    host: Text = Field("localhost", description="The host of that GET.")


Readiness = Literal["services", "self_check", "certificates", "checks"]


class Health(Section):
    """What a node checks of itself, and what follows from it."""

    interval: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("10s"), description="How often what is built in is checked."
    )
    checks: Annotated[list[Text], OneOrMany, Field(max_length=100)] = Field(
        default_factory=list,
        description="Checks of your own, as `my_checks:database`: a function of `my_checks.py`, relative to "
        "the configuration file, or of an installed module; at most 100.",
    )
    unhealthy_after: int = Field(
        2, ge=1, le=100, description="Failures in a row that make one of `checks` unhealthy."
    )
    healthy_after: int = Field(
        1, ge=1, le=100, description="Successes in a row that make one of `checks` healthy again."
    )
    readiness: Annotated[list[Readiness], OneOrMany] = Field(
        default_factory=lambda: ["services", "self_check", "certificates", "checks"],
        description="What makes `/readyz` say 503 beside a missing configuration and draining: a service "
        "with `critical` that has no healthy instance, a `self_check` that fails, a listener whose "
        "certificates have all ended, and critical ones of `checks`.",
    )
    healthz: Literal["alive", "ready", "backends"] = Field(
        "alive",
        description="When `/healthz` says 200: while the process answers; while it is ready; or while some "
        "service has a healthy instance and the files are what is live.",
    )
    self_check: Annotated[SelfCheck | None, BeforeValidator(_switched)] = Field(
        default_factory=SelfCheck, description="How a node asks itself, or `off`."
    )
    deep_interval: Annotated[Duration, duration("100ms", "1h")] = Field(
        Duration.of("5s"),
        description="How often `/health?deep=1` checks everything anew; in between it tells what it found.",
    )
    min_free_disk: Annotated[Size, size("0B", "1000GiB")] = Field(
        Size.of("256MiB"),
        description="Room on the disk of the state directory; below it the node is degraded. 0 to not look.",
    )
