"""Issuers and providers are asked by the way that the configuration names, whatever the environment says."""

from pathlib import Path

import pytest

from gateway.introspection import CLIENT, TokenIssuer
from gateway.oidc import CLIENT as LOGIN_CLIENT
from gateway.oidc import CLIENT_SECRET, Provider
from gatewright.control.node import Node
from gatewright.control.state import StateDirectory
from gatewright.identity.fetch import KeySetSource
from gatewright.identity.introspection import Introspections, IntrospectionSource
from gatewright.identity.oidc.logins import Logins
from gatewright.identity.oidc.settings import OidcSettings


@pytest.fixture(autouse=True)
def misleading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment with a proxy where nobody is, and passwords for everybody."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    (tmp_path / ".netrc").write_text("default login a password s3cret\n")
    monkeypatch.setenv("HOME", str(tmp_path))


async def test_key_sets_are_fetched_past_a_proxy_of_the_environment(engine, tmp_path: Path) -> None:
    node = Node(engine, StateDirectory(tmp_path / "state"))
    node.start()
    with Provider() as issuer:
        await node.key_sets.use([KeySetSource("mobile", f"{issuer.url}/jwks")], 10.0)
    assert [(one["has_keys"], one["error"]) for one in node.key_sets.state()] == [(True, None)]
    await node.close()


async def test_tokens_are_introspected_past_a_proxy_of_the_environment() -> None:
    with TokenIssuer() as issuer:
        issuer.grant("t")
        asking = Introspections()
        asking.use([IntrospectionSource("opaque", issuer.url, client=CLIENT, timeout=10.0)])
        assert (await asking.answer({"identity": "opaque", "token": "t"}))["active"] is True
        await asking.close()


async def test_providers_are_asked_past_a_proxy_of_the_environment() -> None:
    pushed: list[str] = []

    async def nobody(_: object) -> None:
        raise AssertionError

    with Provider() as provider:
        logins = Logins(lambda name, _: pushed.append(name), nobody)
        settings = OidcSettings(
            identity="web", issuer=provider.url, client_id=LOGIN_CLIENT, client_secret=CLIENT_SECRET
        )
        await logins.use([settings], 10.0)
        assert [(one["is_known"], one["error"]) for one in logins.state()] == [(True, None)]
        await logins.close()
