"""Whatever an answer depends on fails in every way: nobody is let in whose credential was not proven."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from faults.process import Process, wait_until
from gateway import Http2, Issuer, Origin, Response, get
from gateway.broken import HTTP_FAULTS, Broken, says
from gateway.browser import ACCEPT
from gateway.oidc import COOKIE_SECRET, query_of
from gateway.ports import unused_ports

AUDIENCE = "api"
# Waits have this bound, so that what hangs costs a moment; who answers at once is waited for.
TIMEOUT, PATIENT = "300ms", "10s"
WORKS = "works"
"""The name of the fault that is none: what would be let in is let in where the dependency does its work."""
FAULTS = [*HTTP_FAULTS, WORKS]
CREDENTIALS = ("keys", "discovery", "introspection")
# The provider has answered, and what it said makes no login.
SAID_SOMETHING = {("login-token", "wrong-kinds")}
ANSWERS_AT_ONCE = {WORKS, "wrong-kinds"}
LOGINS = ("login-discovery", "login-token", "login-keys")


@dataclass
class Setting:
    """A whole gateway with an identity and a route for each dependency and fault, and what all fail with."""

    process: Process
    address: tuple[str, int]
    origin: Origin
    issuer: Issuer
    provider: "Granting"
    records_file: Path
    broken: dict[str, Broken] = field(default_factory=dict)

    def record(self, request: str | None) -> dict[str, Any]:
        """The record of a request, as soon as it is written."""
        found: list[dict[str, Any]] = []

        def is_written() -> bool:
            text = self.records_file.read_text() if self.records_file.exists() else ""
            # Without the last line, which may be half written.
            lines = text.split("\n")[:-1]
            found.extend(one for line in lines if (one := json.loads(line))["request_id"] == request)
            return bool(found)

        wait_until("the record of a request", is_written)
        return found[0]

    def credential(self, dependency: str, fault: str) -> tuple[str, str]:
        """What a good server would vouch for."""
        if dependency == "introspection":
            return "authorization", "Bearer opaque"
        return self.issuer.bearer(iss=f"https://{dependency}-{fault}.test")


@dataclass
class Granting:
    """What a provider that works says to everybody, for the login that is under way."""

    issuer: Issuer
    nonce: str = ""
    of: str = ""

    def document(self, broken: Broken, path: str) -> dict[str, Any]:
        url = f"{broken.url}/good"
        if path.endswith("/introspect"):
            return {"active": True, "sub": "ann", "exp": int(time.time()) + 600}
        if path.endswith("/token"):
            claims = {"iss": self.of, "aud": "gateway", "nonce": self.nonce}
            token = self.issuer.token(**claims)
            return {"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": token}
        if path.endswith("openid-configuration"):
            of = path.removesuffix("/.well-known/openid-configuration").strip("/")
            issuer = f"{broken.url}/{of}" if of.startswith("login") else f"https://{of}.test"
            places = {"authorization": f"{url}/authorize", "token": f"{url}/token"}
            return {"issuer": issuer, "jwks_uri": f"{url}/keys"} | {
                f"{name}_endpoint": place for name, place in places.items()
            }
        return self.issuer.key_set


def timeout_of(name: str) -> str:
    """The bound of waits of an identity, whose name ends with that of its fault."""
    return PATIENT if any(name.endswith(fault) for fault in ANSWERS_AT_ONCE) else TIMEOUT


def jwt(name: str, jwks: str) -> str:
    where = f"{{{jwks}, timeout: {timeout_of(name)}, minimum_refresh: 100ms}}"
    return f"{{name: {name}, kind: jwt, issuer: 'https://{name}.test', audience: {AUDIENCE}, jwks: {where}}}"


def login(name: str, url: str, endpoints: dict[str, str]) -> str:
    told = "".join(f"{place}: '{address}', " for place, address in endpoints.items())
    session = f"{{secrets: '{COOKIE_SECRET}', secure: false, cookie: {name}}}"
    timeout = f"timeout: {timeout_of(name)}"
    given = f"endpoints: {{{told}}}, " if told else ""
    return (
        f"{{name: {name}, kind: oidc, issuer: '{url}/{name}', client_id: gateway, {timeout}, "
        f"{given}path: /oauth/{name}, session: {session}}}"
    )


def identities(fault: str, url: str) -> dict[str, str]:
    """An identity for each dependency, all on a server with one fault."""
    good = {name: f"{url}/good/{name}" for name in ("authorization", "token", "jwks")}
    named = {dependency: f"{dependency}-{fault}" for dependency in (*CREDENTIALS, *LOGINS)}
    document = f"{url}/{named['discovery']}/.well-known/openid-configuration"
    opaque = f"url: '{url}/introspect', bearer_token: it is me, timeout: {timeout_of(fault)}"
    return {
        "keys": jwt(named["keys"], f"url: '{url}/keys'"),
        "discovery": jwt(named["discovery"], f"discovery: '{document}'"),
        "introspection": f"{{name: {named['introspection']}, kind: introspection, {opaque}}}",
        "login-discovery": login(named["login-discovery"], url, {}),
        "login-token": login(named["login-token"], url, good | {"token": f"{url}/token"}),
        "login-keys": login(named["login-keys"], url, good | {"jwks": f"{url}/keys"}),
    }


def configuration(ports: tuple[int, int], origin: Origin, broken: dict[str, Broken]) -> str:
    all_of = {
        (what, fault): text for fault in broken for what, text in identities(fault, broken[fault].url).items()
    }
    routes = [
        f"{{name: {what}-{fault}, match: /{what}/{fault}, service: users, auth: {{accept: {what}-{fault}}}}}"
        for what, fault in all_of
    ]
    return "\n".join([
        f'listeners: [{{name: public, address: "127.0.0.1:{ports[0]}"}}]',
        f'admin: {{address: "127.0.0.1:{ports[1]}"}}',
        "records: {sinks: [{kind: file, path: records.jsonl}]}",
        "defaults: {rate_limit: none, unauthenticated_tier: none}",
        f'services: [{{name: users, instances: ["{origin.address}"]}}]',
        "identities:",
        *(f"  - {identity}" for identity in all_of.values()),
        "routes:",
        *(f"  - {route}" for route in routes),
        "",
    ])


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    directory = tmp_path_factory.mktemp("fail-open")
    issuer = Issuer("ES256")
    provider = Granting(issuer)
    with ExitStack() as opened:
        origin = opened.enter_context(Origin())
        broken: dict[str, Broken] = {}
        for fault, act in (HTTP_FAULTS | {WORKS: says("200 OK")}).items():
            one = opened.enter_context(Broken(act))
            one.good = lambda path, one=one: json.dumps(provider.document(one, path)).encode()
            broken[fault] = one
        unused = unused_ports()
        ports = (next(unused), next(unused))
        file = directory / "gateway.yaml"
        file.write_text(configuration(ports, origin, broken))
        process = opened.enter_context(Process(file, ports[1], "--workers", "1"))
        process.wait_until_live()
        records = directory / "records.jsonl"
        yield Setting(process, ("127.0.0.1", ports[0]), origin, issuer, provider, records, broken)
        assert process.metric("gateway_worker_panics_total") == 0


def answers(setting: Setting, path: str, *headers: tuple[str, str]) -> list[Response]:
    """What this gets by each protocol."""
    with Http2(setting.address) as http2:
        newer = http2.request(path, [(name.lower(), value) for name, value in headers])
    return [get(setting.address, path, *headers), newer]


def check_unavailable(setting: Setting, response: Response, identity: str) -> None:
    """The refusal says that nobody could tell, and so does the record."""
    assert (response.status, response.json()["error"]) == (503, "authentication_unavailable")
    assert response.get("retry-after")
    record = setting.record(response.get("x-request-id"))
    assert (record["status"], record["error_type"]) == (503, "authentication_unavailable")
    [step] = [step for step in record["decisions"] if step["stage"] == "authenticate"]
    assert step["verdict"] == "refused"
    assert (step["rule"], record["user_id"]) == (identity, None)


@pytest.mark.parametrize("dependency", CREDENTIALS)
@pytest.mark.parametrize("fault", FAULTS)
def test_nobody_is_let_in_whose_credential_nobody_could_prove(
    setting: Setting, dependency: str, fault: str
) -> None:
    before = setting.origin.connections, len(setting.origin.requests)
    header, path = setting.credential(dependency, fault), f"/{dependency}/{fault}"
    if fault == WORKS:
        wait_until(
            "a caller who is let in", lambda: {one.status for one in answers(setting, path, header)} == {200}
        )
        return
    for response in answers(setting, path, header):
        check_unavailable(setting, response, f"{dependency}-{fault}")
    assert (setting.origin.connections, len(setting.origin.requests)) == before
    assert fault == "absent" or setting.broken[fault].asked


@pytest.mark.parametrize("fault", FAULTS)
def test_a_token_of_a_stranger_is_no_better_where_no_keys_are_to_be_had(setting: Setting, fault: str) -> None:
    stranger = Issuer("ES256", setting.issuer.key.kid or "")
    before = len(setting.origin.requests)
    for dependency in ("keys", "discovery"):
        header = stranger.bearer(iss=f"https://{dependency}-{fault}.test")
        # Keys of the one that works may be on their way still.
        expected = {401, 503} if fault == WORKS else {503}
        assert {one.status for one in answers(setting, f"/{dependency}/{fault}", header)} <= expected
    assert len(setting.origin.requests) == before


def begin(setting: Setting, dependency: str, fault: str) -> Response:
    return get(setting.address, f"/{dependency}/{fault}", ("accept", ACCEPT), ("sec-fetch-mode", "navigate"))


def cookies(response: Response) -> tuple[str, str]:
    return "cookie", "; ".join(line.split(";")[0] for line in response.all("set-cookie"))


@pytest.mark.parametrize("dependency", LOGINS)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_login_comes_of_a_provider_that_fails(setting: Setting, dependency: str, fault: str) -> None:
    before = len(setting.origin.requests)
    name = f"{dependency}-{fault}"
    sent = begin(setting, dependency, fault)
    if dependency == "login-discovery" and fault != WORKS:
        check_unavailable(setting, sent, name)
        return
    assert sent.status == 303
    query = query_of(sent.get("location") or "")
    setting.provider.nonce, setting.provider.of = query["nonce"], f"{setting.broken[fault].url}/{name}"
    path = f"/oauth/{name}/callback?state={query['state']}&code=c"
    back = get(setting.address, path, cookies(sent), ("accept", ACCEPT))
    page = get(setting.address, f"/{dependency}/{fault}", cookies(back))
    if fault == WORKS:
        assert (back.status, page.status) == (303, 200)
        return
    assert back.status == (400 if (dependency, fault) in SAID_SOMETHING else 503)
    assert page.status == 401
    assert len(setting.origin.requests) == before
