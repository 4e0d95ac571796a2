"""Retries and hedging: settings that contradict each other, and failures that could never be answered."""

from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import Hedge, Retry, Route
from gatewright.config.models.retries import GRPC_FAILURES
from gatewright.config.quantities import Duration
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find retries that would not be made as they say."""
    for number, route in view.routes():
        if route.retry is not None:
            yield from _times(view, number, route, route.retry)
            yield from _calls(view, number, route.retry)
        if route.hedge is not None:
            yield from _reads(view, number, route, route.hedge)


def _times(view: View, number: int, route: Route, retry: Retry) -> Iterator[Problem]:
    place = ("routes", number, "retry")
    whole = _whole(view, route)
    per_try = retry.per_try_timeout
    if per_try is not None and per_try >= whole:
        yield view.at(*place, "per_try_timeout").problem(
            f"no attempt lasts {per_try}, since all of them together end after {whole}, the route's `timeout`"
        )
    if per_try is None and "on" in retry.model_fields_set and "timeout" in retry.on:
        yield view.at(*place, "on").problem(
            "`timeout` does nothing without `per_try_timeout`; the route's `timeout` ends all attempts"
        )
    if retry.backoff.base > retry.backoff.max:
        yield view.at(*place, "backoff").problem(
            f"`base` is {retry.backoff.base} and `max` {retry.backoff.max}; waits grow from one to the other"
        )


def _calls(view: View, number: int, retry: Retry) -> Iterator[Problem]:
    of_calls = [failure for failure in retry.on if failure in GRPC_FAILURES]
    if of_calls and "POST" not in (retry.methods or ()):
        yield view.at("routes", number, "retry", "on").problem(
            f"`{of_calls[0]}` does nothing unless `methods` has POST, which all gRPC calls are"
        )


def _reads(view: View, number: int, route: Route, hedge: Hedge) -> Iterator[Problem]:
    place = ("routes", number, "hedge")
    whole = _whole(view, route)
    if hedge.delay >= whole:
        yield view.at(*place, "delay").problem(
            f"no other instance is asked after {hedge.delay}, since the route's `timeout` is {whole}"
        )
    if hedge.budget is not None and route.retry is not None:
        yield view.at(*place, "budget").problem(
            "`retry` of this route has a budget, which is for both; leave it out"
        )
    methods = route.match.methods
    if methods and not {"GET", "HEAD"} & set(methods):
        yield view.at(*place).problem(
            "`hedge` is for GET and HEAD, and `match` lets neither in; leave it out"
        )


def _whole(view: View, route: Route) -> Duration:
    return view.gateway.defaults.timeout if route.timeout is None else route.timeout
