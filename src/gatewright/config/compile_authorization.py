"""What callers may do, to its part of the snapshot."""

import re
from typing import TYPE_CHECKING, Any

from gatewright.config.models import Demand, Gateway, Route

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded


_CLAIMS = re.compile(r"\bcaller\s*\.\s*claims\b")


def rules_read_claims(gateway: Gateway) -> bool:
    """Say whether a rule looks at claims. A text that only looks so costs memory and nothing else."""
    policies = [route.auth for route in gateway.routes if route.auth is not None]
    rules = [rule for auth in policies for rule in auth.rules]
    return any(_CLAIMS.search(rule.allow or rule.deny or "") for rule in rules)


def compile_auth(loaded: "Loaded", number: int) -> dict[str, Any] | None:
    """Give the document of who may use a route; `None` for everybody."""
    auth = loaded.gateway.routes[number].auth
    if auth is None:
        return None
    return {
        "at": str(loaded.at("routes", number, "auth")),
        "accept": auth.accept,
        "scopes": _demand(auth.scopes),
        "roles": _demand(auth.roles),
        "optional": auth.optional,
        "grace_period": auth.grace_period,
        "permissions": auth.permission,
        "endpoint_permissions": auth.endpoint_permissions,
        "rules": [
            {
                "name": rule.name,
                "at": str(loaded.at("routes", number, "auth", "rules", place)),
                "allows": rule.allow is not None,
                "expression": rule.allow or rule.deny,
                "message": rule.message,
            }
            for place, rule in enumerate(auth.rules)
        ],
    }


def _demand(demand: Demand) -> dict[str, list[str]]:
    return {"all": demand.all, "any": demand.any, "none": demand.none}


def compile_permissions(loaded: "Loaded") -> list[dict[str, Any]]:
    """Give the document of what scopes and roles are good for."""
    permissions = loaded.gateway.permissions
    held = [("scope", "scopes", permissions.scopes), ("role", "roles", permissions.roles)]
    return [
        {
            "name": f"{kind} {name}",
            "at": str(loaded.at("permissions", section, name)),
            "holder": {kind: name},
            "patterns": patterns,
        }
        for kind, section, entries in held
        for name, patterns in entries.items()
    ]


def compile_https_only(loaded: "Loaded", route: Route) -> str | dict[str, int]:
    """Give what becomes of requests to a route that came in plain."""
    defaults = loaded.gateway.defaults
    wanted = route.https_only or defaults.https_only
    return {"redirect": defaults.https_port} if wanted == "redirect" else wanted
