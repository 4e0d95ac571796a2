"""Records: what is to be hashed has a key, what is to be kept out is there, card data comes over TLS 1.3."""

from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find profiles that cannot do what they promise, and options without effect."""
    records = view.gateway.records
    profiles = _profiles(view)
    if profiles and not records.user_id.keys:
        yield view.at(*profiles[0]).problem(
            "`pci` hashes user ids, which needs a key; give `records.user_id` its `keys`: a list of "
            "`{id: NAME, secret: ...}`"
        )
    if records.redact.headers and not (records.headers.request or records.headers.response):
        yield view.at("records", "redact", "headers").problem(
            "no headers are recorded, so none can be kept out; leave it out or name some in `records.headers`"
        )
    if profiles:
        yield from _weak_listeners(view)


def _profiles(view: View) -> list[tuple[str | int, ...]]:
    """Give where `pci` is written."""
    found: list[tuple[str | int, ...]] = []
    if view.gateway.records.profile == "pci":
        found.append(("records", "profile"))
    for number, route in view.routes():
        if route.records is not None and route.records.profile == "pci":
            found.append(("routes", number, "records", "profile"))
    return found


def _weak_listeners(view: View) -> Iterator[Problem]:
    for number, listener in enumerate(view.gateway.listeners):
        if listener.tls is None:
            yield view.at("listeners", number).warning(
                f"listener `{listener.name}` takes card data (profile `pci`) over plain connections; give it "
                '`tls` with `min_version: "1.3"`'
            )
        elif listener.tls.min_version != "1.3":
            yield view.at("listeners", number, "tls").warning(
                f"listener `{listener.name}` takes card data (profile `pci`) over TLS 1.2 as well; set "
                '`min_version: "1.3"`'
            )
