"""Answers of the admin listener. Errors have the form of the gateway's own refusals."""

from __future__ import annotations

import uuid

from starlette.responses import JSONResponse

NEVER_STORED = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Denied(Exception):
    """An operation cannot be done; becomes a refusal."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


def refusal(status: int, error: str, message: str) -> JSONResponse:
    """`{"error", "message", "request_id"}` with a fresh request id."""
    request_id = str(uuid.uuid4())
    headers = NEVER_STORED | {"x-request-id": request_id}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    content = {"error": error, "message": message, "request_id": request_id}
    return JSONResponse(content, status, headers)


def answer(content: object, status: int = 200) -> JSONResponse:
    """Any JSON, not to be stored by anybody on the way."""
    return JSONResponse(content, status, NEVER_STORED)
