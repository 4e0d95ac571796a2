"""An OpenID provider on a real socket, as tests want it to be, and a node whose browsers log in with it."""

import asyncio
import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from gateway.credentials import Issuer
from gateway.http_peer import HttpPeer, QuietHandler
from gateway.node import Node
from gatewright.control.configuration import login_settings
from gatewright.identity.oidc.logins import Logins
from gatewright.identity.questions import QuestionWorker
from gatewright.revocation.service import RevocationSettings, RevokedTokens

CLIENT = "gateway"
CLIENT_SECRET = "a secret that only the client has"
COOKIE_SECRET = "a secret that seals cookies, more than 32 characters"


@dataclass
class Grant:
    """What a code or a refresh token stands for."""

    nonce: str | None
    challenge: str | None
    redirect_uri: str
    subject: str
    session: str


@dataclass
class Manners:
    """How the provider behaves; tests change it."""

    claims: dict[str, Any] = field(default_factory=dict)
    """Changes to the claims of ID tokens; `None` leaves one out."""
    header: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, Any] = field(default_factory=dict)
    """Changes to the answer of the token endpoint."""
    subject: str = "ann"
    denies: bool = False
    fails: int | None = None
    """A status with which the token endpoint answers everything."""
    rotates: bool = True
    sign: Callable[[dict[str, Any]], str] | None = None
    """Makes the ID token instead of the provider."""


class Provider(HttpPeer):
    """Logs everybody in at once. A context manager."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.manners = Manners()
        self.signer = Issuer(algorithm)
        self.forms: list[dict[str, str]] = []
        """What the token endpoint was asked."""
        self.revoked: list[str] = []
        self.given_back = threading.Semaphore(0)
        """Released when a refresh token is given back."""
        self.codes: dict[str, Grant] = {}
        self.refresh: dict[str, Grant] = {}
        self.used: set[str] = set()
        self.held = threading.Event()
        """Set: the token endpoint answers. Cleared: it waits."""
        self.held.set()
        self.asked = threading.Semaphore(0)
        """Released when the token endpoint is asked."""
        self._number = 0
        self._lock = threading.Lock()
        super().__init__(self._handler())
        self.url = self.base

    def let_go(self) -> None:
        self.held.set()

    def identity(self, options: str = "", session: str = "", name: str = "web") -> str:
        """An identity of a configuration, as a YAML flow mapping. Its cookies are plain ones by default."""
        session = session if "secure:" in session else f"secure: false, {session}".rstrip(", ")
        more = f", {options}" if options else ""
        return (
            f"{{name: {name}, kind: oidc, issuer: '{self.url}', client_id: {CLIENT}, "
            f"client_secret: '{CLIENT_SECRET}'{more}, "
            f"session: {{secrets: '{COOKIE_SECRET}', {session}}}}}"
        )

    def new(self, kind: str) -> str:
        with self._lock:
            self._number += 1
            return f"{kind}-{self._number}"

    def id_token(self, grant: Grant, access_token: str) -> str:
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "sub": grant.subject,
            "sid": grant.session,
            "nonce": grant.nonce,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
            "exp": int(time.time()) + 300,
        } | self.manners.claims
        if self.manners.sign is not None:
            return self.manners.sign(claims)
        return self.signer.token(self.manners.header, **claims)

    def logout_token(self, **changed: Any) -> str:
        """What the provider posts when a session has ended."""
        events = {"http://schemas.openid.net/event/backchannel-logout": {}}
        claims = {"iss": self.url, "aud": CLIENT, "sub": None, "jti": self.new("jti"), "events": events}
        return self.signer.token({"typ": "logout+jwt"}, **(claims | changed))

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        back = {"state": query["state"], "iss": self.url}
        if self.manners.denies:
            back |= {"error": "access_denied", "error_description": "<script>alert(1)</script>"}
        else:
            code = self.new("code")
            challenge = query.get("code_challenge") if query["code_challenge_method"] == "S256" else None
            nonce, redirect = query.get("nonce"), query["redirect_uri"]
            session = self.new("session")
            self.codes[code] = Grant(nonce, challenge, redirect, self.manners.subject, session)
            back["code"] = code
        return f"{query['redirect_uri']}?{urlencode(back)}"

    def token(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        self.forms.append(form)
        self.asked.release()
        self.held.wait(20)
        if self.manners.fails is not None:
            return self.manners.fails, {"error": "server_error"}
        pair = f"{quote(CLIENT)}:{CLIENT_SECRET.replace(' ', '+')}"
        if authorization != "Basic " + base64.b64encode(pair.encode()).decode():
            return 401, {"error": "invalid_client"}
        grant = self._taken(form)
        if grant is None:
            return 400, {"error": "invalid_grant"}
        return 200, self._given(grant, form.get("refresh_token"))

    def _taken(self, form: dict[str, str]) -> Grant | None:
        if form["grant_type"] == "refresh_token":
            token = form["refresh_token"]
            if token in self.used:
                # As providers do: a token that comes twice was stolen, so none of its line counts any more.
                self.refresh.clear()
                return None
            return self.refresh.get(token)
        grant = self.codes.pop(form["code"], None)
        if grant is None or grant.redirect_uri != form["redirect_uri"]:
            return None
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return grant if challenge == grant.challenge else None

    def _given(self, grant: Grant, refresh_token: str | None) -> dict[str, Any]:
        access_token = self.new("access")
        given: dict[str, Any] = {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "openid profile",
            "id_token": self.id_token(grant, access_token),
        }
        if refresh_token is None or self.manners.rotates:
            if refresh_token is not None:
                self.used.add(refresh_token)
            given["refresh_token"] = self.new("refresh")
            self.refresh[given["refresh_token"]] = grant
        return {name: value for name, value in (given | self.manners.tokens).items() if value is not None}

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "end_session_endpoint": f"{self.url}/end",
            "revocation_endpoint": f"{self.url}/revoke",
            "authorization_response_iss_parameter_supported": True,
        }

    def _handler(self) -> type[QuietHandler]:
        provider = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                if parts.path == "/.well-known/openid-configuration":
                    self.answer(200, provider.discovery())
                elif parts.path == "/jwks":
                    self.answer(200, provider.signer.key_set)
                elif parts.path == "/authorize":
                    self.answer(302, {}, provider.authorize(dict(parse_qsl(parts.query))))
                else:
                    self.answer(200, {"at": self.path})

            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
                if self.path == "/token":
                    self.answer(*provider.token(form, self.headers["authorization"]))
                else:
                    provider.revoked.append(form["token"])
                    provider.given_back.release()
                    self.answer(200, {})

            def answer(self, status: int, document: dict[str, Any], location: str | None = None) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                if location is not None:
                    self.send_header("location", location)
                self.end_headers()
                self.wfile.write(body)

        return Handler


class LoginNode:
    """A node whose browsers log in, with all of Python that this takes in a thread. A context manager."""

    def __init__(self, text: str, directory: Path, workers: int = 1) -> None:
        self.node = Node(text, workers=workers)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.logins, self.revocations = self.do(self._make(directory))
        self._questions = QuestionWorker(self.node.engine, self.logins.answers)
        self._questions.start(self._loop)
        self.use()

    async def _make(self, directory: Path) -> tuple[Logins, RevokedTokens]:
        revocations = RevokedTokens(self.node.engine, directory / "revocations.db")
        await revocations.use(RevocationSettings())
        return Logins(self.node.engine.set_keys, revocations.revoke), revocations

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def use(self) -> None:
        """Follow the configuration that is live."""
        assert self.node.loaded is not None
        self.do(self.logins.use(login_settings(self.node.loaded.gateway), 5.0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.node.stop()
        self._questions.close()
        self.do(self.logins.close())
        self.do(self.revocations.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


def query_of(location: str) -> dict[str, str]:
    """The parameters that a redirect carries, each once."""
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
