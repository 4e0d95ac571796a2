"""Asking a provider: its metadata and its token endpoint, within bounds."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import httpx2

from gatewright.identity.discovery import DiscoveryError, check_issuer, document_address
from gatewright.identity.oidc.settings import Endpoints, OidcSettings, ProviderError, RefusedError
from gatewright.outgoing.answers import UNCOMPRESSED, read_bounded

MAXIMUM_BYTES = 256 * 1024
# Of RFC 6749 section 5.2: what was shown is worth nothing. All other errors are about the gateway itself, and
# nothing that a user could mend.
REFUSALS = frozenset({"invalid_grant"})

Json = dict[str, Any]


async def discover(client: httpx2.AsyncClient, settings: OidcSettings) -> Endpoints:
    """What the provider says of itself (OpenID Connect Discovery). Raises `ProviderError`."""
    url = document_address(settings.issuer)
    settings.check(url)
    status, document = await ask(client, settings, httpx2.Request("GET", url))
    if status != httpx2.codes.OK:
        raise ProviderError(f"discovery: status {status}")
    try:
        check_issuer(document, settings.issuer)
    except DiscoveryError as error:
        raise ProviderError(str(error)) from error
    endpoints = Endpoints(
        authorization=named(document, "authorization_endpoint"),
        token=named(document, "token_endpoint"),
        jwks=named(document, "jwks_uri"),
        end_session=optional(document, "end_session_endpoint"),
        revocation=optional(document, "revocation_endpoint"),
        secret_in_form=takes_form_alone(document),
        says_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )
    for address in (endpoints.authorization, endpoints.token, endpoints.jwks):
        settings.check(address)
    for address in (endpoints.end_session, endpoints.revocation):
        if address is not None:
            settings.check(address)
    return endpoints


def named(document: Json, name: str) -> str:
    found = optional(document, name)
    if found is None:
        raise ProviderError(f"discovery: there is no `{name}`")
    return found


def optional(document: Json, name: str) -> str | None:
    found = document.get(name)
    # A control character would end the header that sends browsers there.
    return found if isinstance(found, str) and found.isascii() and found.isprintable() and found else None


def takes_form_alone(document: Json) -> bool:
    methods = document.get("token_endpoint_auth_methods_supported")
    return (
        isinstance(methods, list) and "client_secret_post" in methods and "client_secret_basic" not in methods
    )


async def ask_for_tokens(
    client: httpx2.AsyncClient, settings: OidcSettings, endpoints: Endpoints, form: Mapping[str, str]
) -> Json:
    """What the token endpoint grants. Raises `RefusedError` where it never will, `ProviderError` else."""
    status, document = await ask(client, settings, posted(settings, endpoints, endpoints.token, form))
    if status == httpx2.codes.OK:
        if not document:
            # A page of a network to log in to, for example: what was shown may be good still.
            raise ProviderError("token endpoint: an answer without anything in it")
        return document
    error = document.get("error")
    if status < httpx2.codes.INTERNAL_SERVER_ERROR and error in REFUSALS:
        raise RefusedError(f"{error}")
    raise ProviderError(f"token endpoint: status {status}, error {str(error)[:80]!r}")


async def withdraw(
    client: httpx2.AsyncClient, settings: OidcSettings, endpoints: Endpoints, token: str
) -> None:
    """Give a refresh token back (RFC 7009), where the provider takes it. Raises `ProviderError`."""
    if endpoints.revocation is None:
        return
    form = {"token": token, "token_type_hint": "refresh_token"}
    status, _ = await ask(client, settings, posted(settings, endpoints, endpoints.revocation, form))
    if status != httpx2.codes.OK:
        raise ProviderError(f"revocation endpoint: status {status}")


def posted(settings: OidcSettings, endpoints: Endpoints, url: str, form: Mapping[str, str]) -> httpx2.Request:
    fields, headers = dict(form), {"accept": "application/json"}
    if settings.client_secret is None or endpoints.secret_in_form:
        fields["client_id"] = settings.client_id
        if settings.client_secret is not None:
            fields["client_secret"] = settings.client_secret
    else:
        # RFC 6749 section 2.3.1 wants both parts encoded as in a form.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
        headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return httpx2.Request("POST", url, data=fields, headers=headers)


async def ask(
    client: httpx2.AsyncClient, settings: OidcSettings, request: httpx2.Request
) -> tuple[int, Json]:
    """Status and JSON of an answer; an empty one where it is no object. Raises `ProviderError`."""
    try:
        async with asyncio.timeout(settings.timeout):
            return await received(client, request)
    except TimeoutError as error:
        raise ProviderError(f"no answer within {settings.timeout:g} s") from error
    except httpx2.HTTPError as error:
        raise ProviderError(f"{type(error).__name__}: {error}") from error


async def received(client: httpx2.AsyncClient, request: httpx2.Request) -> tuple[int, Json]:
    request.headers.update(UNCOMPRESSED)
    response = await client.send(request, stream=True, follow_redirects=False)
    try:
        body = await read_bounded(response, MAXIMUM_BYTES, ProviderError)
    finally:
        await response.aclose()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    return response.status_code, document if isinstance(document, dict) else {}
