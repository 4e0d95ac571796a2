"""Cross-checks: what is right in itself but does not fit together. One file a theme, each a function from
view to problems.

To add a theme, write `crosschecks/NAME.py` with `check(view)` and add it to `THEMES`.
"""

from gatewright.config.crosschecks import (
    addresses,
    alerts,
    authorization,
    breakers,
    expressions,
    headers,
    limits,
    listening,
    logins,
    metrics,
    names,
    nesting,
    overlaps,
    overload,
    pages,
    passwords,
    recording,
    records,
    references,
    retries,
    routing,
    serving,
    shared_limits,
    sharing,
    tenants,
    tokens,
    tracing,
)
from gatewright.config.crosschecks.view import View
from gatewright.errors import Problem

THEMES = (
    names,
    references,
    authorization,
    listening,
    serving,
    breakers,
    sharing,
    routing,
    expressions,
    headers,
    overlaps,
    overload,
    pages,
    passwords,
    recording,
    retries,
    limits,
    nesting,
    tenants,
    tokens,
    shared_limits,
    addresses,
    logins,
    records,
    metrics,
    alerts,
    tracing,
)


def check_all(view: View) -> list[Problem]:
    """Give what every theme finds."""
    return [problem for theme in THEMES for problem in theme.check(view)]


__all__ = ["THEMES", "View", "check_all"]
