"""Circuit breakers: rules that could never speak, and options that would do nothing."""

from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import CircuitBreaker
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find breakers that cannot open or close as they say."""
    for number, service in enumerate(view.gateway.services):
        breaker = service.circuit_breaker
        if breaker.enabled:
            yield from _rules(view, number, breaker)
            yield from _idle_options(view, number, breaker)
            yield from _probes(view, number, breaker)
    yield from _own(view)
    yield from _sharing(view)


def _own(view: View) -> Iterator[Problem]:
    off = {service.name for service in view.gateway.services if not service.circuit_breaker.enabled}
    for number, route in view.routes():
        if route.circuit_breaker == "own" and route.service in off:
            yield view.at("routes", number, "circuit_breaker").problem(
                f"service `{route.service}` has no breaker, whose rules this one would follow; leave it out"
            )


def _sharing(view: View) -> Iterator[Problem]:
    gateway = view.gateway
    shares = gateway.circuit_breakers.share == "redis"
    if not shares and "interval" in gateway.circuit_breakers.model_fields_set:
        yield view.key_at("circuit_breakers", "interval").problem(
            "`interval` does nothing without `share: redis`; leave it out"
        )


def _rules(view: View, number: int, breaker: CircuitBreaker) -> Iterator[Problem]:
    place = view.at("services", number, "circuit_breaker")
    ratios = (breaker.failure_ratio, breaker.slow_ratio, breaker.load_ratio)
    if (*ratios, breaker.consecutive_failures) == (None, None, None, None):
        yield place.problem("every rule is off, so the breaker never opens; write `circuit_breaker: off`")
    size = breaker.window_size
    if size is not None and ratios != (None, None, None) and breaker.minimum_requests > size:
        yield view.at("services", number, "circuit_breaker", "window_size").problem(
            f"`minimum_requests` is {breaker.minimum_requests}, and the window never holds more than {size}, "
            f"so no ratio would be judged; set `minimum_requests` to {size} or less"
        )


def _idle_options(view: View, number: int, breaker: CircuitBreaker) -> Iterator[Problem]:
    idle = {
        "window": breaker.window_size is not None and "with `window_size`",
        "slow_after": breaker.slow_ratio is None and "while `slow_ratio` is off",
        "load_above": breaker.load_ratio is None and "without `load_ratio`",
        "load_header": breaker.load_ratio is None and "without `load_ratio`",
        "load_metric": breaker.load_ratio is None and "without `load_ratio`",
        "probe_limit": breaker.on_probe_failure == "open" and "without `on_probe_failure: restart`",
        "max_open_for": breaker.open_growth <= 1 and "while `open_growth` is 1",
    }
    for option, why in idle.items():
        if why and option in breaker.model_fields_set:
            yield view.key_at("services", number, "circuit_breaker", option).problem(
                f"`{option}` does nothing {why}; leave it out"
            )


def _probes(view: View, number: int, breaker: CircuitBreaker) -> Iterator[Problem]:
    place = view.at("services", number, "circuit_breaker")
    if breaker.on_probe_failure == "restart" and breaker.probe_limit < breaker.probes:
        yield place.problem(
            f"`probe_limit` {breaker.probe_limit} is below `probes` {breaker.probes}, so the breaker would "
            "never close; raise `probe_limit`"
        )
    if breaker.open_growth > 1 and breaker.max_open_for < breaker.open_for:
        yield place.problem(
            f"`max_open_for` {breaker.max_open_for} is below `open_for` {breaker.open_for}; raise it"
        )
