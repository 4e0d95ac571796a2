"""The admin application: operations, their documents (OpenAPI), and one form for every error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gatewright import __version__
from gatewright.admin.access import Access
from gatewright.admin.answers import Denied, refusal
from gatewright.admin.audited import Audited, denied
from gatewright.admin.operations import operations
from gatewright.admin.probes import probes
from gatewright.admin.shown.refusals import REFUSALS
from gatewright.audit.files import AuditError
from gatewright.control.configuration import AdminSettings
from gatewright.control.node import Node
from gatewright.errors import EngineError
from gatewright.records.reader import RecordQueryError

CODES = {404: "not_found", 405: "method_not_allowed"}


def build_app(node: Node, settings: Callable[[], AdminSettings]) -> FastAPI:
    """The application for one node; `settings` is asked at each request."""
    app = FastAPI(
        title="Gatewright admin API",
        version=__version__,
        # Their pages load scripts from a CDN; whoever reads this document has a viewer.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.include_router(probes(node), responses=REFUSALS)
    app.include_router(operations(node), prefix="/api/v1", tags=["v1"], responses=REFUSALS)
    # The last one stands before the others.
    app.add_middleware(Audited, audit=node.audit, settings=settings)
    app.add_middleware(Access, settings=settings, denied=partial(denied, node.audit))
    app.exception_handler(Denied)(on_denied)
    app.exception_handler(HTTPException)(on_http)
    app.exception_handler(RequestValidationError)(on_validation)
    app.exception_handler(RecordQueryError)(on_query)
    app.exception_handler(EngineError)(on_engine)
    app.exception_handler(AuditError)(on_audit)
    return app


async def on_denied(_: Request, error: Exception) -> Response:
    status, code = (error.status, error.error) if isinstance(error, Denied) else (500, "internal_error")
    return refusal(status, code, str(error))


async def on_http(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = str(error.detail) if isinstance(error, HTTPException) else "internal error"
    return refusal(status, CODES.get(status, "bad_request" if status < 500 else "internal_error"), detail)


async def on_validation(_: Request, error: Exception) -> Response:
    given = error.errors() if isinstance(error, RequestValidationError) else []
    text = "; ".join(f"`{'.'.join(map(str, one['loc'][1:]))}`: {one['msg']}" for one in given)
    return refusal(400, "bad_request", text)


async def on_query(_: Request, error: Exception) -> Response:
    return refusal(400, "bad_request", str(error))


async def on_engine(_: Request, error: Exception) -> Response:
    return refusal(500, "internal_error", str(error))


async def on_audit(_: Request, error: Exception) -> Response:
    return refusal(503, "audit_unavailable", str(error))
