"""Who may use the admin listener: the credential, and protection against other web pages of the same
browser.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright.admin.answers import refusal
from gatewright.control.configuration import AdminSettings

# Balancers and orchestrators ask these without a credential; they tell one word.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request is not served."""

    status: int
    error: str
    message: str


Denied = Callable[[Scope, Denial], Awaitable[None]]


class Access:
    """Stands before every operation. Reads the settings at each request, so that a reload changes the
    token. `denied` is told of everybody who is turned away.
    """

    def __init__(self, app: ASGIApp, settings: Callable[[], AdminSettings], denied: Denied) -> None:
        self._app = app
        self._settings = settings
        self._denied = denied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            denial = judge(scope["method"], scope["path"], Headers(scope=scope), self._settings())
            if denial is not None:
                await self._denied(scope, denial)
                await refusal(denial.status, denial.error, denial.message)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def judge(method: str, path: str, headers: Headers, settings: AdminSettings) -> Denial | None:
    """Why this request is denied, or `None` when it may go on."""
    if path in OPEN_PATHS and method in SAFE_METHODS:
        return None
    if settings.token is not None and not carries(headers, settings.token):
        return Denial(401, "invalid_token", "send `Authorization: Bearer` with the token of `admin.token`")
    # Without a token a page that rebinds its name to this address could read as well as write.
    if (method not in SAFE_METHODS or settings.token is None) and not is_own_host(
        headers.get("host", ""), settings
    ):
        return Denial(403, "foreign_host", "the Host header is not an address of this admin listener")
    if method not in SAFE_METHODS and not is_own_origin(headers, settings):
        return Denial(403, "foreign_origin", "the Origin header is not this admin listener")
    return None


def carries(headers: Headers, token: str) -> bool:
    """Does exactly one Authorization header carry the token? Takes equally long wherever a wrong one
    differs.
    """
    sent = headers.getlist("authorization")
    scheme, _, value = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return scheme.lower() == "bearer" and hmac.compare_digest(value.strip().encode(), token.encode())


def is_own_host(host: str, settings: AdminSettings) -> bool:
    """Is this Host a name that only the operator can have given to this node? Names from DNS may be an
    attacker's.
    """
    name = urlsplit(f"//{host}").hostname or ""
    if name in {"localhost", settings.host, socket.gethostname().lower()} or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_own_origin(headers: Headers, settings: AdminSettings) -> bool:
    """Programs send no Origin; a browser does, and then it must be this very listener."""
    origins = headers.getlist("origin")
    if not origins:
        # Browsers say where a request comes from also where they leave the Origin out.
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
    origin = urlsplit(origins[0])
    return len(origins) == 1 and origin.netloc == headers.get("host") and is_own_host(origin.netloc, settings)
