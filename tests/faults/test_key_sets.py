"""Key sets of issuers that rotate, fail and lie: nobody is let in by mistake, and nobody kept out."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from faults.conftest import Setting
from faults.process import Process, wait_until
from gateway import Issuer, get

Lie = Callable[[BaseHTTPRequestHandler], None]
DISCOVERY = "/.well-known/openid-configuration"


class Publisher:
    """An issuer's server, which publishes keys until it is told to do something else."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.misbehave: Lie | None = None
        self.asked: list[str] = []
        self.hanging = threading.Event()
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def publish(self, *issuers: Issuer) -> None:
        self.keys = [key for issuer in issuers for key in issuer.key_set["keys"]]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if self.misbehave is not None:
            self.misbehave(request)
            return
        document: dict[str, Any] = {"keys": self.keys}
        if request.path == DISCOVERY:
            document = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        send(request, 200, json.dumps(document).encode())

    def hang(self, _: BaseHTTPRequestHandler) -> None:
        self.hanging.wait(30)

    def close(self) -> None:
        self.hanging.set()
        self.server.shutdown()
        self.server.server_close()


def send(request: BaseHTTPRequestHandler, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    request.send_response(status)
    for name, value in (("Content-Length", str(len(body))), *headers):
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(body)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.close()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def text(setting: Setting, jwks: str, issuer: str = "https://id.test") -> str:
    identity = f"{{name: mobile, kind: jwt, issuer: '{issuer}', audience: api, jwks: {jwks}}}"
    return f"""\
version: 1
listeners: [{{name: public, address: "127.0.0.1:{setting.port}"}}]
admin: {{address: "127.0.0.1:{setting.admin}"}}
identities: [{identity}]
defaults: {{rate_limit: none, unauthenticated_tier: none}}
records: {{sinks: []}}
routes: [{{name: all, match: /*, respond: {{body: "ok"}}, auth: {{accept: [mobile]}}}}]
"""


def by_url(setting: Setting, publisher: Publisher, more: str = "minimum_refresh: 100ms") -> str:
    timeout = "" if "timeout:" in more else "timeout: 30s, "
    return text(setting, f"{{url: '{publisher.url}/keys', {timeout}{more}}}")


def status(setting: Setting, issuer: Issuer, **claims: Any) -> int:
    return get(("127.0.0.1", setting.port), "/", issuer.bearer(**claims)).status


def wait(condition: Callable[[], bool]) -> None:
    wait_until("what the test waits for", condition)


def killed(process: Process) -> None:
    process.child.kill()
    process.wait()


def is_kept(setting: Setting) -> bool:
    return (setting.directory / ".gatewright" / "key-sets.json").exists()


def test_a_node_that_starts_while_its_issuer_is_down_goes_on_with_the_keys_that_it_had(
    setting: Setting, publisher: Publisher, issuer: Issuer
) -> None:
    publisher.publish(issuer)
    publisher.misbehave = failing
    setting.write(by_url(setting, publisher))
    first = setting.run()
    # Nothing was ever had, and nothing is called wrong.
    assert status(setting, issuer) == 503
    publisher.misbehave = None
    wait(lambda: status(setting, issuer) == 200)
    wait(lambda: is_kept(setting))
    killed(first)
    publisher.misbehave = failing
    second = setting.run()
    assert status(setting, issuer) == 200
    assert status(setting, Issuer()) == 401
    (keys,) = second.health()["dependencies"]["key_sets"]
    assert (keys["has_keys"], keys["stale"]) == (True, False)
    assert second.metric("gateway_key_set_age_seconds") < 60
    assert second.metric("gateway_key_set_stale") == 0
    assert second.metric("gateway_key_set_next_refresh_seconds") < 500
    assert second.metric("gateway_key_set_save_failures_total") == 0


def test_keys_may_be_rotated_at_any_time_without_a_failed_request(
    setting: Setting, publisher: Publisher, issuer: Issuer
) -> None:
    publisher.publish(issuer)
    setting.write(by_url(setting, publisher, "minimum_refresh: 30s"))
    setting.run()
    # At the start the node waits three seconds for them, and not more.
    wait(lambda: status(setting, issuer) == 200)
    rotated = Issuer("ES256", "key-2")
    publisher.publish(issuer, rotated)
    asked = len(publisher.asked)
    assert [status(setting, one) for one in (rotated, issuer, rotated)] == [200, 200, 200]
    assert len(publisher.asked) == asked + 1


def huge(request: BaseHTTPRequestHandler) -> None:
    send(request, 200, b'{"keys": [' + b" " * (2 << 20) + b"]}")


def says(body: bytes, *headers: tuple[str, str]) -> Lie:
    def answer(request: BaseHTTPRequestHandler) -> None:
        send(request, 200, body, *headers)

    return answer


def nonsense(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x00" * 100)


def failing(request: BaseHTTPRequestHandler) -> None:
    send(request, 500, b"")


def redirected(request: BaseHTTPRequestHandler) -> None:
    send(request, 302, b"", ("Location", "/elsewhere"))


def test_an_issuer_that_lies_opens_nothing_and_takes_no_key_away(
    setting: Setting, publisher: Publisher, issuer: Issuer
) -> None:
    publisher.publish(issuer)
    setting.write(by_url(setting, publisher, "timeout: 1s, minimum_refresh: 100ms"))
    process = setting.run()
    wait(lambda: status(setting, issuer) == 200)
    evil = Issuer("EdDSA", "evil")
    secret = {"kty": "oct", "kid": "evil", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}
    lies: list[Lie] = [
        huge,
        redirected,
        says(b"<html>"),
        says(b'{"keys": []}'),
        says(json.dumps({"keys": [secret]}).encode()),
        says(b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}'),
        says(json.dumps(evil.key_set).encode(), ("Content-Encoding", "gzip")),
        nonsense,
        publisher.hang,
    ]
    for number, lie in enumerate(lies):
        publisher.misbehave = lie
        failures = process.metric("gateway_key_set_fetch_failures_total")

        def has_failed(before: float = failures) -> bool:
            # Each unknown key asks, once the least time between two is over.
            assert status(setting, evil) == 401
            return process.metric("gateway_key_set_fetch_failures_total") > before

        wait(has_failed)
        assert status(setting, issuer) == 200, number
    assert "/elsewhere" not in publisher.asked


def test_an_issuer_says_itself_where_its_keys_are(
    setting: Setting, publisher: Publisher, issuer: Issuer
) -> None:
    publisher.publish(issuer)
    jwks = "{discovery: true, timeout: 30s, minimum_refresh: 100ms}"
    setting.write(text(setting, jwks, publisher.url))
    process = setting.run()
    wait(lambda: status(setting, issuer, iss=publisher.url) == 200)
    assert publisher.asked[:2] == [DISCOVERY, "/keys"]
    # A document of another issuer is none of this one.
    setting.write(text(setting, f"{{discovery: '{publisher.url}', timeout: 30s}}", "https://other.test"))
    wait(lambda: status(setting, issuer, iss="https://other.test") == 503)
    wait(lambda: "is not of issuer" in str(process.health()["dependencies"]["key_sets"]))


def test_keys_in_files_are_watched(setting: Setting, issuer: Issuer, tmp_path: Path) -> None:
    other = Issuer("ES256", "key-1")
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(issuer.key_set))
    setting.write(text(setting, "keys.json"))
    setting.run()
    assert (status(setting, issuer), status(setting, other)) == (200, 401)
    file.write_text(json.dumps(other.key_set))
    wait(lambda: status(setting, other) == 200)
    assert status(setting, issuer) == 401
    pem = tmp_path / "key.pem"
    pem.write_bytes(issuer.key.as_pem(private=False))
    setting.write(text(setting, "x").replace("jwks: x", "public_key: {file: key.pem, key_id: key-1}"))
    wait(lambda: status(setting, issuer) == 200)
    pem.write_bytes(other.key.as_pem(private=False))
    wait(lambda: status(setting, other) == 200)
    assert status(setting, issuer) == 401
