"""What the metrics page said in the last minutes, of those metrics that rules read."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Mapping

from gatewright.insight.shipped import LONGEST_READING, METRICS, Rule

_LINE = re.compile(r"([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_]+)="((?:[^"\\]|\\.)*)"')
Labels = tuple[tuple[str, str], ...]
Page = dict[str, dict[Labels, float]]


def read_page(text: str, wanted: Container[str] = METRICS) -> Page:
    """The series of these metrics."""
    found: Page = {}
    for line in text.splitlines():
        if line.startswith("#") or (name := line.partition("{")[0].partition(" ")[0]) not in wanted:
            continue
        match = _LINE.match(line)
        if match is not None:
            labels = tuple(_LABEL.findall(match[2] or ""))
            found.setdefault(name, {})[labels] = float(match[3])
    return found


class Samples:
    """Pages by the time they were read at, as far back as the longest window goes."""

    def __init__(self) -> None:
        self._pages: deque[tuple[float, Page]] = deque()

    def add(self, now: float, page: Page) -> None:
        self._pages.append((now, page))
        while len(self._pages) > 2 and self._pages[1][0] < now - LONGEST_READING:
            self._pages.popleft()

    def read(self, rule: Rule, now: float) -> dict[str, float]:
        """What a rule reads, by the label that it tells apart; nothing where there is no such metric."""
        if not self._pages or rule.metric is None:
            return {}
        if rule.reading == "mean":
            sums, counts = (self._increase(f"{rule.metric}_{part}", rule, now) for part in ("sum", "count"))
            return {name: value / counts[name] for name, value in sums.items() if counts.get(name, 0) >= 1}
        if rule.reading in ("increase", "rate"):
            seconds = rule.window if rule.reading == "rate" else 1.0
            return {name: value / seconds for name, value in self._increase(rule.metric, rule, now).items()}
        values = joined(self._pages[-1][1].get(rule.metric, {}), rule)
        if rule.reading == "left":
            return {name: value - now for name, value in values.items()}
        return values

    def _increase(self, metric: str, rule: Rule, now: float) -> dict[str, float]:
        """By how much counters rose in the window, or since the first page. One that began anew counts from
        0, and one that was not there rose from it.
        """
        newest = self._pages[-1][1].get(metric, {})
        before = self._page_at(now - rule.window)
        if before is None:
            return {}
        older = before.get(metric, {})
        rises = {
            labels: value - (older.get(labels, 0.0) if older.get(labels, 0.0) <= value else 0.0)
            for labels, value in newest.items()
        }
        return joined(rises, rule)

    def _page_at(self, at: float) -> Page | None:
        """The last page of that time or before, else the first; `None` while there is but one."""
        if len(self._pages) < 2:
            return None
        found = self._pages[0][1]
        for read_at, page in self._pages:
            if read_at > at:
                break
            found = page
        return found


def joined(series: Mapping[Labels, float], rule: Rule) -> dict[str, float]:
    """The series that a rule is about, by the label that it tells apart."""
    found: dict[str, float] = {}
    for labels, value in series.items():
        named = dict(labels)
        if any(named.get(name) != wanted for name, wanted in rule.labels):
            continue
        subject = named.get(rule.by, "gateway")
        known = found.get(subject)
        found[subject] = (
            value if known is None else (known + value if rule.joins == "sum" else max(known, value))
        )
    return found
