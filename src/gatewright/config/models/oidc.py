"""The model of logins with a browser: a provider, and the sessions that it leaves."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gatewright.config.models.base import Name, OneOrMany, Section, Text, Texts
from gatewright.config.quantities import Duration, Size, Timeout, duration, size


def _form(pattern: str, expected: str) -> AfterValidator:
    """Demand a form, and say in words what would work."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            message = f"expected {expected}, not `{text}`"
            raise ValueError(message)
        return text

    return AfterValidator(check)


Url = Annotated[
    str,
    _form(
        r"https?://[^\s\"<>\\^`{|}\x00-\x20\x7f-\U0010ffff]+", "an address such as `https://id.example.com`"
    ),
]
Origin = Annotated[
    str,
    _form(
        r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?",
        "scheme, host and port in lower case alone, such as `https://app.example.com`",
    ),
]
Path = Annotated[str, _form(r"(/[A-Za-z0-9._~-]+)+", "a path such as `/oauth2`, without a slash at its end")]
CookieName = Annotated[str, _form(r"[A-Za-z0-9_-]{1,60}", "at most 60 letters, digits, `-` or `_`")]
Domain = Annotated[str, _form(r"[a-z0-9-]+(\.[a-z0-9-]+)+", "a domain in lower case such as `example.com`")]
After = Annotated[
    str,
    _form(
        r"/(?!/)[^\s\"<>\\]*|https?://[^\s\"<>\\]+",
        "a path such as `/` or an address such as `https://example.com`",
    ),
]

# Written by the gateway itself; others would make a login that anybody could take over.
RESERVED_PARAMETERS = frozenset({
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
})


def _openid(scopes: list[str]) -> list[str]:
    if "openid" not in scopes:
        message = "`openid` must be among the scopes; without it the provider names nobody"
        raise ValueError(message)
    return scopes


def _parameters(parameters: dict[str, str]) -> dict[str, str]:
    for name in sorted(RESERVED_PARAMETERS & parameters.keys()):
        message = f"`{name}` is the gateway's own to send"
        raise ValueError(message)
    return parameters


class Endpoints(Section):
    """Where the provider is asked, in place of what it says of itself."""

    authorization: Url = Field(description="Where browsers are sent to log in.")
    token: Url = Field(description="Where codes and refresh tokens are exchanged.")
    jwks: Url = Field(description="The provider's key set.")
    end_session: Url | None = Field(None, description="Where browsers are sent to log out there, too.")
    revocation: Url | None = Field(None, description="Where refresh tokens are given back (RFC 7009).")


class Session(Section):
    """The session that a login leaves, in sealed cookies."""

    secrets: Annotated[
        list[Annotated[str, Field(min_length=32)]], OneOrMany, Field(min_length=1, max_length=5)
    ] = Field(
        description="Secrets that seal cookies, at least 32 characters each; best as `${file:...}` or "
        "`${env:...}`. The first seals, all of them open: put a new one in front, and take the old one "
        "away once `lifetime` is over. Every node needs the same. A text or a list.",
    )
    cookie: CookieName = Field(
        "session",
        description="Name of the cookie. `__Host-` is put before it, `__Secure-` where there is a `domain`, "
        "nothing where it is not `secure`. Cookies beside it are called like it, with a dot and more.",
    )
    domain: Domain | None = Field(
        None,
        description="Domain whose hosts share the session, such as `example.com`; the request's host alone "
        "by default.",
    )
    same_site: Literal["strict", "lax", "none"] = Field(
        "lax",
        description="When browsers send the cookie with requests that another site makes: never, with "
        "links, always. `none` leaves all to `csrf`.",
    )
    secure: bool = Field(
        True,
        description="Send cookies over TLS alone. `false` is for development: anybody on the way can then "
        "take a session over.",
    )
    lifetime: Annotated[Duration, duration("1m", "90d")] = Field(
        Duration.of("12h"), description="How long a session lasts, however much it is used."
    )
    idle_timeout: Annotated[Duration, duration("1m", "90d")] = Field(
        Duration.of("1h"), description="How long a session lasts without a request."
    )
    refresh_ahead: Annotated[Duration, duration("0s", "1h")] = Field(
        Duration.of("1m"),
        description="So long before what the provider granted ends, a request asks for it anew.",
    )
    max_tokens: Annotated[Size, size("512B", "24KiB")] = Field(
        Size.of("5KiB"),
        description="Bytes of cookies for what the provider gives. If that is more, the ID token is left "
        "out, then the refresh token. Together with all other headers it must fit `max_header_bytes` of the "
        "listener.",
    )

    @model_validator(mode="after")
    def _prefixes(self) -> "Session":
        if self.same_site == "none" and not self.secure:
            message = "browsers take `same_site: none` only where the cookie is `secure`"
            raise ValueError(message)
        return self


class OidcIdentity(Section):
    """People who log in with their browser at an OpenID provider (authorization code with PKCE). Requests
    below `path` belong to the gateway then: `login`, `callback`, `logout` and `backchannel`.
    """

    name: Name = Field(description="Name that routes refer to.")
    kind: Literal["oidc"] = Field("oidc", description="`oidc`; must be written in files.")
    issuer: Url = Field(
        description="The provider, as its tokens name it. What it says of itself is read below "
        "`/.well-known/openid-configuration`, unless there are `endpoints`."
    )
    endpoints: Endpoints | None = Field(
        None, description="Where the provider is asked; it says so itself by default."
    )
    allow_http: bool = Field(
        False, description="Allow plain `http` to the provider. A loopback address needs no permission."
    )
    client_id: Text = Field(description="What the provider calls this gateway.")
    client_secret: Text | None = Field(
        None,
        description="How the gateway proves itself to the provider; best as `${file:...}` or `${env:...}`. "
        "None by default, for a public client.",
    )
    scopes: Annotated[Texts, AfterValidator(_openid)] = Field(
        default_factory=lambda: ["openid"],
        description="What is asked of the provider; `[openid]` by default. Many providers give a refresh "
        "token for `offline_access`.",
    )
    parameters: Annotated[dict[Text, str], AfterValidator(_parameters)] = Field(
        default_factory=dict,
        description="Further parameters of the request to log in, such as `prompt: select_account`.",
    )
    path: Path = Field(
        "/oauth2",
        description="Below it are the paths of the login, on every host. Register `PATH/callback` with the "
        "provider.",
    )
    external_url: Origin | None = Field(
        None,
        description="Where browsers reach the gateway, such as `https://app.example.com`; as each request "
        "says by default.",
    )
    api_paths: Annotated[list[Annotated[str, _form("/.*", "a path such as `/api`")]], OneOrMany] = Field(
        default_factory=list,
        description="Paths where a request without a session gets a 401 and is never sent to the provider, "
        "each with all below it. Elsewhere a `GET` that a browser makes to show a page (`Accept: text/html`, "
        "no script) is sent there.",
    )
    login_timeout: Annotated[Duration, duration("10s", "1h")] = Field(
        Duration.of("10m"), description="How long a person may take to log in."
    )
    after_logout: After = Field(
        "/", description="Where a browser goes after its logout: a path, or a whole address."
    )
    timeout: Timeout = Field(
        Duration.of("5s"), description="How long a request waits for the provider; then 503."
    )
    max_pending: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Logins, refreshes and logouts of all `oidc` identities under way at once, each kind for "
        "itself; above it 503.",
    )
    leeway: Annotated[Duration, duration("0s", "10m")] = Field(
        Duration.of("30s"), description="How far clocks may differ when the times of tokens are checked."
    )
    user_claim: Text = Field(
        "sub",
        description="Claim that becomes `X-User-ID` and that limits per user count by; a path such as "
        "`profile.name` leads into objects.",
    )
    scope_claims: Texts = Field(
        default_factory=lambda: ["scope", "scp", "scopes"],
        description="Claims of the ID token read for scopes: a text with spaces, or a list. `[scope, scp, "
        "scopes]` by default; without any of them the scopes that the provider granted count.",
    )
    role_claims: Texts = Field(
        default_factory=list,
        description="Claims of the ID token read for roles, such as `realm_access.roles`: a text with "
        "spaces, or a list. None by default.",
    )
    claims: Texts = Field(
        default_factory=list,
        description="Claims of the ID token that the session keeps, for rules that read them. They make its "
        "cookie longer.",
    )
    session: Session = Field(description="The session that a login leaves.")
