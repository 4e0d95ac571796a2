"""One route to its part of the snapshot."""

import datetime
import email.utils
import json
from typing import TYPE_CHECKING, Any

from gatewright.config.compile_addresses import compile_screen
from gatewright.config.compile_answer import compile_compression, compile_error_pages, compile_static
from gatewright.config.compile_authorization import compile_auth, compile_https_only
from gatewright.config.compile_login import compile_csrf
from gatewright.config.compile_recording import compile_route_recording
from gatewright.config.crosschecks.overlaps import hosts_of
from gatewright.config.limiting import limit_of
from gatewright.config.matching import classify
from gatewright.config.models import (
    Cors,
    HeaderChanges,
    Match,
    Respond,
    Retry,
    Route,
    ValueTest,
    WebSocket,
)
from gatewright.config.models.retries import CAUSES, GRPC_FAILURES, Budget

if TYPE_CHECKING:
    from gatewright.config.loading import Loaded


_BREAKERS: dict[bool | str, str] = {True: "shared", False: "none", "own": "own", "tenant": "tenant"}


def compile_route(loaded: "Loaded", number: int) -> dict[str, Any]:
    """Give the document of a route."""
    route, defaults = loaded.gateway.routes[number], loaded.gateway.defaults
    cross_site = compile_csrf(loaded, route)
    security_headers = defaults.security_headers if route.security_headers is None else route.security_headers
    return {
        "name": route.name,
        "at": str(loaded.at("routes", number)),
        "match": compile_match(route.match),
        "precedence": route.precedence,
        "action": _action(route),
        "auth": compile_auth(loaded, number),
        "https_only": compile_https_only(loaded, route),
        "tenants": route.tenants,
        "screen": compile_screen(loaded, number),
        "rate_limit": _rate_limit(loaded, number),
        "timeout_ms": int(defaults.timeout if route.timeout is None else route.timeout),
        "max_body_bytes": int(route.max_body),
        "priority": route.priority,
        "forward_authorization": route.forward_authorization,
        "forward_api_key": route.forward_api_key,
        "request_headers": _changes(route.request_headers),
        "response_headers": _changes(route.response_headers),
        "security_headers": security_headers,
        "cors": _cors(route.cors, str(loaded.at("routes", number, "cors"))),
        "deprecated": route.deprecated,
        "sunset": _http_date(route.sunset),
        "deprecation_link": route.deprecation_link,
        "gone_after_ms": _milliseconds(route.sunset) if route.gone_after_sunset else None,
        "compression": compile_compression(route.compression),
        "retry": _retry(route.retry),
        "hedge": _hedge(route),
        "trace_sample": route.trace_sample,
        "error_pages": compile_error_pages(route.error_pages, loaded.gateway.error_pages),
        **({} if cross_site is None else {"cross_site": cross_site}),
        **compile_route_recording(loaded, route),
    }


def compile_match(match: Match) -> dict[str, Any]:
    """Give the document of what a route matches."""
    pattern = classify(match.path)
    return {
        "hosts": [host for host in hosts_of(match) if host],
        "path": {pattern.kind: pattern.text},
        "methods": match.methods,
        "headers": [{"name": name.lower(), "test": _test(test)} for name, test in match.headers.items()],
        "query": [{"name": name, "test": _test(test)} for name, test in match.query.items()],
    }


def _test(test: ValueTest) -> str | dict[str, str]:
    if test.present:
        return "present"
    if test.absent:
        return "absent"
    if test.regex is not None:
        return {"regex": test.regex}
    return {"exact": test.exact or ""}


def _action(route: Route) -> dict[str, Any]:
    if route.redirect is not None:
        return {"redirect": {"status": route.redirect.status, "to": route.redirect.to}}
    if route.respond is not None:
        return {"respond": _respond(route.respond)}
    if route.static is not None:
        return {"files": compile_static(route.static, route.strip_prefix)}
    if route.service == "self":
        return {"health": {}}
    rewrite = route.rewrite
    return {
        "proxy": {
            "service": route.service,
            "strip_prefix": route.strip_prefix,
            "rewrite": None
            if rewrite is None
            else {"regex": rewrite.regex, "replacement": rewrite.replacement},
            "circuit_breaker": _BREAKERS[route.circuit_breaker],
            "host": route.host_header,
            "websocket": _websocket(route.websocket),
        }
    }


def _websocket(websocket: WebSocket | None) -> dict[str, Any] | None:
    if websocket is None:
        return None
    return {
        "idle_timeout_ms": int(websocket.idle_timeout),
        "max_message_bytes": int(websocket.max_message),
        "messages_per_second": websocket.messages_per_second,
        "messages_per_second_per_caller": websocket.messages_per_second_per_caller,
        "max_connections_per_caller": websocket.max_connections_per_caller,
        "max_connections": websocket.max_connections,
    }


def _respond(respond: Respond) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in respond.headers.items()}
    body, content_type = respond.body, "text/plain; charset=utf-8"
    if respond.json_body is not None:
        body, content_type = json.dumps(respond.json_body, ensure_ascii=False), "application/json"
    if body:
        headers.setdefault("content-type", content_type)
    return {"status": respond.status, "headers": headers, "body": body}


def _rate_limit(loaded: "Loaded", number: int) -> dict[str, Any] | None:
    route, defaults = loaded.gateway.routes[number], loaded.gateway.defaults
    limit = limit_of(route, defaults)
    if limit is None:
        return None
    inherited = route.rate_limit is None and defaults.rate_limit is not None
    place = loaded.at("defaults", "rate_limit") if inherited else loaded.at("routes", number, "rate_limit")
    return {
        "at": str(place),
        "tiers": limit.tier,
        "on_failure": limit.on_failure,
        "cost": limit.cost,
        "charge_refused": limit.charge_refused,
    }


def _changes(changes: HeaderChanges) -> dict[str, Any]:
    return {
        "remove": [name.lower() for name in changes.remove],
        "set": {name.lower(): value for name, value in changes.set.items()},
        "add": {name.lower(): value for name, value in changes.add.items()},
    }


def _cors(cors: Cors | None, at: str) -> dict[str, Any] | None:
    if cors is None:
        return None
    return {
        "at": at,
        "allow_origins": cors.allow_origins,
        "allow_methods": cors.allow_methods,
        "allow_headers": [name.lower() for name in cors.allow_headers],
        "expose_headers": [name.lower() for name in cors.expose_headers],
        "allow_credentials": cors.allow_credentials,
        "max_age_s": int(cors.max_age) // 1000,
    }


def _retry(retry: Retry | None) -> dict[str, Any] | None:
    if retry is None:
        return None
    per_try = retry.per_try_timeout
    return {
        "attempts": retry.attempts,
        "causes": [cause for cause in retry.on if cause in CAUSES],
        "statuses": [status for status in retry.on if isinstance(status, int)],
        "grpc_statuses": [GRPC_FAILURES[name] for name in retry.on if name in GRPC_FAILURES],
        "methods": retry.methods,
        "per_try_timeout_ms": None if per_try is None else int(per_try),
        "backoff_base_ms": int(retry.backoff.base),
        "backoff_max_ms": int(retry.backoff.max),
        "budget": _budget(retry.budget),
        "max_body_bytes": int(retry.max_body),
    }


def _hedge(route: Route) -> dict[str, Any] | None:
    if route.hedge is None:
        return None
    shared = None if route.retry is None else route.retry.budget
    budget = shared or route.hedge.budget or Budget()
    return {
        "delay_ms": int(route.hedge.delay),
        "attempts": route.hedge.attempts,
        "budget": _budget(budget),
    }


def _budget(budget: Budget) -> dict[str, Any]:
    return {"ratio": budget.ratio, "minimum_per_second": budget.minimum_per_second}


def _http_date(day: datetime.date | None) -> str | None:
    if day is None:
        return None
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    return email.utils.format_datetime(moment, usegmt=True)


def _milliseconds(day: datetime.date | None) -> int | None:
    if day is None:
        return None
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC)
    return max(0, int(moment.timestamp() * 1000))
