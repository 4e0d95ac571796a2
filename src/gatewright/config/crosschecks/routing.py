"""Routes in themselves: options that fit their action and their path."""

import re
from collections.abc import Iterator
from pathlib import Path

from gatewright.config.crosschecks.view import View
from gatewright.config.matching import classify
from gatewright.config.models import Route
from gatewright.errors import Problem

_FORWARDING = (
    "strip_prefix",
    "rewrite",
    "host_header",
    "circuit_breaker",
    "forward_authorization",
    "forward_api_key",
    "compression",
    "websocket",
    "hedge",
    "retry",
)
_WORD = re.compile(r"\{([^{}]*)\}")


def check(view: View) -> Iterator[Problem]:
    """Find prefixes that are none, and options that would do nothing."""
    if not view.gateway.routes and view.complete:
        yield view.root.position.warning("no routes; every request is answered with 404 `no_route`")
    for number, route in view.routes():
        yield from _prefix(view, number, route)
        yield from _idle_options(view, number, route)
        yield from _idle_rate(view, number, route)
        yield from _redirect(view, number, route)
        yield from _root(view, number, route)
        if route.gone_after_sunset and route.sunset is None:
            yield view.key_at("routes", number, "gone_after_sunset").problem(
                "`gone_after_sunset` needs the day; write `sunset: 2027-06-01`"
            )
        if route.deprecation_link is not None and not route.deprecated and route.sunset is None:
            yield view.key_at("routes", number, "deprecation_link").problem(
                "`deprecation_link` does nothing without `deprecated` or `sunset`; leave it out"
            )


def _prefix(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.strip_prefix is None:
        return
    pattern = classify(route.match.path)
    start = pattern.literal_start()
    inside = start == route.strip_prefix or start.startswith(f"{route.strip_prefix}/")
    # A regular expression may go on with anything where its plain beginning ends.
    possible = pattern.kind == "regex" and route.strip_prefix.startswith(start)
    if not inside and not possible:
        yield view.at("routes", number, "strip_prefix").problem(
            f"`{route.strip_prefix}` is not a prefix of the route's path `{route.match.path}`, so nothing "
            "would be stripped; use whole segments that the path begins with"
        )


def _idle_options(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.service not in {None, "self"}:
        return
    for option in _FORWARDING:
        names_a_file = option == "strip_prefix" and route.static is not None
        if option in route.model_fields_set and not names_a_file:
            yield view.key_at("routes", number, option).problem(
                f"`{option}` does nothing on a route that forwards to no service; leave it out"
            )


def _idle_rate(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.websocket is None:
        return
    own, of_caller = route.websocket.messages_per_second, route.websocket.messages_per_second_per_caller
    if own and of_caller and own >= of_caller:
        yield view.at("routes", number, "websocket", "messages_per_second").problem(
            f"{own} does nothing beside `messages_per_second_per_caller: {of_caller}`, which one connection "
            "keeps as well; leave it out, or write less"
        )


def _root(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.static is not None and not Path(route.static.root).is_dir():
        yield view.at("routes", number, "static", "root").problem(f"`{route.static.root}` is no directory")


def _redirect(view: View, number: int, route: Route) -> Iterator[Problem]:
    if route.redirect is None:
        return
    target, position = route.redirect.to, view.at("routes", number, "redirect", "to")
    if not target.startswith(("/", "http://", "https://")) or any(ord(letter) <= 32 for letter in target):
        yield position.problem(
            f"`{target}` cannot be redirected to; write a path such as `/new`, or an address with `https://`"
        )
    known = [*classify(route.match.path).names(), "path", "query", "host"]
    for word in _WORD.findall(target):
        if word not in known:
            words = ", ".join(f"`{{{name}}}`" for name in known)
            yield position.problem(f"`{{{word}}}` stands for nothing in this route; words are {words}")
    for word in _WORD.findall(_host(target)):
        if word in known and word != "host":
            yield position.problem(
                f"with `{{{word}}}` in it, who asks would choose the host; put it behind the host and a `/`"
            )


def _host(target: str) -> str:
    """Give the part of a redirect's target that says which host it leads to."""
    _, _, behind = target.partition("://")
    return re.split(r"[/?#]|\{path\}|\{query\}", behind, maxsplit=1)[0]
