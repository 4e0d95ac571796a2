"""Overload: what matters more is refused later."""

from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find thresholds in the wrong order, and a priority that could never be served again."""
    overload = view.gateway.overload
    cpu, memory = overload.cpu, overload.memory
    orders = [
        ("cpu", "p3", cpu.p3, "p2", cpu.p2),
        ("cpu", "p2", cpu.p2, "p1", cpu.p1),
        ("memory", "low", memory.low, "all", memory.all),
    ]
    limits = overload.concurrency
    if limits.minimum > limits.maximum:
        yield view.at("overload", "concurrency").problem(
            f"`minimum` is {limits.minimum} and `maximum` {limits.maximum}; a limit lies between them"
        )
    for section, lower, low, higher, high in orders:
        if low > high:
            yield view.at("overload", section).problem(
                f"`{lower}` is {low} and `{higher}` {high}; what matters less must be refused earlier"
            )
    for section, name, threshold in (("cpu", "p3", cpu.p3), ("memory", "low", memory.low)):
        if threshold <= overload.margin:
            yield view.at("overload", section).problem(
                f"`{name}` must be above the margin of {overload.margin}, or nothing refused would ever be "
                "served again"
            )
