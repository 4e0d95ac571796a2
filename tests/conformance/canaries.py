"""Secrets that can be told from everything else, and a gateway that meets one in each place."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from faults.process import Process, gatewright, wait_until
from gateway import Client, Http2, Issuer, Origin, Response, TokenIssuer, basic, get, quick_hash
from gateway.broken import Broken, each
from gateway.browser import Browser
from gateway.client import encode
from gateway.oidc import CLIENT_SECRET, Provider, query_of

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# Long enough that no other text has it by chance, and what is left of one that was cut is still told.
PIECE = 16


def new(place: str, marks: str = "") -> str:
    """A secret of at least 32 characters; `marks` are characters that are escaped in places."""
    middle = "".join(secrets.choice(LETTERS) for _ in range(PIECE * 2))
    return f"cnry{place.replace('-', '')}{marks}{middle}"


@dataclass
class Canaries:
    """All secrets of a test, by the place where each stands."""

    by_place: dict[str, str] = field(default_factory=dict)

    def new(self, place: str, marks: str = "") -> str:
        return self.by_place.setdefault(place, new(place, marks))

    def forms(self, place: str) -> set[bytes]:
        """How it may look: itself or a half of it, escaped, hexadecimal, in base64 wherever it begins."""
        secret = self.by_place[place]
        halves = {secret[-PIECE:], secret[-2 * PIECE : -PIECE]}
        texts = halves | {quote(secret, safe=""), quote_plus(secret), secret}
        found = {text.encode() for text in texts} | {secret.encode().hex().encode()}
        for offset in range(3):
            coded = base64.b64encode(b"\0" * offset + secret.encode())
            # Neither end may depend on what stands beside it.
            inner = coded[4:-4]
            found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
        return found


CONFIGURED = (
    "admin-token",
    "introspection-client",
    "key-store",
    "key-store-before",
    "redis-password",
    "cookie-seal",
    "cookie-seal-before",
    "challenge",
    "pepper",
    "signer",
)
"""Places in the configuration. All other canaries come with requests."""


PATIENT = "timeout: 10s"
"""Whoever is asked answers, also where the machine is busy."""


def configuration(setting: "Setting") -> str:
    secret = {place: setting.canaries.new(place) for place in CONFIGURED}
    provider, issuer = setting.provider, setting.issuer
    seals = f"[{secret['cookie-seal']}, {secret['cookie-seal-before']}]"
    client = f"client_id: gateway, client_secret: '{CLIENT_SECRET}'"
    session = f"session: {{secrets: {seals}, secure: false}}"
    web = f"{{name: web, kind: oidc, issuer: '{provider.url}', {PATIENT}, {client}, {session}}}"
    mobile = issuer.identity.removesuffix("}") + ", cookie: token, query: access_token}"
    setting.opaque.client = ("gateway", secret["introspection-client"])
    opaque = f"url: '{setting.opaque.url}', client_id: gateway, client_secret: {setting.opaque.client[1]}"
    people = f"users: [{{user: ann, hash: '{quick_hash(setting.canaries.new('password'))}'}}]"
    return f"""
listeners: [{{name: public, address: "127.0.0.1:{setting.public}"}}]
admin: {{address: "127.0.0.1:{setting.admin}", token: '{secret["admin-token"]}'}}
defaults: {{rate_limit: none, unauthenticated_tier: none}}
services: [{{name: users, instances: ["{setting.origin.address}"]}}]
redis: {{url: 'redis://:{secret["redis-password"]}@127.0.0.1:{setting.redis.port}/0', timeout: 100ms}}
key_store: {{secret: {secret["key-store"]}, previous_secret: {secret["key-store-before"]}, share: redis}}
challenge: {{secret: {secret["challenge"]}}}
passwords: {{{PATIENT}}}
identities:
  - {mobile}
  - {{name: opaque, kind: introspection, {opaque}, {PATIENT}}}
  - {{name: people, kind: basic, {people}}}
  - {{name: machines, kind: signature, keys: [{{id: billing, secret: {secret["signer"]}, partner: acme}}]}}
  - {{name: partners, kind: api_key, header: X-API-Key, keys: {{keys: []}}, pepper: {secret["pepper"]}}}
  - {{name: stored, kind: api_key, header: X-Stored-Key, keys: {{store: true}}}}
  - {web}
tiers: [{{name: shared, limit: 1000, window: 60s, per: client_ip, share: exact}}]
routes:
  - {{name: mobile, match: /mobile/*, service: users, auth: {{accept: [mobile]}}, rate_limit: shared}}
  - {{name: opaque, match: /opaque, service: users, auth: {{accept: [opaque]}}}}
  - {{name: people, match: /people, service: users, auth: {{accept: [people]}}}}
  - {{name: machines, match: /machines, service: users, auth: {{accept: [machines]}}}}
  - {{name: partners, match: /partners, service: users, auth: {{accept: [partners]}}}}
  - {{name: stored, match: /stored, service: users, auth: {{accept: [stored]}}}}
  - {{name: web, match: /web/*, service: users, auth: {{accept: [web]}}}}
  - {{name: public, match: /public, service: users}}
  - {{name: redirect, match: /old, redirect: {{to: /public}}}}
"""


@dataclass
class Setting:
    """A whole gateway, and what it knows and asks."""

    directory: Path
    public: int
    admin: int
    canaries: Canaries = field(default_factory=Canaries)
    issuer: Issuer = field(default_factory=lambda: Issuer("ES256"))
    answers: list[Response] = field(default_factory=list)
    opened: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.origin = self.opened.enter_context(Origin())
        self.opaque = self.opened.enter_context(TokenIssuer())
        self.provider = self.opened.enter_context(Provider())
        self.redis = self.opened.enter_context(
            Broken(
                each(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"), speaks_http=False
            )
        )
        self.provider.new = lambda kind: self.canaries.new(f"oidc-{kind}-{len(self.canaries.by_place)}")
        file = self.directory / "gateway.yaml"
        file.write_text(configuration(self))
        self.process = self.opened.enter_context(Process(file, self.admin, "--workers", "1"))
        self.process.wait_until_live()

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.public

    def get(self, path: str, *headers: tuple[str, str]) -> Response:
        """Ask by both protocols, and keep what they say."""
        with Http2(self.address) as http2:
            self.answers.append(http2.request(path, [(name.lower(), value) for name, value in headers]))
        self.answers.append(get(self.address, path, *headers))
        return self.answers[-1]

    def ask(self, path: str, token: str | None = None) -> Response:
        """Ask the admin listener."""
        told = token or self.canaries.by_place["admin-token"]
        return get(("127.0.0.1", self.admin), path, ("Authorization", f"Bearer {told}"))

    def command(self, *arguments: str) -> bytes:
        told = {"GATEWRIGHT_ADMIN_TOKEN": self.canaries.by_place["admin-token"]}
        done = gatewright(*arguments, "--admin", f"http://127.0.0.1:{self.admin}", **told)
        return (done.stdout + done.stderr).encode()


def requests_with_headers(setting: Setting) -> Iterator[tuple[str, tuple[str, str]]]:
    """A path and a header for each place in which a wrong credential can stand."""
    new = setting.canaries.new
    yield "/mobile/a", ("Authorization", f"Bearer {new('bearer')}")
    yield (
        "/mobile/a",
        ("Authorization", f"Bearer {new('bearer-parts')}.{new('bearer-claims')}.{new('bearer-sign')}"),
    )
    yield "/mobile/a", ("Authorization", f"DPoP {new('dpop-token')}")
    yield "/mobile/a", ("DPoP", new("dpop-proof"))
    yield "/mobile/a", ("Authorization", f"{new('scheme')} {new('scheme-value')}")
    yield "/mobile/a", ("Proxy-Authorization", f"Basic {new('proxy')}")
    yield "/mobile/a", ("Cookie", f"token={new('cookie-token')}")
    yield "/public", ("Authorization", f"Bearer {new('bearer-public')}")
    yield "/public", ("Cookie", f"token={new('cookie-public')}; session={new('session-public')}")
    yield "/public", ("X-API-Key", new("key-public"))
    yield "/opaque", ("Authorization", f"Bearer {new('opaque-unknown')}")
    yield "/people", basic("ann", new("password-wrong", "/+~"))
    yield "/people", basic(new("user-unknown"), new("password-unknown"))
    yield "/people", ("Authorization", f"Basic {new('basic-garbage')}")
    yield "/partners", ("X-API-Key", new("key-unknown"))
    yield "/stored", ("X-Stored-Key", "pk_live_" + new("stored-malformed"))
    yield "/web/a", ("Cookie", f"session={new('session-wrong')}")
    yield "/machines", ("Signature", f"s=:{base64.b64encode(new('signature').encode()).decode()}:")
    yield "/nowhere", ("Authorization", f"Bearer {new('bearer-nowhere')}")


def send_bad_requests(setting: Setting) -> None:
    """Each with a secret of its own, none of them good."""
    for path, header in requests_with_headers(setting):
        assert setting.get(path, header).status in {200, 400, 401, 404}, path
    new = setting.canaries.new
    for target in (
        f"/mobile/a?access_token={quote_plus(new('query-token', '/+'))}&b=c",
        f"/public?access_token={new('query-public')}",
        f"/old?access_token={new('query-redirect')}",
        f"/nowhere?access_token={new('query-nowhere')}",
        f"/public?token={new('query-name')}&api_key={new('query-name-key')}&password={new('query-name-password')}",
        f"/oauth2/callback?code={new('code-invented')}&state={new('state-invented')}",
    ):
        setting.get(target)
    with Client(setting.address) as client:
        client.send(encode(f"http://ann:{new('userinfo')}@127.0.0.1/public"))
        setting.answers.append(client.response())
    for name in ("admin-wrong", "admin-wrong-path"):
        setting.answers.append(setting.ask("/api/v1/keys" if name.endswith("path") else "/health", new(name)))


def send_good_requests(setting: Setting) -> None:
    """The same places with credentials that are accepted."""
    canaries, issuer, new = setting.canaries, setting.issuer, setting.canaries.new
    for number, carry in enumerate((
        lambda token: ("/mobile/a", [("Authorization", f"Bearer {token}")]),
        lambda token: ("/mobile/a", [("Cookie", f"token={token}; theme=dark")]),
        lambda token: (f"/mobile/a?access_token={token}", []),
    )):
        token = issuer.token(sub=f"user-{number}", jti=new("jti"))
        canaries.by_place[f"token-good-{number}"] = token
        path, headers = carry(token)
        assert setting.get(path, *headers).status == 200
    for place, behaviour, status in (("opaque-good", "answer", 200), ("opaque-failed", "error", 503)):
        setting.opaque.behaviour = behaviour
        setting.opaque.grant(new(place))
        assert setting.get("/opaque", ("Authorization", f"Bearer {new(place)}")).status == status
    assert setting.get("/people", basic("ann", canaries.by_place["password"])).status == 200


def log_in(setting: Setting) -> None:
    """A browser logs in, comes back, and goes: with the provider's code, state, tokens and a session."""
    browser, page = Browser(), f"http://127.0.0.1:{setting.public}/web/page"
    sent = browser.goes(page)
    setting.answers.append(sent)
    query = query_of(sent.get("location") or "")
    for name in ("state", "nonce", "code_challenge"):
        setting.canaries.by_place[f"login-{name}"] = query[name]
    back = browser.goes(sent.get("location") or "").get("location") or ""
    for url in (back, page, back, f"http://127.0.0.1:{setting.public}/oauth2/logout"):
        setting.answers.append(browser.goes(url))
        for name, cookie in browser.cookies(page).items():
            if len(cookie.value) >= 2 * PIECE:
                setting.canaries.by_place[f"session-{name}-{len(setting.canaries.by_place)}"] = cookie.value


Output = dict[str, bytes]


def collect(setting: Setting) -> Output:
    """Everything that a gateway says or keeps."""
    last = setting.get("/public", ("User-Agent", "the last one"))
    request = last.get("x-request-id") or ""

    def is_stored() -> bool:
        return request.encode() in setting.command("records", "--tail", "500", "--json")

    wait_until("the last record", is_stored)
    found: Output = {}
    for number, answer in enumerate(setting.answers):
        # What a browser is given is for it alone: its cookies, and the provider's address with its state.
        shown = [pair for pair in answer.headers if pair[0] not in {"set-cookie", "location"}]
        found[f"answer-{number}"] = str((answer.status, shown)).encode() + answer.body
    for number, received in enumerate(setting.origin.requests):
        found[f"service-{number}"] = received.head + received.coded
    for path in admin_paths(setting, request):
        answer = setting.ask(path)
        found[f"admin{path}"] = str(answer.headers).encode() + answer.body
    for command in COMMANDS:
        found[f"command-{'-'.join(command)}"] = setting.command(*command)
    found["command-records"] = setting.command("records", "--tail", "500", "--json")
    found["command-explain"] = setting.command("explain", request)
    found["log"] = "\n".join(setting.process.lines).encode()
    for path in sorted((setting.directory / ".gatewright").rglob("*")):
        if path.is_file():
            found[f"file-{path.relative_to(setting.directory / '.gatewright')}"] = path.read_bytes()
    return found


COMMANDS: list[tuple[str, ...]] = [
    ("status",),
    ("status", "--json"),
    ("breakers",),
    ("limits",),
    ("keys", "list"),
]


def admin_paths(setting: Setting, request: str) -> Iterator[str]:
    """Every path of the admin API that can be read, filled with names that are there."""
    paths: dict[str, Any] = json.loads(setting.ask("/openapi.json").body)["paths"]
    known = {"request_id": request, "id": request, "name": "users", "service": "users", "tier": "shared"}
    for path, operations in paths.items():
        if "get" in operations:
            yield path.format_map(Names(known))
    yield from (
        "/openapi.json",
        "/health",
        "/healthz",
        "/readyz",
        "/metrics",
        f"/api/v1/records?{urlencode({'limit': 500})}",
    )


class Names(dict[str, str]):
    """What stands for the parameters of a path."""

    def __missing__(self, _: str) -> str:
        return "unknown"


Sender = Callable[[Setting], None]
SENDERS: list[Sender] = [send_bad_requests, send_good_requests, log_in]
