"""What every rule comes to at a moment: values, and whether each is beyond its bound. Reads no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from gatewright.insight.objectives import BURNS, Budget
from gatewright.insight.samples import Samples
from gatewright.insight.shipped import HOUR, Rule
from gatewright.insight.traffic import Total, Traffic

SHARES = frozenset({"errors", "bad_gateways", "client_errors", "not_found", "limited", "bots"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One subject of one rule: its value, whether that is beyond the bound, and whether it is well again."""

    rule: Rule
    subject: str
    value: float
    is_beyond: bool
    is_well: bool


def findings(rule: Rule, traffic: Traffic, samples: Samples, now: float) -> Iterator[Finding]:
    """What a rule says of each of its subjects."""
    if rule.metric is not None:
        for subject, value in samples.read(rule, now).items():
            yield compared(rule, subject, value)
    elif rule.test == "absent":
        yield from absences(rule, traffic, now)
    elif rule.test in ("rises", "falls"):
        yield from changes(rule, traffic, now)
    else:
        for subject, total in traffic.totals(now - rule.window, now, rule.by).items():
            if total.requests >= rule.minimum:
                yield compared(rule, subject, value_of(rule, total))


def compared(rule: Rule, subject: str, value: float) -> Finding:
    """A value beside the threshold. What is above is well again some way below it, and conversely."""
    if rule.test == "below":
        return Finding(rule, subject, value, value < rule.threshold, value >= rule.threshold / rule.clear)
    return Finding(rule, subject, value, value > rule.threshold, value <= rule.threshold * rule.clear)


def absences(rule: Rule, traffic: Traffic, now: float) -> Iterator[Finding]:
    """Subjects that were asked in the hour before the window, and are not any more."""
    since = now - rule.window
    before = traffic.totals(now - HOUR - rule.window, since - traffic.slot_seconds, rule.by)
    recent = traffic.totals(since, now, rule.by)
    for subject, total in before.items():
        if total.requests >= rule.minimum:
            count = recent[subject].requests if subject in recent else 0.0
            yield Finding(rule, subject, count, count == 0, count > 0)


def changes(rule: Rule, traffic: Traffic, now: float) -> Iterator[Finding]:
    """By how many times a value is more, or less, than in the window before."""
    middle = now - rule.window
    recent = traffic.totals(middle, now, rule.by)
    earlier = traffic.totals(middle - rule.window, middle - traffic.slot_seconds, rule.by)
    for subject, total in recent.items():
        known = earlier.get(subject)
        if known is None or min(total.requests, known.requests) < rule.minimum:
            continue
        value, past = value_of(rule, total), value_of(rule, known)
        factor = times(value, past) if rule.test == "rises" else times(past, value)
        is_enough = rule.test == "falls" or value >= rule.floor
        yield Finding(
            rule,
            subject,
            factor,
            factor >= rule.threshold and is_enough,
            factor < rule.threshold * rule.clear,
        )


def times(value: float, past: float) -> float:
    """How many times as much; what was nothing has become a thousand times as much."""
    return value / past if past else (1000.0 if value else 1.0)


def value_of(rule: Rule, total: Total) -> float:
    """What a rule watches, of these requests."""
    if rule.watch in SHARES:
        return getattr(total, rule.watch) / total.requests if total.requests else 0.0
    if rule.watch == "requests":
        return total.requests / rule.window
    if rule.watch == "response_bytes":
        return total.bytes / total.successes if total.successes else 0.0
    histogram = total.latency if rule.watch == "latency" else total.overhead
    return histogram.percentile(rule.percentile) or 0.0


def burns(budgets: list[Budget], now: float) -> Iterator[Finding]:
    """Objectives whose budget burns too fast, in a long window and in a short one."""
    for budget in budgets:
        rate = partial(budget.burn, now)
        for factor, long, short, severity in BURNS:
            name = f"burn_rate_{factor:g}x"
            text = f"the error budget of `{budget.goal.name}` burns {factor:g} times as fast as it may"
            rule = Rule(name, severity, text, factor, by="objective", window=long)
            value, lately = rate(long), rate(short)
            yield Finding(
                rule, budget.goal.name, value, min(value, lately) >= factor, lately < factor * rule.clear
            )


def with_changes(shipped: Mapping[str, Rule], changed: Mapping[str, Rule], off: frozenset[str]) -> list[Rule]:
    """The rules that hold: those shipped that are on, as they were changed, and further ones."""
    return [rule for name, rule in (dict(shipped) | dict(changed)).items() if name not in off]
