"""The model of roll-ups: what requests come to together."""

from typing import Annotated

from pydantic import Field

from gatewright.config.models.base import Section
from gatewright.config.quantities import Duration, Size, duration, size


class Rollups(Section):
    """Counts and latencies of all requests by route, service, instance, status and tenant, for each minute,
    hour and day, in `rollups` of the state directory. Requests that have no record are counted, too.
    """

    enabled: bool | None = Field(
        None,
        description="Whether requests are counted so. By default where `records` have a sink; `true` has "
        "them counted without one. Where they are not, error budgets of `objectives` are kept in memory "
        "alone and begin anew with each start.",
    )
    retention: Annotated[Duration, duration("1d", "3650d")] = Field(
        Duration.of("395d"), description="Age at which roll-ups are deleted; thirteen months by default."
    )
    max_size: Annotated[Size, size("16MiB", "1000GiB")] = Field(
        Size.of("4GiB"),
        description="Bytes of all roll-ups; above it the oldest minutes are deleted, a day at a time, then "
        "the oldest hours, by months, then days, by years. What is still written stays: of today's minutes "
        "each has at most `max_keys` and half as many again, of 60 to 400 bytes.",
    )
    max_keys: int = Field(
        5000,
        ge=100,
        le=1_000_000,
        description="Different combinations of route, service, instance, status and tenant that are told "
        "apart in a day, and in a month; above it new instances become `other`, then tenants, then all the "
        "rest. Between two writings each worker tells twice as many apart.",
    )
    interval: Annotated[Duration, duration("100ms", "60s")] = Field(
        Duration.of("5s"),
        description="How often counts are taken from the data plane and minutes written, and each twelfth "
        "time hours and days. A request counts when it is over. A node that is killed loses what is not "
        "written: of minutes what came in this time, of hours and days in twelve times that. One that ends "
        "loses nothing.",
    )
