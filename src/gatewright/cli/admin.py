"""How commands find and ask a running node."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from gatewright.errors import ConfigError, GatewrightError

SECONDS = 20.0
DEFAULT = "http://127.0.0.1:9901"


class NodeError(GatewrightError):
    """A node cannot be asked, or said no."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NoNodeError(NodeError):
    """Nobody answers at the address."""


def locate(given: str | None) -> tuple[str, str | None]:
    """The admin URL and its token: `--admin`, `GATEWRIGHT_ADMIN`, `gateway.yaml` here, else the default
    address.

    `GATEWRIGHT_ADMIN_TOKEN` holds the token; without it the one of `gateway.yaml` is used for the address
    in it.
    """
    token = os.environ.get("GATEWRIGHT_ADMIN_TOKEN")
    named = given or os.environ.get("GATEWRIGHT_ADMIN")
    if named:
        return (named if "://" in named else f"http://{named}").rstrip("/"), token
    if Path("gateway.yaml").exists():
        # Models cost start-up time that commands with an address need not pay.
        from gatewright.config import load  # noqa: PLC0415
        from gatewright.control.configuration import admin_settings  # noqa: PLC0415

        with contextlib.suppress(ConfigError):
            settings = admin_settings(load([Path("gateway.yaml")]).gateway)
            return settings.url, token or settings.token
    return DEFAULT, token


def ask(
    method: str,
    path: str,
    admin: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One operation of the admin API. Raises `NodeError` with what to do."""
    url, token = locate(admin)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    if method != "GET":
        # For the audit log; the node has only our word for it.
        headers["x-gatewright-by"] = who().encode("ascii", "replace").decode()
    asked: dict[str, Any] = {"params": parameters or None, "headers": headers, "json": body}
    try:
        response = httpx2.request(method, url + path, **asked, timeout=SECONDS, trust_env=False)
        document = response.json()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        cure = "start one with `gatewright run`, or name it with --admin URL"
        message = f"no node answers at {url} ({error}); {cure}"
        raise NoNodeError(message) from error
    except ValueError as error:
        raise NodeError(f"what answers at {url} is not the admin listener of a gateway") from error
    if response.status_code >= 400:
        raise NodeError(explained(response.status_code, document), response.status_code)
    return document


def explained(status: int, document: object) -> str:
    text = str(document.get("message", status)) if isinstance(document, dict) else str(status)
    if status == 401:
        return f"{text}; set GATEWRIGHT_ADMIN_TOKEN"
    return text


def who() -> str:
    """The person at this terminal."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except OSError:
        # No such user: in a container, for example.
        return socket.gethostname()
