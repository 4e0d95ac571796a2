"""Metrics: names have series of their own, and a collector is at an address that keeps its headers secret."""

from collections.abc import Iterator

from gatewright.config.crosschecks.serving import url_faults
from gatewright.config.crosschecks.view import View
from gatewright.errors import Problem

_COLLECTOR = ("a collector", "v1/metrics", "what is sent")
_KINDS = ("routes", "services", "tiers", "identities", "address_lists", "listeners")


def check(view: View) -> Iterator[Problem]:
    """Find sections with more names than have metrics of their own, and collectors that cannot be."""
    most = view.gateway.metrics.max_names
    for section in _KINDS:
        count = len(getattr(view.gateway, section))
        if count > most:
            yield view.key_at(section).warning(
                f"{count} names, of which {most} have metrics of their own and the rest share `other`; "
                "raise `metrics.max_names`"
            )
    otlp = view.gateway.metrics.otlp
    if otlp is not None:
        where = view.at("metrics", "otlp", "url")
        yield from (where.problem(fault) for fault in url_faults(otlp.url, otlp.allow_http, _COLLECTOR))
