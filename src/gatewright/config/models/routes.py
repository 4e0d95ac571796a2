"""Models of routes: which requests they match and what becomes of those."""

import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gatewright.config.matching import check_host, check_path
from gatewright.config.models.addresses import AddressRule, CountryRule, ReputationRule
from gatewright.config.models.answers import Compression, ErrorPages, Static
from gatewright.config.models.authorization import AuthRule, Demand, DemandField, Permission
from gatewright.config.models.base import (
    HeaderName,
    HeaderNames,
    Headers,
    HeaderValue,
    Methods,
    Name,
    OneOrMany,
    Section,
    Text,
    Texts,
    _switched,
    exactly_one,
)
from gatewright.config.models.csrf import Csrf, _off
from gatewright.config.models.recording import RouteRecords
from gatewright.config.models.retries import Hedge, Retry
from gatewright.config.models.tenants import TenantName
from gatewright.config.models.tiers import RateLimitField
from gatewright.config.models.tracing import Sample
from gatewright.config.models.websocket import WebSocket
from gatewright.config.quantities import Duration, Size, Timeout, duration, size

NONE = "none"
"""Written in place of a tier or of `auth`: explicitly nothing."""


def _value_alone(value: object) -> object:
    if isinstance(value, bool | int | float):
        message = f'expected text or a test; write `"{value}"` for the text'
        raise ValueError(message)
    return {"exact": value} if isinstance(value, str) else value


def _path_alone(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


def _none_alone(value: object) -> object:
    if value is None:
        # An `auth:` whose lines were commented out must not open the route.
        message = "`auth` is empty; list identities in `accept`, or write `auth: none`"
        raise ValueError(message)
    return None if value == NONE else value


def _switch_or_own(value: object) -> object:
    # Told by hand, since the union would name both of its members in the error.
    if isinstance(value, bool) or value in ("own", "tenant"):
        return value
    message = "expected `true`, `false`, `own` or `tenant`"
    raise ValueError(message)


def _day(value: object) -> object:
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        message = "expected a date such as `2027-06-01`"
        raise ValueError(message) from None


class ValueTest(Section):
    """A test of a header or query parameter. A text alone means `exact`."""

    exact: str | None = Field(None, description="The value is this.")
    regex: Text | None = Field(None, description="The whole value matches this regular expression.")
    present: Literal[True] | None = Field(None, description="`true`: it is there, with any value.")
    absent: Literal[True] | None = Field(None, description="`true`: it is not there.")

    @model_validator(mode="after")
    def _one_test(self) -> "ValueTest":
        exactly_one(self, "exact", "regex", "present", "absent")
        return self


Test = Annotated[ValueTest, BeforeValidator(_value_alone)]
Host = Annotated[str, AfterValidator(check_host)]


class Match(Section):
    """Which requests a route is for: all conditions must hold. A path alone may stand for it."""

    path: Annotated[str, AfterValidator(check_path)] = Field(
        "/*",
        description="`/a/b` is exact, `/a/*` is `/a` and all below it, `{name}` binds a segment, `regex:` "
        "says so.",
    )
    host: Host | None = Field(None, description="`api.example.com`, or `*.example.com` for all below it.")
    hosts: Annotated[list[Host], OneOrMany] = Field(
        default_factory=list, description="Several hosts; any host by default."
    )
    methods: Methods = Field(
        default_factory=list, description="Methods; any by default. `GET` includes `HEAD`."
    )
    headers: dict[HeaderName, Test] = Field(default_factory=dict, description="Tests of headers.")
    query: dict[str, Test] = Field(default_factory=dict, description="Tests of query parameters.")


class Redirect(Section):
    """Answers with a redirect."""

    to: Annotated[HeaderValue, Field(min_length=1)] = Field(
        description="The `Location`: a path or a whole address. `{path}`, `{query}` (with its `?`) and "
        "`{host}` stand for those of the request, `{name}` for what the route's path binds to that name "
        "(also a named group of a `regex:`), `{*}` for what its `*` stands for."
    )
    status: Literal[301, 302, 303, 307, 308] = Field(302, description="Status of the answer.")


class Respond(Section):
    """Answers with a fixed response."""

    status: int = Field(200, ge=200, le=599, description="Status of the answer.")
    headers: Headers = Field(default_factory=dict, description="Headers of the answer.")
    body: str = Field("", max_length=1_048_576, description="The body, at most 1 MiB.")
    json_body: Any = Field(
        None,
        alias="json",
        description="The body as data, sent as JSON with its `Content-Type`; instead of `body`.",
    )

    @model_validator(mode="after")
    def _one_body(self) -> "Respond":
        if self.body and self.json_body is not None:
            message = "give `body` or `json`, not both"
            raise ValueError(message)
        return self


class Rewrite(Section):
    """Changes the path that goes to the service."""

    regex: Text = Field(description="Regular expression that must match the whole path.")
    replacement: Text = Field(description="The new path; `$1` or `${name}` stand for groups.")


class Auth(Section):
    """Who may use a route."""

    accept: Texts = Field(
        default_factory=list,
        description="Names of identities; the first whose credential is present is asked.",
    )
    scopes: DemandField = Field(
        default_factory=Demand, description="Scopes that the caller must have, all of them; else 403."
    )
    roles: DemandField = Field(
        default_factory=Demand, description="Roles that the caller must have, all of them; else 403."
    )
    permission: Annotated[list[Permission], OneOrMany] = Field(
        default_factory=list,
        description="Permissions that one of the caller's scopes or roles must have by `permissions`, such "
        "as `orders:read`; else 403. Of several all of them.",
    )
    endpoint_permissions: bool = Field(
        False,
        description="Demand that one of the caller's scopes or roles has a pattern in `permissions` that is "
        "about the method and path of the request; else 403.",
    )
    rules: Annotated[list[AuthRule], OneOrMany, Field(max_length=50)] = Field(
        default_factory=list,
        description="Expressions in CEL, 50 at most: none that denies may hold, and where some allow, one of "
        "them must; else 403. One that fails refuses.",
    )
    optional: bool = Field(
        False,
        description="Let requests without any credential through as anonymous. A wrong one is still a 401. "
        "With `rules` alone `accept` may be left out: nobody is asked who calls.",
    )
    grace_period: bool = Field(
        False,
        description="Let them through for a while, until all clients send a credential: they are counted, "
        "told of in their records, and warned of in the log. A wrong one is still a 401.",
    )


class HeaderChanges(Section):
    """Changes of headers, made in the order remove, set, add."""

    remove: HeaderNames = Field(default_factory=list, description="Headers that are taken away.")
    set: Headers = Field(default_factory=dict, description="Headers that replace whatever was there.")
    add: Headers = Field(default_factory=dict, description="Headers that are added to whatever was there.")


class Cors(Section):
    """Which pages of other origins may use a route from a browser. Preflights are answered by the gateway."""

    allow_origins: Texts = Field(
        min_length=1, description="Origins such as `https://app.example.com`, or `*` alone."
    )
    allow_methods: Methods = Field(
        default_factory=lambda: ["GET", "HEAD", "POST"],
        description="Methods; `[GET, HEAD, POST]` by default.",
    )
    allow_headers: HeaderNames = Field(
        default_factory=list, description="Request headers that pages may send."
    )
    expose_headers: HeaderNames = Field(
        default_factory=list, description="Response headers that pages may read."
    )
    allow_credentials: bool = Field(
        False, description="Allow cookies and credentials; not together with `*`."
    )
    max_age: Annotated[Duration, duration("0s", "1d")] = Field(
        Duration.of("10m"), description="How long a browser may remember a preflight."
    )


class Route(Section):
    """What becomes of the requests that it matches: exactly one of `service`, `redirect`, `respond` and
    `static`.
    """

    name: Name = Field(description="Name in records, metrics and `explain`.")
    match: Annotated[Match, BeforeValidator(_path_alone)] = Field(description="Which requests it is for.")
    precedence: int = Field(
        0,
        ge=-1_000_000,
        le=1_000_000,
        description="Higher goes first, before anything else that orders routes.",
    )
    service: Name | None = Field(
        None, description='Service that requests are forwarded to; `self` answers `{"status": "ok"}` itself.'
    )
    redirect: Redirect | None = Field(None, description="Answer with a redirect instead.")
    respond: Respond | None = Field(None, description="Answer with a fixed response instead.")
    static: Static | None = Field(None, description="Answer with files of a directory instead.")
    strip_prefix: Annotated[str, Field(pattern=r"^/.*[^/]$")] | None = Field(
        None, description="Taken from the front of the path before it goes to the service, or names a file."
    )
    rewrite: Rewrite | None = Field(None, description="Changes the path after `strip_prefix`.")
    host_header: Literal["preserve", "instance"] = Field(
        "preserve",
        description="`Host` for the service: the client's (`preserve`), or the name of the instance.",
    )
    auth: Annotated[Auth | None, BeforeValidator(_none_alone)] = Field(
        None, description="Who may use it; `none`, the default, is everybody."
    )
    tenants: Annotated[list[TenantName] | None, OneOrMany] = Field(
        None,
        max_length=100,
        description="Tenants that may use it; requests of others get 403 `tenant_not_allowed`, those of none "
        "403 `tenant_required`. Everybody by default.",
    )
    https_only: Literal["off", "refuse", "redirect"] | None = Field(
        None,
        description="What becomes of requests that did not come over TLS: nothing (`off`), 403 (`refuse`), "
        "or for `GET` and `HEAD` a redirect and for others 403 (`redirect`). `defaults.https_only` by "
        "default.",
    )
    addresses: AddressRule | None = Field(
        None, description="From which addresses it may be used; from all by default."
    )
    countries: CountryRule | None = Field(
        None, description="From which countries it may be used; from all by default."
    )
    reputation: ReputationRule | None = Field(
        None, description="What becomes of networks of bad reputation; nothing by default."
    )
    rate_limit: RateLimitField = Field(
        None,
        description="Its limit, the name of a tier or several, or `none`. By default that of `defaults`, "
        "else `standard` where `auth` is required and `unauthenticated` elsewhere.",
    )
    timeout: Timeout | None = Field(
        None,
        description="How long the service may be silent while it is waited for: 504 before its answer "
        "begins, cut off within it. Not a bound on the whole exchange. `defaults.timeout` by default.",
    )
    max_body: Annotated[Size, size("0B", "64GiB")] = Field(
        Size.of("10MiB"), description="Size of a request's body; above it 413."
    )
    priority: Literal["P0", "P1", "P2", "P3"] = Field(
        "P1",
        description="Who is refused first under overload, by the thresholds of `overload`: P3 first, P0 "
        "last. Likewise of `node.max_in_flight`: P3 from 60 % of it, P2 from 75 %, P1 from 90 %, P0 from all "
        "of it.",
    )
    circuit_breaker: Annotated[bool | Literal["own", "tenant"], BeforeValidator(_switch_or_own)] = Field(
        True,
        description="Whether to use the breaker of the service; `own` for one that this route has for "
        "itself, `tenant` for one of each tenant, by the rules of the service. Requests of no tenant use "
        "that of the service.",
    )
    forward_authorization: bool = Field(
        False, description="Send the header, or the cookie, that carries the token on to the service."
    )
    forward_api_key: bool = Field(False, description="Send the API key's header on to the service.")
    request_headers: HeaderChanges = Field(
        default_factory=HeaderChanges, description="Changes of the request's headers for the service."
    )
    response_headers: HeaderChanges = Field(
        default_factory=HeaderChanges, description="Changes of the response's headers for the client."
    )
    security_headers: bool | None = Field(
        None,
        description="Add security headers that the service has not set. `defaults.security_headers` by "
        "default.",
    )
    cors: Cors | None = Field(None, description="Use from pages of other origins; not allowed by default.")
    deprecated: bool = Field(False, description="Send `Deprecation: true`.")
    sunset: Annotated[datetime.date | None, BeforeValidator(_day)] = Field(
        None, description="Day on which the route ends, such as `2027-06-01`; sent as `Sunset`."
    )
    deprecation_link: Annotated[str, Field(pattern=r'^(https?://|/)[^\s<>"\\]+$')] | None = Field(
        None,
        description="Page about what to use instead; sent as a `Link` of `deprecated` and `sunset`.",
    )
    gone_after_sunset: bool = Field(
        False, description="Refuse requests with 410 from the day of `sunset` on."
    )
    compression: Annotated[Compression | None, BeforeValidator(_switched)] = Field(
        None,
        description="Compress answers of the service: `on`, or settings. Off by default, since it costs CPU "
        "time, and secrets beside text that others choose can be guessed from lengths.",
    )
    websocket: Annotated[WebSocket | None, BeforeValidator(_switched)] = Field(
        None, description="WebSockets to the service: `true`, or settings. Off by default."
    )
    trace_sample: Sample | None = Field(
        None,
        description="Share of the traces that begin here that are sampled; `tracing.sample` by default.",
    )
    hedge: Hedge | None = Field(
        None,
        description="Ask another instance, too, for a read whose answer is slow to come. Off by default.",
    )
    retry: Annotated[Retry | None, BeforeValidator(_switched)] = Field(
        None,
        description="Send a request once more when its service fails: `true` or `on`, or settings. Off by "
        "default, since clients retry, too.",
    )
    csrf: Annotated[Csrf | None, BeforeValidator(_off)] = Field(
        None,
        description="What is demanded of requests that browsers vouch for, or `off`; `defaults.csrf` by "
        "default.",
    )
    error_pages: ErrorPages | None = Field(
        None, description="How errors of this route look; like those of the configuration by default."
    )
    records: RouteRecords | None = Field(
        None, description="How records of this route differ from those of others; not at all by default."
    )

    @model_validator(mode="after")
    def _one_action(self) -> "Route":
        exactly_one(self, "service", "redirect", "respond", "static")
        return self
