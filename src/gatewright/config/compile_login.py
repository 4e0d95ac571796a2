"""Logins with a browser to their part of the snapshot: identities, the routes of their paths, and what is
demanded of requests that browsers vouch for.
"""

from typing import TYPE_CHECKING, Any

from gatewright.config.models import Gateway, JwtIdentity, OidcIdentity, Route, Session
from gatewright.config.models.routes import NONE

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded

# Above all that a configuration may say: whoever took the callback of a login could log in as its user.
PRECEDENCE = 1_000_001
MAXIMUM_BODY_BYTES = 64 * 1024


def cookie_name(session: Session) -> str:
    """Give the name with the prefix that makes browsers refuse the cookie from anybody else."""
    if not session.secure:
        return session.cookie
    return f"{'__Secure-' if session.domain else '__Host-'}{session.cookie}"


def compile_login(identity: OidcIdentity) -> dict[str, Any]:
    """Give the document of what logs in."""
    endpoints = identity.endpoints
    provider = endpoints and {
        "authorization_endpoint": endpoints.authorization,
        "end_session_endpoint": endpoints.end_session,
    }
    return {
        "client_id": identity.client_id,
        "scopes": identity.scopes,
        "parameters": identity.parameters,
        "prefix": identity.path,
        "external_url": identity.external_url,
        "api_paths": identity.api_paths,
        "login_timeout_ms": int(identity.login_timeout),
        "after_logout": identity.after_logout,
        "timeout_ms": int(identity.timeout),
        "max_pending": identity.max_pending,
        "provider": provider,
        "session": _session(identity.session),
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "cookie": cookie_name(session),
        "secrets": session.secrets,
        "domain": session.domain,
        "same_site": session.same_site,
        "secure": session.secure,
        "lifetime_ms": int(session.lifetime),
        "idle_ms": int(session.idle_timeout),
        "refresh_ahead_ms": int(session.refresh_ahead),
        "max_tokens_bytes": int(session.max_tokens),
    }


def login_routes(loaded: "Loaded") -> list[dict[str, Any]]:
    """Give the route of each identity that browsers log in with. No user can write its name."""
    tier = loaded.gateway.defaults.unauthenticated_tier
    return [
        _route(identity, str(loaded.at("identities", number)), tier) | {"https_only": _https_only(loaded)}
        for number, identity in enumerate(loaded.gateway.identities)
        if isinstance(identity, OidcIdentity)
    ]


def _https_only(loaded: "Loaded") -> str | dict[str, int]:
    defaults = loaded.gateway.defaults
    return {"redirect": defaults.https_port} if defaults.https_only == "redirect" else defaults.https_only


def _route(identity: OidcIdentity, at: str, tier: str) -> dict[str, Any]:
    nothing = {"remove": [], "set": {}, "add": {}}
    limit = {"at": at, "tiers": [tier], "on_failure": "local", "cost": 1, "charge_refused": False}
    return {
        "name": f"login:{identity.name}",
        "at": at,
        "match": {
            "hosts": [],
            "path": {"prefix": identity.path},
            "methods": [],
            "headers": [],
            "query": [],
        },
        "precedence": PRECEDENCE,
        "action": {"login": {"identity": identity.name}},
        "auth": None,
        "rate_limit": None if tier == NONE else limit,
        "timeout_ms": int(identity.timeout),
        "max_body_bytes": MAXIMUM_BODY_BYTES,
        "priority": "P1",
        "forward_authorization": False,
        "forward_api_key": False,
        "request_headers": nothing,
        "response_headers": nothing,
        "security_headers": True,
        "cors": None,
        "deprecated": False,
        "sunset": None,
    }


def compile_csrf(loaded: "Loaded", route: Route) -> dict[str, Any] | None:
    """Give what a route demands of requests that browsers vouch for; `None` where nothing is, or none do."""
    csrf = route.csrf if "csrf" in route.model_fields_set else loaded.gateway.defaults.csrf
    if csrf is None or not takes_cookies_of(loaded.gateway, route):
        return None
    header = csrf.token_header
    return {"trusted_origins": csrf.trusted_origins, "token_header": header and header.lower()}


def takes_cookies_of(gateway: Gateway, route: Route) -> bool:
    """Give whether a route accepts a credential that browsers send by themselves."""
    accepted = set(route.auth.accept) if route.auth is not None else set()
    return any(
        isinstance(one, OidcIdentity) or (isinstance(one, JwtIdentity) and one.cookie is not None)
        for one in gateway.identities
        if one.name in accepted
    )
