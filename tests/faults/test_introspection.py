"""Issuers that are asked about tokens: a reload names another one, or another secret, while requests come."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from faults.conftest import Setting
from faults.process import wait_until
from gateway import TokenIssuer, get

TEXT = """\
listeners: [{{name: public, address: "127.0.0.1:{port}"}}]
admin: {{address: "127.0.0.1:{admin}"}}
reload: {{debounce: 50ms}}
identities:
  - name: opaque
    kind: introspection
    url: {url}
    client_id: gateway
    client_secret: {secret}
    cache_ttl: 1h
    timeout: 10s
defaults: {{rate_limit: none, unauthenticated_tier: none}}
records: {{sinks: []}}
routes: [{{name: all, match: /*, respond: {{body: "ok"}}, auth: {{accept: [opaque]}}}}]
"""


@pytest.fixture
def issuers() -> Iterator[tuple[TokenIssuer, TokenIssuer]]:
    with ExitStack() as opened:
        one, other = (opened.enter_context(TokenIssuer()) for _ in range(2))
        one.client, other.client = ("gateway", "first"), ("gateway", "second")
        yield one, other


def config(setting: Setting, issuer: TokenIssuer, secret: str) -> str:
    return TEXT.format(port=setting.port, admin=setting.admin, url=issuer.url, secret=secret)


def status(setting: Setting, token: str) -> int:
    return get(("127.0.0.1", setting.port), "/", ("Authorization", f"Bearer {token}")).status


def test_another_issuer_of_a_reload_is_asked_and_the_old_ones_word_counts_no_more(
    setting: Setting, issuers: tuple[TokenIssuer, TokenIssuer]
) -> None:
    one, other = issuers
    for issuer, tokens in ((one, ("ours", "both")), (other, ("theirs", "both"))):
        for token in tokens:
            issuer.grant(token)
    setting.write(config(setting, one, "first"))
    process = setting.run()
    assert [status(setting, token) for token in ("ours", "both", "theirs")] == [200, 200, 401]
    setting.write(config(setting, other, "second"))
    wait_until("the second configuration", lambda: process.metric("gateway_config_version") == 2)
    assert [status(setting, token) for token in ("ours", "both", "theirs")] == [401, 200, 200]
    assert set(other.asked) == {"ours", "both", "theirs"}


def test_another_secret_of_a_reload_is_shown_at_once(
    setting: Setting, issuers: tuple[TokenIssuer, TokenIssuer]
) -> None:
    issuer, _ = issuers
    issuer.grant("abc")
    setting.write(config(setting, issuer, "wrong"))
    process = setting.run()
    # An issuer that does not know the gateway says nothing of its tokens.
    assert status(setting, "abc") == 503
    setting.write(config(setting, issuer, "first"))
    wait_until("the second configuration", lambda: process.metric("gateway_config_version") == 2)
    assert status(setting, "abc") == 200
