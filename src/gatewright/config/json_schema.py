"""The JSON Schema of a configuration file, short forms included."""

from typing import Any

from gatewright.config.models import Gateway

_SHORT_FORMS: dict[str, dict[str, str]] = {
    "Service": {"circuit_breaker": "text or switch"},
    "CircuitBreaker": dict.fromkeys(
        ("failure_ratio", "slow_ratio", "load_ratio", "consecutive_failures"), "text or switch"
    ),
    "Route": {"match": "text", "auth": "text", "rate_limit": "texts", "retry": "text or switch"},
    "Retry": {"methods": "text"},
    "Defaults": {"rate_limit": "texts"},
    "Auth": {"scopes": "texts", "roles": "texts"},
    "Tier": {"adaptive": "text or switch", "ban": "text or switch"},
    "JwtIdentity": {"jwks": "text", "public_key": "text"},
    "ApiKeyIdentity": {"keys": "text"},
    "BasicIdentity": {"users": "text or users"},
    "Records": {"sample": "text or switch", "user_id": "text"},
    "RouteRecords": {"sample": "text or switch"},
}
"""Fields that may be given as a text in place of a section."""

_MAPS_OF_SHORT_FORMS = {"Match": ("headers", "query")}


def json_schema() -> dict[str, Any]:
    """Give the schema (draft 2020-12). Every list of one may be given as that one."""
    schema = Gateway.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Gatewright configuration"
    for name, definition in [("Gateway", schema), *schema["$defs"].items()]:
        _widen(name, definition)
    return schema


def _widen(name: str, definition: dict[str, Any]) -> None:
    """Allow the short forms of a section's fields, which the models read before they validate."""
    properties = definition.get("properties", {})
    for field, form in _SHORT_FORMS.get(name, {}).items():
        also: list[dict[str, Any]] = [{"type": "string"}]
        if form == "text or switch":
            also.append({"type": "boolean"})
        if form == "text or users":
            also.append({"type": "array", "items": {"$ref": "#/$defs/PasswordUser"}})
        if form == "texts":
            also.append({"type": "array", "items": {"type": "string"}})
        properties[field] = _also(properties[field], also)
    for field in _MAPS_OF_SHORT_FORMS.get(name, ()):
        values = properties[field]["additionalProperties"]
        properties[field]["additionalProperties"] = _also(values, [{"type": "string"}])
    for field, value in properties.items():
        if value.get("type") == "array":
            properties[field] = _list(name, field, value)


def _list(name: str, field: str, value: dict[str, Any]) -> dict[str, Any]:
    if (name, field) == ("Service", "instances"):
        value = value | {"items": _also(value["items"], [{"type": "string"}])}
    kept = {key: value[key] for key in ("description", "default", "title") if key in value}
    bare = {key: item for key, item in value.items() if key not in kept}
    return kept | {"anyOf": [bare, bare["items"]]}


def _also(value: dict[str, Any], forms: list[dict[str, Any]]) -> dict[str, Any]:
    kept = {key: value[key] for key in ("description", "default", "title") if key in value}
    bare = {key: item for key, item in value.items() if key not in kept}
    members = bare.pop("anyOf", None) or [bare]
    return kept | {"anyOf": [*members, *forms]}
