"""Configuration texts that most tests begin with."""

from typing import Protocol


class HasAddress(Protocol):
    """A service that a configuration can name."""

    @property
    def address(self) -> str: ...


def one_route(
    origin: HasAddress, route: str = "", *sections: str, service: str = "", path: str = "/*"
) -> str:
    """One service `users` and one route `users` to it, as YAML.

    `route` and `service` add options to them, written as in a flow mapping; `sections` are further lines.
    """
    lines = [
        f'services: [{{name: users, instances: ["{origin.address}"]{_more(service)}}}]',
        f'routes: [{{name: users, match: {{path: "{path}"}}, service: users{_more(route)}}}]',
    ]
    return "\n".join([*lines, *sections]) + "\n"


def routes(origin: HasAddress, *routes: str) -> str:
    """One service `users` on `origin` and these routes, each the inside of a flow mapping."""
    lines = [f'services: [{{name: users, instances: ["{origin.address}"]}}]', "routes:"]
    return "\n".join([*lines, *(f"  - {{{route}}}" for route in routes)]) + "\n"


def listener(options: str) -> str:
    """The listener `public` with options, as a section of its own."""
    return f"listeners: [{{name: public, address: '127.0.0.1:1', {options}}}]"


def _more(options: str) -> str:
    return f", {options}" if options else ""
