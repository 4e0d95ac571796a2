"""The model of protection against requests that other sites let a browser send."""

from typing import Annotated

from pydantic import AfterValidator, Field

from gatewright.config.models.base import HeaderName, OneOrMany, Section
from gatewright.config.models.oidc import Origin


def _off(value: object) -> object:
    """Read `off`: nothing is demanded."""
    return None if value is False or value == "off" else value


def _own_header(name: str) -> str:
    if name.lower() in {"cookie", "origin", "authorization", "host"}:
        message = f"`{name}` means something else already; use a name such as `X-CSRF-Token`"
        raise ValueError(message)
    return name


class Csrf(Section):
    """Protection against other sites (CSRF) of requests whose credential a browser sends by itself: the
    session of an `oidc` identity, a token in a cookie. Those that change something, and WebSockets, must come
    from a page of the same origin, by `Sec-Fetch-Site` or `Origin`; else 403. Callers with a token or key in
    a header are asked nothing.
    """

    trusted_origins: Annotated[list[Origin], OneOrMany] = Field(
        default_factory=list,
        description="Other origins whose pages may send such requests, such as `https://app.example.com`.",
    )
    token_header: Annotated[HeaderName, AfterValidator(_own_header)] | None = Field(
        None,
        description="Header that must carry the session's token, which pages read from the cookie "
        "`NAME.csrf`. Only sessions of `oidc` identities have one. None by default.",
    )
