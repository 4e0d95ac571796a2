"""Passwords: somebody who can check them, and users of what says how."""

import importlib.util
from collections.abc import Iterator

from gatewright.config.crosschecks.view import View
from gatewright.config.models import BasicIdentity
from gatewright.errors import Problem


def check(view: View) -> Iterator[Problem]:
    """Find passwords that nobody can check, and settings for passwords that nobody has."""
    users = [
        number
        for number, identity in enumerate(view.gateway.identities)
        if isinstance(identity, BasicIdentity)
    ]
    if users and importlib.util.find_spec("argon2") is None:
        yield view.at("identities", users[0], "kind").problem(
            "argon2-cffi is not installed; `pip install 'gatewright[passwords]'`"
        )
    yield from _two(view, {view.gateway.identities[number].name for number in users})
    if not users and view.complete and view.root.entry("passwords") is not None:
        yield view.key_at("passwords").problem(
            "`passwords` does nothing; let an identity have some, with `kind: basic`"
        )


def _two(view: View, names: set[str]) -> Iterator[Problem]:
    for number, route in view.routes():
        accepted = route.auth.accept if route.auth is not None else []
        basic = [place for place, name in enumerate(accepted) if name in names]
        if len(basic) > 1:
            yield view.at("routes", number, "auth", "accept", basic[1]).problem(
                "a second identity with passwords; put the users of both into one"
            )
