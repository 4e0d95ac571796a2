"""An issuer of tokens that say nothing by themselves, and a data plane that asks it."""

import asyncio
import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from gateway.answering import AnsweringNode
from gateway.client import Response, get
from gateway.http_peer import HttpPeer, QuietHandler
from gatewright.control.configuration import introspection_sources
from gatewright.identity.introspection import Introspections
from gatewright.identity.questions import Answer

CLIENT = ("gateway", "its secret")


class TokenIssuer(HttpPeer):
    """Answers what its tokens are worth (RFC 7662) to who names himself as `client`. A context manager."""

    def __init__(self) -> None:
        self.client = CLIENT
        self.tokens: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.behaviour = "answer"
        self.released = threading.Event()
        issuer = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                issuer.serve(self, parse_qs(body))

        super().__init__(Handler)

    @property
    def url(self) -> str:
        return f"{self.base}/introspect"

    def let_go(self) -> None:
        self.released.set()

    def grant(self, token: str, **claims: Any) -> None:
        """A token that is active for ten minutes; a claim of `None` is left out."""
        told = {"active": True, "sub": "ann", "scope": "read", "exp": int(time.time()) + 600} | claims
        self.tokens[token] = {name: value for name, value in told.items() if value is not None}

    def serve(self, request: BaseHTTPRequestHandler, form: dict[str, list[str]]) -> None:
        (token,) = form["token"]
        self.asked.append(token)
        basic = base64.b64encode(":".join(self.client).encode()).decode()
        if request.headers["authorization"] not in {f"Basic {basic}", "Bearer it is me"}:
            request.send_error(401)
            return
        if self.behaviour == "hang":
            self.released.wait(30)
            return
        status, headers, body = self.answer(token)
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def answer(self, token: str) -> tuple[int, dict[str, str], bytes]:
        good = json.dumps(self.tokens.get(token, {"active": False})).encode()
        bodies = {
            "garbage": b"<html>",
            "list": b"[]",
            "nothing": b"",
            "no active": b'{"sub": "ann"}',
            "active as a text": b'{"active": "true"}',
            "active twice": b'{"active": false, "active": true, "sub": "ann"}',
            "not UTF-8": b'{"active": true, "sub": "\xff"}',
            "huge": b'{"active": true, "pad": "' + b"x" * (1 << 20) + b'"}',
            "deep": b'{"active": true, "pad": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        }
        statuses = {"redirect": 307, "error": 500, "created": 201, "unauthorized": 401}
        headers = {"location": self.url + "/elsewhere"} if self.behaviour == "redirect" else {}
        return statuses.get(self.behaviour, 200), headers, bodies.get(self.behaviour, good)


class IntrospectingNode(AnsweringNode):
    """A node that asks issuers, as a whole node does. An async context manager."""

    def __init__(self, text: str) -> None:
        self.issuers = Introspections()
        super().__init__(text)

    def answers(self) -> dict[str, Answer]:
        return {"introspect": self.issuers.answer}

    def use(self) -> None:
        assert self.node.loaded is not None
        self.issuers.use(introspection_sources(self.node.loaded.gateway))

    async def release(self) -> None:
        await self.issuers.close()

    async def get(self, token: str, *headers: tuple[str, str]) -> Response:
        """What a caller with this token gets."""
        return await asyncio.to_thread(
            get, self.node.address, "/", ("Authorization", f"Bearer {token}"), *headers
        )

    async def status(self, token: str) -> int:
        return (await self.get(token)).status

    def outcomes(self, outcome: str) -> float:
        return self.node.metric("gateway_token_introspections_total", outcome=outcome)
