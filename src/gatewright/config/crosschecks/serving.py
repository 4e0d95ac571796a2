"""Services: instances that can be reached, checks that can succeed, addresses that can be trusted."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gatewright.config.addresses import read_endpoint
from gatewright.config.crosschecks.view import View
from gatewright.config.models import GrpcHealthCheck, IntrospectionIdentity
from gatewright.errors import Problem

KEY_SET = ("a key set", "jwks.json", "keys fetched")
ISSUER = ("an issuer", "introspect", "what an issuer says")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def check(view: View) -> Iterator[Problem]:
    """Find wrong and repeated addresses, and services nobody uses."""
    for number in range(len(view.gateway.services)):
        yield from _instances(view, number)
    yield from _unused(view)
    for number, identity in enumerate(view.gateway.identities):
        if isinstance(identity, IntrospectionIdentity):
            position = view.at("identities", number, "url")
            yield from (
                position.problem(text) for text in url_faults(identity.url, identity.allow_http, ISSUER)
            )


def _instances(view: View, number: int) -> Iterator[Problem]:
    service = view.gateway.services[number]
    seen: set[str] = set()
    for place, instance in enumerate(service.instances):
        position = view.at("services", number, "instances", place, "address")
        try:
            read_endpoint(instance.address)
        except ValueError as error:
            yield position.problem(str(error))
            continue
        if instance.address in seen:
            cure = "use `weight` for a larger share"
            yield position.problem(
                f"service `{service.name}` has instance `{instance.address}` twice; {cure}"
            )
        seen.add(instance.address)
    if service.protocol != "http2" and "http2" in service.model_fields_set:
        yield view.at("services", number, "http2").problem(
            f"service `{service.name}` is not spoken to over HTTP/2; add `protocol: http2`"
        )
    yield from _pool(view, number)
    yield from _health_kind(view, number)
    check_settings = service.health_check
    if check_settings is not None and check_settings.timeout > check_settings.interval:
        yield view.at("services", number, "health_check").warning(
            f"a check may take {check_settings.timeout} but one is due every {check_settings.interval}"
        )


def _pool(view: View, number: int) -> Iterator[Problem]:
    service = view.gateway.services[number]
    position = view.at("services", number, "pool", "min_connections")
    if service.pool.min_connections > service.pool.max_connections:
        yield position.problem(
            f"`min_connections` {service.pool.min_connections} is above `max_connections` "
            f"{service.pool.max_connections}; lower it"
        )
    if service.pool.min_connections and service.protocol == "http2":
        yield position.problem("`min_connections` does nothing with `protocol: http2`; leave it out")


def _health_kind(view: View, number: int) -> Iterator[Problem]:
    service = view.gateway.services[number]
    check = service.health_check
    if isinstance(check, GrpcHealthCheck) and service.protocol != "http2":
        position = view.at("services", number, "health_check", "kind")
        yield position.problem(f"gRPC needs HTTP/2; add `protocol: http2` to service `{service.name}`")


def _unused(view: View) -> Iterator[Problem]:
    used = {route.service for route in view.gateway.routes}
    for number, service in enumerate(view.gateway.services):
        if view.complete and service.name not in used:
            yield view.at("services", number, "name").warning(f"no route uses service `{service.name}`")


def url_faults(url: str, allow_http: bool, asked: tuple[str, str, str] = KEY_SET) -> Iterator[str]:
    """Give what is wrong with an address that is believed: `KEY_SET` or `ISSUER`."""
    whose, example, comes = asked
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield f"`{url}` is not an address of {whose}; write `https://id.example.com/{example}`"
    elif parts.scheme == "http" and not allow_http and parts.hostname not in _LOOPBACK:
        cure = "use `https`, or set `allow_http: true`"
        yield f"{comes} over plain `http` can be replaced on the way; {cure}"
