"""Fetching a key set: from where it is, or where its issuer says that it is, and nothing else."""

import asyncio
import json
from dataclasses import replace

import httpx2
import pytest

from gatewright.identity.discovery import document_address
from gatewright.identity.fetch import MAXIMUM_BYTES, KeySetError, KeySetSource, KeySetTimes, fetch_key_set

SOURCE = KeySetSource("mobile", "https://id.example.com/jwks.json")


def client_that(answers) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.MockTransport(answers))


async def test_only_the_public_keys_of_a_key_set_are_taken() -> None:
    keys = [{"kid": "a", "d": "secret"}, {"kty": "oct", "k": "secret"}]
    async with client_that(lambda _: httpx2.Response(200, json={"keys": keys, "x": 1})) as client:
        assert json.loads(await fetch_key_set(client, SOURCE)) == {"keys": [{"kid": "a"}]}


DISCOVERED = replace(
    SOURCE, url="https://id.example.com/.well-known/openid-configuration", issuer="https://id.example.com"
)


async def test_an_issuer_is_asked_where_its_keys_are() -> None:
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        if "well-known" in str(request.url):
            document = {"issuer": "https://id.example.com", "jwks_uri": "https://keys.example.com/all"}
            return httpx2.Response(200, json=document)
        return httpx2.Response(200, json={"keys": [{"kid": "a"}]})

    async with client_that(answer) as client:
        assert json.loads(await fetch_key_set(client, DISCOVERED)) == {"keys": [{"kid": "a"}]}
    assert asked == [DISCOVERED.url, "https://keys.example.com/all"]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"issuer": "https://id.example.com/", "jwks_uri": "https://id.example.com/k"}, "is not of issuer"),
        ({"jwks_uri": "https://id.example.com/k"}, "is not of issuer"),
        ({"issuer": "https://id.example.com"}, "names no `jwks_uri`"),
        (
            {"issuer": "https://id.example.com", "jwks_uri": ["https://id.example.com/k"]},
            "names no `jwks_uri`",
        ),
        ({"issuer": "https://id.example.com", "jwks_uri": "http://id.example.com/k"}, "neither https nor"),
        ({"issuer": "https://id.example.com", "jwks_uri": "file:///etc/passwd"}, "neither https nor"),
        ({"issuer": "https://id.example.com", "jwks_uri": "https://id.example.com:port/"}, "is no URL"),
        ([], "is no object"),
        ("[" * 100_000, "is not JSON"),
    ],
)
async def test_an_issuer_that_points_elsewhere_or_speaks_for_another_is_not_followed(
    document: object, reason: str
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == DISCOVERED.url
        return httpx2.Response(200, text=document if isinstance(document, str) else json.dumps(document))

    async with client_that(answer) as client:
        with pytest.raises(KeySetError, match=reason):
            await fetch_key_set(client, DISCOVERED)


@pytest.mark.parametrize(
    ("issuer", "address"),
    [
        ("https://id.example.com", "https://id.example.com/.well-known/openid-configuration"),
        ("https://id.example.com/", "https://id.example.com/.well-known/openid-configuration"),
        (
            "https://id.example.com/realms/a",
            "https://id.example.com/realms/a/.well-known/openid-configuration",
        ),
        ("https://x.example.com/.well-known/oauth-authorization-server/a",) * 2,
    ],
)
def test_where_an_issuer_says_what_it_is(issuer: str, address: str) -> None:
    assert document_address(issuer) == address


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (httpx2.Response(500), "status 500"),
        (httpx2.Response(302, headers={"location": "http://169.254.169.254/"}), "status 302"),
        (httpx2.Response(200, text="<html>"), "not JSON"),
        (httpx2.Response(200, text="[" * 100_000), "not JSON"),
        (httpx2.Response(200, json=[]), "not a key set"),
        (httpx2.Response(200, json={"keys": {}}), "not a key set"),
        (httpx2.Response(200, json={"keys": ["x"]}), "not a key set"),
        (httpx2.Response(200, json={"keys": []}), "0 keys"),
        (httpx2.Response(200, json={"keys": [{}] * 1001}), "1001 keys"),
        (httpx2.Response(200, json={"keys": [{"kty": "oct", "k": "x"}]}), "nothing but secrets"),
        (httpx2.Response(200, headers={"content-encoding": "gzip"}, content=b""), "compressed"),
        (httpx2.Response(200, content=b" " * (MAXIMUM_BYTES + 1)), "larger than"),
    ],
)
async def test_anything_but_a_key_set_is_refused(response: httpx2.Response, reason: str) -> None:
    async with client_that(lambda _: response) as client:
        with pytest.raises(KeySetError, match=reason):
            await fetch_key_set(client, SOURCE)


async def test_an_issuer_that_sends_nothing_is_given_up_in_time() -> None:
    async def hang(_: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    source = KeySetSource("mobile", SOURCE.url, times=KeySetTimes(timeout=0.01))
    async with client_that(hang) as client:
        with pytest.raises(KeySetError, match="no answer within"):
            await fetch_key_set(client, source)


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example.com/",
        "http://127.0.0.1.example.com/",
        "ftp://id.example.com/",
        "file:///etc/passwd",
    ],
)
def test_a_url_that_anybody_on_the_way_could_answer_is_refused(url: str) -> None:
    with pytest.raises(KeySetError, match="neither https nor"):
        KeySetSource("mobile", url).check(url)


@pytest.mark.parametrize(
    "url", ["https://id.example.com/", "http://localhost:80/", "http://127.0.0.1/", "http://[::1]/"]
)
def test_https_and_loopback_urls_are_accepted(url: str) -> None:
    KeySetSource("mobile", url).check(url)
    KeySetSource("mobile", url, allow_http=True).check("http://id.example.com/")
