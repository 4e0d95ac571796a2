"""Who may use the admin listener: every operation, each kind of wrong credential, foreign pages."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gatewright.admin.app import build_app
from gatewright.audit.reading import Wanted, read_newest
from gatewright.audit.verify import verify
from gatewright.control.configuration import AdminSettings
from gatewright.control.node import Node
from gatewright.control.state import StateDirectory

TOKEN = "a-token-of-enough-characters"
OPEN = {"/healthz", "/readyz"}


@pytest.fixture
def ask(engine, tmp_path: Path) -> Iterator[Callable[..., httpx2.Response]]:
    """Sends one request to the application, as if from the network."""
    unguarded = AdminSettings("127.0.0.1", 9901)
    now = [unguarded]
    # Once for all requests: to build it costs more than they do.
    app = build_app(Node(engine, StateDirectory(tmp_path)), lambda: now[0])

    def send(method: str, path: str, settings: AdminSettings | None = None, **more: Any) -> httpx2.Response:
        async def once() -> httpx2.Response:
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9901") as client:
                return await client.request(method, path, **more)

        now[0] = settings or unguarded
        return runner.run(once())

    with asyncio.Runner() as runner:
        yield send


# Found once: to describe them takes longer than to ask all of them.
OPERATIONS: list[tuple[str, str]] = []


def operations(ask) -> list[tuple[str, str]]:
    if not OPERATIONS:
        paths = ask("GET", "/openapi.json").json()["paths"]
        OPERATIONS.extend(
            (method.upper(), path.replace("{service}", "x").replace("{request_id}", "x"))
            for path in paths
            for method in paths[path]
        )
    assert len(OPERATIONS) > 15
    return OPERATIONS


def test_every_operation_demands_the_token_where_one_is_set(ask) -> None:
    guarded = AdminSettings("0.0.0.0", 9901, TOKEN)  # noqa: S104 - nothing is bound.
    wrong = [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
    ]
    for method, path in [*operations(ask), ("GET", "/openapi.json"), ("GET", "/nothing")]:
        for headers in wrong:
            response = ask(method, path, guarded, headers=headers)
            expected = {200, 503} if path in OPEN else {401}
            assert response.status_code in expected, (method, path, headers)


def test_a_repeated_credential_is_refused(ask) -> None:
    guarded = AdminSettings("127.0.0.1", 9901, TOKEN)
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer x")]
    assert ask("GET", "/metrics", guarded, headers=headers).status_code == 401


def test_the_token_opens_what_it_guards(ask) -> None:
    guarded = AdminSettings("127.0.0.1", 9901, TOKEN)
    response = ask("GET", "/metrics", guarded, headers={"authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200
    assert ask("GET", "/metrics", guarded).json()["error"] == "invalid_token"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://127.0.0.1.evil.example:9901"]
)
def test_a_foreign_page_can_change_nothing(ask, origin: str) -> None:
    for method, path in operations(ask):
        if method == "POST":
            response = ask(method, path, headers={"origin": origin})
            assert (response.status_code, response.json()["error"]) == (403, "foreign_origin"), path


def test_a_foreign_page_without_origin_is_told_by_its_fetch_metadata(ask) -> None:
    response = ask("POST", "/api/v1/drain", headers={"sec-fetch-site": "cross-site"})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example", ""]
)
def test_a_rebound_name_can_neither_write_nor_read(ask, host: str) -> None:
    for method, path in operations(ask):
        if path not in OPEN:
            assert ask(method, path, headers={"host": host}).status_code == 403, path


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9901", "127.0.0.1:9901", "[::1]:9901", "10.1.2.3:9901"]
)
def test_names_and_addresses_of_the_machine_are_served(ask, host: str) -> None:
    assert ask("GET", "/metrics", headers={"host": host}).status_code == 200
    headers = {"host": host, "origin": f"http://{host}"}
    assert ask("POST", "/gateway/circuit-breakers/reset", headers=headers).status_code == 200


def test_with_a_token_any_name_may_read_but_not_write(ask) -> None:
    guarded = AdminSettings("0.0.0.0", 9901, TOKEN)  # noqa: S104 - nothing is bound.
    headers = {"host": "gateway.internal:9901", "authorization": f"Bearer {TOKEN}"}
    assert ask("GET", "/metrics", guarded, headers=headers).status_code == 200
    assert ask("POST", "/api/v1/drain", guarded, headers=headers).status_code == 403


def test_every_operation_that_is_no_reading_is_audited(ask, tmp_path: Path) -> None:
    """Also one that is to come, and whatever becomes of it."""
    writing = [(method, path) for method, path in operations(ask) if method != "GET"]
    assert len(writing) > 20
    for method, path in writing:
        ask(method, path, headers={"x-gatewright-by": "ann"})
    found = read_newest(StateDirectory(tmp_path).audit, Wanted(kind="act", limit=1000)).entries
    assert {one["fields"]["operation"] for one in found} == {f"{method} {path}" for method, path in writing}
    assert {one["who"]["says"] for one in found} == {"ann"}
    assert verify(StateDirectory(tmp_path).audit).fault is None


def test_who_is_turned_away_is_audited_within_the_bound(ask, tmp_path: Path) -> None:
    guarded = AdminSettings("127.0.0.1", 9901, TOKEN)
    ask("POST", "/api/v1/drain", guarded)
    ask("POST", "/api/v1/drain", headers={"origin": "http://evil.example"})
    found = read_newest(StateDirectory(tmp_path).audit, Wanted(what="refused.admin")).entries
    assert [one["fields"]["error"] for one in found] == ["foreign_origin", "invalid_token"]


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_no_page_loads_from_a_cdn(ask, path: str) -> None:
    assert ask("GET", path).status_code == 404
