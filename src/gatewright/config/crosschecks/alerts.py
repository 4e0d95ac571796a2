"""Alerts and objectives: names that there are, and rules that say all they need."""

import importlib.util
from collections import Counter
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import AppriseChannel
from gatewright.errors import Problem
from gatewright.insight.shipped import SHIPPED


def check(view: View) -> Iterator[Problem]:
    """Find unknown routes, services and rules, repeated names, and own rules without a watch or threshold."""
    yield from _objectives(view)
    yield from _off(view)
    yield from _rules(view)
    yield from _channels(view)


def _objectives(view: View) -> Iterator[Problem]:
    for number, objective in enumerate(view.gateway.objectives):
        for kind, wanted in (("routes", objective.routes), ("services", objective.services)):
            yield from _unknown(view, ("objectives", number, kind), wanted)


def _unknown(view: View, place: tuple[str, int, str], wanted: list[str]) -> Iterator[Problem]:
    kind = place[-1]
    known = view.names.get(kind, ())
    for number, name in enumerate(wanted):
        if name not in known:
            text = f"no {kind[:-1]} is called `{name}`; known: {', '.join(sorted(known))}"
            yield view.at(*place, number).problem(text)


def _off(view: View) -> Iterator[Problem]:
    for place, name in enumerate(view.gateway.alerts.off):
        if name not in SHIPPED:
            text = f"no rule that is shipped is called `{name}`; known: {', '.join(sorted(SHIPPED))}"
            yield view.at("alerts", "off", place).problem(text)


def _rules(view: View) -> Iterator[Problem]:
    rules = view.gateway.alerts.rules
    yield from _repeated(view, "rules", [one.name for one in rules])
    for number, rule in enumerate(rules):
        shipped = SHIPPED.get(rule.name)
        if shipped is not None and shipped.watch is None and (rule.watch or rule.test or rule.percentile):
            text = f"`{rule.name}` is about the gateway itself: it takes no `watch`, `test` and `percentile`"
            yield view.at("alerts", "rules", number).problem(text)
        if shipped is None and rule.watch is None:
            text = f"a rule needs `watch`; shipped ones are {', '.join(sorted(SHIPPED))}"
            yield view.at("alerts", "rules", number).problem(text)
        elif shipped is None and rule.threshold is None and rule.test != "absent":
            yield view.at("alerts", "rules", number).problem(
                "a rule needs a `threshold`, unless `test: absent`"
            )


def _channels(view: View) -> Iterator[Problem]:
    channels = view.gateway.alerts.channels
    yield from _repeated(view, "channels", [one.name for one in channels])
    for number, channel in enumerate(channels):
        if isinstance(channel, AppriseChannel) and importlib.util.find_spec("apprise") is None:
            text = "apprise is not installed; `pip install 'gatewright[alerts]'`"
            yield view.at("alerts", "channels", number, "kind").problem(text)


def _repeated(view: View, section: str, names: list[str]) -> Iterator[Problem]:
    counted = Counter(names)
    for number, name in enumerate(names):
        if counted[name] > 1 and name in names[:number]:
            yield view.at("alerts", section, number, "name").problem(f"`{name}` is there already")
